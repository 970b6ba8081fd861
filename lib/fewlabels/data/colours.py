"""Masks painted in colours, read as class indices."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.types import IGNORE, DataError

HALF = 128
"""Channel value from which a rounded channel is full."""


def indices(
    rgb: UInt8[np.ndarray, "h w 3"],
    table: Mapping[tuple[int, int, int], int],
    name: str,
    file: Path,
) -> UInt8[np.ndarray, "h w"]:
    """The table's value of each pixel's colour; errors name the data set and the mask's file.

    Raises:
        DataError: a colour that the table lacks: says which is the commonest and how often.
    """
    wide = rgb.astype(np.uint32)
    packed = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    mask = np.full(packed.shape, IGNORE, np.uint8)
    known = np.zeros(packed.shape, bool)
    for (r, g, b), value in table.items():
        here = packed == (r << 16 | g << 8 | b)
        mask[here] = value
        known |= here
    if not known.all():
        colours, counts = np.unique(packed[~known], return_counts=True)
        most = int(counts.argmax())
        raise DataError(
            f"{name}: mask '{file}' holds {len(colours)} unknown colours; the commonest is "
            f"#{int(colours[most]):06X} on {int(counts[most]):,} pixels; "
            "the masks must be the published files, not re-coloured or re-compressed copies"
        )
    return mask


def rounded(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Each channel as 0 or 255, whichever is nearer."""
    return np.where(rgb >= HALF, np.uint8(255), np.uint8(0))
