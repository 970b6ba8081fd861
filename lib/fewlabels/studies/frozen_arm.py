"""The frozen arm: claims on labels and losses tested with a head on frozen features, across sites.

A claim on which pixels are labelled, or on the loss, does not need a network of minutes. Here a
linear head on frozen features is trained by the same losses on the same draws of labels, in
seconds, on the labelled sites of four folds, and maps the fifth. Then the same claims are asked of
a network: the head and its encoder, trained on from there. All of it is declared before its runs.
The claims themselves are those of the studies that pose them.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import product
from types import MappingProxyType

from fewlabels import studies
from fewlabels.studies import w
from fewlabels.studies.design import Claim
from fewlabels.studies.run import Run

KEY = "frozen_arm"
DATA = ("dubai", "cz_ortho", "india_s2_nir", "usgs_coast")
GRID = MappingProxyType({"dubai": 350})
"""Longest side of a tile in pixels where it is not 512: that of the published networks."""
REPLICATES = 3
DEVELOPMENT = MappingProxyType({name: w.DEVELOPMENT[name] for name in DATA if name != "dubai"})
"""Sites that are not scored: those of study W, on which the penalty of the head was chosen. Nothing
was chosen on Dubai for this arm, though a pilot looked at a head there."""
HEAD = "frozen head"
TESTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "E": ("E1", "E3", "E4"),
        "budget": ("N1", "N2"),
        "balance": ("S1", "S2", "S3"),
        "redrawing": ("R1",),
        "leak": ("L1",),
        "D": ("D1", "D3"),
    }
)
"""Study -> its claims that a head can answer, in the order in which networks run. The others are on
networks, or on steps of training."""
MOST = 3_000
"""Labelled pixels of a tile that train the head, at most. Of more, such as a dense mask, a random
choice does: a head of some 600 weights a class has learned all it can from so many."""
LEARNERS = ("pixel_forest", "texture_forest", "frozen_linear", "frozen_forest")
BUDGETS = (10, 30, 100, 300)
"""Random labelled pixels a tile, with which each learner is also fitted, as the tool fits it."""
NETWORK = "fine_tuned"
"""The network that is asked the claims of the head. It has the head's labels; the loss trains it,
after a first head that is fitted by cross-entropy. A claim is asked once all its conditions are
run."""
TUNED = MappingProxyType({NETWORK: 100})
"""Name -> steps of `fine_tuned`: the tool's, chosen on development sites of study W."""
TUNED_DATA = ("dubai", "cz_ortho", "india_s2_nir")
TUNED_ON = ("100 px", "1,000 px", "30 px", "dense")
CLAIMS: Mapping[str, Claim] = MappingProxyType(
    {
        f"X{i}": Claim(
            f"Across sites, with {budget} labelled pixels an image, a linear head on frozen "
            "features beats the single-pixel forest.",
            plus=(f"frozen_linear, {budget} px",), minus=(f"pixel_forest, {budget} px",),
        )
        for i, budget in enumerate(BUDGETS, 1)
    }
    | {
        f"T{i}": Claim(
            f"Across sites, {name} beats the frozen head. Labels an image: {on}.",
            plus=(f"{name}, {on}",), minus=(on,),
        )
        for i, (name, on) in enumerate(product(TUNED, TUNED_ON), 1)
    }
)  # fmt: skip
OWN = ("learners", "networks")  # families of CLAIMS
FACTORS = ("sampler", "amount", "loss", "gamma", "expansion", "reach", "redrawn")
"""What of a run a head follows; the other factors are a network's. `alpha` only rescales the focal
loss, which here would be another penalty."""


def claims() -> dict[str, Claim]:
    """List the claims that the head is asked, by id."""
    return {name: studies.study(of).claims[name] for of, names in TESTED.items() for name in names}


def family(claim: str) -> str:
    """Name the study whose claims are corrected together with this one."""
    own = OWN[claim.startswith("T")]
    return next((of for of, names in TESTED.items() if claim in names), own)


def runs(data: str) -> dict[str, Run]:
    """Declare what the head is trained on: condition -> the run, its other factors at defaults.

    Conditions of several studies that are equal here are equal runs. One may be on a variant of the
    data, such as `dubai:patches`.
    """
    found, base = {}, data.partition(":")[0]
    for of, names in TESTED.items():
        scale = studies.scale(of, "smoke", base)  # conditions are the same at all
        named = studies.conditions(studies.study(of), scale, scale.starts[0], base)
        for claim in names:
            for condition in studies.study(of).claims[claim].conditions:
                found[condition] = reduced(named[condition])
    return found


def tuned(data: str) -> list[Run]:
    """Declare what `fine_tuned` is trained on, in this order."""
    named = {name: run for name, run in runs(data).items() if run.data == data}
    names = dict.fromkeys((*TUNED_ON, *named))
    return list({described(named[name]): named[name] for name in names}.values())


def reduced(run: Run) -> Run:
    """Keep the factors that a head follows; those that do not count here get their defaults."""
    usual = Run()
    kept = {factor: getattr(run, factor) for factor in FACTORS}
    if run.loss != "partial_focal":
        kept |= {"gamma": usual.gamma}
    if run.sampler == "all":
        kept |= {"amount": usual.amount}
    return replace(usual, data=run.data, **kept)


def described(run: Run) -> str:
    """Write the factors that differ from the defaults: equal text means equal training."""
    usual = Run()
    own = {f.name: getattr(run, f.name) for f in fields(run) if f.name in FACTORS}
    told = [f"{name} {value}" for name, value in own.items() if value != getattr(usual, name)]
    return ", ".join(told) or "defaults"
