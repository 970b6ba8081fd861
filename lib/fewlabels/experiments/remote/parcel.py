"""Train a run on a worker and send its files back: worker and sweep share no disk.

A worker reads images, labels and weights from its own folders. The record's key, which follows from
declaration, data and code, shows that the worker trained what it was asked for.
"""

import platform
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import distributed

from fewlabels import paths
from fewlabels.data import registry
from fewlabels.devices import DeviceError
from fewlabels.experiments import run, versioning
from fewlabels.files import whole_file
from fewlabels.results import records
from fewlabels.results.records import Record
from fewlabels.studies import Run
from fewlabels.types import DataError, DiskFullError, FewLabelsError, PlaceError, WeightsError

DRAWS = "draws"
Files = Mapping[str, Mapping[str, bytes]]
"""Folder -> file name -> content: the folder of the record, and DRAWS with its label draw."""


class WorkerError(FewLabelsError):
    """A worker that would make another record than the one it was asked for."""


LACKS = (WorkerError, DataError, WeightsError, DeviceError, DiskFullError, PlaceError)
"""Errors that one worker raises and another one may not."""


def fulfilled(
    this: Run, key: str, code: str, root: Path | None, device: str, keep_model: bool
) -> Files:
    """Train a run in this dask worker and return its files; nothing stays on the worker's disk.

    Args:
        key: of the record that is wanted.
        code: version of the code that asks.
        root: folder of the data on the worker; None is the worker's own DATA_ROOT.

    Raises:
        WorkerError: this machine would make another record; names what differs.
        FewLabelsError: as `run.execute`; errors of LACKS have the worker's address as `worker`.
    """
    here = distributed.get_worker()
    try:
        registry.fetch(this.data, root or paths.data_root())
        _check(this, key, code, root)
        with TemporaryDirectory(prefix=f"{key}-", dir=here.local_directory) as scratch:
            run.execute(
                this, root=root, runs=Path(scratch), device=device, keep_model=keep_model,
                checkpoint_every=None,
            )  # fmt: skip
            return {
                folder: {file.name: file.read_bytes() for file in Path(scratch, folder).glob("*")}
                for folder in (key, DRAWS)
            }
    except FewLabelsError as error:
        error.add_note(f"on worker {platform.node()}")
        if isinstance(error, LACKS):
            error.worker = here.address
        raise


def unpacked(files: Files, this: Run, key: str, runs: Path) -> Record:
    """Write the record that a worker sent into the folder `runs`; one that is there stays.

    Raises:
        DiskFullError: it does not fit; nothing of the record is kept.
        RecordError: the files are not a record of the run.
    """
    draws = records.beside(runs) / DRAWS
    for name, content in files[DRAWS].items():
        if not (draws / name).exists():
            with whole_file(draws / name) as scratch:
                scratch.write_bytes(content)
    records.put(runs, key, files[key])
    return versioning.recorded(this, runs, key)


def _check(this: Run, key: str, code: str, root: Path | None) -> None:
    would, mine = versioning.key(this, root), versioning.code_version()
    if would == key:
        return
    differs = f"data '{this.data}' or its factors of a run are not the same"
    if mine != code:
        differs = f"code version is {mine[:12]}, not {code[:12]}"
    raise WorkerError(
        f"worker {platform.node()} would make record '{would}', not '{key}': its {differs}; give "
        "it the same commit and the same data"
    )
