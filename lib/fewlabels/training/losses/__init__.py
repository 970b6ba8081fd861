"""Losses over labelled pixels only.

Each takes logits and labels and returns one number whose denominator is stated, because the
denominator is the method: dividing by all pixels would shrink the loss, and with it the effective
learning rate, as labels get rarer.

All share two arguments. `class_weights` (k numbers, none negative) makes a mean a weighted mean.
`left_out` names classes that are not learned: a pixel labelled with one counts as unlabelled,
while the class's logit stays in the softmax, so that the other pixels teach the network not to
predict it. (Without its logit the class would never be trained, and an argmax over all classes
could pick it anywhere.)
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
