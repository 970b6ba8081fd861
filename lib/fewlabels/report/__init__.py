"""From notebooks to one report: each is executed in a process of its own, then all are bound.

`execute_all` runs the notebooks, `build` makes one HTML file and one PDF of
their executed copies; `make` is the whole way. The cell options are listed in `convert`.
"""

from fewlabels.report.build import build
from fewlabels.report.execute import execute_all

__all__ = ["build", "execute_all"]
