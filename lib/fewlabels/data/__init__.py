"""Data sets as sequences of tiles, split by site.

`load` returns the tiles of one split of one fold, decoded once into a cache. `fetch` downloads
what can be downloaded. A data set is one module, which ends in its `Declaration`, and one line in
`registry.SOURCES`.
"""

from fewlabels.data.dataset import Dataset
from fewlabels.data.registry import GRID, NAMES, SOURCES, check_name, fetch, groups, load
from fewlabels.data.source import Declaration, Source
from fewlabels.types import IGNORE

__all__ = [
    "GRID",
    "IGNORE",
    "NAMES",
    "SOURCES",
    "Dataset",
    "Declaration",
    "Source",
    "check_name",
    "fetch",
    "groups",
    "load",
]
