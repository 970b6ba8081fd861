"""Losses over labelled pixels only: each returns one number whose denominator is stated.

Dividing by all pixels would shrink the loss, and with it the effective learning rate, as labels get
rarer. A loss is one function, usually one file, and one line in `LOSSES`.

All losses share two arguments. `class_weights` (k numbers, none negative) makes a mean a weighted
mean. `ignored` names classes to ignore: a pixel labelled with one counts as unlabelled, while the
class's logit stays in the softmax, so that the other pixels teach the network not to predict it.
"""

from collections.abc import Callable

from torch import Tensor

from fewlabels.training.losses.cross_entropy import partial_cross_entropy, partial_focal
from fewlabels.training.losses.labelled import labelled_pixels
from fewlabels.training.losses.region import partial_dice, partial_focal_tversky, partial_tversky
from fewlabels.training.losses.weights import WEIGHTINGS, class_weights

__all__ = [
    "LOSSES",
    "WEIGHTINGS",
    "class_weights",
    "labelled_pixels",
    "partial_cross_entropy",
    "partial_dice",
    "partial_focal",
    "partial_focal_tversky",
    "partial_tversky",
]

LOSSES: dict[str, Callable[..., Tensor]] = {
    "partial_cross_entropy": partial_cross_entropy,
    "partial_focal": partial_focal,
    "partial_dice": partial_dice,
    "partial_tversky": partial_tversky,
    "partial_focal_tversky": partial_focal_tversky,
}
