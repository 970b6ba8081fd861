"""Map a scene of any size window by window, and return it in strips.

Where it is known how far a predictor sees, each window is read with so much of the scene around it:
the map does not depend on how it is cut. Otherwise windows overlap and are blended: the logarithms
of the probabilities, whose softmax is that of blended logits, so a map agrees with
`inference.logits`. Held in memory is one row of windows, not the scene.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from fewlabels.learners import Predictor
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.model_folder import ModelError
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.scene import Ranges, Read, to_bytes
from fewlabels.scoring import inference

ROWS = 64  # decided at once
EXACT = 1e-3  # of a probability
WINDOW = 1024  # pixels a side, where windows do not overlap
LEAST_WINDOW, VALUES = 256, 2**26  # see `window`
ALIGNED, UNKNOWN = 32, 128  # pixels, see `context`
PLANES = 4  # of a strip that are always there
LEVELS = 254
"""What a margin of 1 is stored as."""
LEAST = torch.finfo(torch.float32).tiny  # probability and weight, so that no logarithm is infinite
Smooth = Callable[[Float32[Tensor, "k1 _ w"], slice], UInt8[np.ndarray, "_ w"]]
"""Changes weighted logarithms of these rows in place, and says where the class changed."""


@dataclass(frozen=True)
class Plan:
    """How a scene is read: windows of `window` pixels.

    Attributes:
        overlap: pixels that windows share at least, where they are blended.
        halo: pixels around a window that its map depends on; None where windows are blended.

    Raises:
        RecipeError: a window without pixels, or an overlap that is not smaller than the window.
    """

    height: int
    width: int
    window: int
    overlap: int
    halo: int | None = None

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 <= self.overlap < self.window:
            raise RecipeError(
                f"window {self.window} with an overlap of {self.overlap}: a window has at least 1 "
                "pixel and windows share fewer than it has"
            )

    @property
    def down(self) -> list[slice]:
        return self._spans(self.height)

    @property
    def across(self) -> list[slice]:
        return self._spans(self.width)

    @property
    def edges(self) -> list[int]:
        """Strip i is rows edges[i] to edges[i + 1]: those that no window after row i reaches."""
        return [span.start for span in self.down] + [self.height]

    def seen(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """What is read of the scene to map a window."""
        if self.halo is None:
            return rows, columns
        return context(rows, self.halo, self.height), context(columns, self.halo, self.width)

    def _spans(self, size: int) -> list[slice]:
        if self.halo is None:
            return inference.spans(size, self.window, self.overlap)
        return [slice(at, min(at + self.window, size)) for at in range(0, size, self.window)]


class Strip(NamedTuple):
    """Whole rows of the result; NODATA where the scene has no valid pixel.

    Attributes:
        classes: the most probable class, the first of equals.
        confidence: its probability in percent, rounded.
        second: the next probable class.
        margin: probability of the first minus that of the second, in 254ths, rounded.
        changed: 1 where smoothing changed the class; None where nothing is smoothed.
        probabilities: of every class in percent, rounded; None unless they are kept.
    """

    classes: UInt8[np.ndarray, "_ w"]
    confidence: UInt8[np.ndarray, "_ w"]
    second: UInt8[np.ndarray, "_ w"]
    margin: UInt8[np.ndarray, "_ w"]
    changed: UInt8[np.ndarray, "_ w"] | None = None
    probabilities: UInt8[np.ndarray, "k _ w"] | None = None


def window(bands: int, halo: int | None) -> int:
    """Side of a window whose values, with what is read around them, take no more than 256 MiB: the
    usual one for up to some 32 bands, less for embeddings of 64 or 128.
    """
    side, around = WINDOW, 2 * (UNKNOWN if halo is None else halo)
    while side > LEAST_WINDOW and (side + around) ** 2 * bands > VALUES:
        side //= 2
    return side


def context(span: slice, halo: int | None, size: int) -> slice:
    """A span of rows or columns with the pixels around it that its features depend on, as far as
    the scene has them. It begins at a multiple of ALIGNED: an encoder halves an image from there.

    Args:
        halo: see `learners.Predictor`; UNKNOWN pixels if None.
    """
    reach = UNKNOWN if halo is None else halo
    start = max(0, span.start - reach) // ALIGNED * ALIGNED
    return slice(start, min(size, span.stop + reach))


def strips(
    how: Plan,
    read: Read,
    predictor: Predictor,
    ranges: Ranges,
    classes: int,
    *,
    first: int = 0,
    smooth: Smooth | None = None,
    keep: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> Iterator[Strip]:
    """The strips of a scene from number `first` on, top to bottom; they do not depend on `first`.
    A window without a valid pixel is not computed.

    Args:
        smooth: what changes the rows of a strip before classes are taken, see `smoothing`.
        keep: the probabilities of all classes.
        tick: called after every window.

    Raises:
        ModelError: a score is no probability.
    """
    edges, high = how.edges, min(how.window, how.height)
    top = edges[first]
    held = torch.zeros(classes + 1, high, how.width)  # weighted logarithms, and the weights
    for number, rows in enumerate(how.down):
        if rows.stop <= edges[first]:
            continue
        for columns in how.across:
            around = how.seen(rows, columns)
            inner = tuple(
                slice(span.start - wide.start, span.stop - wide.start)
                for span, wide in zip((rows, columns), around, strict=True)
            )
            values, valid = read(*around)
            if valid[inner].any():
                every = predictor.probabilities(to_bytes(values, valid, ranges))
                found = torch.from_numpy(every[:, *inner])
                if not ((found >= 0) & (found <= 1 + EXACT)).all():  # which NaN is not, too
                    raise ModelError(f"rows {rows.start} to {rows.stop}: not every score of the "
                                     "model is a probability; train it again")  # fmt: skip
                there = torch.from_numpy(valid[inner])
                shape = torch.ones(there.shape) if how.halo is not None else (
                    inference.taper(*there.shape)
                )  # fmt: skip
                weight = (shape * there)[None]
                added = torch.cat([weight * found.clamp_min(LEAST).log(), weight])
                above = max(0, top - rows.start)  # rows of strips that are already done
                here = slice(rows.start + above - top, rows.stop - top)
                held[:, here, columns] += added[:, above:]
            tick()
        if number >= first:
            done = edges[number + 1] - top
            rows = slice(top, top + done)
            changed = smooth(held[:, :done], rows) if smooth else None
            yield decided(held, done, keep)._replace(changed=changed)
            top += done
            for plane in held:  # one by one, so that nothing large is held twice
                plane.copy_(torch.cat([plane[done:], torch.zeros(done, how.width)]))


def decided(held: Float32[Tensor, "k1 window w"], rows: int, keep: bool = False) -> Strip:
    """The first rows of what windows have added up to."""
    width, every = held.shape[2], len(held) - 1 if keep else 0
    made = Strip(*(np.full((rows, width), NODATA, np.uint8) for _ in range(PLANES)))
    shares = np.full((every, rows, width), NODATA, np.uint8)
    for at in range(0, rows, ROWS):
        part = slice(at, min(at + ROWS, rows))
        valid = (held[-1, part] > 0).numpy()
        scores = held[:-1, part] / held[-1, part].clamp_min(LEAST)
        greatest, best = scores.max(dim=0)
        sure = (scores - greatest).exp_().sum(dim=0).reciprocal_()
        if keep:
            percent = (100 * scores.softmax(dim=0)).round_().numpy().astype(np.uint8)
            shares[:, part] = np.where(valid, percent, NODATA)
        after, second = scores.scatter_(0, best[None], -torch.inf).max(dim=0)
        margin = sure * (1 - (after - greatest).exp_())
        found = best, (100 * sure).round_(), second, (LEVELS * margin).round_()
        for whole, values in zip(made[:PLANES], found, strict=True):
            whole[part][valid] = values.numpy()[valid]
    return made._replace(probabilities=shares) if keep else made
