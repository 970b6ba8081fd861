"""Learners: from images and sparse labels to a predictor of class probabilities.

Every learner has the same functions (`Learner`) and is registered in `LEARNERS`. All but
`fine_tuned` and `network` describe a pixel by features and fit a head to them in seconds. The study
and the tool use the same objects.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from fewlabels.devices import Compute
from fewlabels.learners import network
from fewlabels.learners.bank import BANDS, FROZEN, TEXTURE
from fewlabels.learners.features import FeatureLearner
from fewlabels.learners.tuned import FineTuned
from fewlabels.types import Row

__all__ = ["LEARNERS", "Learner", "Predictor"]


@runtime_checkable
class Predictor(Protocol):
    """A fitted model.

    Attributes:
        halo: how many pixels around a pixel its probabilities depend on; None if unbounded.
        origin: what it was made from, for the record.
        history: one row a training step; empty where there are no steps.
    """

    halo: int | None
    origin: Mapping[str, object]
    history: Sequence[Row]

    def probabilities(self, image: UInt8[np.ndarray, "h w c"]) -> Float32[np.ndarray, "k h w"]:
        """The probability of every class at every pixel; they sum to 1 over the classes."""

    def write(self, file: Path) -> None:
        """Keep the model in a file that `Learner.read` takes, without pickle."""


@runtime_checkable
class Learner(Protocol):
    """What a learner's module provides.

    Attributes:
        FILE: name of the file that a predictor is kept in.
    """

    FILE: str

    def fit(
        self,
        images: Sequence[UInt8[np.ndarray, "_ _ c"]],
        labels: Sequence[UInt8[np.ndarray, "_ _"]],
        classes: int,
        *,
        seed: int = 0,
        compute: Compute | None = None,
        **options: object,
    ) -> Predictor:
        """Fit to the labelled pixels: a class in [0, classes), or IGNORE where there is no label.

        The default of `compute` is `devices.compute("auto")`.

        Raises:
            NoLabelsError: no pixel has a label.
        """

    def read(
        self, file: Path, classes: int, channels: int, compute: Compute, **options: object
    ) -> Predictor:
        """The predictor in a file.

        Raises:
            OSError, ValueError, TypeError, KeyError, RuntimeError: the file is not there, damaged
                or for other classes or channels.
        """


FINE, ALL = (1, 2, 4, 8), (1, 2, 4, 8, 16)  # scales of texture filters, in pixels

FROZEN_LINEAR = FeatureLearner((BANDS, TEXTURE, FROZEN), "linear", FINE)

LEARNERS: Mapping[str, Learner] = MappingProxyType(
    {
        "pixel_forest": FeatureLearner((BANDS,), "forest"),
        "texture_forest": FeatureLearner((BANDS, TEXTURE), "trees", ALL),
        "frozen_linear": FROZEN_LINEAR,
        "frozen_forest": FeatureLearner((BANDS, TEXTURE, FROZEN), "trees", ALL),
        "fine_tuned": FineTuned(FROZEN_LINEAR),
        "network": network,
    }
)
