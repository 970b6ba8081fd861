"""Where the workers of a sweep are: started on this machine, or those of a scheduler elsewhere."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from fewlabels import devices, environment
from fewlabels.types import FewLabelsError

log = logging.getLogger(__name__)

CORES = 4  # CPU cores of each worker, if the number of workers is not given
CONNECT = 30  # seconds that a scheduler has to answer


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
        DeviceError, UnknownName: as `devices.compute`.
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
