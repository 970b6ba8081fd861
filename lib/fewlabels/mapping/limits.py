"""Say before long work starts what it takes (pixels, time, disk, memory), or refuse it."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.files import full
from fewlabels.learners import Predictor
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.scene import Ranges, Read, Scene
from fewlabels.mapping.stream import Plan
from fewlabels.types import FewLabelsError

try:
    import resource
except ImportError:  # Windows
    resource = None

log = logging.getLogger(__name__)

LONG = 8 * 2**20  # pixels from which on a square is timed first
PROBE = 1024  # side of that square: of small ones a pixel takes three times as long
MOST = 8  # bytes a pixel on the disk: four of a strip and two maps with overviews, uncompressed
LEAST = 0.05  # bytes a pixel, however well it compresses
SPENT = ("out of memory", "allocat", "new thread")  # in the words of what a library raises


class MemoryFullError(FewLabelsError):
    """Too little memory for what was asked."""


def check(how: Plan, classes: int, out: Path) -> None:
    """Refuse what cannot fit.

    Raises:
        RecipeError: a row of windows does not fit the memory of this machine or process.
        DiskFullError: the disk is too small, however well the maps compress.
    """
    needed, there = _held(how, classes), _memory()
    if needed > there:
        raise RecipeError(
            f"a row of windows of {how.window} x {how.width} pixels and {classes} classes takes "
            f"{_size(needed)} of memory, but only {_size(there)} can be used; lower --window, or "
            "cut the scene into parts"
        )
    if LEAST * how.height * how.width > shutil.disk_usage(out.parent).free:
        raise full(out)


def announce(
    how: Plan, classes: int, scene: Scene, predictor: Predictor, ranges: Ranges, left: int
) -> None:
    """Log how much there is to do where it is long; its time follows from a square of it.

    Args:
        left: rows of windows that are still to be computed.
    """
    windows = left * len(how.across)
    parts = [how.seen(rows, columns) for rows in how.down[-left:] for columns in how.across]
    if area(parts) < LONG:
        return
    with scenes.reading(scene) as read:
        seconds = estimated(parts, read, ranges, predictor.probabilities)
    log.info(
        "%d windows of %d pixels: about %s, at most %s of disk, %s of memory besides the model",
        windows, how.window, spoken(seconds), _size(MOST * how.height * how.width),
        _size(_held(how, classes)),
    )  # fmt: skip


def area(parts: Iterable[tuple[slice, slice]]) -> int:
    """Count the pixels of parts (rows, columns) of a scene."""
    return sum((rows.stop - rows.start) * (cols.stop - cols.start) for rows, cols in parts)


def estimated(
    parts: Sequence[tuple[slice, slice]],
    read: Read,
    ranges: Ranges,
    compute: Callable[[UInt8[np.ndarray, "h w c"]], object],
) -> float:
    """Estimate the seconds that parts of a scene take, from those of a square in one of them."""
    square = tuple(
        slice(start, min(start + PROBE, side.stop))
        for side in parts[len(parts) // 2]
        for start in [max(side.start, (side.start + side.stop - PROBE) // 2)]
    )
    began = time.perf_counter()
    compute(scenes.to_bytes(*read(*square), ranges))
    return (time.perf_counter() - began) * area(parts) / area([square])


def spoken(seconds: float) -> str:
    """Say a time as a person would."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"


@contextmanager
def naming_full_memory(options: str) -> Iterator[None]:
    """Raise MemoryFullError, which names the options to lower, if the block runs out of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = f"{error}".partition("\n")[0]
        spent = any(word in said.lower() for word in SPENT)
        if not (isinstance(error, MemoryError) or spent):
            raise
        raise MemoryFullError(
            f"there is not enough memory ({said or 'no details'}); lower {options}, or free "
            "memory, and start again: finished parts are kept"
        ) from error


def _held(how: Plan, classes: int) -> int:
    return 4 * (classes + 1) * min(how.window, how.height) * how.width


def _memory() -> float:
    if resource is None:
        return float("inf")
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return whole if most == resource.RLIM_INFINITY else min(whole, most)


def _size(number: float) -> str:
    return f"{number / 2**20:,.0f} MiB"
