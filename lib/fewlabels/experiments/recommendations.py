"""Recommendations for each label budget, from the verdicts on declared claims.

Also whether it helps to annotate where a network is undecided. Records are read without torch.
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
    """Two options at a budget, the claim that the first is better, and the default.

    The default is for where the claim is undecided: the simpler option, or one without extra cost.
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
    reported="PixelPick: uncertain pixels beat random ones on CamVid, Cityscapes and VOC",
    plus=("margin",),
    minus=("random",),
)
"""Of the arms of `annotate`."""


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
    """List, as Markdown, the claims of a table of `claims` that have a verdict."""
    clear = judged[judged["verdict"].isin(["holds", "does not hold"])]
    lines = [
        f"- {row.claim} {row.ours.partition(';')[0]}, n = {row.n}: {row.verdict}."
        for row in clear.itertuples()
    ]
    return "\n".join([f"{len(clear)} of {len(judged)} claims are decided:\n", *lines])


def opening(tables: Mapping[str, pd.DataFrame], judged: pd.DataFrame) -> str:
    """Write the abstract's findings as Markdown: how far few labels go, and what is `decided`.

    Args:
        tables: as for `table`.
        judged: from `claims`.
    """
    parts = [decided(judged)]
    if "budget" in tables:
        rows = statistics.budget_table(tables["budget"], studies.budget.DENSE).iloc[:-1]
        row = rows.loc["100 px"] if "100 px" in rows.index else rows.iloc[-1]
        parts.insert(
            0,
            f"With {row['pixels an image']} labelled pixels an image a network reaches "
            f"{row['% of the dense score']} % of the mIoU of one trained on every pixel for as "
            f"many steps (n = {row['n']}, 95 % interval over sites).",
        )
    parts.append(
        "The other claims are undecided: @tbl-verdicts has the smallest effect that each could "
        "have detected, @tbl-answers what to do at each budget."
    )
    return "\n\n".join(parts)


def claims(found: Mapping[str, Mapping[Unit, Record]]) -> pd.DataFrame:
    """Decide every claim of these studies, also those about time: `setting`, claim, what was
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


def departures(names: Iterable[str]) -> str:
    """List, as Markdown, where our settings differ from those of the five systems."""
    found = {name: studies.study(name).deviations for name in names}
    return "\n".join(f"- {name}: {text}" for name, text in found.items() if text)


def clicks(found: Mapping[Unit, Record]) -> pd.DataFrame:
    """Decide the claim on clicks as a table of one row, see `statistics.claims_table`.

    Only those (fold, replicate) count that have both arms.

    Raises:
        RecordError: none has.
    """
    arms = CLICKS.conditions
    both = {u: r for u, r in found.items() if all((arm, *u[1:]) in found for arm in arms)}
    if not both:
        raise RecordError("no replicate has both arms; make them: `fewlabels clicks`")
    return statistics.claims_table(records.table(both), {"clicks": CLICKS})


def clicks_said(folder: Path) -> str:
    """Say what the records of `annotate` in `folder` show, in one sentence a data set."""
    of_data: dict[str, dict[Unit, Record]] = {}
    for record in records.read_all(folder):
        unit = (record.facts["clicks"]["arm"], record.run.fold, record.run.draw)
        of_data.setdefault(record.run.data, {})[unit] = record
    said = [_clicks_of(data, found) for data, found in of_data.items()]
    none = "Whether such clicks help more than random ones has not been measured here yet."
    return " ".join(filter(None, said)) or none


def _clicks_of(data: str, found: Mapping[Unit, Record]) -> str:
    try:
        row = clicks(found).iloc[0]
    except RecordError:
        return ""
    how = next(iter(found.values())).facts["clicks"]
    return (
        f"With a simulated annotator on {data}, {how['rounds']} rounds of {how['pixels']} pixels "
        f"an image, those of small margin gained {row['ours']} of mIoU over random ones "
        f"(n = {row['n']}): {row['verdict']}."
    )
