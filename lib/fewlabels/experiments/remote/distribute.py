"""Missing runs of a study trained at the same time, in worker processes here or on many machines.

dask.distributed hands them out: a worker is one device and trains one run at a time. A worker that
dies is replaced, where something watches it (a nanny, SLURM, Kubernetes), and its run is handed
out again, from its first step, since all that the worker wrote goes with it; a run that takes down
several workers is given up. A worker that lacks something (the data, the weights, the device, the
commit, room on its disk) is passed over from then on, and another one gets the run. Whatever else a
run raises is its failure alone. Results come back through this process, which alone writes records.
"""

import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import BaseFileLock
from tqdm.auto import tqdm

from fewlabels.data import registry
from fewlabels.devices import DeviceError
from fewlabels.experiments import locks, versioning
from fewlabels.experiments.plan import Plan, Unit
from fewlabels.experiments.remote import parcel, workers
from fewlabels.experiments.remote.parcel import Order, Parcel
from fewlabels.experiments.remote.workers import Local, SweepError
from fewlabels.experiments.sweep import log_finished
from fewlabels.results import records
from fewlabels.results.records import Record
from fewlabels.types import (
    DataError,
    DiskFullError,
    FewLabelsError,
    PlaceError,
    RecordError,
    WeightsError,
)

log = logging.getLogger(__name__)

RESULT = 60  # seconds to wait for the files of a run that has ended before looking at the others
POLL = 0.2  # seconds between two looks at the workers and at what other sweeps have recorded

LACKS = (parcel.WorkerError, DataError, WeightsError, DeviceError, DiskFullError, PlaceError)
"""What a worker raises that another one may not."""

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
        try:
            return carry_out(plan, client, device)
        except KeyboardInterrupt:
            if isinstance(where, str):
                log.warning("workers of %s that have begun a run go on to its end, for nothing, "
                            "and take no other until then", where)  # fmt: skip
            raise


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
                    if isinstance(result, DiskFullError):  # here, or on every worker
                        going.waiting.clear()
                time.sleep(POLL)
    finally:
        for _, claim in going.flying.values():
            claim.release()
    if failed:
        raise SweepError(_report(plan, found, failed))
    return {unit: found[unit] for unit in plan.declared}


@dataclass(frozen=True)
class _Going:
    """A sweep on its way.

    Attributes:
        waiting: the runs that nobody has begun.
        flying: those handed out, with our claims.
        refused: workers, by address, that lacked something for a run.
        full: those that had no room on their disk.
    """

    plan: Plan
    client: Any
    order: Callable[[Unit], Order]
    waiting: list[Unit]
    flying: dict[Any, tuple[Unit, BaseFileLock]] = field(default_factory=dict)
    refused: dict[Unit, dict[str, BaseException]] = field(default_factory=dict)
    full: dict[str, BaseException] = field(default_factory=dict)

    def able(self, there: set[str]) -> set[str]:
        """Of the workers there, those that lacked nothing so far; where each of them did, all that
        have room: what they lack may be of one run alone.
        """
        lacking = {address for refusals in self.refused.values() for address in refusals}
        return there - self.full.keys() - lacking or there - self.full.keys()


def _came_back(going: _Going) -> Iterator[Outcome]:
    """Runs that ended since the last look, written here."""
    for job in [job for job in going.flying if job.status != "pending"]:
        ended = _outcome(going, job)
        if ended is None:
            continue
        unit, claim = going.flying.pop(job)
        claim.release()
        if (address := getattr(ended[0], "worker", None)) and isinstance(ended[0], LACKS):
            _passed_over(going, unit, address, ended[0])
        else:
            yield unit, *ended
    if going.client.status != "running":
        raise _lost(going)


def _passed_over(going: _Going, unit: Unit, address: str, error: BaseException) -> None:
    """A run is to be handed out again, to another worker than the one that lacked something."""
    if isinstance(error, DiskFullError):
        going.full[address] = error
    else:
        going.refused.setdefault(unit, {})[address] = error
    going.waiting.insert(0, unit)
    log.warning("%s: %s; another worker gets it, if there is one", _named(unit), _told(error))


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
    """Give each free worker the next run. What comes back at once was recorded by another sweep, or
    no worker can take it.

    A worker holds one run at a time: when it dies, dask blames every run that it holds.
    """
    there = _there(going) if going.waiting else set()
    for unit in list(going.waiting) if there else ():
        refusals = going.refused.get(unit, {}) | going.full
        able = going.able(there) - refusals.keys()
        if not there - refusals.keys():
            going.waiting.remove(unit)
            going.refused.pop(unit, None)  # it is the run's fault, not the workers'
            yield unit, next(iter(refusals.values())), None
        elif len(able) > len(going.flying):
            yield from _begun(going, unit, able)
        if not going.waiting:
            return


def _begun(going: _Going, unit: Unit, able: set[str]) -> Iterator[Outcome]:
    """One run given to one of the workers `able`, or to another where they are gone."""
    try:
        taken = _taken(going.plan, unit)
    except (DiskFullError, RecordError) as error:
        taken = error
    if taken is None:
        return
    going.waiting.remove(unit)
    if not isinstance(taken, BaseFileLock):
        yield unit, taken, None
        return
    passing = {"workers": sorted(able), "allow_other_workers": True}
    job = going.client.submit(
        _job, going.order(unit), pure=False, resources={workers.DEVICE: 1}, retries=0,
        **passing if going.refused or going.full else {},
    )  # fmt: skip
    going.flying[job] = unit, taken


def _there(going: _Going) -> set[str]:
    """Addresses of the workers that offer a device."""
    try:
        return workers.usable(going.client, needed=not going.flying)
    except OSError as error:
        raise _lost(going) from error


def _taken(plan: Plan, unit: Unit) -> BaseFileLock | Record | None:
    """Our claim on a run; or its record, if it has one by now; None: another sweep is at it."""
    key = plan.keys[unit]
    if not records.exists(plan.folder, key):
        claim = locks.claimed(plan.folder, key)
        if claim is None or not records.exists(plan.folder, key):
            return claim
        claim.release()
    return versioning.recorded(plan.declared[unit], plan.folder, key)


def _job(order: Order) -> Parcel:
    """What a worker does; its scratch is in the folder that goes when the worker does."""
    here = workers.package().get_worker()
    try:
        return parcel.fulfilled(order, Path(here.local_directory))
    except FewLabelsError as error:
        error.add_note(f"on worker {platform.node()}")
        error.worker = here.address
        raise


def _orders(plan: Plan, device: str) -> Callable[[Unit], Order]:
    @cache
    def fingerprint(data: str, grid: int) -> str:
        return registry.load(data, plan.root, grid=grid).fingerprint

    def order(unit: Unit) -> Order:
        run, key = plan.declared[unit], plan.keys[unit]
        return Order(
            run, key, fingerprint(run.data, run.grid), versioning.code_version(), plan.root, device,
            plan.keep_model,
        )  # fmt: skip

    for run in plan.missing.values():
        fingerprint(run.data, run.grid)  # that they can be had is known before any is trained
    return order


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
