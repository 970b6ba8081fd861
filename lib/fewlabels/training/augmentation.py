"""Augment image and labels together; no other module knows the library that does it.

Every transform moves labels exactly as pixels: nothing is interpolated between classes, and pixels
from outside the image are IGNORE.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from fewlabels.types import IGNORE, unknown

Pair = tuple[UInt8[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]]
Augment = Callable[[int, UInt8[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]], Pair]

NAMES = ("none", "d4", "flips", "rotate", "shift_scale_rotate")
FILLS = ("reflect", "black")


@dataclass(frozen=True)
class Motion:
    """How far `rotate` and `shift_scale_rotate` move a crop, evenly in both directions.

    Attributes:
        share: of the crops that are moved at all, from 0 to 1.
        degrees: largest angle.
        shift: largest shift on each axis, as a fraction of its length.
        zoom: largest change of size, as a fraction of it, below 1.
        fill: what the image shows from outside: `reflect` (mirrored) or `black`.
    """

    share: float = 0.5
    degrees: float = 45.0
    shift: float = 0.0625
    zoom: float = 0.1
    fill: str = "reflect"


def augmentation(name: str, motion: Motion | None = None) -> Augment:
    """Make a pure function (seed, image, labels) -> (image, labels).

    Args:
        name: one of these, or several joined by `+` and applied in that order:
            `none`;
            `d4`: one of the eight flips and quarter turns of a square;
            `flips`: left and right, up and down, each in half of the crops;
            `rotate`: by any angle about the centre;
            `shift_scale_rotate`: that, with a shift and a change of size.
        motion: of the last two, the default `Motion()`. They read labels from the nearest pixel, so
            a lone labelled pixel may vanish or become several; where every label of a crop would
            vanish, the crop stays as it was.

    Raises:
        UnknownName: no such augmentation or fill.
    """
    parts, motion = name.split("+"), motion or Motion()
    for part in parts:
        if part not in NAMES:
            raise unknown("augmentation", part, NAMES)
    if motion.fill not in FILLS:
        raise unknown("fill", motion.fill, FILLS)
    if set(parts) == {"none"}:
        return lambda seed, image, labels: (image, labels)
    own = threading.local()  # a transform holds its random state, so each thread has its own

    def apply(
        seed: int, image: UInt8[np.ndarray, "h w c"], labels: UInt8[np.ndarray, "h w"]
    ) -> Pair:
        if not hasattr(own, "of_image"):
            own.of_image = _transforms(parts, motion, "image")
            own.of_labels = _transforms(parts, motion, "labels")
        moved = _moved(own.of_labels, seed, labels)
        if (labels != IGNORE).any() and not (moved != IGNORE).any():
            return image, labels
        return _moved(own.of_image, seed, image), moved

    return apply


def cutmix(
    images: UInt8[np.ndarray, "b c h w"],
    labels: UInt8[np.ndarray, "b h w"],
    share: float,
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "b c h w"], UInt8[np.ndarray, "b h w"]]:
    """Paste a box of another crop of the batch, with its labels, into some of the crops.

    The other crops are the batch in random order, where on average one crop is its own and stays as
    it is. A box covers an evenly drawn fraction of the area, before what lies outside is cut off;
    its centre is anywhere. A paste that would leave a crop without a label is skipped.

    Args:
        share: of the crops that get a box.

    Source: Yun et al. 2019, https://arxiv.org/abs/1905.04899, with alpha = 1; there the labels of
    whole images are mixed, here those of pixels move with them.
    """
    mixed, moved = images.copy(), labels.copy()
    others = rng.permutation(len(images))
    for crop, other in enumerate(others):
        chosen, rows, columns = rng.random() < share, *_box(labels.shape[1:], rng)
        if not chosen:
            continue
        pasted = labels[crop].copy()
        pasted[rows, columns] = labels[other, rows, columns]
        if (pasted != IGNORE).any():
            moved[crop] = pasted
            mixed[crop, :, rows, columns] = images[other, :, rows, columns]
    return mixed, moved


def _box(shape: tuple[int, ...], rng: np.random.Generator) -> list[slice]:
    half, centres = np.sqrt(rng.random()) / 2, rng.random(2)
    return [
        slice(max(0, round(n * (centre - half))), min(n, round(n * (centre + half))))
        for n, centre in zip(shape, centres, strict=True)
    ]


def _moved(transforms: list[Callable], seed: int, array: np.ndarray) -> np.ndarray:
    """Apply one transform after the other, each with a seed of its own: the library would give all
    of them the same draws, so that a crop is flipped up and down whenever it is left and right.
    """
    seeds = [seed, *np.random.SeedSequence(seed).generate_state(len(transforms) - 1).tolist()]
    for transform, own in zip(transforms, seeds, strict=True):
        transform.set_random_seed(own)
        array = transform(image=array)["image"]
    return array


def _transforms(parts: list[str], motion: Motion, of: str) -> list[Callable]:
    """Make the transforms of an image, or of labels: the same draws, other pixels from outside."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks a server otherwise
    import albumentations
    import cv2

    border = cv2.BORDER_CONSTANT if motion.fill == "black" else cv2.BORDER_REFLECT_101
    outside = {"border_mode": border, "interpolation": cv2.INTER_LINEAR}
    if of == "labels":
        outside = {"border_mode": cv2.BORDER_CONSTANT, "interpolation": cv2.INTER_NEAREST}
        outside["fill"] = IGNORE

    def affine(shift: float, zoom: float) -> albumentations.Affine:
        return albumentations.Affine(
            rotate=(-motion.degrees, motion.degrees),
            translate_percent=(-shift, shift),
            scale=(1 - zoom, 1 + zoom),
            keep_ratio=True,
            p=motion.share,
            **outside,
        )

    made = {
        "none": [],
        "d4": [albumentations.D4(p=1)],
        "flips": [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)],
        "rotate": [affine(0.0, 0.0)],
        "shift_scale_rotate": [affine(motion.shift, motion.zoom)],
    }
    return [albumentations.Compose([each]) for part in parts for each in made[part]]
