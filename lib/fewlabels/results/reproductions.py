"""Which versions of the code give the same results: runs that were trained again by another one.

    report/results/verified/<key>-<version>.json    one run, and the version that trained it again

Records of two versions may stand in one comparison where such a run, or a chain of them, came out
the same: the confusion matrix of every test tile, and all else that both records have counted.
"""

import json
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewlabels.files import whole_file
from fewlabels.results.records import Record
from fewlabels.types import RecordError

FOLDER = "verified"
COLUMNS = (
    "study", "key", "before", "after", "device_before", "device_after", "pixels", "moved",
    "compared", "differ", "finished",
)  # fmt: skip
NONE = pd.DataFrame(columns=list(COLUMNS))


def read(root: Path) -> pd.DataFrame:
    """What was kept under `root`, one row a run that was trained again.

    Columns: COLUMNS; `before` and `after` are versions of the code, `moved` as of `moved`,
    `compared` and `differ` the names of `compared`, with blanks between them.

    Raises:
        RecordError: a file is damaged.
    """
    rows = []
    for file in sorted((root / FOLDER).glob("[!.]*.json")):
        try:
            row = json.loads(file.read_text())
            rows.append({name: row[name] for name in COLUMNS} | {"moved": int(row["moved"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(
                f"'{file}' cannot be read ({error!r}); delete it and verify that run again"
            ) from error
    return pd.DataFrame(rows, columns=list(COLUMNS))


def keep(root: Path, study: str, before: Record, after: Record) -> Path:
    """Write down that a run of `study` was trained again; of the same run by the same version the
    last time counts.

    Raises:
        DiskFullError: nothing is kept.
    """
    equal = compared(before, after)
    devices = {"before": before, "after": after}
    row = {"study": study, "key": before.key}
    row |= {name: code(record) for name, record in devices.items()}
    row |= {f"device_{n}": r.facts["environment"]["device"] for n, r in devices.items()}
    row |= {"pixels": int(before.confusion.sum()), "moved": moved(before, after)}
    row |= {"compared": " ".join(equal), "differ": " ".join(n for n in equal if not equal[n])}
    file = root / FOLDER / f"{before.key}-{code(after)}.json"
    with whole_file(file) as scratch:
        scratch.write_text(json.dumps(row | {"finished": after.facts["finished"]}, indent=1) + "\n")
    return file


def compared(before: Record, after: Record) -> dict[str, bool]:
    """Whether two records are equal to the bit in all that both have counted: `confusion`,
    `boundaries`, `calibration`, and what the matrices of the curves are called, as curve_<name>.
    """
    one, two = (
        {n: a for n, a in vars(record.statistics).items() if a is not None}
        | {f"curve_{n}": a for n, a in record.curves.items()}
        for record in (before, after)
    )
    return {name: np.array_equal(one[name], two[name]) for name in one if name in two}


def moved(before: Record, after: Record) -> int:
    """Test pixels that are predicted otherwise, at least: those that changed their place in a
    tile's confusion matrix.
    """
    return int(np.abs(after.confusion - before.confusion).sum()) // 2


def code(record: Record) -> str:
    """The version of the code that made a record: twelve hex digits."""
    return str(record.facts["environment"]["code"])[:12]


def versions(made: Iterable[Record], found: pd.DataFrame) -> pd.DataFrame:
    """One row a version of the code: `runs` that it made (a record counts once), the days of the
    `first` and the `last`, and those of its runs that were `trained again`, in words.

    Args:
        found: as from `read`.
    """
    days: dict[str, dict[str, str]] = {}
    for record in made:
        days.setdefault(code(record), {})[record.key] = str(record.facts["finished"])[:10]
    rows = [
        {"runs": len(of), "first": min(of.values()), "last": max(of.values())}
        | {"trained again": "; ".join(map(_told, found[found["before"] == one].itertuples()))}
        for one, of in days.items()
    ]
    index = pd.Index(days, name="code")
    return pd.DataFrame(rows, index).replace("", "-").sort_values(["first", "last"])


def _told(row: Any) -> str:
    said = f"{row.study} {row.key} by {row.after}: {row.moved:,} of {row.pixels:,} pixels moved"
    return f"{said}, {row.differ} differ" if row.differ else said


def apart(codes: Iterable[str], found: pd.DataFrame) -> list[set[str]]:
    """The versions `codes`, in groups between which nothing shows that their results agree.

    Two versions agree where a run of one came out the same by the other, on the same device with as
    many threads; and so does what agrees with the same version. Where two of a group are known to
    differ, nothing of that group is shown.

    Args:
        found: as from `read`.
    """
    alike = found[found["device_before"] == found["device_after"]]
    pairs = alike[["before", "after"]].apply(frozenset, axis=1) if len(alike) else []
    differ = {pair for pair, names in zip(pairs, alike["differ"], strict=True) if names}
    wanted = set(codes)
    groups = [{one} for one in sorted(wanted)]
    for pair in pairs:
        touched = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair] + [set(pair).union(*touched)]
    split = []
    for group in groups:
        wrong = any(frozenset(pair) in differ for pair in combinations(group, 2))
        split += [{one} for one in group] if wrong else [group]
    return [group & wanted for group in split if group & wanted]
