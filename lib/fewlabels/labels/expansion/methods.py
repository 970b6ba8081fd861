"""The methods of expansion by name, and the checks that all of them share."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature

import numpy as np
from jaxtyping import Shaped, UInt8

from fewlabels.labels.expansion.nearest import disc, geodesic, link
from fewlabels.labels.expansion.segments import felzenszwalb, slic
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
