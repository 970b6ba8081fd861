"""The scores in a model's record, in words and as a table; needs no torch."""

import json
from collections.abc import Mapping

import pandas as pd

from fewlabels import paths

SCORES = {"miou": "mIoU", "accuracy": "accuracy"}
WORDS = {"better": "it is better", "worse": "it is worse",
         "cannot tell": "the data do not show which is better"}  # fmt: skip
FEW = 15  # units; the percentile bootstrap of fewer is too narrow (tests/test_stats.py)
Record = Mapping[str, object]


def published() -> dict[str, Record]:
    """The records that the published report shows, by the name of their example: the `record` of a
    model folder's model.json, kept as report/results/own/NAME.json.
    """
    files = sorted((paths.published_root() / "own").glob("*.json"))
    return {file.stem: json.loads(file.read_text())["record"] for file in files}


def lines(record: Record) -> list[str]:
    """All scores of a model's record in lines of words."""
    said = []
    for name, summary in record["tried"].items():
        first, *more = scores(summary)
        said += [f"{name}: {first}", *(f"  {line}" for line in more)]
    for other, found in record["differences"].items():
        low, high = found["interval"]
        said.append(
            f"{record['method']} minus {other}: {100 * found['miou']:+.1f} points of mIoU "
            f"[{100 * low:.1f}, {100 * high:.1f}] over the same {found['units']} units: "
            f"{WORDS[found['verdict']]}"
        )
    said.append(f"kept: {record['method']}: {record['why']}")
    if "fine_tuned" not in record["tried"]:
        said.append(
            "with some minutes also try --method fine_tuned: it trains the encoder of "
            "frozen_linear, too"
        )
    return said


def table(record: Record) -> pd.DataFrame:
    """The scores of a model's record in percent, one column a method: mIoU and accuracy with their
    95 % intervals, and the IoU of each class.
    """
    columns = {}
    for name, summary in record["tried"].items():
        if summary["scored"]:
            columns[name] = {text: _interval(summary, key) for key, text in SCORES.items()} | {
                f"IoU of {text}": "not scored" if value is None else f"{100 * value:.1f}"
                for text, value in summary["iou"].items()
            }
    return pd.DataFrame(columns)


def scores(summary: Record) -> list[str]:
    """One `score.summary` in lines of words."""
    if not summary["scored"]:
        return [f"not scored: {summary['why']}"]
    few = f"; fewer than {FEW}, so the intervals are too narrow" if summary["few"] else ""
    return [
        *(f"{text} {_interval(summary, key)} %" for key, text in SCORES.items()),
        *(
            f"  {name}: not scored" if value is None else f"  {name}: IoU {100 * value:.1f} %"
            for name, value in summary["iou"].items()
        ),
        f"over {summary['pixels']} labelled pixels of {summary['units']} units held out in "
        f"{summary['parts']} parts, 95 % bootstrap intervals over units{few}",
    ]


def _interval(summary: Record, key: str) -> str:
    value, low, high = (100 * part for part in (summary[key], *summary[f"{key}_interval"]))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"
