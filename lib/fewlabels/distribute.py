"""Missing runs of a study trained at the same time, in worker processes here or on many machines.

dask.distributed hands them out: a worker is one device and trains one run at a time. A worker that
dies is replaced, where something watches it (a nanny, SLURM, Kubernetes), and its run is handed
out again, from its first step, since all that the worker wrote goes with it; a run that takes down
several workers is given up. What a run raises is its failure alone. Results come back through this
process, which alone writes records.
"""

import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import BaseFileLock
from tqdm.auto import tqdm

from fewlabels import claims, datasets, parcel, records, version, workers
from fewlabels.parcel import Order, Parcel
from fewlabels.plan import Plan, Unit
from fewlabels.records import Record
from fewlabels.sweep import log_finished
from fewlabels.types import DiskFullError, FewLabelsError, RecordError
from fewlabels.workers import Local, SweepError

log = logging.getLogger(__name__)

RESULT = 60  # seconds to wait for the files of a run that has ended before looking at the others
POLL = 0.2  # seconds between two looks at the workers and at what other sweeps have recorded

Outcome = tuple[Unit, Record | BaseException, float | None]
"""Of a run, with the seconds it took; None where another process took them, or it failed."""


def train(plan: Plan, where: Local | str, device: str = "auto") -> dict[Unit, Record]:
    """Every record of a plan, missing runs trained by workers; each is logged when it is recorded.

    Args:
        where: workers to start here, or the address of a scheduler that has some.

    Raises:
        SweepError: runs failed (named, all others are recorded), no scheduler, no usable worker.
        FewLabelsError: the data cannot be had here.
    """
    if not plan.missing:
        return dict(plan.found)
    with workers.connected(where) as client:
        return carry_out(plan, client, device)


def carry_out(plan: Plan, client: Any, device: str = "auto") -> dict[Unit, Record]:
    """As `train`, with the workers of a connected `distributed.Client`, which is left open."""
    going = _Going(plan, client, _orders(plan, device), list(plan.missing))
    found, failed = dict(plan.found), {}
    bar = tqdm(
        total=len(plan.declared), initial=len(found), unit="run", desc=plan.study, smoothing=0
    )
    try:
        with bar:
            while going.waiting or going.flying:
                for unit, result, seconds in chain(_came_back(going), _handed_out(going)):
                    bar.update()
                    if isinstance(result, Record):
                        found[unit] = result
                        log_finished(plan, unit, found, seconds)
                        continue
                    failed[unit] = _told(result)
                    log.error("%s failed: %s", _named(unit), failed[unit])
                    if isinstance(result, DiskFullError):
                        going.waiting.clear()  # what would be trained now could not be written
                time.sleep(POLL)
    finally:
        for _, claim in going.flying.values():
            claim.release()
    if failed:
        raise SweepError(_report(plan, found, failed))
    return {unit: found[unit] for unit in plan.declared}


@dataclass(frozen=True)
class _Going:
    """A sweep on its way: the runs that nobody has begun, and those handed out, with our claims."""

    plan: Plan
    client: Any
    order: Callable[[Unit], Order]
    waiting: list[Unit]
    flying: dict[Any, tuple[Unit, BaseFileLock]] = field(default_factory=dict)


def _came_back(going: _Going) -> Iterator[Outcome]:
    """Runs that ended since the last look, written here."""
    for job in [job for job in going.flying if job.status != "pending"]:
        ended = _outcome(going, job)
        if ended is None:
            continue
        unit, claim = going.flying.pop(job)
        claim.release()
        yield unit, *ended
    if going.client.status != "running":
        raise _lost(going)


def _outcome(going: _Going, job: Any) -> tuple[Record | BaseException, float | None] | None:
    """What came of a run that ended; None where its worker died before it sent the files."""
    if job.status == "error":
        return job.exception(), None
    try:
        sent: Parcel = job.result(timeout=RESULT)
    except TimeoutError:
        return None
    except (OSError, CancelledError) as error:
        raise _lost(going) from error
    try:
        return parcel.unpacked(sent, going.plan.folder), sent.seconds
    except (DiskFullError, RecordError) as error:
        return error, None


def _handed_out(going: _Going) -> Iterator[Outcome]:
    """Give each free worker the next run; what comes back at once was recorded by another sweep.

    A worker holds one run at a time: when it dies, dask blames every run that it holds.
    """
    free = _free(going) if going.waiting else 0
    for unit in list(going.waiting):
        if free <= 0 or not going.waiting:
            return
        try:
            taken = _taken(going.plan, unit)
        except (DiskFullError, RecordError) as error:
            taken = error
        if taken is None:
            continue
        going.waiting.remove(unit)
        if isinstance(taken, BaseFileLock):
            job = going.client.submit(
                _job, going.order(unit), pure=False, resources={workers.DEVICE: 1}, retries=0
            )
            going.flying[job] = unit, taken
            free -= 1
        else:
            yield unit, taken, None


def _free(going: _Going) -> int:
    """Workers that hold no run of ours."""
    try:
        usable = workers.usable(going.client, needed=not going.flying)
    except OSError as error:
        raise _lost(going) from error
    return usable - len(going.flying)


def _taken(plan: Plan, unit: Unit) -> BaseFileLock | Record | None:
    """Our claim on a run; or its record, if it has one by now; None: another sweep is at it."""
    key = plan.keys[unit]
    if not records.exists(plan.folder, key):
        claim = claims.claimed(plan.folder, key)
        if claim is None or not records.exists(plan.folder, key):
            return claim
        claim.release()
    return version.recorded(plan.declared[unit], plan.folder, key)


def _job(order: Order) -> Parcel:
    """What a worker does; its scratch is in the folder that goes when the worker does."""
    scratch = Path(workers.package().get_worker().local_directory)
    try:
        return parcel.fulfilled(order, scratch)
    except FewLabelsError as error:
        error.add_note(f"on worker {platform.node()}")
        raise


def _orders(plan: Plan, device: str) -> Callable[[Unit], Order]:
    any_of_them = next(iter(plan.missing.values()))
    data = datasets.load(any_of_them.data, plan.root, grid=any_of_them.grid)
    return lambda unit: Order(
        plan.declared[unit], plan.keys[unit], data.fingerprint, version.code_version(), plan.root,
        device, plan.keep_model,
    )  # fmt: skip


def _lost(going: _Going) -> SweepError:
    return SweepError(
        f"the scheduler at '{going.client.scheduler.address}' is gone; start it and its workers "
        "again, then this sweep: what is recorded is not trained again"
    )


def _named(unit: Unit) -> str:
    cell, fold, pair = unit
    return f"{cell}, fold {fold}, pair {pair}"


def _told(error: BaseException) -> str:
    return " ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])


def _report(plan: Plan, found: Mapping[Unit, Record], failed: Mapping[Unit, str]) -> str:
    left = len(plan.declared) - len(found) - len(failed)
    lines = [
        f"study {plan.study}: {len(failed)} of {len(plan.declared)} runs failed, {len(found)} are "
        f"recorded in '{plan.folder}'" + (f", {left} were not started" if left else ""),
        *(f"  {_named(unit)}: {what}" for unit, what in failed.items()),
    ]
    return "\n".join(lines)
