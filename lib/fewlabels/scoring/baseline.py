"""Classify pixels by colour alone: a network that scores higher has learned more than colour."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fewlabels.scoring.metrics import confusion
from fewlabels.types import IGNORE, Tile

PIXELS = 100_000


def colour_alone(
    train: Sequence[Tile], test: Sequence[Tile], classes: int, *, seed: int = 0
) -> Int[np.ndarray, "tiles k k"]:
    """Compute the confusion matrix of each test tile under a linear classifier of single pixels.

    Multinomial logistic regression on the standardised bands, fitted to at most 100,000 pixels
    drawn from the dense masks of the training tiles: more labels than any sparse budget has.
    """
    fitted = _fitted(train, seed)
    return np.stack([confusion(_predicted(fitted, tile), tile.mask, classes) for tile in test])


def _fitted(train: Sequence[Tile], seed: int) -> Pipeline:
    bands = np.concatenate([tile.image[tile.mask != IGNORE] for tile in train])
    truth = np.concatenate([tile.mask[tile.mask != IGNORE] for tile in train])
    drawn = np.random.default_rng(seed).permutation(len(truth))[:PIXELS]
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(bands[drawn], truth[drawn])


def _predicted(fitted: Pipeline, tile: Tile) -> np.ndarray:
    flat = tile.image.reshape(-1, tile.image.shape[-1])
    return fitted.predict(flat).astype(np.uint8).reshape(tile.mask.shape)
