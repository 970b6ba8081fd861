"""A run is refused as soon as it is declared, where one of its numbers cannot be."""

from dataclasses import fields

import pytest

from fewlabels.studies import digest
from fewlabels.studies.run import LIMITS, Run
from fewlabels.types import FactorError


@pytest.mark.parametrize(
    ("factor", "value", "words"),
    [
        ("steps", 0, "1 or more, found 0"),
        ("batch", 0, "1 or more"),
        ("crop", -8, "1 or more"),
        ("watch", 0, "1 or more"),
        ("seed", -1, "0 or more, found -1"),
        ("patience", -1, "0 or more"),
        ("lr", 0.0, "above 0"),
        ("lr", float("inf"), "above 0, found inf"),
        ("clip", -1.0, "above 0"),
        ("rotation", float("nan"), "0 or more, found nan"),
        ("cutmix", 1.5, "from 0 to 1, found 1.5"),
        ("rare_below", -0.1, "from 0 to 1"),
        ("ema", 1.0, "from 0 to below 1"),
        ("zoom", 1.0, "from 0 to below 1"),
        ("weight_bound", 0.5, "1 or more"),
    ],
)
def test_a_number_that_cannot_be_is_named(factor: str, value: float, words: str):
    with pytest.raises(FactorError, match=f"{factor} must be {words}"):
        Run(**{factor: value})


def test_every_number_of_a_run_has_limits():
    """But for the budget, which is counted in pixels or in shares; `sampling` holds it."""
    numbers = {f.name for f in fields(Run) if f.type in (int, float, float | None)}
    assert numbers == set(LIMITS)


def test_what_is_not_asked_for_has_none():
    assert Run(clip=None, alpha=None).clip is None


def test_factors_that_came_later_leave_the_digests_of_older_runs_alone():
    of_that_day = "ca956d9c21c4deeb6553385593f5175a3d8e19beba62d5793c7900e92a120052"
    assert digest(Run()) == of_that_day
    assert len({digest(Run()), digest(Run(rounds=2)), digest(Run(query="margin"))}) == 3
