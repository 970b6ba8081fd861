"""Decide claims about time from committed benchmarks.

The interval of a benchmark is over what was timed (such as masks), on one machine; it says nothing
about other machines.
"""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fewlabels import paths
from fewlabels.results.statistics import Interval, interval
from fewlabels.studies.design import Timing
from fewlabels.types import RecordError


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


def measured(timing: Timing) -> tuple[Interval, Interval]:
    """Compute the seconds of the timed side, and how many times as long the other side takes."""
    table = seconds(timing.bench, timing.table)
    mine, other = (table[side].to_numpy(float) for side in (timing.side, timing.other))
    each = np.arange(len(table))
    return interval(mine, each), interval(other / mine, each)


def verdict(timing: Timing, took: Interval, times: Interval) -> str:
    """Apply the rule of `Timing`; without an interval the verdict is `cannot tell`."""
    if took.high < timing.limit and times.low > 1:
        return "holds"
    return "does not hold" if took.low > timing.limit or times.high < 1 else "cannot tell"


def claims_table(timings: Mapping[str, Timing]) -> pd.DataFrame:
    """Tabulate verdicts with the columns of `statistics.claims_table`; n counts things timed."""
    rows = []
    for name, timing in timings.items():
        took, times = measured(timing)
        rows.append(
            {"claim": f"{name}: {timing.text}", "reported": timing.reported}
            | {"ours": f"{took.text(1000, 2)} ms; {timing.other} {times.text(1, 1)} times as long"}
            | {"p (Holm)": "-", "n": took.units, "verdict": verdict(timing, took, times)}
        )
    return pd.DataFrame(rows, columns=["claim", "reported", "ours", "p (Holm)", "n", "verdict"])


def beside(claims: pd.DataFrame, timings: Mapping[str, Timing]) -> pd.DataFrame:
    """Add the claims about time to the table of a study's claims, in the order of their names."""
    both = pd.concat([claims, claims_table(timings)], ignore_index=True)
    return both.sort_values("claim", kind="stable", ignore_index=True)
