"""The learner `pixel_forest`: a random forest of single pixels, the baseline of practitioners.

scikit-learn at its defaults. A model is kept with skops, so nothing has to be unpickled.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from zipfile import ZIP_DEFLATED, BadZipFile

import numpy as np
import sklearn
import skops.io
import torch
from jaxtyping import Float32, Int, UInt8
from sklearn.ensemble import RandomForestClassifier

from fewlabels.devices import Compute
from fewlabels.learners import sound
from fewlabels.types import IGNORE, NoLabelsError, Row

FILE = "model.skops"
TRUSTED = ("sklearn.tree._tree.Tree",)  # skops cannot check its nodes; `sound` does
MOST = 20_000  # labelled pixels of a class that are used: more cost time and add little


@dataclass(frozen=True)
class PixelForest:
    """A grown forest; see `learners.Predictor`."""

    forest: RandomForestClassifier
    classes: int
    origin: Mapping[str, object] = field(default_factory=dict)
    history: ClassVar[Sequence[Row]] = ()
    halo: ClassVar[int] = 0

    def probabilities(self, image: UInt8[np.ndarray, "h w c"]) -> Float32[np.ndarray, "k h w"]:
        """The share of each class, averaged over the trees; 0 for a class without training pixels.

        As many threads as torch uses each predict a part of the pixels.
        """
        h, w, c = image.shape
        threads = min(torch.get_num_threads(), h * w)
        parts = np.array_split(image.reshape(-1, c).astype(np.float32), threads)
        with ThreadPoolExecutor(threads) as pool:
            shares = np.concatenate(list(pool.map(self.forest.predict_proba, parts)))
        found = np.zeros((self.classes, h * w), np.float32)
        found[self.forest.classes_] = shares.T
        return found.reshape(self.classes, h, w)

    def write(self, file: Path) -> None:
        skops.io.dump(self.forest, file, compression=ZIP_DEFLATED, compresslevel=1)


def fit(
    images: Sequence[UInt8[np.ndarray, "_ _ c"]],
    labels: Sequence[UInt8[np.ndarray, "_ _"]],
    classes: int,
    *,
    seed: int = 0,
    compute: Compute | None = None,
    trees: int = 100,
) -> PixelForest:
    """Grow a forest on the labelled pixels; see `learners.Learner.fit`.

    At most 20,000 pixels of a class are used, drawn from `seed`. It runs on the CPU whatever
    `compute` says.

    Raises:
        NoLabelsError: no pixel has a label.
    """
    pairs = [(image, drawn, drawn != IGNORE) for image, drawn in zip(images, labels, strict=True)]
    if not any(here.any() for _, _, here in pairs):
        raise NoLabelsError("no pixel has a label, so no forest can be grown")
    values = np.concatenate([image[here] for image, _, here in pairs])
    wanted = np.concatenate([drawn[here] for _, drawn, here in pairs])
    taken = np.concatenate(list(_drawn(wanted, seed)))
    grown = RandomForestClassifier(trees, random_state=seed)
    grown.fit(values[taken].astype(np.float32), wanted[taken])
    origin = {"weights": "none", "origin": f"scikit-learn {sklearn.__version__}, {trees} trees"}
    return PixelForest(grown, classes, origin)


def read(file: Path, classes: int, channels: int, compute: Compute) -> PixelForest:
    """The forest in a file; see `learners.Learner.read`.

    Raises:
        OSError, ValueError, TypeError, KeyError: the file is not there, damaged, holds other types
            than a forest has, or is for other classes or channels.
    """
    sound.archive(file)
    try:
        found = skops.io.load(file, trusted=TRUSTED)
    except (BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, RandomForestClassifier):
        raise ValueError(f"a {type(found).__name__} is no random forest")
    sound.trees(found)
    if found.n_features_in_ != channels or not set(found.classes_) <= set(range(classes)):
        raise ValueError(
            f"the forest is for {found.n_features_in_} bands and classes {found.classes_.tolist()};"
            f" needed are {channels} bands and classes below {classes}"
        )
    return PixelForest(found, classes)


def _drawn(wanted: UInt8[np.ndarray, " n"], seed: int) -> Iterator[Int[np.ndarray, " m"]]:
    """Where the pixels of each class are, at most 20,000 of them."""
    rng = np.random.default_rng(seed)
    for value in np.unique(wanted):
        at = np.flatnonzero(wanted == value)
        yield at if len(at) <= MOST else np.sort(rng.permutation(at)[:MOST])
