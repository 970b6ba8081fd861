"""Train the missing runs of a study at the same time, on workers here or on other machines.

dask.distributed carries the runs; only this process writes records. Each worker trains one run at a
time. If it dies, dask gives its run to another; a run that too many workers died on is given up. A
worker that lacks something (data, weights, device, commit, disk) is passed over.
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from filelock import FileLock
from tqdm.auto import tqdm

from fewlabels.data import registry
from fewlabels.experiments import versioning, workers
from fewlabels.experiments.plan import Plan, Unit
from fewlabels.experiments.sweep import log_finished
from fewlabels.experiments.workers import Local, SweepError
from fewlabels.files import claim, lock
from fewlabels.results import records
from fewlabels.results.records import Record
from fewlabels.types import DiskFullError, RecordError

log = logging.getLogger(__name__)

RESULT = 60  # seconds to wait for the files of a run that has ended
POLL = 0.2  # seconds between two looks at runs, workers and the locks of other sweeps

Outcome = tuple[Unit, Record | BaseException]


@dataclass(frozen=True)
class _Sweep:
    """The state of a sweep.

    Attributes:
        waiting: runs that dask does not have.
        flying: runs that it has, with our lock and the workers that it may choose from; none: all.
        refused: for a run, the workers that lacked something, by address.
    """

    plan: Plan
    client: Any
    device: str
    waiting: list[Unit]
    flying: dict[Any, tuple[Unit, FileLock, list[str]]] = field(default_factory=dict)
    refused: dict[Unit, dict[str, BaseException]] = field(default_factory=dict)


def train(plan: Plan, where: Local | str, device: str = "auto") -> dict[Unit, Record]:
    """Return every record of a plan; workers train the missing runs.

    Args:
        where: workers to start here, or the address of a scheduler.

    Raises:
        SweepError: runs failed (named; all others are recorded), or there is no scheduler.
        FewLabelsError: the data are not available here, or the disk is full.
    """
    if not plan.missing:
        return dict(plan.found)
    for run in plan.missing.values():
        registry.load(run.data, plan.root, grid=run.grid)
    with workers.connected(where) as client:
        try:
            return carry_out(plan, client, device)
        except KeyboardInterrupt:
            if isinstance(where, str):
                log.warning("workers of %s finish their current run (its result is discarded) "
                            "before they accept another", where)  # fmt: skip
            raise


def carry_out(plan: Plan, client: Any, device: str = "auto") -> dict[Unit, Record]:
    """Do the work of `train` with a connected `distributed.Client`, which stays open."""
    sweep = _Sweep(plan, client, device, list(plan.missing))
    found, failed, total = dict(plan.found), {}, len(plan.declared)
    try:
        with tqdm(total=total, initial=len(found), desc=plan.study, unit="run") as bar:
            while sweep.waiting or sweep.flying:
                for unit, result in chain(_collect(sweep), _hand_out(sweep)):
                    bar.update()
                    if isinstance(result, Record):
                        found[unit] = result
                        log_finished(plan, unit, found)
                    else:
                        failed[unit] = _described(unit, result)
                        log.error("failed: %s", failed[unit])
                    if isinstance(result, DiskFullError):  # on every worker
                        sweep.waiting.clear()
                time.sleep(POLL)
    finally:
        for _, taken, _ in sweep.flying.values():
            taken.release()
    if failed:
        left = total - len(found) - len(failed)
        summary = f"study {plan.study}: {len(failed)} of {total} runs failed, {len(found)} are "
        summary += f"recorded in '{plan.folder}', {left} were not started"
        raise SweepError("\n  ".join([summary, *failed.values()]))
    return {unit: found[unit] for unit in plan.declared}


def _collect(sweep: _Sweep) -> Iterator[Outcome]:
    """Write the records of the runs that ended since the last look."""
    for job in [job for job in sweep.flying if job.status != "pending"]:
        unit = sweep.flying[job][0]
        result = _result(sweep, unit, job)
        if result is None:
            continue
        sweep.flying.pop(job)[1].release()
        if address := getattr(result, "worker", None):
            sweep.refused.setdefault(unit, {})[address] = result
            sweep.waiting.insert(0, unit)
            log.warning("%s; another worker gets it, if any", _described(unit, result))
        else:
            yield unit, result
    if sweep.client.status != "running":
        raise _lost(sweep)


def _result(sweep: _Sweep, unit: Unit, job: Any) -> Record | BaseException | None:
    """The record or error of a run that ended; None if its worker died before it sent the files."""
    if job.status == "error":
        return job.exception()
    try:
        files, plan = job.result(timeout=RESULT), sweep.plan
        return workers.unpacked(files, plan.declared[unit], plan.keys[unit], plan.folder)
    except TimeoutError:
        return None
    except RecordError as error:
        return error
    except CancelledError as error:
        raise _lost(sweep) from error


def _hand_out(sweep: _Sweep) -> Iterator[Outcome]:
    """Give dask a run for each worker; yields runs that another sweep recorded or no worker can do.

    A run may go to any worker, but once some have lacked something only to the others.
    """
    try:
        there = set(sweep.client.processing())
    except OSError as error:
        raise _lost(sweep) from error
    for job, (unit, taken, able) in list(sweep.flying.items()):
        if able and there.isdisjoint(able) and job.status == "pending":  # they are gone
            job.cancel()
            sweep.flying.pop(job)
            taken.release()
            sweep.waiting.insert(0, unit)
    for unit in list(sweep.waiting):
        refusals = sweep.refused.get(unit, {})
        if there and there <= refusals.keys():
            sweep.waiting.remove(unit)
            del sweep.refused[unit]  # the run is at fault, not the workers
            yield unit, next(iter(refusals.values()))
            continue
        lacking = {address for those in sweep.refused.values() for address in those}
        able = there - lacking or there - refusals.keys()
        full = len(sweep.flying) >= len(able)
        run = records.beside(sweep.plan.folder) / sweep.plan.keys[unit]
        taken = None if full else lock(claim(run), wait=False)
        if taken is None:  # no worker is free, or another sweep trains this run
            continue
        sweep.waiting.remove(unit)
        if records.exists(sweep.plan.folder, sweep.plan.keys[unit]):
            taken.release()
            log.info("%s is recorded by another sweep", _named(unit))
            this = sweep.plan.declared[unit]
            yield unit, versioning.recorded(this, sweep.plan.folder, sweep.plan.keys[unit])
        else:
            only = sorted(able) if lacking else []
            sweep.flying[_submitted(sweep, unit, only)] = unit, taken, only


def _submitted(sweep: _Sweep, unit: Unit, able: list[str]) -> Any:
    plan = sweep.plan
    return sweep.client.submit(
        workers.fulfilled, plan.declared[unit], plan.keys[unit], versioning.code_version(),
        plan.root, sweep.device, plan.keep_model,
        pure=False, workers=able or None,
    )  # fmt: skip


def _lost(sweep: _Sweep) -> SweepError:
    return SweepError(
        f"the scheduler at '{sweep.client.scheduler.address}' is gone; start it and its workers "
        "again, then this sweep: what is recorded is not trained again"
    )


def _named(unit: Unit) -> str:
    return "{}, fold {}, replicate {}".format(*unit)


def _described(unit: Unit, error: BaseException) -> str:
    notes = " ".join(["", *getattr(error, "__notes__", ())])
    return f"{_named(unit)}: {type(error).__name__}: {error}{notes}"
