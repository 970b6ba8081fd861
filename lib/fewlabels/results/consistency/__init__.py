"""Consistency rules that no table of segmentation scores can break, for our tables and theirs.

`reported` finds what is wrong in the numbers that the five systems reported, `lint` and `ours` in
our own tables and records. A finding in ours is an error unless a sentence explains it (`settled`).
"""

from fewlabels.results.consistency.rules import RULES, Finding
from fewlabels.results.consistency.systems import final, printed, reported
from fewlabels.results.consistency.tables import checked, explained, grouped, lint, ours, settled

__all__ = [
    "RULES", "Finding", "checked", "explained", "final", "grouped", "lint", "ours", "printed",
    "reported", "settled",
]  # fmt: skip
