"""Claims about time, held against benchmarks."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from fewlabels import paths
from fewlabels.results import statistics
from fewlabels.results.statistics import Interval
from fewlabels.studies import STUDIES, Timing
from fewlabels.types import RecordError

QUICK = Timing("Fast.", "1 s", "b", "t", "ours", "plain", 1.0)


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"columns": ["ours", "plain"], "index": [0, 1], "data": [[0.2, 0.6], [0.4, 0.8]]}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "b.json").write_text(json.dumps({"tables": {"t": table}}))
    monkeypatch.setattr(paths, "bench_root", lambda: tmp_path)


def test_seconds_and_their_quotient_thing_by_thing():
    took, times = statistics.timed(QUICK)
    assert took.mean == pytest.approx(0.3)
    assert times.mean == pytest.approx((3 + 2) / 2)  # not 1.4 / 0.6
    assert took.high == pytest.approx(0.3 + 12.7062 * 0.1, rel=1e-4)  # Student's t of two
    assert (took.units, took.blocks) == (2, 2)


@pytest.mark.parametrize(
    ("seconds", "times", "expected"),
    [
        ((0.1, 0.9), (1.1, 3), "holds"),
        ((0.1, 1.1), (1.1, 3), "cannot tell"),
        ((0.1, 0.9), (0.9, 3), "cannot tell"),
        ((1.1, 1.2), (1.1, 3), "does not hold"),
        ((0.1, 0.9), (0.5, 0.9), "does not hold"),
        ((float("nan"),) * 2, (2, 3), "cannot tell"),
    ],
)
def test_verdicts_by_hand(seconds: tuple, times: tuple, expected: str):
    took, quotient = (Interval(sum(ends) / 2, *ends, 2, 2) for ends in (seconds, times))
    assert statistics.timing_verdict(QUICK, took, quotient) == expected


def test_its_rows_stand_among_the_claims_by_name():
    claims = pd.DataFrame({"claim": ["D1: a", "D3: b"], "n": 15, "verdict": "cannot tell"})
    both = statistics.with_timings(claims, {"D2": QUICK})
    assert both["claim"].tolist() == ["D1: a", "D2: Fast.", "D3: b"]
    row = both.loc[1]
    assert (row["n"], row["verdict"], row["reported"]) == (2, "cannot tell", "1 s")
    assert row["ours"].startswith("300.00 [")
    assert statistics.with_timings(claims, {})["claim"].tolist() == ["D1: a", "D3: b"]


def test_a_benchmark_that_is_not_there_is_named():
    for missing in (replace(QUICK, bench="c"), replace(QUICK, table="u")):
        with pytest.raises(RecordError, match=rf"python bench/{missing.bench}\.py"):
            statistics.timed(missing)


def test_every_declared_benchmark_is_committed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    timings = [t for study in STUDIES.values() for t in study.timings.values()]
    assert timings
    for timing in timings:
        assert (
            statistics.seconds(timing.bench, timing.table)[[timing.side, timing.other]] > 0
        ).all(axis=None)
        assert timing.rule.startswith("seconds: [")
