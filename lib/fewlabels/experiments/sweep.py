"""All runs of a study, one after the other; what is recorded is never trained again.

`distribute` trains them at the same time, in worker processes.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fewlabels import studies
from fewlabels.experiments.plan import Plan, Unit, plan
from fewlabels.results import records, regroup
from fewlabels.results.records import Record
from fewlabels.studies import Start
from fewlabels.types import RecordError, WeightsError

log = logging.getLogger(__name__)

LEAST = 2  # one run a condition has no interval and is not published


def results(name: str, profile: str, data: str, *, device: str = "auto") -> dict[Unit, Record]:
    """What a notebook shows: every record of a study, missing runs trained unless `published`.

    Raises:
        RecordError: runs of the published study are missing.
        FewLabelsError: as `execute`.
    """
    if profile == "published":
        return recorded(name, profile, data)
    return execute(name, profile, data, device=device)


def execute(
    name: str,
    profile: str,
    data: str,
    *,
    root: Path | None = None,
    runs: Path | None = None,
    device: str = "auto",
) -> dict[Unit, Record]:
    """Every record of a study at a profile; missing runs are trained and logged, a line each.

    Raises:
        FewLabelsError: as `run.execute`; the runs before the one that failed stay recorded.
    """
    return train(planned(name, profile, data, root=root, runs=runs), device)


def planned(
    name: str, profile: str, data: str, *, root: Path | None = None, runs: Path | None = None
) -> Plan:
    """What is recorded and what is missing, from the first start that can be had here.

    Raises:
        WeightsError: no start of the study can be had.
        FewLabelsError: as `plan.plan`.
    """
    start = start_of(name, profile, data)
    return plan(name, profile, data, start, root=root, runs=runs)


def train(plan: Plan, device: str = "auto") -> dict[Unit, Record]:
    """Every record of a plan, missing runs trained in this process, one after the other.

    Raises:
        FewLabelsError: as `run.execute`; the runs before the one that failed stay recorded.
    """
    from fewlabels.experiments import run  # with torch, which reading records does without

    found = {}
    for unit, this in plan.declared.items():
        began = time.perf_counter()
        found[unit] = plan.found.get(unit) or run.execute(
            this, root=plan.root, runs=plan.folder, device=device, keep_model=plan.keep_model
        )
        log_finished(plan, unit, found, time.perf_counter() - began)
    return found


def log_finished(
    plan: Plan, unit: Unit, found: Mapping[Unit, Record], seconds: float | None
) -> None:
    """One line on a run that is recorded now, the last of those in `found`.

    Args:
        seconds: that it took here; None where another process has recorded it.
    """
    took = "recorded by another process" if seconds is None else f"{seconds:.0f} s"
    log.info(
        "study %s, run %d of %d: %s, fold %d, pair %d: mIoU %.1f %% (%s)",
        plan.study, len(found), len(plan.declared), *unit, 100 * found[unit].scores.miou, took,
    )  # fmt: skip


def recorded(
    name: str, profile: str, data: str, *, root: Path | None = None, runs: Path | None = None
) -> dict[Unit, Record]:
    """Every record of a study at a profile, read only.

    Of the published study, which grows over many days, those of whole comparisons: every cell of a
    (fold, pair) is recorded, but for those that were added later, or none of it is returned.

    Raises:
        RecordError: runs are missing (of the published study: there is no whole comparison); says
            how many and how to make them.
    """
    for start in studies.scale(name, profile, data).starts:
        there = plan(name, profile, data, start, root=root, runs=runs)
        found = whole(there) if profile == "published" else there.found
        if found and (profile == "published" or not there.missing):
            return dict(found)
    raise RecordError(
        f"study {name}, profile {profile}, data {data}: {len(there.found)} of "
        f"{len(there.declared)} runs are recorded in '{there.folder}'; make them first: "
        f"`fewlabels run {name} --profile {profile} --data {data}`"
    )


def available(profile: str, data: str) -> list[str]:
    """The comparisons that a report shows: all that the profile has for this data, and of the
    published one those that are whole on LEAST (fold, pair).

    Raises:
        RecordError: a record is damaged.
    """
    declared = studies.comparing(profile, data)
    if profile != "published":
        return declared
    there = []
    for name in declared:
        starts = studies.scale(name, profile, data).starts
        if any(_units(plan(name, profile, data, start)) >= LEAST for start in starts):
            there.append(name)
    return there


def whole(plan: Plan) -> dict[Unit, Record]:
    """The records of those (fold, pair) of which every cell is recorded that is no later one; where
    cells split the tiles in different ways, of those pairs of which it is on every fold.
    """
    study = studies.study(plan.study)
    compared = slice(2 if study.tested_like else 1, None)
    broken = {unit[compared] for unit in plan.missing if unit[0] not in study.later}
    return {unit: record for unit, record in plan.found.items() if unit[compared] not in broken}


def _units(plan: Plan) -> int:
    return len({unit[1:] for unit in whole(plan)})


def table(name: str, found: Mapping[Unit, Record]) -> pd.DataFrame:
    """`records.table` of a study with its readings, all conditions of a (fold, pair) scored on the
    same tiles.
    """
    study = studies.study(name)
    like = study.tested_like
    alike = regroup.regroup_by_test_tiles(found, like) if like else dict(found)
    return records.table(alike | regroup.at_best_step(alike, study.readings))


def start_of(name: str, profile: str, data: str) -> Start:
    """The first start of a study whose weights can be had here, for all of its cells.

    Raises:
        UnknownName: no such data set.
        WeightsError: none of them; the message of the last one says what to do.
    """
    from fewlabels.data import registry
    from fewlabels.training import networks

    registry.check_name(data)
    starts, cells = studies.scale(name, profile, data).starts, studies.study(name).cells().values()
    for start in starts:
        asked = {(f["model"], f["weights"]) for f in map(start.filled, cells)}
        try:
            for model, weights in sorted(asked):
                networks.build(model, 2, weights=weights)
        except WeightsError as error:
            if start is starts[-1]:
                raise
            log.warning("%s with weights '%s' cannot be had: %s", start.model, start.weights, error)
        else:
            return start
    raise ValueError(f"study {name} has no start at profile {profile}")
