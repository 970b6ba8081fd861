"""A run that is done elsewhere: what a worker is asked for, and the files that it sends back.

Asker and worker share no disk. The worker takes images, labels and weights from its own roots; the
name of the record, which follows from declaration, data and code, proves that it made what was
asked for. What comes back is a record's files as bytes, and the asker writes them, whole.
"""

import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fewlabels import paths
from fewlabels.data import registry
from fewlabels.experiments import run, versioning
from fewlabels.files import whole_file
from fewlabels.results import records
from fewlabels.results.records import Record
from fewlabels.studies import Run
from fewlabels.types import FewLabelsError


class WorkerError(FewLabelsError):
    """A worker that would make another record than the one it was asked for."""


@dataclass(frozen=True)
class Order:
    """One run as a worker is asked for it.

    Attributes:
        key: the name that the record must get.
        fingerprint, code: of the asker's data and code, to say which differs where one does.
        root: folder of the data on the worker; None is the worker's own DATA_ROOT.
        device: as `devices.compute` knows them, on the worker.
    """

    run: Run
    key: str
    fingerprint: str
    code: str
    root: Path | None
    device: str
    keep_model: bool


@dataclass(frozen=True)
class Parcel:
    """What a worker sends back: files by name, those of the record and those of its label draw.

    Attributes:
        seconds: from the order's arrival to its files.
    """

    order: Order
    record: Mapping[str, bytes]
    draws: Mapping[str, bytes]
    seconds: float


def fulfilled(order: Order, scratch: Path) -> Parcel:
    """Train an ordered run here; nothing of it stays on this disk.

    Args:
        scratch: a folder for the time of the run.

    Raises:
        WorkerError: declaration, data or code differ from the asker's; names which.
        FewLabelsError: as `run.execute`.
    """
    began = time.perf_counter()
    registry.fetch(order.run.data, order.root or paths.data_root())
    _agree(order)
    with tempfile.TemporaryDirectory(prefix=f"{order.key}-", dir=scratch) as name:
        folder = Path(name)
        run.execute(
            order.run,
            root=order.root,
            runs=folder,
            device=order.device,
            keep_model=order.keep_model,
        )
        seconds = time.perf_counter() - began
        return Parcel(order, _files(folder / order.key), _files(folder / "draws"), seconds)


def unpacked(parcel: Parcel, folder: Path) -> Record:
    """The record of a parcel, written under `folder`; one that is there stays.

    Raises:
        DiskFullError: it does not fit; nothing of the record is kept.
        RecordError: what was sent is no record of this run.
    """
    for name, content in parcel.draws.items():
        if not (folder / "draws" / name).exists():
            with whole_file(folder / "draws" / name) as scratch:
                scratch.write_bytes(content)
    records.put(folder, parcel.order.key, parcel.record)
    return versioning.recorded(parcel.order.run, folder, parcel.order.key)


def _agree(order: Order) -> None:
    key = versioning.key(order.run, order.root)
    if key == order.key:
        return
    data = registry.load(order.run.data, order.root, order.run.fold, grid=order.run.grid)
    compared = {
        "code version": (versioning.code_version(), order.code),
        f"hash of the data '{order.run.data}'": (data.fingerprint, order.fingerprint),
    }
    differ = [
        f"its {what} is {here[:12]}, not {there[:12]}"
        for what, (here, there) in compared.items()
        if here != there
    ]
    raise WorkerError(
        f"worker {platform.node()} would make record '{key}', not '{order.key}': "
        f"{' and '.join(differ) or 'it knows other factors of a run (factors.py)'}; give it the "
        "same commit and the same data"
    )


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*")) if file.is_file()}
