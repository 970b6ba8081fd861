"""How good learners are on ground that did not train: held-out units, their scores, and which
learner is kept.

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
from tqdm.auto import tqdm

from fewlabels.learners import features, heads
from fewlabels.mapping import labelled_pixels, recipe
from fewlabels.mapping.labelled_pixels import LabelledPixels
from fewlabels.mapping.recipe import LOOPED, METHODS, Ground, Learned
from fewlabels.mapping.scene import to_bytes
from fewlabels.mapping.score_summary import FEW
from fewlabels.mapping.tiles import Piece, inventory
from fewlabels.scoring import metrics
from fewlabels.types import IGNORE

log = logging.getLogger(__name__)

RESAMPLES = 2000
TIE = 0.01  # of mIoU; of learners within a point of the highest score the cheapest is kept
Matrices = Mapping[int, Int[np.ndarray, "k k"]]
Predicted = Callable[[Sequence[UInt8[np.ndarray, "h w"]], Set[int], str], Matrices]
"""Confusion matrix of each held-out unit, from (labels of each piece, units held out, name)."""


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
    """Which learners were scored and which is kept.

    Attributes:
        method: the one to keep.
        why: in words.
        tried: `summary` of each learner that was scored.
        differences: `difference` of the kept learner minus each other one.
    """

    method: str
    why: str
    tried: Mapping[str, Mapping[str, object]]
    differences: Mapping[str, Mapping[str, object]]


def choice(ground: Ground, pixels: LabelledPixels | None) -> Choice:
    """Score the learners of the recipe's method on the same held-out units, and choose.

    For `auto` the one with the highest held-out mIoU, or the cheapest of those within a point of
    it. The score of the best of several is slightly too high, since all were scored on the same
    units.

    Args:
        pixels: of the learners that have no training loop; None where there is none.
    """
    asked, seed = ground.recipe.method, ground.recipe.seed
    names = METHODS[asked]
    if not ground.recipe.folds:
        scores = {"scored": False, "why": "it was not asked for (folds 0)"}
        method = names[0] if asked == "auto" else asked
        return Choice(method, "nothing was scored", {method: scores}, {})
    held = {}
    with tqdm(total=len(names) * ground.recipe.folds, unit="fit") as bar:
        for name in names:
            bar.set_description(f"scoring {name} on held-out labels")
            own = of_loop(ground) if name in LOOPED else of_features(ground, pixels, name)
            held[name] = held_out(ground, own, bar.update)
    tried = {name: summary(found, ground.classes, seed) for name, found in held.items()}
    method, why = _kept(asked, tried)
    best = held[method]
    apart = {
        name: difference(best, found, seed)
        for name, found in held.items()
        if name != method and best is not None
    }
    return Choice(method, why, tried, apart)


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


def held_out(
    ground: Ground, predicted: Predicted, tick: Callable[[], object] = lambda: None
) -> Held | None:
    """Predict every unit by a model that trained without it and without labels within its gap.

    Units and parts follow from labels and seed alone, so all learners are scored on the same. The
    image of held-out ground may be seen in training, never its labels. `tick` follows each part.

    Returns:
        None where fewer than two parts can be held out, or no class has two units.
    """
    classes = len(ground.classes)
    found = inventory(ground.pieces, classes)
    single = alone(found)
    groups = folds(found, ground.recipe.folds, ground.recipe.seed)
    if len(groups) < 2 or len(single) == int((sum(found.values()) > 0).sum()):
        return None
    matrices: dict[int, np.ndarray] = {}
    for number, group in enumerate(groups, 1):
        labels = [remaining(piece, group, ground.recipe.gap) for piece in ground.pieces]
        left = set().union(*(np.unique(part[part != IGNORE]).tolist() for part in labels))
        if len(left) < 2:
            log.warning("part %d leaves labels of %d classes and is not scored", number, len(left))
            continue
        matrices |= predicted(labels, group, f"part-{number}")
        tick()
    if not matrices:
        return None
    units = sorted(matrices)
    return Held(units, np.stack([matrices[u] for u in units]), len(groups), single)


def of_loop(ground: Ground, learn: Callable[..., Learned] = recipe.learn) -> Predicted:
    """Train the recipe's learner for each part. Only the pieces that hold labels are predicted, so
    pixels at a piece's edge see less context than in a map.
    """

    def predicted(labels: Sequence[np.ndarray], group: Set[int], name: str) -> Matrices:
        learned, found = learn(ground, labels, name), {}
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

    return predicted


def of_features(ground: Ground, pixels: LabelledPixels, method: str) -> Predicted:
    """Fit a learner that has no training loop to the labelled pixels of the other parts.

    Where only some of a class's labelled pixels are used, each counts for as many as it stands for.
    """

    def predicted(labels: Sequence[np.ndarray], group: Set[int], name: str) -> Matrices:
        kept = labelled_pixels.among(pixels, labels)
        learned = labelled_pixels.fitted(ground, pixels, method, kept)
        columns = features.columns_of(pixels.bank, learned.bank)
        held = np.flatnonzero(np.isin(pixels.units, list(group)))
        guess = heads.mapped(learned.head, pixels.x[held][:, columns])
        found = {}
        for unit in np.unique(pixels.units[held]).tolist():
            own = pixels.units[held] == unit
            truth = pixels.y[held][own]
            matrix = metrics.confusion(guess[own][None], truth[None], len(ground.classes))
            found[unit] = np.rint(matrix * pixels.weight[:, None]).astype(np.int64)
        return found

    return predicted


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
    if asked != "auto":
        return asked, "it was asked for"
    scored = {name: scores["miou"] for name, scores in tried.items() if scores["scored"]}
    if not scored:
        return next(iter(tried)), "nothing could be scored, and its map costs least"
    best = max(scored, key=scored.get)
    kept = next(name for name in tried if scored.get(name, -1) >= scored[best] - TIE)
    if kept == best:
        return kept, "its held-out mIoU is the highest"
    return kept, f"its map costs less than that of {best}, and its score is within a point of it"


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
