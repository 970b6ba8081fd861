"""Train and read all runs of a study, one after another; a recorded run is never trained again.

`distribute` trains them at the same time, in worker processes.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fewlabels import studies
from fewlabels.experiments.plan import Plan, Unit, plan
from fewlabels.results import records, statistics
from fewlabels.results.records import Record
from fewlabels.studies import Run, Start
from fewlabels.types import RecordError, WeightsError

log = logging.getLogger(__name__)

SETTING = ("data", "grid", "steps", "batch", "crop")
LEAST = 2  # units that a published comparison needs: one gives no interval


def results(name: str, profile: str, data: str, *, device: str = "auto") -> dict[Unit, Record]:
    """Return every record of a study; missing runs are trained, except at profile `published`.

    Raises:
        RecordError: runs of the published study are missing.
    """
    if profile == "published":
        return recorded(name, profile, data)
    return train(planned(name, profile, data), device)


def planned(
    name: str, profile: str, data: str, *, root: Path | None = None, runs: Path | None = None
) -> Plan:
    """List what is recorded and what is missing, from the first start whose weights are here.

    Raises:
        WeightsError: the weights of no start are here.
    """
    start = start_of(name, profile, data)
    return plan(name, profile, data, start, root=root, runs=runs)


def train(plan: Plan, device: str = "auto") -> dict[Unit, Record]:
    """Return every record of a plan; missing runs are trained in this process.

    Raises:
        FewLabelsError: as `run.execute`; the runs before the one that failed stay recorded.
    """
    from fewlabels.experiments import run  # imports torch, which reading records does not need

    found = {}
    for unit, this in plan.declared.items():
        found[unit] = plan.found.get(unit) or run.execute(
            this, root=plan.root, runs=plan.folder, device=device, keep_model=plan.keep_model
        )
        log_finished(plan, unit, found)
    return found


def log_finished(plan: Plan, unit: Unit, found: Mapping[Unit, Record]) -> None:
    """Log one line on the run that was recorded last of those in `found`."""
    score, cost = found[unit].scores.miou, found[unit].facts["cost"]
    log.info(
        "study %s, run %d of %d: %s, fold %d, replicate %d: mIoU %.1f %% (training took %.0f s)",
        plan.study, len(found), len(plan.declared), *unit, 100 * score, cost["train_seconds"],
    )  # fmt: skip


def recorded(
    name: str, profile: str, data: str, *, root: Path | None = None, runs: Path | None = None
) -> dict[Unit, Record]:
    """Read every record of a study; nothing is trained.

    A published study grows over many days: only its whole comparisons are returned, see `whole`.

    Raises:
        RecordError: runs are missing (of a published study: no comparison is whole); says how many
            and how to make them.
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
    """List the comparisons that a report shows: all that the profile has for this data; of the
    published ones those with LEAST units or more.

    Raises:
        RecordError: a record is damaged.
    """
    from fewlabels.data import registry

    declared = studies.comparing(profile, data, registry.groups(data))
    if profile != "published":
        return declared
    plans = {
        name: [
            plan(name, profile, data, start) for start in studies.scale(name, profile, data).starts
        ]
        for name in declared
    }
    return [
        name
        for name, of in plans.items()
        if any(len({unit[1:] for unit in whole(each)}) >= LEAST for each in of)
    ]


def whole(plan: Plan) -> dict[Unit, Record]:
    """Return the records of each (fold, replicate) for which every condition is recorded.

    Conditions that were added later do not count. If conditions split the tiles in different ways,
    a replicate counts only if every fold of it is whole.
    """
    study = studies.study(plan.study)
    compared = slice(2 if study.tested_like else 1, None)
    broken = {unit[compared] for unit in plan.missing if unit[0] not in study.later}
    return {unit: record for unit, record in plan.found.items() if unit[compared] not in broken}


def table(name: str, found: Mapping[Unit, Record]) -> pd.DataFrame:
    """`records.table` of a study with its readings; all conditions of a unit are scored on the same
    tiles.
    """
    study = studies.study(name)
    like = study.tested_like
    alike = records.regroup_by_test_tiles(found, like) if like else dict(found)
    return records.table(alike | records.at_best_step(alike, study.readings))


def claims(found: Mapping[str, Mapping[Unit, Record]]) -> pd.DataFrame:
    """Decide every claim of these studies: `setting`, claim, what was reported, what we
    measured (effect with its 95 % interval), p after Holm, n and verdict.

    Args:
        found: of each study its records.
    """
    tables = []
    for name, these in found.items():
        judged = statistics.claims_table(table(name, these), studies.study(name).claims)
        judged.insert(0, "setting", _setting(next(iter(these.values())).run))
        tables.append(judged)
    return pd.concat(tables, ignore_index=True)


def settings(found: Mapping[str, Mapping[Unit, Record]]) -> list[str]:
    """Write one line for all studies that share images and sizes."""
    alike: dict[tuple, list[str]] = {}
    for name, these in found.items():
        run = next(iter(these.values())).run
        of = tuple(getattr(run, factor) for factor in SETTING)
        alike.setdefault((of[0].partition(":")[0], *of[1:]), []).append(name)
    return [
        f"{'Studies' if len(names) > 1 else 'Study'} {', '.join(names)}: "
        f"{'synthetic' if data == 'synthetic' else 'real'} images ({data}, longer side {grid} "
        f"pixels), {steps} steps of {batch} crops of {crop}."
        for (data, grid, steps, batch, crop), names in alike.items()
    ]


def _setting(run: Run) -> str:
    sizes = f"{run.data.partition(':')[0]} {run.grid} px"
    width = re.search(r"width=(\d+)", run.model)
    return f"{sizes}, width {width[1]}" if width else sizes


def start_of(name: str, profile: str, data: str) -> Start:
    """Return the first start of a study whose weights are here, for all of its conditions.

    Raises:
        UnknownName: no such data set.
        WeightsError: there is none; the message is that of the last start and says what to do.
    """
    from fewlabels.data import registry
    from fewlabels.training import networks

    registry.check_name(data)
    starts = studies.scale(name, profile, data).starts
    conditions = studies.study(name).conditions().values()
    for start in starts:
        asked = {(f["model"], f["weights"]) for f in map(start.filled, conditions)}
        try:
            for model, weights in sorted(asked):
                networks.build(model, 2, weights=weights)
        except WeightsError as error:
            if start is starts[-1]:
                raise
            log.warning("no weights '%s' for %s here: %s", start.weights, start.model, error)
        else:
            return start
    raise ValueError(f"study {name} has no start at profile {profile}")
