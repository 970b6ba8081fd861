"""Image data sets: fetch them, decode them once, and split them by site.

`load(name, fold, split)` returns a `Dataset` of tiles with dense masks. A data set is one file in
`sources/` and one line in `registry.SOURCES`. `synthetic/` draws scenes that need no download.
"""

from fewlabels.data.registry import SOURCES, Dataset, fetch, load

__all__ = ["SOURCES", "Dataset", "fetch", "load"]
