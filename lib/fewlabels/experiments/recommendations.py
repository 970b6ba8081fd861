"""What can be chosen at a label budget, what to take, and the declared claim that decides; and
whether it pays to click where a network is undecided. Records are read without torch.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fewlabels import studies
from fewlabels.experiments import sweep
from fewlabels.experiments.plan import Unit
from fewlabels.results import benchmark_claims, records, statistics
from fewlabels.results.records import Record
from fewlabels.studies.design import Claim
from fewlabels.studies.run import Run
from fewlabels.types import RecordError


class Choice(NamedTuple):
    """Two ways at a budget, the claim that the first is better, and the one to take where that
    cannot be told: the plainer, or the one that costs nothing more.
    """

    budget: str
    first: str
    second: str
    study: str
    claim: str
    otherwise: str


EVEN, RANDOM = "labels even over the classes", "random labels"
PRETRAINED, SCRATCH = "pretrained weights", "weights from scratch"
BEST, LAST = "weights of the best sparse validation", "last weights"
CHOICES = (
    Choice("10 px an image", EVEN, RANDOM, "balance", "S1", RANDOM),
    Choice("30 px an image", PRETRAINED, SCRATCH, "pretraining", "P1", PRETRAINED),
    Choice("30 px an image", BEST, LAST, "selection", "V2", LAST),
    Choice("100 px an image", EVEN, RANDOM, "balance", "S2", RANDOM),
    Choice("1,000 px an image", EVEN, RANDOM, "balance", "S3", RANDOM),
    Choice("1 %", EVEN, RANDOM, "E", "E1", RANDOM),
    Choice("1 %", "focal loss", "cross-entropy", "E", "E3", "cross-entropy"),
    Choice("1 %", PRETRAINED, SCRATCH, "pretraining", "P2", PRETRAINED),
    Choice("10 %", "U-Net++", "U-Net", "B", "B1", "U-Net"),
    Choice("20 % and 50 %, each", "ResNet-50", "ResNet-18", "A", "A1", "ResNet-18"),
)  # fmt: skip
"""From few labels to many."""
OPEN = "not run yet"
SETTING = ("data", "grid", "steps", "batch", "crop")
CLICKS = Claim(
    text="Clicks where the margin is smallest beat random ones at equal cost.",
    theirs="PixelPick: uncertain pixels beat random ones on CamVid, Cityscapes and VOC",
    plus=("margin",),
    minus=("random",),
)
"""Of the arms of `annotate`."""


def table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a choice: the labels, what is held against what, what the first gains over the second
    with its 95 % interval, n units, the verdict on the claim that it is better, and which to take:
    the first where it holds, the second where the interval is on its side, else (also where they
    are shown to be as good) what stands otherwise, called a default.

    Args:
        tables: `sweep.table` of each study that has records.
    """
    judged = {}
    for name in {choice.study for choice in CHOICES} & set(tables):
        claims = studies.study(name).claims
        told = statistics.claims_table(tables[name], claims).set_axis(list(claims))
        effects = statistics.verdicts(tables[name], claims).set_index("claim")["effect"]
        judged[name] = told.join(effects)
    return pd.DataFrame([_row(choice, judged.get(choice.study)) for choice in CHOICES])


def _row(choice: Choice, judged: pd.DataFrame | None) -> dict[str, object]:
    asked = {"labels": choice.budget, "choice": f"{choice.first} or {choice.second}"}
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
    """The claims of a table of `claims` that have a verdict, as Markdown: how many, and which."""
    told = judged[judged["verdict"].isin(["holds", "does not hold"])]
    lines = [
        f"- {row.claim} {row.ours.partition(';')[0]}, n = {row.n}: {row.verdict}."
        for row in told.itertuples()
    ]
    return "\n".join([f"Decided are {len(told)} of {len(judged)} claims:\n", *lines])


def opening(tables: Mapping[str, pd.DataFrame], judged: pd.DataFrame) -> str:
    """What a report begins with, as Markdown: how far few labels go, where that study is shown,
    and what is `decided`.

    Args:
        tables: as for `table`.
        judged: from `claims`.
    """
    said = [decided(judged)]
    if "budget" in tables:
        rows = statistics.budget_table(tables["budget"], studies.budget.DENSE).iloc[:-1]
        reached = [
            f"{row['% of the dense score']} % on {row['pixels an image']}"
            for _, row in rows.iterrows()
        ]
        said.insert(
            0,
            "How far few labels go: of the mIoU of networks trained on every pixel for as many "
            f"steps, others reach {', '.join(reached)} labelled pixels an image (n = "
            f"{rows['n'].min()} each, 95 % intervals over places).",
        )
    said.append(
        "The others cannot be told from these runs; @tbl-verdicts has the smallest effect that "
        "each could have seen, @tbl-answers what to do at each budget."
    )
    return "\n\n".join(said)


def claims(found: Mapping[str, Mapping[Unit, Record]]) -> pd.DataFrame:
    """Every claim of these studies, those about time among them: `setting`, claim, what they
    reported, what we measured (effect with its 95 % interval), p after Holm, n and verdict.

    Args:
        found: of each study its records.
    """
    tables = []
    for name, these in found.items():
        study = studies.study(name)
        judged = statistics.claims_table(sweep.table(name, these), study.claims)
        both = benchmark_claims.beside(judged, study.timings)
        both.insert(0, "setting", _setting(next(iter(these.values())).run))
        timed_ones = both["claim"].str.partition(":")[0].isin(study.timings)
        both.loc[timed_ones, "setting"] = "synthetic labels"
        tables.append(both)
    return pd.concat(tables, ignore_index=True)


def settings(found: Mapping[str, Mapping[Unit, Record]]) -> list[str]:
    """One line for all studies that share images and sizes."""
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
    """Data, longer side of an image, and the width of a network of our own."""
    sizes = f"{run.data.partition(':')[0]} {run.grid} px"
    width = re.search(r"width=(\d+)", run.model)
    return f"{sizes}, width {width[1]}" if width else sizes


def departures(names: Iterable[str]) -> str:
    """List, as Markdown, where our settings differ from those of the five systems."""
    found = {name: studies.study(name).departs for name in names}
    return "\n".join(f"- {name}: {text}" for name, text in found.items() if text)


def clicks(found: Mapping[Unit, Record]) -> pd.DataFrame:
    """The claim on clicks as a table of one row, see `statistics.claims_table`; only (fold, pair)
    that have both arms count.

    Raises:
        RecordError: none has.
    """
    both = {u: r for u, r in found.items() if all((arm, *u[1:]) in found for arm in CLICKS.cells)}
    if not both:
        raise RecordError("no pair of arms is recorded; make them: `fewlabels clicks`")
    return statistics.claims_table(records.table(both), {"clicks": CLICKS})


def clicks_said(folder: Path) -> str:
    """What the records of `annotate` in `folder` say of the claim, in a sentence."""
    every = records.read_all(folder)
    found = {(r.facts["clicks"]["arm"], r.run.fold, r.run.draw): r for r in every}
    try:
        row = clicks(found).iloc[0]
    except RecordError:
        return "Whether such clicks help more than random ones has not been measured here yet."
    how = every[0].facts["clicks"]
    return (
        f"With a simulated annotator on {every[0].run.data}, {how['rounds']} rounds of "
        f"{how['pixels']} pixels an image, those of small margin gained {row['ours']} of mIoU over "
        f"random ones (n = {row['n']}): {row['verdict']}."
    )
