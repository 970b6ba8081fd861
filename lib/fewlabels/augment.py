"""Augmentation of image and labels together; nothing else of the project knows the library.

Every transform moves labels exactly as pixels: nothing is interpolated between classes and what
comes from outside the image is IGNORE.
"""

import os
import threading
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from fewlabels.types import unknown

Pair = tuple[UInt8[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]]
Augment = Callable[[int, UInt8[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]], Pair]

NAMES = ("none", "d4")


def augmentation(name: str) -> Augment:
    """A function (seed, image, labels) -> (image, labels), pure: the seed decides everything.

    Args:
        name: `none`, or `d4`: one of the eight flips and quarter turns of a square, which map an
            image seen from above to one as likely.

    Raises:
        UnknownName: no such augmentation.
    """
    if name not in NAMES:
        raise unknown("augmentation", name, NAMES)
    if name == "none":
        return lambda seed, image, labels: (image, labels)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks a server otherwise
    import albumentations

    own = threading.local()  # a pipeline holds its random state, so each thread has one

    def apply(
        seed: int, image: UInt8[np.ndarray, "h w c"], labels: UInt8[np.ndarray, "h w"]
    ) -> Pair:
        if not hasattr(own, "pipeline"):
            own.pipeline = albumentations.Compose([albumentations.D4(p=1)])
        own.pipeline.set_random_seed(seed)
        moved = own.pipeline(image=image, mask=labels)
        return moved["image"], moved["mask"]

    return apply
