"""What a study has recorded, what is still to be trained, and how long that will take here.

The runs of profile `published` live in report/results, one folder a study, without weights, and
are found by what they declare, since they stay valid when code is moved; a run that two studies
share is recorded with either. All others live in runs/ and must be of the present data and code.
"""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from fewlabels import paths, studies
from fewlabels.experiments import versioning
from fewlabels.results import records, regroup
from fewlabels.results.records import Record, Unit
from fewlabels.results.statistics import promise
from fewlabels.studies import Run, Start
from fewlabels.types import RecordError

SIZES = ("data", "model", "grid", "crop", "batch")
"""The factors that decide what a step and what scoring the test tiles costs."""


@dataclass(frozen=True)
class Plan:
    """The runs of a study at a profile, in the order in which they are trained.

    That order is pair by pair, fold by fold, all cells of one before the next, so whatever is
    there when a study is stopped holds whole comparisons.

    Attributes:
        root: folder of the data; None is DATA_ROOT, on each machine its own.
        folder: of the records.
        found: the records that are there.
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
    def folders(self) -> list[Path]:
        """Where records lie that tell how long runs take: published ones, a folder a study."""
        published = self.folder.parent == paths.published_root()
        return _of_all_studies() if published else [self.folder]

    @property
    def steps(self) -> int:
        """Training steps still to be done."""
        return sum(this.steps for this in self.missing.values())

    @property
    def keep_model(self) -> bool:
        """Whether the weights are recorded too."""
        return self.profile != "published"


@dataclass(frozen=True)
class Estimate:
    """How long the missing runs take one after the other, and what says so.

    Attributes:
        records: how many records it comes from.
        alike: whether every run that is missing has some of its own data, network and sizes.
    """

    seconds: float
    records: int
    alike: bool


def plan(
    name: str,
    profile: str,
    data: str,
    start: Start,
    *,
    root: Path | None = None,
    runs: Path | None = None,
) -> Plan:
    """The runs of a study from one start, with the records that are there.

    Args:
        root: of the data, see `data.load`.
        runs: folder of the records (default: where the profile's records live).

    Raises:
        RecordError: a record of the study is damaged.
        FewLabelsError: no such study or profile, or data that cannot be had.
    """
    folder = runs or (
        paths.published_root() / name if profile == "published" else paths.runs_root()
    )
    declared = studies.runs(name, profile, data, start)
    if profile == "published":
        folders = [folder] if runs else _of_all_studies()
        files = [file for each in folders for file in sorted(each.glob("[!.]*/record.json"))]
        there = {_declared(*place): place for place in map(_place, files)}
        found = {unit: _read(*there[this]) for unit, this in declared.items() if this in there}
    else:
        keys = {unit: versioning.key(this, root) for unit, this in declared.items()}
        there = [unit for unit in declared if records.exists(folder, keys[unit])]
        found = {unit: versioning.recorded(declared[unit], folder, keys[unit]) for unit in there}
    return Plan(name, profile, data, root, folder, declared, found)


def _of_all_studies() -> list[Path]:
    """The folders of published records."""
    return [paths.published_root() / study for study in sorted(studies.STUDIES)]


def estimate(runs: Iterable[Run], folders: Iterable[Path], hardware: str) -> Estimate | None:
    """How long `runs` take, from the records that `hardware` has made; None where there are none.

    A run takes its steps and scores its test tiles, each at the median speed over the records of
    the same data, network and sizes, or over all records where none is. What comes before the
    first step is left out, and each scoring counts as the last one, which counts more.

    Args:
        folders: of the records.
        hardware: the device as records name it, `devices.Compute.hardware`.
    """
    every = (record for folder in folders for record in _readable(folder))
    made = [r for r in every if r.facts["environment"]["device"] == hardware]
    if not made:
        return None
    groups = {}
    for this in runs:
        groups.setdefault(_size(this), []).append(this)
    alike = {size: [r for r in made if _size(r.run) == size] for size in groups}
    return Estimate(
        sum(_seconds(these, alike[size] or made) for size, these in groups.items()),
        len({r.key for found in alike.values() for r in found or made}),
        all(alike.values()),
    )


def _place(file: Path) -> tuple[Path, str, int]:
    """Where a record lies and when it was written: a report asks for the same ones once a study."""
    return file.parent.parent, file.parent.name, file.stat().st_mtime_ns


@cache
def _declared(folder: Path, name: str, _changed: int) -> Run:
    return records.declared(folder, name)


@cache
def _read(folder: Path, name: str, _changed: int) -> Record:
    return records.read(folder, name)


def _seconds(runs: Iterable[Run], made: Iterable[Record]) -> float:
    """Of training and scoring `runs`, at the median speed of the records `made`."""
    costs = [(record.facts["cost"], record.run.steps) for record in made]
    a_step = statistics.median(cost["train_seconds"] / steps for cost, steps in costs)
    scoring = statistics.median(cost["test_seconds"] for cost, _ in costs)
    return sum(this.steps * a_step + (this.watch + 1) * scoring for this in runs)


def described(plan: Plan, hardware: str, workers: int = 1) -> str:
    """The plan in three lines, for a person who has to decide whether to start it.

    Args:
        hardware: the device of one worker, as in `estimate`.
        workers: how many of them train at the same time.
    """
    counted = (
        f"study {plan.study} on {plan.data}, profile {plan.profile}: {len(plan.declared)} runs, "
        f"{len(plan.found)} recorded, {len(plan.missing)} to train in {plan.steps:,} steps"
    ) + _promised(plan)
    if not plan.missing:
        return counted
    at_once = max(1, min(workers, len(plan.missing)))
    who = f"{at_once} workers ({hardware} each)" if at_once > 1 else hardware
    expected = estimate(plan.missing.values(), plan.folders, hardware)
    rounds = -(-len(plan.missing) // at_once)  # the last one leaves some workers idle
    return f"{counted}\nestimated time on {who}: {_time(expected, rounds / len(plan.missing))}"


def _promised(plan: Plan) -> str:
    """What its units can show, on a line of its own; nothing of a study that compares nothing."""
    study = studies.study(plan.study)
    if not study.claims:
        return ""
    folds, pairs = (len({unit[i] for unit in plan.declared}) for i in (1, 2))
    alike = plan.found and not study.tested_like  # else the units are made of several runs
    every = plan.found | regroup.at_best_step(plan.found, study.readings)
    pilot = records.table(every) if alike else None
    return f"\n{promise(study.claims, folds, pairs, pilot)}"


def _time(expected: Estimate | None, share: float) -> str:
    """In words, of that share of what the runs take one after the other."""
    if expected is None:
        return "unknown, no run is recorded from such a device"
    seconds = expected.seconds * share
    unit, size = next(
        (u, s) for u, s in (("h", 3600), ("min", 60), ("s", 1)) if seconds >= 2 * s or s == 1
    )
    what = "" if expected.alike else " of other networks or sizes"
    return f"{max(1, round(seconds / size))} {unit} (by {expected.records} record(s) of it{what})"


def _size(this: Run) -> tuple[object, ...]:
    return tuple(getattr(this, factor) for factor in SIZES)


def _readable(folder: Path) -> list[Record]:
    """The records that can be read: a damaged one is named when its run comes, not here."""
    found = []
    for file in sorted(folder.glob("*/record.json")):
        try:
            found.append(records.read(folder, file.parent.name))
        except RecordError:
            continue
    return found
