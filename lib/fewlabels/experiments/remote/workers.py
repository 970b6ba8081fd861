"""Where the workers of a sweep are: started on this machine, or those of a scheduler elsewhere.

A worker is one device: it offers one of the resource `device`, which a run takes.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from fewlabels import devices, environment
from fewlabels.types import FewLabelsError

log = logging.getLogger(__name__)

DEVICE = "device"  # the resource that a worker offers one of and a run takes one of
CORES = 4  # of a CPU for each worker, where nobody says how many workers
CONNECT = 30  # seconds that a scheduler has to answer


class SweepError(FewLabelsError):
    """A sweep that cannot start, lost its scheduler, or of which runs failed."""


@dataclass(frozen=True)
class Local:
    """Workers on this machine: one a GPU, or each with its share of the cores.

    Attributes:
        hardware: the device of one of them, as its records name it.
        threads: that one of them computes with.
    """

    workers: int
    threads: int
    hardware: str


def local(device: str, runs: int, workers: int | None = None) -> Local:
    """The workers that this machine has for so many runs.

    Raises:
        DeviceError, UnknownName: as `devices.compute`.
        SweepError: fewer than one worker.
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
    """What most workers of a scheduler elsewhere compute with, as their records name it, and how
    many workers there are.

    Raises:
        SweepError: no scheduler answers.
    """
    with connected(address) as client:
        told = client.run(_hardware, device, on_error="return").values()
    known = Counter(name for name in told if isinstance(name, str))
    return next(iter(known.most_common(1)), (f"the workers of {address}", 0))[0], len(told)


def _hardware(device: str) -> str:
    return devices.compute(device).hardware


@contextmanager
def connected(where: Local | str) -> Iterator[Any]:
    """A client of the scheduler at an address, or of one started here and ended with the block."""
    distributed = package()
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
        if not client.scheduler_info()["workers"]:
            log.info("the scheduler at %s has no workers yet: waiting for them", where)
        yield client


def usable(client: Any, *, needed: bool = True) -> set[str]:
    """Addresses of the workers of a client's scheduler that offer a device now.

    Raises:
        SweepError: one is needed, and there are workers, none of which does.
    """
    workers = client.scheduler_info()["workers"]
    offering = {at for at, it in workers.items() if it["resources"].get(DEVICE, 0) >= 1}
    if needed and workers and not offering:
        raise SweepError(
            f"none of the {len(workers)} workers offers a device, so no run would start; start "
            f"them with `dask worker ADDRESS --nthreads 1 --resources {DEVICE}=1`"
        )
    return offering


def _started(here: Local) -> Any:
    """Scheduler and workers on this machine, each worker with the environment of its device.

    As `LocalCluster`, which gives all of its workers one environment.
    """
    distributed = package()
    private = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    shared = {
        "nthreads": 1,
        "resources": {DEVICE: 1},
        "memory_limit": 0,  # dask would end a run that takes more than its worker's share
        "silence_logs": logging.WARNING,
    } | private
    return distributed.SpecCluster(
        {
            number: {
                "cls": distributed.Nanny,
                "options": shared | {"env": _environment(here, number)},
            }
            for number in range(here.workers)
        },
        {"cls": distributed.Scheduler, "options": private | {"port": 0}},
        silence_logs=logging.WARNING,
    )


def _environment(here: Local, number: int) -> dict[str, str]:
    """Of one worker: its share of the cores, its GPU, and no progress bars."""
    threads = dict.fromkeys(environment.THREADS, str(here.threads))
    seen = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(
        map(str, range(torch.cuda.device_count()))
    )
    gpus = [gpu for gpu in seen.split(",") if gpu]
    gpu = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
    return threads | gpu | {"TQDM_DISABLE": "1"}


def package() -> ModuleType:
    """The package, imported when it is needed: one run after another goes without it."""
    try:
        import distributed
    except ImportError as error:
        raise SweepError(
            "a sweep needs the package distributed: `pip install distributed` (the environment of "
            "`make setup` has it), or train one run after another with `fewlabels run`"
        ) from error
    return distributed
