"""Where the workers of a sweep are (started here, or those of a scheduler), and what one does.

Worker and sweep share no disk. A worker reads images, labels and weights from its own folders,
trains a run and sends its files back. The record's key, which follows from declaration, data and
code, shows that it trained what it was asked for.
"""

import logging
import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tqdm.auto import tqdm

from fewlabels import devices, environment, paths
from fewlabels.data import registry
from fewlabels.data.dataset import Dataset
from fewlabels.devices import DeviceError
from fewlabels.experiments import run, tables, versioning
from fewlabels.experiments.tables import Each, Job, Rows
from fewlabels.results import records
from fewlabels.results.records import Record
from fewlabels.studies import Run
from fewlabels.types import DataError, DiskFullError, FewLabelsError, PlaceError, WeightsError

log = logging.getLogger(__name__)

CORES = 4  # CPU cores of each worker, if the number of workers is not given
CONNECT = 30  # seconds that a scheduler has to answer
RETRIES = 3  # of a job of a table, perhaps on another worker


class SweepError(FewLabelsError):
    """A sweep that cannot start, lost its scheduler, or has failed runs."""


try:
    import distributed
except ModuleNotFoundError as error:
    raise SweepError(
        f"a sweep needs `pip install distributed cryptography` ({error}); `fewlabels run` trains "
        "one run after another without them"
    ) from error


@dataclass(frozen=True)
class Local:
    """Workers on this machine: one a GPU, or several that share the CPU cores.

    Attributes:
        threads: of each worker.
        hardware: the device of one worker, as records name it.
    """

    workers: int
    threads: int
    hardware: str


def local(device: str, runs: int, workers: int | None = None) -> Local:
    """Decide how many workers this machine starts, at most one a run.

    Raises:
        SweepError: fewer than one worker is asked for.
    """
    if workers is not None and workers < 1:
        raise SweepError(f"{workers} workers cannot train anything; ask for at least 1")
    compute, cores = devices.compute(device), torch.get_num_threads()
    kind = compute.device.type
    there = {"cuda": torch.cuda.device_count(), "cpu": max(1, cores // CORES)}.get(kind, 1)
    count = max(1, min(workers or there, runs))
    threads = max(1, cores // count)
    hardware = devices.threaded(kind, threads) if kind == "cpu" else compute.hardware
    return Local(count, threads, hardware)


def offered(address: str, device: str) -> tuple[str, int]:
    """Ask a scheduler's workers for their hardware: the most frequent one, and how many workers.

    Raises:
        SweepError: no scheduler answers.
    """
    with connected(address) as client:
        answers = client.run(_hardware, device, on_error="return").values()
    known = Counter(name for name in answers if isinstance(name, str))
    return next(iter(known.most_common(1)), (f"the workers of {address}", 0))[0], len(answers)


def _hardware(device: str) -> str:
    return devices.compute(device).hardware


@contextmanager
def connected(where: Local | str) -> Iterator[distributed.Client]:
    """Connect to the scheduler at an address, or start one here that ends with the block.

    Raises:
        SweepError: no scheduler answers.
    """
    if isinstance(where, Local):
        with _started(where) as cluster, distributed.Client(cluster) as client:
            yield client
        return
    try:
        client = distributed.Client(where, timeout=CONNECT)
    except (OSError, ValueError) as error:
        raise SweepError(
            f"no dask scheduler answers at '{where}' ({error}); start one with `dask scheduler`, "
            "or leave SCHEDULER empty to use this machine"
        ) from error
    with client:
        if not client.processing():
            log.info("the scheduler at %s has no workers yet; waiting for them", where)
        yield client


def _started(here: Local) -> distributed.SpecCluster:
    """Start a scheduler and workers that only this user can talk to (TLS, keys in memory).

    `distributed.LocalCluster` would give all workers one environment, so one GPU.
    """
    private = {
        "host": "127.0.0.1", "protocol": "tls://", "security": distributed.Security.temporary(),
        "dashboard": False, "dashboard_address": "127.0.0.1:0",
    }  # fmt: skip
    limits = {"nthreads": 1, "memory_limit": 0}  # no limit: dask would kill a run that exceeds it
    workers = {
        number: {
            "cls": distributed.Nanny,
            "options": private
            | limits
            | {"env": _environment(here, number), "silence_logs": logging.WARNING},
        }
        for number in range(here.workers)
    }
    return distributed.SpecCluster(
        workers,
        {"cls": distributed.Scheduler, "options": private | {"port": 0}},
        security=private["security"],
        silence_logs=logging.WARNING,
    )


def _environment(here: Local, number: int) -> dict[str, str]:
    """Variables of one worker: its threads, its GPU, and no progress bars."""
    threads = dict.fromkeys(environment.THREADS, str(here.threads))
    seen = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(
        map(str, range(torch.cuda.device_count()))
    )
    gpus = [gpu for gpu in seen.split(",") if gpu]
    gpu = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
    return threads | gpu | {"TQDM_DISABLE": "1"}


Files = Mapping[str, bytes]
"""File name -> content, of the folder of a record."""


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
            return {file.name: file.read_bytes() for file in Path(scratch, key).glob("*")}
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
    records.put(runs, key, files)
    return versioning.recorded(this, runs, key)


def each(where: Local | str, name: str, root: Path | None, called: str = "") -> Each:
    """Make what does the jobs of a table on workers, see `tables.Each`.

    Args:
        name: of the data set in `data.registry`.
        called: its name in the table, if another.

    Raises:
        SweepError: jobs failed (named; the rows of all others are given).
    """

    def jobs_of(dataset: Dataset, jobs: Iterable[Job], device: str) -> Iterator[Rows]:
        asked = name, root, dataset.grid, called or name, dataset.fingerprint
        code, failed = versioning.code_version(), []
        with connected(where) as client:
            flying = {client.submit(done, job, asked, code, device, pure=False, retries=RETRIES):
                      tables.told(job) for job in jobs}  # fmt: skip
            for future in tqdm(distributed.as_completed(flying), name, len(flying), unit="job"):
                if future.status == "finished":
                    yield future.result()
                else:
                    failed.append(f"{flying[future]}: {future.exception()}")
        if failed:
            summary = f"{len(failed)} of {len(flying)} jobs failed; the rows of the others are kept"
            raise SweepError("\n  ".join([summary, *failed]))

    return jobs_of


def done(job: Job, asked: tuple[str, Path | None, int, str, str], code: str, device: str) -> Rows:
    """Do one job of a table in this dask worker, on its own copy of the data.

    Raises:
        WorkerError: this machine would make other rows; names what differs.
    """
    dataset = _tiles(*asked[:4])
    if dataset.fingerprint != asked[4] or versioning.code_version() != code:
        differs = "data" if dataset.fingerprint != asked[4] else "code version"
        raise WorkerError(
            f"worker {platform.node()} would make other rows of '{asked[0]}': its {differs} is not "
            "the same; give it the same commit and the same data"
        )
    return tables.done(job, dataset, device)


@lru_cache(maxsize=2)
def _tiles(name: str, root: Path | None, grid: int, called: str) -> Dataset:
    registry.fetch(name, root or paths.data_root())
    return replace(registry.load(name, root, split="all", grid=grid), name=called)


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
