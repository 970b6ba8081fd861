"""Say in plain sentences what the recorded runs mean for somebody who maps with few labels."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from fewlabels import studies
from fewlabels.results import statistics
from fewlabels.results.statistics import Interval

REACHED = (("100 px", "100 labelled pixels"), ("1,000 px", "1,000 labelled pixels"))
"""Conditions of the budget study whose share of the dense score is said."""


class Compared(NamedTuple):
    """A declared claim that one way is better than another, in the words of a finding."""

    study: str
    claim: str
    when: str
    first: str
    second: str


COMPARED = (
    Compared("balance", "S2", "With 100 labelled pixels an image",
             "labels spread evenly over the classes", "labels at random places"),
    Compared("pretraining", "P2", "With 1 % of the pixels labelled",
             "pretrained weights", "random weights"),
    Compared("B", "B1", "With 10 % of the pixels labelled", "U-Net++", "the smaller U-Net"),
)  # fmt: skip


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the findings whose studies are recorded, each with its interval of 95 % and n.

    Args:
        tables: `sweep.table` of each study that has records.
    """
    said = []
    if "budget" in tables:
        shares = statistics.shares_of_bound(tables["budget"], studies.budget.DENSE)
        said += [_reached(amount, shares[name]) for name, amount in REACHED if name in shares]
    for each in COMPARED:
        if each.study in tables:
            claims = studies.study(each.study).claims
            judged = statistics.verdicts(tables[each.study], claims).set_index("claim")
            row = judged.loc[each.claim]
            said.append(_compared(each, row["effect"], row["verdict"]))
    return said


def _reached(amount: str, share: Interval) -> str:
    return (
        f"With {amount} an image a network reaches {share.mean:.0%}"
        f"{share.text(digits=0).removeprefix(f'{100 * share.mean:.0f}')} of the score of one "
        f"trained on every pixel ({_n(share)})."
    ).replace("%", " %")


def _compared(each: Compared, effect: Interval, verdict: str) -> str:
    gain = f"{effect.text()} points of mIoU, {_n(effect)}"
    if verdict == "holds":
        return f"{each.when}, {each.first} are better than {each.second} ({gain})."
    if verdict == "does not hold":
        return f"{each.when}, {each.first} are no better than {each.second} ({gain})."
    return (
        f"{each.when}, these runs do not tell whether {each.first} or {each.second} are better "
        f"(difference {gain})."
    )


def _n(effect: Interval) -> str:
    sites = "one group of sites" if effect.blocks == 1 else f"{effect.blocks} groups of sites"
    return f"{effect.units} runs, {sites}"
