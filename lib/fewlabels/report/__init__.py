"""Turn notebooks into one report, and give the notebooks of the studies a shared opening.

`chapter` is what notebooks import. `make` executes them (`execute`), converts the executed copies
to Markdown (`convert`), binds these into one HTML file and one PDF (`build`) and, for the published
report, writes what the README shows (`publish`).
"""

from fewlabels.report.chapter import Chapter, open_studies, open_study

__all__ = ["Chapter", "open_studies", "open_study"]
