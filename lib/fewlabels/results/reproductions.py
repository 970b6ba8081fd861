"""Record which versions of the code give the same results.

report/results/verified.csv has one row for each run that another version trained again, and one for
each version that was shown to be like another (no study, no key, no pixels): with the same syntax
trees, renamed, or with the same results of cut-down runs. Records of two versions are comparable if
such rows link them and all counts are the same.
"""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewlabels.files import locked, whole_file
from fewlabels.results.records import Record
from fewlabels.types import RecordError

FILE = "verified.csv"
COLUMNS = (
    "study", "key", "before", "after", "device_before", "device_after", "pixels", "moved",
    "compared", "differ", "finished",
)  # fmt: skip
NONE = pd.DataFrame(columns=list(COLUMNS))


def read(root: Path) -> pd.DataFrame:
    """Read what was kept under `root`, one row a run that was trained again.

    `before` and `after` are versions of the code; `compared` and `differ` are names from
    `compared`, separated by blanks.

    Raises:
        RecordError: the file is damaged.
    """
    file = root / FILE
    if not file.exists():
        return NONE
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)[list(COLUMNS)]
        return table.astype({"pixels": int, "moved": int})
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(
            f"'{file}' cannot be read ({error!r}); take that file from git again"
        ) from error


def keep(root: Path, study: str, before: Record, after: Record) -> Path:
    """Write down that a run of `study` was trained again; replaces the row of the same run and
    version, and returns the file.

    Raises:
        DiskFullError: the file stays as it was.
    """
    equal = compared(before, after)
    device_before, device_after = (r.facts["environment"]["device"] for r in (before, after))
    row = (
        study, before.key, code(before), code(after), device_before, device_after,
        int(before.confusion.sum()), moved(before, after), " ".join(equal),
        " ".join(name for name in equal if not equal[name]), after.facts["finished"],
    )  # fmt: skip
    file = root / FILE
    with locked(file):
        table = pd.concat([read(root), pd.DataFrame([row], columns=list(COLUMNS))])
        table = table.drop_duplicates(["key", "after"], keep="last").sort_values(["key", "after"])
        with whole_file(file) as scratch:
            table.to_csv(scratch, index=False, lineterminator="\n")
    return file


def compared(before: Record, after: Record) -> dict[str, bool]:
    """Compare two records to the bit, in everything that both have counted.

    The names are `confusion`, `boundaries`, `calibration`, and curve_<name> for the curves.
    """
    one, two = (
        {n: a for n, a in vars(record.statistics).items() if a is not None}
        | {f"curve_{n}": a for n, a in record.curves.items()}
        for record in (before, after)
    )
    return {name: np.array_equal(one[name], two[name]) for name in one if name in two}


def moved(before: Record, after: Record) -> int:
    """Count the test pixels that moved to another entry of their tile's confusion matrix: a lower
    bound of the predictions that changed.
    """
    return int(np.abs(after.confusion - before.confusion).sum()) // 2


def code(record: Record) -> str:
    """Name the version of the code that made a record, in twelve hex digits."""
    return str(record.facts["environment"]["code"])[:12]


def versions(made: Iterable[Record], found: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the versions of the code: the `runs` that each made (a record counts once), the days
    of the `first` and the `last`, and which of them were `trained again`, in words.

    Args:
        found: as from `read`.
    """
    days: dict[str, dict[str, str]] = {}
    for record in made:
        days.setdefault(code(record), {})[record.key] = str(
            record.facts.get("finished", "not known")
        )[:10]
    rows = [
        {"runs": len(of), "first": min(of.values()), "last": max(of.values())}
        | {"trained again": "; ".join(map(_told, found[found["before"] == one].itertuples()))}
        for one, of in days.items()
    ]
    index = pd.Index(days, name="code")
    return pd.DataFrame(rows, index).replace("", "-").sort_values(["first", "last"])


def _told(row: Any) -> str:
    if not row.key:
        return f"like {row.after}: equal {row.compared}"
    said = f"{row.study} {row.key} by {row.after}: {row.moved:,} of {row.pixels:,} pixels moved"
    return f"{said}, {row.differ} differ" if row.differ else said


def apart(codes: Iterable[str], found: pd.DataFrame) -> list[set[str]]:
    """Group the versions `codes` whose results were shown to agree.

    Two versions agree if a run of one came out the same by the other, on the same device with as
    many threads, or if both agree with a third. If two of a group are known to differ, each version
    of that group stands alone.

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
    for group in [*groups]:
        if any(frozenset(pair) in differ for pair in combinations(group, 2)):
            groups.remove(group)
            groups += [{one} for one in group]
    return [group & wanted for group in groups if group & wanted]
