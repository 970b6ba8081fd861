"""Learners of seconds beside scikit-image's `TrainableSegmenter` with its default features: fit on
1,000 labels, map a megapixel, and how right the maps are.

    python bench/learners.py [SIDE IN PIXELS] [REPEATS]

One process, turn about. The image is the packaged one of Dubai, continued by mirroring to a square;
200 labels of each class are drawn from its mask, and all other pixels with a class are scored.
So training and scored pixels are of one image: the table compares times and learners, and says
nothing of new ground. TrainableSegmenter computes the features of the whole image in either step.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import rasterio
import torch
from skimage.feature import multiscale_basic_features
from skimage.future import TrainableSegmenter
from timing import alternate, record, summary

from fewlabels import devices
from fewlabels.data.sources import dubai
from fewlabels.learners import LEARNERS
from fewlabels.mapping import examples
from fewlabels.scoring import metrics
from fewlabels.types import IGNORE

NAMES = ("frozen_linear", "texture_forest", "pixel_forest", "frozen_forest")
OTHER = "TrainableSegmenter"
EACH, CLASSES = 200, len(dubai.CLASSES)


def main(side: int = 1024, repeats: int = 5) -> None:
    image, mask = ground(side)
    labels = drawn(mask)
    fits = {name: partial(ours, name, image, labels) for name in NAMES}
    fits[OTHER] = partial(theirs, image, labels)
    maps = {name: fit() for name, fit in fits.items()}
    right = {name: scored(mapped(image), mask, labels) for name, mapped in maps.items()}
    called = {name: partial(mapped, image) for name, mapped in maps.items()}
    tables = {
        f"fit on {EACH * CLASSES} labels, {EACH} of a class": summary(
            alternate(fits, repeats=repeats), against=OTHER
        ),
        f"map {side} x {side} pixels": summary(alternate(called, repeats=repeats), against=OTHER),
        "percent, of all pixels without a label": pd.DataFrame(right).T,
    }
    record("learners", tables, {"device": devices.compute("cpu").hardware,
                                "threads": torch.get_num_threads()})  # fmt: skip


def ground(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The packaged image u8[side side 3] and its mask."""
    with TemporaryDirectory() as name:
        examples.example("dubai", Path(name), Path(name))
        with rasterio.open(Path(name, "scene.tif")) as source:
            image = source.read().transpose(1, 2, 0)
        with rasterio.open(Path(name, "truth.tif")) as source:
            mask = source.read(1)
    more = [(0, max(0, side - size)) for size in mask.shape]
    image = np.pad(image, [*more, (0, 0)], "symmetric")[:side, :side]
    return np.ascontiguousarray(image), np.pad(mask, more, "symmetric")[:side, :side]


def drawn(mask: np.ndarray) -> np.ndarray:
    """Labels at random places, EACH of a class."""
    rng, labels = np.random.default_rng(0), np.full_like(mask, IGNORE)
    for value in range(CLASSES):
        at = rng.permutation(np.argwhere(mask == value))[:EACH]
        labels[tuple(at.T)] = value
    return labels


def ours(name: str, image: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    made = LEARNERS[name].fit([image], [labels], CLASSES, compute=devices.compute("cpu"))
    return lambda image: made.probabilities(image).argmax(axis=0)


def theirs(image: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    made = TrainableSegmenter(features_func=partial(multiscale_basic_features, channel_axis=-1))
    made.fit(image, np.where(labels == IGNORE, 0, labels.astype(int) + 1))
    return lambda image: made.predict(image) - 1


def scored(found: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    truth = np.where((labels == IGNORE) & (mask < CLASSES), mask, np.uint8(IGNORE))
    value = metrics.scores(metrics.confusion(found.astype(np.uint8), truth, CLASSES)[None], ())
    return {"mIoU": 100 * value.miou, "accuracy": 100 * value.accuracy}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
