"""Network or forest: both are scored on the same held-out ground, and one of them is kept."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from fewlabels.mapping import grow, learn, score
from fewlabels.mapping.learn import Ground
from fewlabels.mapping.score import Held, Learn

log = logging.getLogger(__name__)

METHODS: Mapping[str, Learn] = {"network": learn.learn, "forest": grow.learn}


@dataclass(frozen=True)
class Choice:
    """What was tried and what is kept.

    Attributes:
        method: the one to keep.
        why: in words.
        tried: `score.summary` of each method that was scored.
        difference: `score.difference` of network minus forest, None where not both were scored.
    """

    method: str
    why: str
    tried: Mapping[str, Mapping[str, object]]
    difference: Mapping[str, object] | None


def choice(ground: Ground) -> Choice:
    """The method that the recipe asks for; of `best`, the one whose held-out mIoU is higher, the
    network where they are equal or cannot be scored.

    A network is always scored beside the forest, which costs seconds. The score of the better of
    two is a little too good, since both were scored on the same units.

    Raises:
        FewLabelsError: as `score.held_out`.
    """
    asked = ground.recipe.method
    if not ground.recipe.folds:
        scores = {"scored": False, "why": "it was not asked for (folds 0)"}
        method = "network" if asked == "best" else asked
        return Choice(method, "nothing was scored", {method: scores}, None)
    names = ("forest",) if asked == "forest" else tuple(METHODS)
    held = {name: _scored(ground, name) for name in names}
    seed, classes = ground.recipe.seed, ground.classes
    tried = {name: score.summary(held[name], classes, seed) for name in names}
    both = [held.get(name) for name in METHODS]
    difference = None if None in both else score.difference(*both, seed)
    method, why = _kept(asked, tried)
    return Choice(method, why, tried, difference)


def _scored(ground: Ground, name: str) -> Held | None:
    log.info("scoring the %s on held-out labels", name)
    return score.held_out(ground, ground.recipe.seed, METHODS[name])


def _kept(asked: str, tried: Mapping[str, Mapping[str, object]]) -> tuple[str, str]:
    if asked != "best":
        return asked, "it was asked for"
    if not all(scores["scored"] for scores in tried.values()):
        return "network", "the two could not be scored"
    network, forest = (tried[name]["miou"] for name in METHODS)
    if network == forest:
        return "network", "the held-out mIoU of both is the same"
    return "network" if network > forest else "forest", "its held-out mIoU is the higher one"
