"""How good a recipe is on ground that did not train: held-out units, their scores, and whether the
network or the forest is kept.

Pixels beside each other look alike, so a pixel beside a training pixel says nothing about new
ground. A fold therefore holds out whole units (drawn shapes, or square blocks of ground), and
labels within a gap of them do not train.
"""

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import maximum_filter

from fewlabels.mapping import recipe
from fewlabels.mapping.recipe import METHODS, Ground, Learned
from fewlabels.mapping.scene import to_bytes
from fewlabels.mapping.score_summary import FEW
from fewlabels.mapping.tiles import Piece, inventory
from fewlabels.scoring import metrics
from fewlabels.types import IGNORE

log = logging.getLogger(__name__)

RESAMPLES = 2000
Learn = Callable[[Ground, Sequence[UInt8[np.ndarray, "h w"]], str, str], Learned]
"""`recipe.learn`, or what stands in for it."""


@dataclass(frozen=True)
class Held:
    """The result of holding out.

    Attributes:
        units: the units scored, each once, by a model that did not train on it.
        confusion: of each of them; rows truth, columns prediction.
        folds: trainings that it took.
        ignored: classes that a single unit has; their pixels are in no score.
    """

    units: Sequence[int]
    confusion: Int[np.ndarray, "units k k"]
    folds: int
    ignored: tuple[int, ...]


@dataclass(frozen=True)
class Choice:
    """Which methods were scored and which is kept.

    Attributes:
        method: the one to keep.
        why: in words.
        tried: `summary` of each method that was scored.
        difference: `difference` of network minus forest, None unless both were scored.
    """

    method: str
    why: str
    tried: Mapping[str, Mapping[str, object]]
    difference: Mapping[str, object] | None


def choice(ground: Ground) -> Choice:
    """The method that the recipe asks for. For `best` the one with the higher held-out mIoU; the
    network where both are equal or cannot be scored.

    A network is always scored beside the forest, which takes seconds. The score of the better of
    two is slightly too high, since both were scored on the same units.

    Raises:
        FewLabelsError: as `held_out`.
    """
    asked, seed = ground.recipe.method, ground.recipe.seed
    if not ground.recipe.folds:
        scores = {"scored": False, "why": "it was not asked for (folds 0)"}
        method = "network" if asked == "best" else asked
        return Choice(method, "nothing was scored", {method: scores}, None)
    held = {}
    for name in ("forest",) if asked == "forest" else METHODS:
        log.info("scoring the %s on held-out labels", name)
        held[name] = held_out(ground, name)
    tried = {name: summary(found, ground.classes, seed) for name, found in held.items()}
    both = [held.get(name) for name in METHODS]
    apart = None if None in both else difference(*both, seed)
    return Choice(*_kept(asked, tried), tried, apart)


def folds(
    units: Mapping[int, Int[np.ndarray, " k"]], number: int, seed: int
) -> list[frozenset[int]]:
    """Units in at most `number` groups, each the units of one held-out part; none is empty.

    The units of each class (that of most of their pixels) are dealt in turn, in an order drawn
    from `seed`, beginning where the class before stopped: no group has two more of a class than
    another. Units that alone have some class are dealt as well; `alone` names those classes.
    """
    rng, found, turn = np.random.default_rng(seed), [set() for _ in range(number)], 0
    main = {unit: int(counts.argmax()) for unit, counts in units.items()}
    for value in sorted(set(main.values())):
        for unit in rng.permutation([unit for unit, own in main.items() if own == value]).tolist():
            found[turn % number].add(unit)
            turn += 1
    return [frozenset(group) for group in found if group]


def alone(units: Mapping[int, Int[np.ndarray, " k"]]) -> tuple[int, ...]:
    """The classes that a single unit has: they cannot be trained on and scored at once."""
    having = np.sum([counts > 0 for counts in units.values()], axis=0)
    return tuple(np.flatnonzero(having == 1).tolist())


def remaining(piece: Piece, held: Set[int], gap: int) -> UInt8[np.ndarray, "h w"]:
    """The labels that may train while `held` is held out: those of other units that are more than
    `gap` pixels (rows and columns counted alike) from every labelled pixel held out.
    """
    near = np.isin(piece.around, list(held))
    if gap and near.any():
        near = maximum_filter(near, size=2 * gap + 1, mode="constant")
    return np.where(near[piece.inside], np.uint8(IGNORE), piece.labels)


def held_out(ground: Ground, method: str, learn: Learn = recipe.learn) -> Held | None:
    """Predict every unit by a model that trained without it and without labels within its gap.

    Units and parts follow from labels and seed alone, so two methods are scored on the same.
    Training may see the image of held-out ground beside other labels, never its labels. Only the
    pieces that hold labels are predicted, so pixels at a piece's edge see less context than in a
    map.

    Returns:
        None where fewer than two parts can be held out, or no class has two units.
    """
    classes = len(ground.classes)
    found = inventory(ground.pieces, classes)
    single = alone(found)
    groups = folds(found, ground.recipe.folds, ground.recipe.seed)
    if len(groups) < 2 or len(single) == int((sum(found.values()) > 0).sum()):
        return None
    matrices = {}
    for number, group in enumerate(groups, 1):
        labels = [remaining(piece, group, ground.recipe.gap) for piece in ground.pieces]
        if not any((part < classes).any() for part in labels):
            log.warning("part %d leaves no label to train on and is not scored", number)
            continue
        log.info("part %d of %d: trained without %d units", number, len(groups), len(group))
        learned = learn(ground, labels, f"part-{number}", method)
        matrices |= _confusions(ground, learned, group)
    if not matrices:
        return None
    units = sorted(matrices)
    return Held(units, np.stack([matrices[u] for u in units]), len(groups), single)


def summary(held: Held | None, classes: Sequence[str], seed: int) -> Mapping[str, object]:
    """Scores over all held-out labelled pixels, as fractions, each with a 95 % interval.

    The interval is the percentile bootstrap over whole units, stratified by the class of most of
    their pixels, with `resamples` drawings. It holds for other units on this scene, not for other
    scenes, and is too narrow with fewer than 15 units.
    """
    if held is None:
        return {"scored": False, "why": "no class has two units that can be held out apart"}
    value = metrics.scores(held.confusion, held.ignored)
    intervals = {name: _ends(values) for name, values in _drawn(held, seed).items()}
    return {
        "scored": True,
        "units": len(held.units),
        "parts": held.folds,
        "pixels": int(held.confusion.sum()),
        "few": len(held.units) < FEW,
        "resamples": RESAMPLES,
        "ignored": [classes[i] for i in held.ignored],
        "miou": metrics.known(value.miou, 6),
        "miou_interval": intervals["miou"],
        "accuracy": metrics.known(value.accuracy, 6),
        "accuracy_interval": intervals["accuracy"],
        "iou": {name: metrics.known(v, 6) for name, v in zip(classes, value.iou, strict=True)},
        "confusion": held.confusion.sum(axis=0).tolist(),
    }


def difference(one: Held, other: Held, seed: int) -> Mapping[str, object]:
    """How much more mIoU `one` has than `other` over the same held-out units, as a fraction.

    The interval is that of `summary`, each drawing of units scoring both. The `verdict` is "better"
    or "worse" where it excludes 0.

    Raises:
        ValueError: they are of different units.
    """
    if list(one.units) != list(other.units):
        raise ValueError("scores of different units have no paired difference")
    values = [metrics.scores(held.confusion, held.ignored).miou for held in (one, other)]
    low, high = _ends(_drawn(one, seed)["miou"] - _drawn(other, seed)["miou"])
    verdict = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    return {
        "miou": metrics.known(values[0] - values[1], 6),
        "interval": [low, high],
        "units": len(one.units),
        "verdict": verdict,
    }


def _kept(asked: str, tried: Mapping[str, Mapping[str, object]]) -> tuple[str, str]:
    if asked != "best":
        return asked, "it was asked for"
    if not all(scores["scored"] for scores in tried.values()):
        return "network", "the two could not be scored"
    network, forest = (tried[name]["miou"] for name in METHODS)
    if network == forest:
        return "network", "the held-out mIoU of both is the same"
    return "network" if network > forest else "forest", "its held-out mIoU is the higher one"


def _confusions(
    ground: Ground, learned: Learned, group: Set[int]
) -> dict[int, Int[np.ndarray, "k k"]]:
    found: dict[int, np.ndarray] = {}
    for piece in ground.pieces:
        here = group & set(np.unique(piece.units).tolist())
        if not here:
            continue
        image = to_bytes(*ground.read(piece.rows, piece.columns), learned.ranges)
        guess = learned.predictor.probabilities(image).argmax(axis=0).astype(np.uint8)
        for unit in here:
            truth = np.where(piece.units == unit, piece.labels, np.uint8(IGNORE))
            matrix = metrics.confusion(guess, truth, len(ground.classes))
            found[unit] = found.get(unit, 0) + matrix
    return found


def _drawn(held: Held, seed: int) -> dict[str, Float[np.ndarray, " n"]]:
    rng = np.random.default_rng(seed)
    main = held.confusion.sum(axis=2).argmax(axis=1)
    groups = [np.flatnonzero(main == value) for value in np.unique(main)]
    found = {"miou": [], "accuracy": []}
    for _ in range(RESAMPLES):
        taken = np.concatenate([rng.choice(group, len(group)) for group in groups])
        if np.delete(held.confusion[taken], held.ignored, axis=1).any():
            value = metrics.scores(held.confusion[taken], held.ignored)
            found["miou"].append(value.miou)
            found["accuracy"].append(value.accuracy)
    return {name: np.array(values) for name, values in found.items()}


def _ends(values: Float[np.ndarray, " n"]) -> list[float]:
    return [round(float(v), 6) for v in np.percentile(values, (2.5, 97.5))]
