"""From band values of any kind to the bytes that networks are given, by ranges that are measured
once on the training area and stored with the model.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from fewlabels.types import DataError

TAILS = (0.5, 99.5)  # percentiles that become 0 and 255: a few odd values do not set the range
SAMPLE = 2**20  # pixels that the percentiles are taken of, at most
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
    """The 0.5th and 99.5th percentile of each band over the valid pixels of all pieces.

    Args:
        pixels: how many there are in all pieces together; of more than 2^20, every nth is taken.

    Raises:
        DataError: no pixel is valid.
    """
    every = math.ceil(pixels / SAMPLE)
    taken = [values[valid][::every] for values, valid in pieces]
    sample = np.concatenate(taken) if taken else np.empty((0, 1), np.float32)
    if not len(sample):
        raise DataError(f"none of {pixels} pixels of the training area is valid: all are nodata")
    low, high = np.percentile(sample.astype(np.float64), TAILS, axis=0)
    return Ranges(tuple(low.tolist()), tuple(high.tolist()))


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
