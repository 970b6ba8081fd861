"""Does it add up: rules that no table of segmentation scores can break, for our tables and theirs.

`theirs` finds what is wrong in the numbers that the five systems printed, `lint` and `ours` in our
own tables and records. A finding in ours fails, unless a sentence explains it (`settled`).
"""

from fewlabels.results.consistency.explained import EXPLAINED

from fewlabels.results.consistency.rules import RULES, Finding
from fewlabels.results.consistency.systems import final, printed, theirs
from fewlabels.results.consistency.tables import checked, grouped, lint, ours, settled

__all__ = [
    "EXPLAINED", "RULES", "Finding", "checked", "final", "grouped", "lint", "ours", "printed",
    "settled", "theirs",
]  # fmt: skip
