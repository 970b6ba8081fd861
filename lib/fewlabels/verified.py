"""Which versions of the code give the same results: runs that were trained again by another one.

    report/results/verified.csv     one row a run that `fewlabels verify --keep` trained again

Records of two versions may stand in one comparison where such a run, or a chain of them, came out
the same in every test pixel.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from fewlabels.files import whole_file
from fewlabels.records import Record
from fewlabels.types import RecordError

COLUMNS = (
    "study", "key", "before", "after", "device_before", "device_after", "pixels", "moved",
    "finished",
)  # fmt: skip
NONE = pd.DataFrame(columns=list(COLUMNS))


def read(root: Path) -> pd.DataFrame:
    """What was kept under `root`: columns COLUMNS, `before` and `after` versions of the code.

    Raises:
        RecordError: the file is not such a table.
    """
    file = root / "verified.csv"
    if not file.exists():
        return NONE
    table = pd.read_csv(file, dtype={"key": str, "before": str, "after": str})
    if tuple(table.columns) != COLUMNS:
        raise RecordError(
            f"'{file}' has columns {', '.join(table.columns)}; it should have {', '.join(COLUMNS)}"
        )
    return table


def keep(root: Path, study: str, before: Record, after: Record, moved: int) -> None:
    """Add a row on a run of `study` that was trained again.

    Args:
        moved: test pixels that are predicted otherwise.

    Raises:
        RecordError: as `read`.
        DiskFullError: the file stays as it was.
    """
    row = {"study": study, "key": before.key, "before": code(before), "after": code(after)}
    row |= {f"device_{name}": record.facts["environment"]["device"] for name, record in
            {"before": before, "after": after}.items()}  # fmt: skip
    row |= {"pixels": int(before.confusion.sum()), "moved": moved}
    there = read(root)
    added = pd.DataFrame([row | {"finished": after.facts["finished"]}], columns=list(COLUMNS))
    table = pd.concat([there, added]) if len(there) else added
    with whole_file(root / "verified.csv") as scratch:
        table.to_csv(scratch, index=False, lineterminator="\n")


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
    moved = f"{row.moved:,} of {row.pixels:,} pixels moved"
    return f"{row.study} {row.key} by {row.after}, {moved}"


def apart(codes: Iterable[str], found: pd.DataFrame) -> list[set[str]]:
    """The versions `codes`, in groups between which nothing shows that their results agree.

    Two versions agree where a run of one came out the same by the other, on the same device with as
    many threads, and none came out otherwise; and so does what agrees with the same version.

    Args:
        found: as from `read`.
    """
    alike = found[found["device_before"] == found["device_after"]]
    moved = alike.groupby(["before", "after"])["moved"].max()
    wanted = set(codes)
    groups = [{one} for one in sorted(wanted)]
    for pair in (set(pair) for pair, most in moved.items() if most == 0):
        touched = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair]
        groups.append(pair.union(*touched))
    return [group & wanted for group in groups if group & wanted]
