"""Records: what a run was, what it did and what it scored.

Nothing here needs torch, so tables and figures are made from records in seconds, anywhere.
"""

from fewlabels.results.records.measures import (
    UNIT,
    Unit,
    at_best_step,
    fitted,
    rarest,
    regroup_by_test_tiles,
    steps_to_share,
    table,
    validated,
)
from fewlabels.results.records.record import ALIASES, Record
from fewlabels.results.records.store import (
    add,
    beside,
    declared,
    exists,
    facts,
    files,
    put,
    read,
    read_all,
    rewrite,
    write,
)

__all__ = [
    "ALIASES", "UNIT", "Record", "Unit", "add", "at_best_step", "beside", "declared", "exists",
    "facts", "files", "fitted", "put", "rarest", "read", "read_all", "regroup_by_test_tiles",
    "rewrite", "steps_to_share", "table", "validated", "write",
]  # fmt: skip
