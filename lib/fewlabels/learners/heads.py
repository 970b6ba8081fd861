"""From features of labelled pixels to class probabilities: scikit-learn's forests and logistic
regression, kept without pickle.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from warnings import catch_warnings, filterwarnings
from zipfile import ZIP_DEFLATED, BadZipFile

import numpy as np
import torch
from jaxtyping import Float32, Int, Shaped, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.optim import LBFGS

from fewlabels.learners import sound

PENALTIES = (0.01, 0.1, 1.0)
USUAL = 0.1  # where there are too few units to choose by
PARTS = 3  # of the cross-validation
SAME = 0.02  # nats of log loss: penalties this close to the best count as equal
ITERATIONS, TOLERANCE = 100, 1e-5  # of the solver of `trained`; largest slope where it stops
LARGEST = 1e9  # a weight or constant of a linear head
ENCODER = "encoder."  # begins the names of an encoder's tensors in the file of a head
NOTHING: Mapping[str, Tensor] = MappingProxyType({})
TRUSTED = ("sklearn.tree._tree.Tree",)  # skops cannot check its nodes; `sound.trees` does
FORESTS = {"forest": RandomForestClassifier, "trees": ExtraTreesClassifier}
MOST = {"linear": 2_000, "trees": 5_000, "forest": 20_000}
"""Labelled pixels of a class that are used, at most: more cost time and add little."""


@dataclass(frozen=True)
class Linear:
    """Multinomial logistic regression on standardised features, written as sums of plain ones.

    Attributes:
        weights: of each class that had a label, 0 for features that do not vary.
        known: those classes.
        penalty: scikit-learn's C, the inverse strength of the penalty.
    """

    weights: Float32[np.ndarray, "m d"]
    bias: Float32[np.ndarray, " m"]
    known: Int[np.ndarray, " m"]
    penalty: float

    def probabilities(self, x: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n m"]:
        logits = torch.from_numpy(x @ self.weights.T + self.bias)
        return logits.softmax(dim=1).numpy()

    def write(
        self, file: Path, about: Mapping[str, object], more: Mapping[str, Tensor] = NOTHING
    ) -> None:
        """Keep the head with what there is about it, and `more` tensors under `encoder.NAME`."""
        tensors = {"weights": self.weights, "bias": self.bias, "known": self.known}
        tensors |= {f"{ENCODER}{name}": value.cpu().numpy() for name, value in more.items()}
        told = {"about": json.dumps(dict(about) | {"penalty": self.penalty})}
        # safetensors writes an array that lies column by column as if it lay row by row
        rows = {name: values.copy(order="C") for name, values in tensors.items()}
        file.write_bytes(save(rows, metadata=told))


@dataclass(frozen=True)
class Forest:
    """A grown forest of scikit-learn."""

    forest: RandomForestClassifier | ExtraTreesClassifier

    @property
    def known(self) -> Shaped[np.ndarray, " m"]:
        return self.forest.classes_

    def probabilities(self, x: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n m"]:
        """The share of each class, averaged over the trees, which torch's threads share."""
        self.forest.n_jobs = torch.get_num_threads()
        return self.forest.predict_proba(x).astype(np.float32)

    def write(self, file: Path, about: Mapping[str, object]) -> None:
        from skops import io  # takes seconds to import

        kept = {"about": json.dumps(about), "forest": self.forest}
        io.dump(kept, file, compression=ZIP_DEFLATED, compresslevel=1)


Head = Linear | Forest


def mapped(head: Head, x: Float32[np.ndarray, "n d"]) -> UInt8[np.ndarray, " n"]:
    """The most probable class of each row of features, the first of equals."""
    return head.known[head.probabilities(x).argmax(axis=1)].astype(np.uint8)


def chosen(kind: str, y: UInt8[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " m"]:
    """Which labelled pixels a head is fitted to: at most MOST of a class, drawn from `seed`."""
    rng, most = np.random.default_rng(seed), MOST[kind]
    found = [np.empty(0, np.int64)]
    for value in np.unique(y):
        at = np.flatnonzero(y == value)
        found.append(at if len(at) <= most else np.sort(rng.permutation(at)[:most]))
    return np.concatenate(found)


def fit(
    kind: str,
    x: Float32[np.ndarray, "n d"],
    y: UInt8[np.ndarray, " n"],
    units: Int[np.ndarray, " n"],
    *,
    seed: int,
    class_weights: str = "none",
    trees: int = 100,
    penalty: float | None = None,
) -> Head:
    """Fit a head: `linear`, `forest` (scikit-learn's random forest) or `trees` (extra trees with at
    least two pixels a leaf, which try a fifth of the features at a split).

    Args:
        units: pixels of one unit look alike; the penalty is chosen by predicting whole units.
        class_weights: `balanced` weighs each class alike whatever its number of labels; `none`.
        penalty: of the linear head; chosen by cross-validation if None.
    """
    weight = "balanced" if class_weights == "balanced" else None
    if kind == "linear":
        with threadpool_limits(1, user_api="blas"):  # small matrices: more threads only wait
            return _linear(x, y, units, weight, penalty)
    leaf = {"min_samples_leaf": 2, "max_features": 0.2} if kind == "trees" else {}
    forest = FORESTS[kind](
        trees, random_state=seed, class_weight=weight, n_jobs=torch.get_num_threads(), **leaf
    )
    return Forest(forest.fit(x, y))


def read_linear(file: Path) -> tuple[Linear, Mapping[str, object]]:
    """Read a linear head and what was kept beside it.

    Raises:
        OSError, ValueError, KeyError, TypeError: the file is not there or damaged.
    """
    try:
        with safe_open(file, framework="numpy") as source:
            about = json.loads(source.metadata()["about"])
            weights, bias, known = map(source.get_tensor, ("weights", "bias", "known"))
            penalty = float(about.pop("penalty"))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    right = (
        weights.dtype == bias.dtype == np.float32
        and known.dtype == np.int64
        and weights.ndim == 2
        and weights.shape[:1] == bias.shape == known.shape
        and np.abs(weights).max(initial=0) < LARGEST
        and np.abs(bias).max(initial=0) < LARGEST
    )
    if not right:  # comparisons with NaN are false, too
        raise ValueError("the weights of the linear head are damaged")
    return Linear(weights, bias, known, penalty), about


def read_forest(file: Path) -> tuple[Forest, Mapping[str, object]]:
    """Read a forest and what was kept beside it.

    Raises:
        OSError, ValueError, KeyError, TypeError: the file is not there, damaged, or holds other
            types than a forest has.
    """
    from skops import io

    sound.archive(file)
    try:
        kept = io.load(file, trusted=TRUSTED)
    except BadZipFile as error:
        raise ValueError(str(error)) from error
    found, about = kept["forest"], json.loads(kept["about"])
    if not isinstance(found, tuple(FORESTS.values())):
        raise ValueError(f"a {type(found).__name__} is no forest")
    sound.trees(found)
    return Forest(found), about


def trained(
    x: Float32[np.ndarray, "n d"],
    y: UInt8[np.ndarray, " n"],
    classes: int,
    loss: Callable[[Tensor, Tensor], Tensor],
    decay: float,
) -> Linear:
    """Train a linear head by a loss of `training.losses` on all pixels at once, by L-BFGS.

    What is minimised is the loss plus decay / 2 times the squared weights of the standardised
    features: with `partial_cross_entropy`, the regression of `fit` at C = 1 / (decay * n). Every
    class gets weights, whether it has a label or not.

    Args:
        loss: of logits [1 k 1 n] and labels [1 1 n].
    """
    z, middle, scale = standardised(x)
    features, truth = torch.from_numpy(z), torch.from_numpy(y.astype(np.int64))[None, None]
    weights = torch.zeros(classes, z.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    solver = LBFGS([weights, bias], max_iter=ITERATIONS, tolerance_grad=TOLERANCE,
                   line_search_fn="strong_wolfe")  # fmt: skip

    def step() -> Tensor:
        solver.zero_grad()
        logits = (features @ weights.T + bias).T[None, :, None]
        value = loss(logits, truth) + decay / 2 * weights.square().sum()
        value.backward()
        return value

    solver.step(step)
    coefficients, constants = (part.detach().numpy() for part in (weights, bias))
    return _plain(coefficients, constants, np.arange(classes), 1 / (decay * len(y)), middle, scale)


def _linear(
    x: np.ndarray, y: np.ndarray, units: np.ndarray, weight: str | None, penalty: float | None
) -> Linear:
    z, middle, scale = standardised(x)
    strength = _penalty(z, y, units, weight) if penalty is None else penalty
    model = _regression(strength, weight).fit(z, y)
    coefficients, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps the difference of the two alone
        coefficients, bias = (
            np.stack([-part[0] / 2, part[0] / 2]) for part in (coefficients, bias)
        )
    return _plain(coefficients, bias, model.classes_.astype(np.int64), strength, middle, scale)


def standardised(x: np.ndarray) -> tuple[Float32[np.ndarray, "n d"], np.ndarray, np.ndarray]:
    """Scale features to mean 0 and deviation 1, or to 0 where they do not vary; return them, their
    means and the factors.
    """
    middle, width = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    varies = width > 1e-6 * np.maximum(np.abs(middle), 1)
    scale = np.where(varies, 1 / np.where(varies, width, 1), 0)
    return ((x - middle) * scale).astype(np.float32), middle, scale


def _plain(
    coefficients: np.ndarray, bias: np.ndarray, known: np.ndarray, strength: float,
    middle: np.ndarray, scale: np.ndarray,
) -> Linear:  # fmt: skip
    """Weights of standardised features as weights of the features."""
    weights = coefficients * scale
    bias = bias - weights @ middle
    return Linear(weights.astype(np.float32), bias.astype(np.float32), known, float(strength))


def _regression(strength: float, weight: str | None) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=300, tol=1e-3, class_weight=weight)


def _penalty(z: np.ndarray, y: np.ndarray, units: np.ndarray, weight: str | None) -> float:
    """Choose the penalty whose log loss over held-out units is least, or the weakest of those
    within SAME of it: the log loss asks for cautious probabilities, the map for the right class.
    """
    parts = min(PARTS, len(np.unique(units)), np.bincount(y).max())
    if parts < 2:
        return USUAL
    losses = {strength: [] for strength in PENALTIES}
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=0)
    with catch_warnings():  # a class of fewer labels than parts is in some of them
        filterwarnings("ignore", message="The least populated class", category=UserWarning)
        split = list(folds.split(z, y, units))
    for train, test in split:
        seen = np.isin(y[test], np.unique(y[train]))
        if len(np.unique(y[train])) < 2 or not seen.any():
            continue
        for strength in PENALTIES:
            model = _regression(strength, weight).fit(z[train], y[train])
            found = model.predict_proba(z[test][seen])
            loss = log_loss(y[test][seen], found, labels=model.classes_)
            losses[strength].append(loss * seen.sum())
    if not any(losses.values()):
        return USUAL
    mean = {strength: np.sum(values) / len(y) for strength, values in losses.items()}
    return max(strength for strength in PENALTIES if mean[strength] <= min(mean.values()) + SAME)
