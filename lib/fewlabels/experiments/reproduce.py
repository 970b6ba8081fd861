"""Re-run a recorded training and compare its results."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from fewlabels import devices
from fewlabels.experiments import run
from fewlabels.results import records, reproductions
from fewlabels.results.records import Record
from fewlabels.types import RecordError


def described(before: Record, after: Record) -> str:
    """Describe both records in a paragraph: score, code, device, and which counts differ."""
    lines = []
    for title, record in {"recorded": before, "again": after}.items():
        made, score = record.facts["environment"], 100 * record.scores.miou
        code = reproductions.code(record)
        lines.append(f"{title}: mIoU {score:.2f} %, code {code}, {made['device']}")
    equal, pixels = reproductions.compared(before, after), f"{int(before.confusion.sum()):,}"
    if all(equal.values()):
        names = ", ".join(equal)
        said = f"the same counts of all {pixels} test pixels, tile by tile: {names}"
    else:
        said = (
            f"{', '.join(name for name in equal if not equal[name])} differ; at least "
            f"{reproductions.moved(before, after):,} of {pixels} test pixels; other processors, "
            "devices and numbers of threads round differently"
        )
    return "\n".join([*lines, said])


def again(
    store: Path, key: str, *, root: Path | None = None, device: str = "auto"
) -> tuple[Record, Record]:
    """Train the run of a record again; return both records, of which the new one is not kept.

    A CPU uses as many threads as before, since their number decides how sums are rounded.

    Args:
        store: the folder of live runs or the file of a published study that holds the record.
        root: of the data, see `data.load`.

    Raises:
        RecordError: there is no record, or its images or labels are not the ones here.
    """
    before = records.read(store, key)
    with _threads_of(before), TemporaryDirectory() as scratch:
        after = run.execute(
            before.run, root=root, runs=Path(scratch), device=device, keep_model=False
        )
    for what, name in {"data": "fingerprint", "labels": "sha256"}.items():
        old, new = (record.facts[what].get(name) for record in (before, after))
        if old not in (new, None):
            raise RecordError(
                f"the {what} of record '{key}' have the hash {old[:12]}, the ones here {new[:12]}: "
                "not the same run"
            )
    return before, after


@contextmanager
def _threads_of(record: Record) -> Iterator[None]:
    now = torch.get_num_threads()
    then = re.fullmatch(devices.threaded("cpu", r"(\d+)"), record.facts["environment"]["device"])
    try:
        torch.set_num_threads(int(then[1]) if then else now)
        yield
    finally:
        torch.set_num_threads(now)
