"""How good a recipe is on ground that did not train: scores on held-out units, with intervals."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from fewlabels.mapping import holdout
from fewlabels.mapping.bands import to_bytes
from fewlabels.mapping.learn import Ground, Learned
from fewlabels.mapping.score_summary import FEW
from fewlabels.mapping.tiles import inventory
from fewlabels.scoring import inference, metrics

log = logging.getLogger(__name__)

RESAMPLES = 2000
Learn = Callable[[Ground, Sequence[UInt8[np.ndarray, "h w"]], str], Learned]
"""What trains on labels, one array for each piece of the ground: `learn.learn`, `grow.learn`."""


@dataclass(frozen=True)
class Held:
    """What came of holding out.

    Attributes:
        units: the units scored, each once, by a network that did not train on it.
        confusion: of each of them; rows truth, columns prediction.
        folds: trainings that it took.
        left_out: classes that a single unit has; their pixels are in no score.
    """

    units: Sequence[int]
    confusion: Int[np.ndarray, "units k k"]
    folds: int
    left_out: tuple[int, ...]


def held_out(ground: Ground, seed: int, learn: Learn) -> Held | None:
    """Every unit predicted by what `learn` trained without it and without what lies within the gap
    of it. None where no two units can be told apart, or no class has two. Units and parts follow
    from labels and seed alone, so two ways to learn are scored on the same.

    Training may see the image of held-out ground beside other labels, never its labels. Only the
    pieces that hold labels are predicted, so pixels at a piece's edge see less than they
    would in a map.
    """
    recipe, classes = ground.recipe, len(ground.classes)
    found = inventory(ground.pieces, classes)
    single = holdout.alone(found)
    present = int((sum(found.values()) > 0).sum())
    groups = holdout.folds(found, recipe.folds, seed)
    if len(groups) < 2 or len(single) == present:
        return None
    matrices = {}
    for number, group in enumerate(groups, 1):
        labels = [holdout.remaining(piece, group, recipe.gap) for piece in ground.pieces]
        if not any((part < classes).any() for part in labels):
            log.warning("part %d leaves no label to train on and is not scored", number)
            continue
        log.info("part %d of %d: trained without %d units", number, len(groups), len(group))
        learned = learn(ground, labels, f"part-{number}")
        matrices |= _confusions(ground, learned, group)
    if not matrices:
        return None
    units = sorted(matrices)
    return Held(units, np.stack([matrices[u] for u in units]), len(groups), single)


def summary(held: Held | None, classes: Sequence[str], seed: int) -> Mapping[str, object]:
    """Scores over all held-out labelled pixels, as fractions, each with a 95 % interval.

    The interval is the percentile bootstrap of whole units, drawn again within the class that most
    of their pixels have, over `resamples` drawings. It says how far the score may be off for other
    units on this scene, not for other scenes, and below 15 units it is too narrow.
    """
    if held is None:
        return {"scored": False, "why": "no class has two units that can be held out apart"}
    value = metrics.scores(held.confusion, held.left_out)
    drawn = _drawn(held, seed)
    intervals = {name: _ends(drawn[name]) for name in drawn}
    return {
        "scored": True,
        "units": len(held.units),
        "parts": held.folds,
        "pixels": int(held.confusion.sum()),
        "few": len(held.units) < FEW,
        "resamples": RESAMPLES,
        "left_out": [classes[i] for i in held.left_out],
        "miou": metrics.known(value.miou, 6),
        "miou_interval": intervals["miou"],
        "accuracy": metrics.known(value.accuracy, 6),
        "accuracy_interval": intervals["accuracy"],
        "iou": {name: metrics.known(v, 6) for name, v in zip(classes, value.iou, strict=True)},
        "confusion": held.confusion.sum(axis=0).tolist(),
    }


def difference(one: Held, other: Held, seed: int) -> Mapping[str, object]:
    """How much more mIoU one has than another over the same held-out units, as a fraction.

    The interval is that of `summary`, each drawing of units scoring both. Of `verdict`, "better"
    and "worse" say that it lies on one side of 0.

    Raises:
        ValueError: they are of different units.
    """
    if list(one.units) != list(other.units):
        raise ValueError("scores of different units have no paired difference")
    values = [metrics.scores(held.confusion, held.left_out).miou for held in (one, other)]
    low, high = _ends(_drawn(one, seed)["miou"] - _drawn(other, seed)["miou"])
    verdict = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    return {
        "miou": metrics.known(values[0] - values[1], 6),
        "interval": [low, high],
        "units": len(one.units),
        "verdict": verdict,
    }


def _confusions(
    ground: Ground, learned: Learned, group: frozenset[int]
) -> dict[int, Int[np.ndarray, "k k"]]:
    found: dict[int, np.ndarray] = {}
    for piece in ground.pieces:
        here = group & set(np.unique(piece.units).tolist())
        if not here:
            continue
        image = to_bytes(*ground.read(piece.rows, piece.columns), learned.ranges)
        guess = inference.predict(
            learned.network, image, ground.compute, window=ground.recipe.window
        )
        for unit in here:
            matrix = metrics.confusion(guess, holdout.only(piece, unit), len(ground.classes))
            found[unit] = found.get(unit, 0) + matrix
    return found


def _drawn(held: Held, seed: int) -> dict[str, Float[np.ndarray, " n"]]:
    rng = np.random.default_rng(seed)
    main = held.confusion.sum(axis=2).argmax(axis=1)
    groups = [np.flatnonzero(main == value) for value in np.unique(main)]
    found = {"miou": [], "accuracy": []}
    for _ in range(RESAMPLES):
        taken = np.concatenate([rng.choice(group, len(group)) for group in groups])
        if np.delete(held.confusion[taken], held.left_out, axis=1).any():
            value = metrics.scores(held.confusion[taken], held.left_out)
            found["miou"].append(value.miou)
            found["accuracy"].append(value.accuracy)
    return {name: np.array(values) for name, values in found.items()}


def _ends(values: Float[np.ndarray, " n"]) -> list[float]:
    return [round(float(v), 6) for v in np.percentile(values, (2.5, 97.5))]
