"""Consistency rules that no table of segmentation scores can break, for our tables and theirs.

`reported` finds what is wrong in the numbers that the five systems reported, `ours` in our own
tables and records. A finding in ours is an error unless a sentence explains it (`settled`).
"""

from fewlabels.results.consistency.rules import RULES, Finding, printed, reported
from fewlabels.results.consistency.tables import checked, explained, ours, settled

__all__ = [
    "RULES",
    "Finding",
    "checked",
    "explained",
    "ours",
    "printed",
    "reported",
    "settled",
]
