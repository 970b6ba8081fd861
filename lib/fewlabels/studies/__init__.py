"""The table of experiments: what each study asks, varies and keeps fixed.

A new study is one file that states what is its own, and one line in `STUDIES`. `design` says what
the words mean and how much each profile runs.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType

from fewlabels.studies import c, ours, systems
from fewlabels.studies.design import PROFILES, SHORT, Claim, Scale, Study
from fewlabels.studies.run import Run, Start
from fewlabels.types import unknown

__all__ = ["PROFILES", "SHORT", "STUDIES", "Claim", "Run", "Scale", "Start", "Study"]

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "A": systems.A,
        "B": systems.B,
        "C": c.STUDY,
        "D": systems.D,
        "E": systems.E,
        "budget": ours.BUDGET,
        "balance": ours.BALANCE,
        "pretraining": ours.PRETRAINING,
        "clicks": ours.CLICKS,
        "leak": ours.LEAK,
        "redrawing": ours.REDRAWING,
        "selection": ours.SELECTION,
        "rates": systems.RATES,
    }
)
ONE_GROUP = frozenset({"ai4mars", "potsdam"})
"""Data sets with one published group of test sites; the others have at least five."""
SHOWN = (
    "data", "grid", "model", "weights", "sampler", "amount", "loss", "augmentation", "steps",
    "batch", "crop", "optimiser", "schedule", "lr", "weight_decay",
)  # fmt: skip
"""The factors of a run that a reader always wants to see."""
LATER = ("rounds", "query")
"""Factors that `Run` did not have when the first runs were published."""


def study(name: str) -> Study:
    """Look up a study by its name.

    Raises:
        UnknownName: no such study.
    """
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    return STUDIES[name]


def scale(name: str, profile: str, data: str) -> Scale:
    """Look up how much of a study `profile` runs on `data`.

    Raises:
        UnknownName: no such study or profile, or the profile has nothing for this data.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    scales, kind = study(name).scales, _kind(data)
    if (profile, kind) not in scales:
        raise unknown(f"profile for {kind} data", profile, (p for p, k in scales if k == kind))
    return scales[profile, kind]


def declared(profile: str, data: str) -> list[str]:
    """List the studies that have runs of `profile` on `data`."""
    return [name for name in STUDIES if (profile, _kind(data)) in STUDIES[name].scales]


def comparing(profile: str, data: str, groups: int | None = None) -> list[str]:
    """List the studies `declared` that compare something on this data: they have claims, and there
    are as many groups of test sites as they need. Validation takes one group, so it needs three.

    Args:
        groups: how many groups the data has, where that is not known in advance.
    """
    found = {name: STUDIES[name] for name in declared(profile, data) if STUDIES[name].claims}
    few = groups is not None and groups < 3
    return [
        name
        for name, s in found.items()
        if not (s.tested_like and data in ONE_GROUP)
        and not (few and _validates(name, profile, data))
    ]


def runs(
    name: str, profile: str, data: str, start: Start, groups: int | None = None
) -> dict[tuple[str, int, int], Run]:
    """Declare every run of a study at a profile: (condition, fold, replicate) -> Run.

    A misspelt factor in the table is a TypeError here. Data with fewer groups of test sites than
    the scale has folds (ONE_GROUP, or `groups`) have a fold a group, and more replicates, so that
    the number of units stays about the same. All conditions of one (fold, replicate) share label
    draw, seed and steps, so their differences are paired. They also share crops, except where a
    crop holds no label of one condition and is drawn again.
    """
    chosen = scale(name, profile, data)
    named = conditions(study(name), chosen, start, data)
    return {
        (condition, fold, replicate): replace(run, fold=fold, draw=replicate, seed=replicate)
        for replicate in range(_replicates(chosen, data, groups))
        for fold in _folds(chosen, data, groups)
        for condition, run in named.items()
    }


def conditions(study: Study, scale: Scale, start: Start, data: str) -> dict[str, Run]:
    """Declare one run of each condition of a study on `data`, with fold, draw and seed 0."""
    data = str(scale.fixed.get("data", "{data}")).format(data=data)
    given = dict(scale.fixed) | {"data": "{data}"}
    filled = {name: given | start.filled(own) for name, own in study.conditions().items()}
    return {
        name: replace(Run(), **factors | {"data": factors["data"].format(data=data)})
        for name, factors in filled.items()
    }


def start_of(name: str, profile: str, data: str, run: Run) -> Start:
    """Find the start of a study that one of its runs has.

    Raises:
        UnknownName: none of them: the run is not of this study, profile and data.
    """
    starts = scale(name, profile, data).starts
    for start in starts:
        if run in runs(name, profile, data, start).values():
            return start
    known = (f"{start.model} with {start.weights}" for start in starts)
    raise unknown(f"start of study {name}", f"{run.model} with {run.weights}", known)


def shared_factors(runs: Iterable[Run]) -> dict[str, object]:
    """Collect the factors, with their values, that all of these runs have in common."""
    every = [asdict(run) for run in runs]
    return {k: v for k, v in every[0].items() if all(other[k] == v for other in every)}


def factors(
    name: str, profile: str, data: str, start: Start, groups: int | None = None
) -> list[dict[str, str]]:
    """List `factor`, `kind` (varies, units or fixed) and `value` of a study at a profile.

    Of the fixed factors, only those in SHOWN and those that differ from the defaults of `Run`.
    """
    chosen, asked, usual = scale(name, profile, data), study(name), asdict(Run())
    shared = shared_factors(runs(name, profile, data, start).values())
    rows = [(k, "varies", ", ".join(map(str, v))) for k, v in asked.varies.items()]
    if asked.bounds:
        title = "beside the grid" if asked.varies else "conditions"
        rows.append((title, "varies", "; ".join([*asked.bounds, *asked.readings])))
    folds, replicates = len(_folds(chosen, data, groups)), _replicates(chosen, data, groups)
    rows.append(("folds x replicates", "units", f"{folds} x {replicates}"))
    rows += [(k, "fixed", str(v)) for k, v in shared.items() if k in SHOWN or v != usual[k]]
    return [dict(zip(("factor", "kind", "value"), row, strict=True)) for row in rows]


def digest(run: Run) -> str:
    """Hash a run's factors by SHA-256: the same text for the same run, in any process.

    Factors of LATER at their defaults are not hashed, so that older runs keep their digests.
    """
    usual = asdict(Run())
    hashed = {k: v for k, v in asdict(run).items() if k not in LATER or v != usual[k]}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def _folds(scale: Scale, data: str, groups: int | None = None) -> tuple[int, ...]:
    return (0,) if data in ONE_GROUP else scale.folds[:groups]


def _replicates(scale: Scale, data: str, groups: int | None = None) -> int:
    return scale.replicates * len(scale.folds) // len(_folds(scale, data, groups))


def _validates(name: str, profile: str, data: str) -> bool:
    """Whether a condition of a study holds out validation sites."""
    chosen = scale(name, profile, data)
    named = conditions(study(name), chosen, chosen.starts[0], data)
    return any(run.validation != "none" for run in named.values())


def _kind(data: str) -> str:
    return "synthetic" if data == "synthetic" else "real"
