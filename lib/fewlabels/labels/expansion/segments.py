"""Expansion by superpixels: a label holds for the whole segment that it lies in."""

import warnings

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from skimage import segmentation

from fewlabels.types import IGNORE


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
