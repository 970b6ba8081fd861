"""Say what the recorded runs mean for somebody who maps with few labels, from declared claims."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from fewlabels import studies
from fewlabels.experiments import sweep
from fewlabels.experiments.plan import Unit
from fewlabels.results import frozen_arm, site_scores, statistics
from fewlabels.results.records import Record
from fewlabels.results.statistics import Interval
from fewlabels.studies.run import Run


class Choice(NamedTuple):
    """Two options for some labels, the claim that the first is better, and the default.

    The default is for where the claim is undecided: the simpler option, or one without extra cost.
    """

    labels: str
    first: str
    second: str
    study: str
    claim: str
    otherwise: str


EVEN, RANDOM = "labels spread evenly over the classes", "labels at random places"
PRETRAINED, SCRATCH = "pretrained weights", "random weights"
BEST, LAST = "weights of the best sparse validation", "last weights"
CHOICES = (
    Choice("10 labelled pixels an image", EVEN, RANDOM, "balance", "S1", RANDOM),
    Choice("30 labelled pixels an image", PRETRAINED, SCRATCH, "pretraining", "P1", PRETRAINED),
    Choice("30 labelled pixels an image", BEST, LAST, "selection", "V2", LAST),
    Choice("50 labelled pixels an image in five rounds", "clicks where the network is undecided",
           "clicks at random places", "clicks", "K1", "clicks at random places"),
    Choice("100 labelled pixels an image", EVEN, RANDOM, "balance", "S2", RANDOM),
    Choice("1,000 labelled pixels an image", EVEN, RANDOM, "balance", "S3", RANDOM),
    Choice("1 % of the pixels labelled", EVEN, RANDOM, "E", "E1", RANDOM),
    Choice("1 % of the pixels labelled", "focal loss", "cross-entropy", "E", "E3", "cross-entropy"),
    Choice("1 % of the pixels labelled", PRETRAINED, SCRATCH, "pretraining", "P2", PRETRAINED),
    Choice("10 % of the pixels labelled", "U-Net++", "the smaller U-Net", "B", "B1",
           "the smaller U-Net"),
    Choice("20 % and 50 % of the pixels labelled", "ResNet-50", "ResNet-18", "A", "A1",
           "ResNet-18"),
)  # fmt: skip
"""From few labels to many."""
SAID = ("S2", "P2", "B1", "K1")
"""The claims of choices that are findings, in this order."""
OPEN = "not run yet"
SETTING = ("data", "grid", "steps", "batch", "crop")
REACHED = (("100 px", "100 labelled pixels"), ("1,000 px", "1,000 labelled pixels"))
"""Conditions of the budget study whose share of the dense score is said."""


def five(tables: Mapping[str, pd.DataFrame] | None = None) -> list[str]:
    """Write the five findings that come first, of all that is published.

    Args:
        tables: `sweep.table` of each study; read from the published records of Dubai if None.
    """
    if tables is None:
        names = ("budget", "balance", "pretraining", "B")
        found = {name: sweep.recorded(name, "published", "dubai") for name in names}
        tables = {name: sweep.table(name, these) for name, these in found.items()}
    return [*site_scores.findings(), *frozen_arm.findings(tables), *findings(tables)][:5]


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Write a sentence for each finding whose study is recorded, with its 95 % interval and n.

    Args:
        tables: `sweep.table` of each study that has records.
    """
    said = []
    if "budget" in tables:
        shares = statistics.shares_of_bound(tables["budget"], studies.ours.DENSE)
        for condition, amount in REACHED:
            if condition in shares:
                mean, _, ends = shares[condition].text(digits=0).partition(" ")
                said.append(
                    f"With {amount} an image a network reaches {mean} % {ends} of the score of one "
                    f"trained on every pixel ({_n(shares[condition])})."
                )
    said_of = {choice.claim: choice for choice in CHOICES if choice.study in tables}
    for choice in (said_of[claim] for claim in SAID if claim in said_of):
        judged = statistics.verdicts(tables[choice.study], studies.study(choice.study).claims)
        row = judged.set_index("claim").loc[choice.claim]
        when, gain = f"With {choice.labels}", f"{row['effect'].text()} points of mIoU"
        gain, first, second = f"{gain}, {_n(row['effect'])}", choice.first, choice.second
        words = {"holds": "are better than", "does not hold": "are no better than"}
        said.append(
            f"{when}, {first} {words[row['verdict']]} {second} ({gain})."
            if row["verdict"] in words
            else f"{when}, these runs do not tell whether {first} or {second} are better "
            f"(difference {gain})."
        )
    return said


def _n(effect: Interval) -> str:
    sites = "one group of sites" if effect.blocks == 1 else f"{effect.blocks} groups of sites"
    return f"{effect.units} runs, {sites}"


def table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Recommend an option for each choice: `labels`, `choice`, `gain of the first` (with its 95 %
    interval), `n` units, `verdict` on the claim that it is better, and `take`.

    To take is the first option where the claim holds, the second where the interval lies on its
    side, and else the default, which is called so.

    Args:
        tables: `sweep.table` of each study that has records.
    """
    judged = {}
    for name in {choice.study for choice in CHOICES} & set(tables):
        claims = studies.study(name).claims
        shown = statistics.claims_table(tables[name], claims).set_axis(list(claims))
        effects = statistics.verdicts(tables[name], claims).set_index("claim")["effect"]
        judged[name] = shown.join(effects)
    return pd.DataFrame([_row(choice, judged.get(choice.study)) for choice in CHOICES])


def _row(choice: Choice, judged: pd.DataFrame | None) -> dict[str, object]:
    asked = {"labels": choice.labels, "choice": f"{choice.first} or {choice.second}"}
    if judged is None:
        none = {"gain of the first": "-", "n": 0, "verdict": OPEN}
        return asked | none | {"take": f"{choice.otherwise} (default)"}
    found = judged.loc[choice.claim]
    said = {"gain of the first": found["ours"], "n": found["n"], "verdict": found["verdict"]}
    take = f"{choice.otherwise} (default)"
    if found["verdict"] == "holds":
        take = choice.first
    elif found["verdict"] == "does not hold" and found["effect"].high < 0:
        take = choice.second
    return asked | said | {"take": take}


def decided(judged: pd.DataFrame) -> str:
    """List, as Markdown, the claims of a table of `claims` that have a verdict."""
    clear = judged[judged["verdict"].isin(["holds", "does not hold"])]
    lines = [f"- {row.claim} {row.ours}, n = {row.n}: {row.verdict}." for row in clear.itertuples()]
    return "\n".join([f"{len(clear)} of {len(judged)} claims are decided:\n", *lines])


def claims(found: Mapping[str, Mapping[Unit, Record]]) -> pd.DataFrame:
    """Decide every claim of these studies: `setting`, claim, what was reported, what we
    measured (effect with its 95 % interval), p after Holm, n and verdict.

    Args:
        found: of each study its records.
    """
    tables = []
    for name, these in found.items():
        judged = statistics.claims_table(sweep.table(name, these), studies.study(name).claims)
        judged.insert(0, "setting", _setting(next(iter(these.values())).run))
        tables.append(judged)
    return pd.concat(tables, ignore_index=True)


def settings(found: Mapping[str, Mapping[Unit, Record]]) -> list[str]:
    """Write one line for all studies that share images and sizes."""
    alike: dict[tuple, list[str]] = {}
    for name, these in found.items():
        run = next(iter(these.values())).run
        of = tuple(getattr(run, factor) for factor in SETTING)
        alike.setdefault((of[0].partition(":")[0], *of[1:]), []).append(name)
    return [
        f"{'Studies' if len(names) > 1 else 'Study'} {', '.join(names)}: "
        f"{'synthetic' if data == 'synthetic' else 'real'} images ({data}, longer side {grid} "
        f"pixels), {steps} steps of {batch} crops of {crop}."
        for (data, grid, steps, batch, crop), names in alike.items()
    ]


def _setting(run: Run) -> str:
    """Name the data, the longer side of an image, and the width of a network of our own."""
    sizes = f"{run.data.partition(':')[0]} {run.grid} px"
    width = re.search(r"width=(\d+)", run.model)
    return f"{sizes}, width {width[1]}" if width else sizes
