"""All runs of a study, one after the other; what is recorded is never trained again.

The runs of profile `published` live in report/results, without weights, and are found by what
they declare, since they stay valid when code is moved. All others live in runs/ and must be of
the present data and code.
"""

import logging
import time
from functools import partial
from pathlib import Path

from fewlabels import models, paths, records, run, studies
from fewlabels.records import Record
from fewlabels.studies import Run, Start
from fewlabels.types import RecordError, WeightsError

log = logging.getLogger(__name__)

Unit = tuple[str, int, int]  # cell, fold, pair


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
    start = start_of(studies.scale(name, profile, data).starts)
    declared = studies.runs(name, profile, data, start)
    folder = runs or _folder(name, profile)
    there = _declared_in(folder) if profile == "published" else {}
    train = partial(run.execute, root=root, runs=folder, device=device)
    found = {}
    for number, (unit, this) in enumerate(declared.items(), 1):
        began = time.perf_counter()
        found[unit] = there.get(this) or train(this, keep_model=profile != "published")
        score, seconds = found[unit].scores.miou, time.perf_counter() - began
        log.info(
            "study %s, run %d of %d: %s, fold %d, pair %d: mIoU %.1f %% (%.0f s)",
            name, number, len(declared), *unit, 100 * score, seconds,
        )  # fmt: skip
    return found


def recorded(
    name: str, profile: str, data: str, *, root: Path | None = None, runs: Path | None = None
) -> dict[Unit, Record]:
    """Every record of a study at a profile, read only.

    Raises:
        RecordError: runs are missing; says how many and how to make them.
    """
    folder = runs or _folder(name, profile)
    there = _declared_in(folder) if profile == "published" else {}
    for start in studies.scale(name, profile, data).starts:
        declared = studies.runs(name, profile, data, start)
        if profile != "published":
            keys = {this: run.key(this, root) for this in declared.values()}
            there = {
                r: records.read(folder, k) for r, k in keys.items() if records.exists(folder, k)
            }
        found = {unit: there[this] for unit, this in declared.items() if this in there}
        if len(found) == len(declared):
            return found
    raise RecordError(
        f"study {name}, profile {profile}, data {data}: {len(found)} of {len(declared)} runs are "
        f"recorded in '{folder}'; make them first: "
        f"`fewlabels run {name} --profile {profile} --data {data}`"
    )


def start_of(starts: tuple[Start, ...]) -> Start:
    """The first start whose weights can be had here.

    Raises:
        WeightsError: none of them; the message of the last one says what to do.
    """
    for start in starts[:-1]:
        try:
            models.build(start.model, 2, weights=start.weights)
        except WeightsError as error:
            log.warning("%s with weights '%s' cannot be had: %s", start.model, start.weights, error)
        else:
            return start
    models.build(starts[-1].model, 2, weights=starts[-1].weights)
    return starts[-1]


def _folder(name: str, profile: str) -> Path:
    return paths.published_root() / name if profile == "published" else paths.runs_root()


def _declared_in(folder: Path) -> dict[Run, Record]:
    return {record.run: record for record in records.read_all(folder)}
