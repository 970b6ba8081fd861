"""Records: what a run was, what it did and what it scored.

Nothing here needs torch: tables and figures are made from records in seconds, anywhere.
"""

from fewlabels.results.records.measures import (
    UNIT,
    Unit,
    fitted,
    rarest,
    steps_to_share,
    table,
    validated,
    watched_curve,
)
from fewlabels.results.records.store import FORMAT, Record, declared, exists, read, read_all, write

__all__ = [
    "FORMAT", "UNIT", "Record", "Unit", "declared", "exists", "fitted", "rarest", "read",
    "read_all", "steps_to_share", "table", "validated", "watched_curve", "write",
]  # fmt: skip
