"""A scene of any size through a network: overlapping windows, blended, given back in strips.

A window's weight falls from its centre to its edge as a squared sine, as in `inference.logits`,
with which the result agrees; what is held at once is one row of windows, not the scene.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor, nn

from fewlabels.devices import Compute
from fewlabels.mapping.bands import Ranges, to_bytes
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.scene import Read, Scene
from fewlabels.scoring import inference

ROWS = 64  # decided at once
LEVELS = 254
"""What a margin of 1 is stored as."""


@dataclass(frozen=True)
class Plan:
    """How a scene is read: windows of `window` pixels that share at least `overlap`."""

    height: int
    width: int
    window: int
    overlap: int

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 <= self.overlap < self.window:
            raise RecipeError(
                f"window {self.window} with an overlap of {self.overlap}: a window has at least 1 "
                "pixel and windows share fewer than it has"
            )

    @property
    def down(self) -> list[slice]:
        return inference.spans(self.height, self.window, self.overlap)

    @property
    def across(self) -> list[slice]:
        return inference.spans(self.width, self.window, self.overlap)

    @property
    def edges(self) -> list[int]:
        """Strip i is rows edges[i] to edges[i + 1]: those that no window after row i reaches."""
        return [span.start for span in self.down] + [self.height]


class Strip(NamedTuple):
    """Whole rows of the result; NODATA where the scene has no valid pixel.

    Attributes:
        classes: the most probable class, the first of equals.
        confidence: its probability (softmax of the blended logits) in percent, rounded.
        second: the next probable class.
        margin: how much more probable the first is than the second, in 254ths, rounded.
    """

    classes: UInt8[np.ndarray, "_ w"]
    confidence: UInt8[np.ndarray, "_ w"]
    second: UInt8[np.ndarray, "_ w"]
    margin: UInt8[np.ndarray, "_ w"]


@dataclass
class _Open:
    """The rows that windows still add to: from `top` on, one window high."""

    top: int
    total: Float32[Tensor, "k window w"]
    weight: Float32[Tensor, "window w"]
    valid: Bool[np.ndarray, "window w"]


def plan(scene: Scene, window: int, overlap: int | None = None) -> Plan:
    """Windows of a scene; where it is smaller, they are as large as it is.

    Args:
        overlap: a quarter of the window if None.

    Raises:
        RecipeError: a window without pixels, or an overlap that is not smaller than the window.
    """
    shared = window // 4 if overlap is None else overlap
    return Plan(scene.height, scene.width, window, shared)


def strips(
    how: Plan,
    read: Read,
    network: nn.Module,
    ranges: Ranges,
    classes: int,
    compute: Compute,
    *,
    first: int = 0,
    tick: Callable[[], object] = lambda: None,
) -> Iterator[Strip]:
    """The strips of a scene from number `first` on, top to bottom; each is what it would be had
    all been asked for. A window without a valid pixel is not computed.

    Args:
        tick: called after every window.
    """
    edges, high = how.edges, min(how.window, how.height)
    now = _Open(
        edges[first],
        torch.zeros(classes, high, how.width),
        torch.zeros(high, how.width),
        np.zeros((high, how.width), bool),
    )
    for number, rows in enumerate(how.down):
        if rows.stop <= edges[first]:
            continue
        for columns in how.across:
            values, valid = read(rows, columns)
            if valid.any():
                image = to_bytes(values, valid, ranges)
                _add(now, rows, columns, inference.logits(network, image, compute).cpu(), valid)
            tick()
        if number >= first:
            done = edges[number + 1] - edges[number]
            yield _decided(now, done)
            _move(now, done)


def _add(
    now: _Open,
    rows: slice,
    columns: slice,
    found: Float32[Tensor, "k a b"],
    valid: Bool[np.ndarray, "a b"],
) -> None:
    above = max(0, now.top - rows.start)  # rows of strips that are already done
    here = slice(rows.start + above - now.top, rows.stop - now.top)
    weight = inference.taper(*found.shape[1:])
    now.total[:, here, columns] += (weight * found)[:, above:]
    now.weight[here, columns] += weight[above:]
    now.valid[here, columns] |= valid[above:]


def _decided(now: _Open, rows: int) -> Strip:
    made = Strip(*(np.full((rows, now.valid.shape[1]), NODATA, np.uint8) for _ in Strip._fields))
    for at in range(0, rows, ROWS):
        part = slice(at, min(at + ROWS, rows))
        valid = now.valid[part]
        scores = now.total[:, part] / now.weight[part].clamp_min(torch.finfo(torch.float32).tiny)
        greatest, best = scores.max(dim=0)
        sure = (scores - greatest).exp_().sum(dim=0).reciprocal_()
        after, second = scores.scatter_(0, best[None], -torch.inf).max(dim=0)
        margin = sure * (1 - (after - greatest).exp_())
        found = Strip(best, (100 * sure).round_(), second, (LEVELS * margin).round_())
        for whole, values in zip(made, found, strict=True):
            whole[part][valid] = values.numpy()[valid]
    return made


def _move(now: _Open, rows: int) -> None:
    """Drop the first rows, in place and plane by plane, so that nothing is held twice."""
    for plane in (*now.total, now.weight, torch.from_numpy(now.valid)):
        plane[: len(plane) - rows] = plane[rows:].clone()
        plane[len(plane) - rows :] = 0
    now.top += rows
