"""From band values of any kind to the bytes that networks are given, by ranges that are measured
once on the training area and stored with the model.
"""

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from fewlabels.types import DataError

log = logging.getLogger(__name__)

TAILS = (0.5, 99.5)  # percentiles that become 0 and 255: a few odd values do not set the range
SAMPLE = 2**20  # pixels that the percentiles are taken of, at most
FAR = 1  # times the width of all other values: a fill value, not an odd one
MIDDLE = 128  # what void pixels and bands of one single value become


@dataclass(frozen=True)
class Ranges:
    """For each band the values that become byte 0 and byte 255; beyond, they are cut off."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def constant(self) -> tuple[int, ...]:
        """The bands, counted from 0, that held one single value where they were measured."""
        return tuple(i for i, pair in enumerate(zip(self.low, self.high, strict=True))
                     if pair[0] == pair[1])  # fmt: skip


def measured(
    pieces: Iterable[tuple[Float32[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]], pixels: int
) -> Ranges:
    """The 0.5th and 99.5th percentile of each band over the valid pixels of all pieces; a warning
    where one of them is a single value far from all others, which may mean that there are no data.

    Args:
        pixels: how many there are in all pieces together; of more than 2^20, every nth is taken.

    Raises:
        DataError: no pixel is valid.
    """
    every = math.ceil(pixels / SAMPLE)
    taken = [values[valid][::every] for values, valid in pieces]
    sample = np.concatenate(taken).astype(np.float64) if taken else np.empty((0, 1))
    if not len(sample):
        raise DataError(f"none of {pixels} pixels of the training area is valid: all are nodata")
    low, high = np.percentile(sample, TAILS, axis=0)
    for band, value in _apart(sample, low, high):
        log.warning(
            "%.2g %% of the pixels of band %d are %g, far from all others; if that means no data, "
            "say so in the file (`gdal_edit.py -a_nodata %g SCENE`) and train again",
            100 * (sample[:, band] == value).mean(), band + 1, value, value,
        )  # fmt: skip
    return Ranges(tuple(low.tolist()), tuple(high.tolist()))


def _apart(
    sample: Float[np.ndarray, "n c"], low: Float[np.ndarray, " c"], high: Float[np.ndarray, " c"]
) -> Iterator[tuple[int, float]]:
    """Bands, counted from 0, with an end that is a single value more than FAR times as far from the
    rest as the rest is wide.
    """
    for band, values in enumerate(sample.T):
        for end in {low[band], high[band]}:
            rest = values[values != end]
            if len(rest) and end in (values.min(), values.max()):
                near, width = np.abs(rest - end).min(), np.ptp(np.percentile(rest, TAILS))
                if near > FAR * width > 0:
                    yield band, float(end)


def to_bytes(
    values: Float32[np.ndarray, "h w c"], valid: Bool[np.ndarray, "h w"], ranges: Ranges
) -> UInt8[np.ndarray, "h w c"]:
    """round(255 * (value - low) / (high - low)) of each band, cut to [0, 255]; void pixels and
    bands without a range become 128.

    Raises:
        DataError: as many bands as the ranges are not there.
    """
    if values.shape[-1] != len(ranges.low):
        raise DataError(
            f"the scene has {values.shape[-1]} bands and the model was trained on "
            f"{len(ranges.low)}; both must have the same bands in the same order"
        )
    low, high = (np.array(ends, np.float32) for ends in (ranges.low, ranges.high))
    there = valid[..., None] & (high > low)
    span = np.where(high > low, high - low, np.float32(1))
    scaled = np.where(there, 255 * ((np.where(there, values, low) - low) / span), MIDDLE)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
