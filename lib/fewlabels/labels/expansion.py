"""Derive more training labels from few: a rule gives unlabelled pixels the class of labelled ones.

Training only; scores always come from dense masks. Every method keeps the given labels and leaves
IGNORE where its rule says nothing. `audits` counts what a rule gets wrong. A method is one function
and one line in METHODS: by distance (`nearest`), or by superpixels, where a label holds for the
whole segment that it lies in.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from skimage import segmentation

from fewlabels.labels.nearest import disc, geodesic, link
from fewlabels.types import IGNORE, DataError, NoLabelsError, unknown


@dataclass(frozen=True)
class Method:
    """A rule of expansion.

    Attributes:
        apply: takes labels, the image where it needs one, and options; returns labels.
        reach: the option that says how far it goes.
        image: whether it looks at the image.
    """

    apply: Callable[..., np.ndarray]
    reach: str
    image: bool

    @property
    def options(self) -> dict[str, float]:
        """The options with their defaults."""
        known = signature(self.apply).parameters.values()
        return {p.name: p.default for p in known if p.kind is p.KEYWORD_ONLY}


def slic(
    labels: UInt8[np.ndarray, "h w"],
    image: Shaped[np.ndarray, "h w c"],
    *,
    size: float = 100,
    compactness: float = 10.0,
) -> UInt8[np.ndarray, "h w"]:
    """Give SLIC segments of about `size` pixels the class of the labels in them (see `filled`).

    Colours are compared in CIELAB, whose
    lightness runs from 0 to 100; images that are not RGB have their values scaled to that range,
    so that `compactness` (colour against distance) means the same for them.

    Source: Achanta et al. 2012, https://doi.org/10.1109/TPAMI.2012.120 (scikit-image)
    """
    number = max(1, round(labels.size / size))
    if image.shape[-1] != 3:
        compactness = compactness / 100  # scikit-image scales them to [0, 1]
    found = segmentation.slic(
        image, n_segments=number, compactness=compactness, start_label=0, channel_axis=-1
    )
    return filled(labels, found)


def felzenszwalb(
    labels: UInt8[np.ndarray, "h w"],
    image: Shaped[np.ndarray, "h w c"],
    *,
    scale: float = 50,
    sigma: float = 0.8,
    least: int = 20,
) -> UInt8[np.ndarray, "h w"]:
    """Give Felzenszwalb's graph segments the class of the labels in them (see `filled`).

    Larger `scale` makes larger segments, of at least `least` pixels.

    Source: Felzenszwalb and Huttenlocher 2004,
    https://doi.org/10.1023/B:VISI.0000022288.19776.77 (scikit-image)
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Got image with third dimension")  # bands, as meant
        found = segmentation.felzenszwalb(
            image, scale=scale, sigma=sigma, min_size=least, channel_axis=-1
        )
    return filled(labels, found)


def filled(
    labels: UInt8[np.ndarray, "h w"], segments: Int[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Give every pixel of a segment the class of its labels, if they are all of one class."""
    known = labels != IGNORE
    number, mine, value = int(segments.max()) + 1, segments[known], labels[known]
    low, high = np.full(number, IGNORE, np.uint8), np.zeros(number, np.uint8)
    np.minimum.at(low, mine, value)
    np.maximum.at(high, mine, value)
    agreed = np.where(low == high, low, IGNORE)
    return np.where(known, labels, agreed[segments])


METHODS: dict[str, Method] = {
    "link": Method(link, "distance", image=False),
    "disc": Method(disc, "radius", image=False),
    "geodesic": Method(geodesic, "radius", image=True),
    "slic": Method(slic, "size", image=True),
    "felzenszwalb": Method(felzenszwalb, "scale", image=True),
}
NAMES = ("none", *METHODS)


def expand(
    labels: UInt8[np.ndarray, "h w"],
    how: str,
    *,
    image: Shaped[np.ndarray, "h w c"] | None = None,
    **options: float,
) -> UInt8[np.ndarray, "h w"]:
    """Return the given labels and those that `how` derives from them.

    Args:
        labels: class in [0, k), or IGNORE where the pixel has no label.
        how: `none`; `link` (distance): lines between labels of one class; `disc` (radius): the
            nearest label; `geodesic` (radius, edge): the nearest along paths that avoid edges;
            `slic` (size, compactness) and `felzenszwalb` (scale, sigma, least): whole segments.
        image: what the last three follow; any number of bands.
        **options: each a positive number; see the methods.

    Raises:
        UnknownName: no such method or option.
        NoLabelsError: no pixel is labelled.
        DataError: the image is missing, of another size, or holds values that are not finite.
        ValueError: an option is not a positive number.
    """
    if how not in NAMES:
        raise unknown("expansion", how, NAMES)
    if not (labels != IGNORE).any():
        raise NoLabelsError(f"0 of {labels.size} pixels are labelled, so '{how}' has no start")
    known = METHODS[how].options if how != "none" else {}
    for name, value in options.items():
        if name not in known:
            raise unknown(f"option of expansion '{how}'", name, known)
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{how}: {name} must be a positive number, found {value}")
    if how == "none":
        return labels.copy()
    if not METHODS[how].image:
        return METHODS[how].apply(labels, **options)
    expanded = METHODS[how].apply(labels, _checked(how, labels, image), **options)
    return np.where(labels != IGNORE, labels, expanded)


def _checked(how: str, labels: np.ndarray, image: np.ndarray | None) -> np.ndarray:
    if image is None:
        raise DataError(f"expansion '{how}' follows the image, so it needs one (image=...)")
    if image.shape[:2] != labels.shape:
        (h, w), (rows, columns) = image.shape[:2], labels.shape
        raise DataError(
            f"the image is {h} x {w} pixels and its labels {rows} x {columns}; they must be of one "
            "size"
        )
    wrong = 0 if image.dtype.kind in "iub" else int((~np.isfinite(image)).sum())
    if wrong:
        raise DataError(
            f"the image holds {wrong} of {image.size} values that are not finite (NaN or infinite);"
            " mask or fill them first"
        )
    return image
