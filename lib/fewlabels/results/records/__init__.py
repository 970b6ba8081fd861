"""Records: what a run was, what it did and what it scored.

Nothing here needs torch, so tables and figures are made from records in seconds, anywhere.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "measures": [
            "UNIT", "Unit", "at_best_step", "fitted", "rarest", "regroup_by_test_tiles",
            "steps_to_share", "table", "validated",
        ],
        "record": ["ALIASES", "Record"],
        "store": [
            "add", "beside", "declared", "exists", "facts", "files", "put", "read", "read_all",
            "write",
        ],
    },
)  # fmt: skip
