"""Whether a record still comes out: its run trained once more, by the code and machine at hand."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from fewlabels import devices
from fewlabels.experiments import run
from fewlabels.results import records, reproductions
from fewlabels.results.records import Record
from fewlabels.types import RecordError


@dataclass(frozen=True)
class Verified:
    """A record, and that of the same run trained again."""

    before: Record
    after: Record

    @property
    def differ(self) -> list[str]:
        """What the two have counted otherwise, as `reproductions.compared` names it."""
        return [
            n for n, equal in reproductions.compared(self.before, self.after).items() if not equal
        ]

    def described(self) -> str:
        """One paragraph: both scores, what made each, and what differs."""
        lines = [
            f"{title}: mIoU {100 * record.scores.miou:.2f} %, code "
            f"{record.facts['environment']['code'][:12]}, {record.facts['environment']['device']}"
            for title, record in {"recorded": self.before, "again": self.after}.items()
        ]
        names = ", ".join(reproductions.compared(self.before, self.after))
        pixels, moved = (
            int(self.before.confusion.sum()),
            reproductions.moved(self.before, self.after),
        )
        if not self.differ:
            same = f"the same counts of all {pixels:,} test pixels, tile by tile: {names}"
            return "\n".join([*lines, same])
        what = f"{', '.join(self.differ)} differ; at least {moved:,} of {pixels:,} test pixels"
        return "\n".join([*lines, f"{what}; other devices and threads round otherwise"])


def again(store: Path, key: str, *, root: Path | None = None, device: str = "auto") -> Verified:
    """Train the run of a record again, on a CPU with as many threads as it had, since their number
    decides how sums are rounded; nothing of it is kept.

    Args:
        store: the folder of live runs or the file of a published study that holds the record.
        root: of the data, see `data.load`.

    Raises:
        RecordError: there is no record, or its images or labels are not those at hand.
        FewLabelsError: as `run.execute`.
    """
    before = records.read(store, key)
    with _threads_of(before), TemporaryDirectory() as scratch:
        after = run.execute(
            before.run, root=root, runs=Path(scratch), device=device, keep_model=False
        )
    for what, name in {"data": "fingerprint", "labels": "sha256"}.items():
        old, new = (record.facts[what][name] for record in (before, after))
        if old != new:
            raise RecordError(
                f"the {what} of record '{key}' have the hash {old[:12]}, those at hand {new[:12]}: "
                "not the same run"
            )
    return Verified(before, after)


@contextmanager
def _threads_of(record: Record) -> Iterator[None]:
    now = torch.get_num_threads()
    said = re.fullmatch(devices.threaded("cpu", r"(\d+)"), record.facts["environment"]["device"])
    try:
        torch.set_num_threads(int(said[1]) if said else now)
        yield
    finally:
        torch.set_num_threads(now)
