"""Growing a forest on some of the labels, with scikit-learn at its defaults."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
import sklearn
import torch
from jaxtyping import Float32, Float64, Int, UInt8
from sklearn.ensemble import RandomForestClassifier

from fewlabels.learners.forest import Forest
from fewlabels.mapping import tiles
from fewlabels.mapping.bands import to_bytes
from fewlabels.mapping.learn import Ground, Learned
from fewlabels.training import networks
from fewlabels.types import IGNORE, NoLabelsError

MOST = 20_000  # labelled pixels of a class that grow a forest: more cost time and tell little


def learn(ground: Ground, labels: Sequence[UInt8[np.ndarray, "h w"]], name: str) -> Learned:
    """A forest grown on these labels, one array for each piece of the ground.

    Of a class with more than 20,000 labelled pixels as many are drawn from the recipe's seed. The
    recipe's class weights, loss and augmentation do not apply; nothing is kept under `name`, since
    it takes seconds.

    Raises:
        NoLabelsError: no piece has a label.
    """
    began = time.perf_counter()
    used = [
        (piece, drawn)
        for piece, drawn in zip(ground.pieces, labels, strict=True)
        if (drawn != IGNORE).any()
    ]
    if not used:
        raise NoLabelsError(f"{name}: no label is left to grow a forest on")
    ranges = tiles.ranges([piece for piece, _ in used], ground.read)
    values = np.concatenate(
        [
            to_bytes(*ground.read(piece.rows, piece.columns), ranges)[drawn != IGNORE]
            for piece, drawn in used
        ]
    )
    wanted = np.concatenate([drawn[drawn != IGNORE] for _, drawn in used])
    taken = np.concatenate(list(_drawn(wanted, ground.recipe.seed)))
    grown = RandomForestClassifier(ground.recipe.trees, random_state=ground.recipe.seed)
    grown.fit(normalised(values[taken]), wanted[taken])
    counts = np.bincount(wanted[taken], minlength=len(ground.classes))
    origin = f"scikit-learn {sklearn.__version__}, {ground.recipe.trees} trees"
    made = tables(grown, len(ground.classes))
    weights, seconds = {"weights": "none", "origin": origin}, time.perf_counter() - began
    return Learned(made, ranges, [], weights, counts.tolist(), seconds)


def normalised(values: UInt8[np.ndarray, "n c"]) -> Float32[np.ndarray, "n c"]:
    """Bytes of pixels as a network would get them."""
    images = torch.from_numpy(values.T.copy())[None, :, :, None]
    return networks.normalise(images)[0, :, :, 0].T.contiguous().numpy()


def tables(grown: RandomForestClassifier, classes: int) -> Forest:
    """The trees that scikit-learn grew, as arrays; classes it never saw have no share.

    scikit-learn asks whether a float32 is above a float64, that is above that float64 rounded down.
    """
    trees = [tree.tree_ for tree in grown.estimators_]
    roots = np.cumsum([0] + [tree.node_count for tree in trees])[:-1]
    feature = np.concatenate([np.maximum(tree.feature, 0) for tree in trees])
    ways, share = [], np.zeros((len(feature), classes), np.float32)
    for root, tree in zip(roots, trees, strict=True):
        down = np.stack([tree.children_left, tree.children_right], axis=1)
        own = np.arange(tree.node_count)[:, None]
        ways.append(root + np.where(down < 0, own, down))
        votes = tree.value[:, 0, :]
        share[root : root + tree.node_count, grown.classes_] = votes / votes.sum(1, keepdims=True)
    return Forest(
        roots=torch.from_numpy(roots),
        feature=torch.from_numpy(feature.astype(np.int64)),
        threshold=torch.from_numpy(_down(np.concatenate([tree.threshold for tree in trees]))),
        ways=torch.from_numpy(np.concatenate(ways).astype(np.int64)),
        share=torch.from_numpy(share),
        depth=torch.tensor(max(tree.max_depth for tree in trees)),
    )


def _drawn(wanted: UInt8[np.ndarray, " n"], seed: int) -> Iterator[Int[np.ndarray, " m"]]:
    """Where the pixels of each class are, at most 20,000 of them."""
    rng = np.random.default_rng(seed)
    for value in np.unique(wanted):
        at = np.flatnonzero(wanted == value)
        yield at if len(at) <= MOST else np.sort(rng.permutation(at)[:MOST])


def _down(values: Float64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    """The largest float32 that is not above each value."""
    near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)
