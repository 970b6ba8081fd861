"""Summarise the runs of a study: means of conditions, shares of the dense bound, budget curves.

Claims about time are decided from committed benchmarks.
The interval of a benchmark is over what was timed (such as masks), on one machine; it says nothing
about other machines.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fewlabels import paths
from fewlabels.results.statistics.intervals import Interval, interval, quotient
from fewlabels.studies.design import Timing
from fewlabels.types import RecordError, unknown


def shares_of_bound(table: pd.DataFrame, bound: str, metric: str = "miou") -> dict[str, Interval]:
    """Divide each condition's mean `metric` by that of `bound`, on the units that have both.

    A fraction, with the interval of `quotient` over folds.

    Raises:
        UnknownName: no such condition.
    """
    if bound not in set(table["condition"]):
        raise unknown("condition", bound, table["condition"].unique())
    wide = table.pivot(index=["fold", "replicate"], columns="condition", values=metric)
    both = {name: wide[[name, bound]].dropna() for name in wide if name != bound}
    return {
        name: quotient(*units.to_numpy(float).T, units.index.get_level_values("fold").to_numpy())
        for name, units in both.items()
    }


def budget_table(table: pd.DataFrame, bound: str) -> pd.DataFrame:
    """Tabulate budgets for readers, from few labels to the condition `bound`, which has all.

    Columns: mean labelled pixels an image, their share of the bound's, the mIoU's share of the
    bound's and mIoU, both with a 95 % interval over folds; n, the runs.

    Raises:
        UnknownName: no such condition.
    """
    of_bound = {name: s.text(digits=0) for name, s in shares_of_bound(table, bound).items()}
    pixels = table.groupby("condition")["pixels_a_tile"].mean().sort_values()
    said = {
        "pixels an image": pixels.map("{:,.0f}".format),
        "% of its pixels": (100 * pixels / pixels[bound]).map("{:.3g}".format),
        "% of the dense score": pd.Series(of_bound | {bound: "100"}),
    }
    scores = summary(table, {"mIoU in %": ("miou", 100, 1)})
    return pd.DataFrame(said).join(scores).loc[pixels.index]


def by_class(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Tabulate precision, recall, F1 and IoU of each class for readers, in % with a 95 % interval
    over folds, as text.

    Runs without a score are left out of it (a class that was never predicted has no precision);
    "-" where none is left.
    """
    scores = {"precision": "precision", "recall": "recall", "F1": "f1", "IoU": "iou"}
    rows = {
        name: {shown: _text(table[[f"{score}_{name}", "fold"]]) for shown, score in scores.items()}
        for name in classes
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _text(scored: pd.DataFrame) -> str:
    there = scored.dropna().to_numpy(float)
    return interval(there[:, 0], there[:, 1]).text() if len(there) else "-"


def summary(table: pd.DataFrame, columns: Mapping[str, tuple[str, float, int]]) -> pd.DataFrame:
    """Tabulate means of columns for readers: for each condition with a 95 % interval over folds, as
    text, and n, its runs.

    Args:
        columns: heading -> column of `records.table`, what it is multiplied by, digits.
    """
    rows = {
        condition: {
            heading: interval(mine[name].to_numpy(float), mine["fold"].to_numpy()).text(
                scale, digits
            )
            for heading, (name, scale, digits) in columns.items()
        }
        | {"n": len(mine)}
        for condition, mine in table.groupby("condition", sort=False)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def seconds(bench: str, title: str) -> pd.DataFrame:
    """Read a table of a committed benchmark: a row for each thing timed, a column for each side.

    Raises:
        RecordError: the benchmark or the table is not there; says how to make it.
    """
    file = paths.bench_root() / "results" / f"{bench}.json"
    try:
        table = json.loads(file.read_text())["tables"][title]
    except (OSError, KeyError) as error:
        raise RecordError(
            f"'{title}' is not in '{file}'; make it: `python bench/{bench}.py`"
        ) from error
    return pd.DataFrame(table["data"], table["index"], table["columns"])


def timed(timing: Timing) -> tuple[Interval, Interval]:
    """Compute the seconds of the timed side, and how many times as long the other side takes."""
    table = seconds(timing.bench, timing.table)
    mine, other = (table[side].to_numpy(float) for side in (timing.side, timing.other))
    each = np.arange(len(table))
    return interval(mine, each), interval(other / mine, each)


def timing_verdict(timing: Timing, took: Interval, times: Interval) -> str:
    """Apply the rule of `Timing`; without an interval the verdict is `cannot tell`."""
    if took.high < timing.limit and times.low > 1:
        return "holds"
    return "does not hold" if took.low > timing.limit or times.high < 1 else "cannot tell"


def timings_table(timings: Mapping[str, Timing]) -> pd.DataFrame:
    """Tabulate verdicts with the columns of `statistics.claims_table`; n counts things timed."""
    rows = []
    for name, timing in timings.items():
        took, times = timed(timing)
        rows.append(
            {"claim": f"{name}: {timing.text}", "reported": timing.reported}
            | {"ours": f"{took.text(1000, 2)} ms; {timing.other} {times.text(1, 1)} times as long"}
            | {"detectable": "-", "p (Holm)": "-", "n": took.units}
            | {"verdict": timing_verdict(timing, took, times)}
        )
    return pd.DataFrame(rows)


def with_timings(claims: pd.DataFrame, timings: Mapping[str, Timing]) -> pd.DataFrame:
    """Add the claims about time to the table of a study's claims, in the order of their names."""
    both = pd.concat([claims, timings_table(timings)], ignore_index=True)
    return both.sort_values("claim", kind="stable", ignore_index=True)
