"""Say what a study has recorded, what is still to be trained, and how long that will take here.

Runs of profile `published` are in report/results, one file a study, without weights. They are found
by their declaration, since they stay valid when code is moved; a run that two studies share is
recorded with either. All other runs are in runs/ and must be of the present data and code.
"""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pandas as pd

from fewlabels import paths, studies
from fewlabels.data import registry
from fewlabels.experiments import versioning
from fewlabels.results import records
from fewlabels.results.records import Record, Unit
from fewlabels.studies import Run, Start
from fewlabels.types import RecordError

SIZES = ("data", "model", "grid", "crop", "batch")
"""The factors that decide what a step and what scoring the test tiles costs."""


@dataclass(frozen=True)
class Plan:
    """The runs of a study at a profile, in the order in which they are trained.

    All conditions of one (fold, replicate) come before the next, so a study that is stopped early
    still holds complete comparisons.

    Attributes:
        root: folder of the data; None is DATA_ROOT, on each machine its own.
        folder: where the records are, a folder or the file of a published study.
        found: the records that exist.
    """

    study: str
    profile: str
    data: str
    root: Path | None
    folder: Path
    declared: Mapping[Unit, Run]
    found: Mapping[Unit, Record]

    @cached_property
    def missing(self) -> dict[Unit, Run]:
        return {unit: this for unit, this in self.declared.items() if unit not in self.found}

    @cached_property
    def keys(self) -> dict[Unit, str]:
        """The name of the record that each missing run will get; needs the data."""
        return {unit: versioning.key(this, self.root) for unit, this in self.missing.items()}

    @property
    def steps(self) -> int:
        """Training steps still to be done."""
        return sum(this.steps for this in self.missing.values())

    @property
    def keep_model(self) -> bool:
        """Whether the weights are recorded too."""
        return self.profile != "published"


def plan(
    name: str,
    profile: str,
    data: str,
    start: Start,
    *,
    root: Path | None = None,
    runs: Path | None = None,
) -> Plan:
    """List the runs of a study from one start, with the records that exist.

    Args:
        root: of the data, see `data.load`.
        runs: where the records are (default: where the profile's records are).

    Raises:
        RecordError: a record of the study is damaged.
        FewLabelsError: no such study or profile, or data that cannot be had.
    """
    declared = studies.runs(name, profile, data, start, registry.groups(data, root))
    if profile == "published":
        found = _published(declared, [runs] if runs else _all_studies())
        return Plan(name, profile, data, root, runs or paths.published(name), declared, found)
    folder = runs or paths.runs_root()
    keys = {unit: versioning.key(this, root) for unit, this in declared.items()}
    there = [unit for unit in declared if records.exists(folder, keys[unit])]
    found = {unit: versioning.recorded(declared[unit], folder, keys[unit]) for unit in there}
    return Plan(name, profile, data, root, folder, declared, found)


def estimate(runs: Iterable[Run], stores: Iterable[Path], hardware: str) -> tuple[float, int]:
    """Estimate the seconds that `runs` take in turn, and count the records that this is based on.

    Steps and scorings take their median time over the records of the same data, network and sizes,
    or over all records where there are none. Preparation is not counted.

    Args:
        stores: of the records; damaged ones are skipped, and named when their run comes.
        hardware: the device as records name it, `devices.Compute.hardware`.
    """
    made = {}
    for file in (file for store in stores for file in records.files(store)):
        with suppress(RecordError):
            declared = records.declared(file)
            for key, facts in records.facts(file).items():
                if facts["environment"]["device"] == hardware:
                    this, cost = declared[key], facts["cost"]
                    a_step = cost["train_seconds"] / this.steps
                    made[key] = (*_size(this), a_step, cost.get("test_seconds", math.nan))
    if not made:
        return math.nan, 0
    costs = pd.DataFrame(made.values(), columns=[*SIZES, "step", "test"])
    every, alike = costs[["step", "test"]].median(), costs.groupby(list(SIZES)).median()
    seconds = 0.0
    for this in runs:
        speed = alike.loc[_size(this)] if _size(this) in alike.index else every
        seconds += this.steps * speed["step"] + (this.watch + 1) * speed["test"]
    return seconds, len(costs)


def described(plan: Plan, hardware: str, workers: int = 1) -> str:
    """Describe a plan in two lines, to help decide whether to start it.

    Args:
        hardware: the device of each of the `workers`, as in `estimate`.
    """
    counted = (
        f"study {plan.study} on {plan.data}, profile {plan.profile}: {len(plan.declared)} runs, "
        f"{len(plan.found)} recorded, {len(plan.missing)} to train in {plan.steps:,} steps"
    )
    if not plan.missing:
        return counted
    at_once = max(1, min(workers, len(plan.missing)))
    who = f"{at_once} workers ({hardware} each)" if at_once > 1 else hardware
    stores = _all_studies() if plan.folder.parent == paths.published_root() else [plan.folder]
    seconds, made = estimate(plan.missing.values(), stores, hardware)
    rounds = -(-len(plan.missing) // at_once)  # the last one leaves some workers idle
    return (
        f"{counted}\nestimated time on {who}: {_time(seconds * rounds / len(plan.missing), made)}"
    )


def _all_studies() -> list[Path]:
    return [paths.published(study) for study in sorted(studies.STUDIES)]


def _published(declared: Mapping[Unit, Run], stores: Iterable[Path]) -> dict[Unit, Record]:
    """Find the records of the declared runs, whichever of the stores they are in."""
    wanted, found = set(declared.values()), {}
    for file in (file for store in stores for file in records.files(store)):
        keys = frozenset(key for key, run in records.declared(file).items() if run in wanted)
        if keys:
            found |= {r.run: r for r in _read(file, keys, file.stat().st_mtime_ns)}
    return {unit: found[run] for unit, run in declared.items() if run in found}


@cache
def _read(file: Path, keys: frozenset[str], _changed: int) -> list[Record]:
    """Read records once a process: a report asks for the same ones several times."""
    return records.read_all(file, keys)


def _size(this: Run) -> tuple[object, ...]:
    return tuple(getattr(this, factor) for factor in SIZES)


def _time(seconds: float, made: int) -> str:
    if not made:
        return "unknown, no run is recorded from such a device"
    return f"{max(1, round(seconds / 60)):,} min (from {made} record(s) of it)"
