"""Measure how far two annotations of the same ground agree: a scale for networks, not a bound.

Some tiles of a data set overlap and were annotated independently. One annotation is brought onto
the pixels of the other and scored like a prediction, so that people and networks can be compared on
the same images. The maps between tiles are known to a few pixels; each is first moved by whole
pixels to where the two images correlate best.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise, product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from fewlabels import paths
from fewlabels.data.registry import SOURCES
from fewlabels.data.source import Affine, Source
from fewlabels.files import whole_file
from fewlabels.results.records import UNIT, Record
from fewlabels.results.statistics import Interval, interval
from fewlabels.scoring import boundaries, metrics
from fewlabels.scoring.metrics import Statistics
from fewlabels.types import IGNORE, RecordError, unknown

Runs = Mapping[tuple[str, int, int], Record]
OVERLAPS = {name: declared.overlaps for name, declared in SOURCES.items() if declared.overlaps}
SIDE = 3  # a tile's images are a mosaic of 3 x 3, row by row
MOVE = 4  # pixels by which a map between tiles may be off
BESIDE = ("miou", "below")
MOST = 0.5
"""An image counts as annotated twice where more than this share of it is."""


@dataclass(frozen=True)
class View:
    """One annotation as truth, and another of the same ground as its prediction.

    Attributes:
        truth, other: the two tiles.
        classes: their names, in the order of the counts.
        tiles: ids of those images of `truth` on which `other` shows something.
        shared: share of each image's pixels that have a class in both annotations.
        statistics: of each image, of those pixels; no calibration.
        moved: pixels (x, y) by which the map was moved.
        correlation: of the two images' grey values there.
    """

    truth: str
    other: str
    classes: tuple[str, ...]
    tiles: tuple[str, ...]
    shared: tuple[float, ...]
    statistics: Statistics
    moved: tuple[int, int]
    correlation: float

    def twice(self, most: float = MOST) -> tuple[str, ...]:
        """List the images of which more than `most` is annotated twice."""
        return tuple(t for t, share in zip(self.tiles, self.shared, strict=True) if share > most)


@dataclass(frozen=True)
class Mosaic:
    """A whole tile: its grey values and its mask, and where in it each of its images lies."""

    grey: Float[np.ndarray, "h w"]
    mask: UInt8[np.ndarray, "h w"]
    images: Mapping[str, tuple[slice, slice]]


def measured(source: Source, overlaps: Mapping[tuple[str, str], Affine]) -> list[View]:
    """Measure both views of every overlap, at the data's own resolution."""
    views = []
    for (first, second), to_first in overlaps.items():
        one, two = mosaic(source, first), mosaic(source, second)
        there, *how = aligned(one, two, np.linalg.inv([*to_first, (0, 0, 1)]))
        for truth, other, tiles, at in (
            (first, second, (one, two), there),
            (second, first, (two, one), np.linalg.inv(there)),
        ):
            found = counted(*tiles, at, len(source.classes))
            views.append(View(truth, other, source.classes, *found, *how))
    return views


def record(views: list[View], source: Source) -> Path:
    """Store the views of a data set beside the published study's records."""
    facts = {"data": source.name, "fingerprint": source.fingerprint}
    listed = [
        {k: v for k, v in vars(view).items() if k != "statistics"}
        | {k: getattr(view.statistics, k).tolist() for k in ("confusion", "boundaries")}
        for view in views
    ]
    with whole_file(_file(source.name)) as scratch:
        scratch.write_text(json.dumps(facts | {"views": listed}) + "\n")
    return _file(source.name)


def recorded(data: str) -> list[View]:
    """Read the stored views of a data set.

    Raises:
        RecordError: there are none; says how to make them.
    """
    if not (file := _file(data)).is_file():
        raise RecordError(
            f"the agreement of annotations of '{data}' is not in '{file}'; make it: "
            f"`fewlabels agreement --data {data}`"
        )
    return [_read(view) for view in json.loads(file.read_text())["views"]]


def overlaps(data: str) -> Mapping[tuple[str, str], Affine]:
    """Look up which tiles of a data set show the same ground, and the maps between them.

    Raises:
        UnknownName: no overlap of this data set is known.
    """
    if data not in OVERLAPS:
        raise unknown("data set with ground that was annotated twice", data, OVERLAPS)
    return OVERLAPS[data]


def table(views: list[View]) -> pd.DataFrame:
    """Score each view over all pixels annotated twice: `truth`, `other`, `images`, `pixels`,
    `accuracy`, `miou`, `boundary_f1` and `iou_<class>`; fractions, NaN where undefined.
    """
    rows = []
    for view in views:
        score = metrics.scores(view.statistics.confusion)
        rows.append(
            {"truth": view.truth, "other": view.other, "images": len(view.tiles)}
            | {"pixels": int(view.statistics.confusion.sum())}
            | {"accuracy": score.accuracy, "miou": score.miou}
            | {"boundary_f1": boundaries.scores(view.statistics.boundaries).mean_f1}
            | {f"iou_{name}": iou for name, iou in zip(view.classes, score.iou, strict=True)}
        )
    return pd.DataFrame(rows)


def beside(view: View, found: Runs) -> pd.DataFrame:
    """Score the runs that were tested on the images that a view annotates twice.

    Columns `condition`, `fold`, `replicate`, `miou` (of the network, on those whole images),
    `people` (of the other annotation, on the part that it shows) and `below`: people minus network.
    Both are means over the classes that both truths hold.
    """
    images = view.twice()
    people = metrics.scores(_of(images, view.tiles, view.statistics.confusion)).iou
    rows = []
    for unit, run in found.items():
        if set(images) <= set(run.tiles):
            network = metrics.scores(_of(images, run.tiles, run.confusion), run.ignored).iou
            both = np.isfinite(people) & np.isfinite(network)
            rows.append((*unit, float(network[both].mean()), float(people[both].mean())))
    out = pd.DataFrame(rows, columns=[*UNIT, "miou", "people"])
    return out.assign(below=out["people"] - out["miou"])


def compared(views: list[View], found: Mapping[str, Runs]) -> pd.DataFrame:
    """Compare people and the conditions of studies on the images that are annotated twice.

    Columns `truth`, `images`, `by`, `miou`, `below` and `runs`. `miou` and `below` are `Interval`s
    over replicates, as all runs are of one site; people have only a mean.
    """
    rows = []
    for view in (v for v in views if v.twice()):
        here = {"truth": view.truth, "images": len(view.twice())}
        people = metrics.scores(_of(view.twice(), view.tiles, view.statistics.confusion)).miou
        alone = Interval(people, np.nan, np.nan, 1, 1)
        rows.append(here | {"by": "people", "miou": alone, "below": None, "runs": 0})
        for study, runs in found.items():
            for condition, mine in beside(view, runs).groupby("condition", sort=False):
                each = {
                    k: interval(mine[k].to_numpy(), mine["replicate"].to_numpy()) for k in BESIDE
                }
                rows.append(here | {"by": f"{study}: {condition}", **each, "runs": len(mine)})
    return pd.DataFrame(rows)


def _of(
    images: tuple[str, ...], tiles: tuple[str, ...], confusion: Int[np.ndarray, "n k k"]
) -> Int[np.ndarray, "m k k"]:
    return confusion[[tiles.index(image) for image in images]]


def mosaic(source: Source, tile: str) -> Mosaic:
    """Join the images of a tile as they lie on the ground."""
    numbers = [i for i, site in enumerate(source.sites) if site == tile]
    pairs = [source.decode(i) for i in numbers]
    rows = [pairs[at : at + SIDE] for at in range(0, len(pairs), SIDE)]
    grey = np.vstack(
        [np.hstack([i.mean(axis=2, dtype=np.float32) for i, _ in row]) for row in rows]
    )
    mask = np.vstack([np.hstack([m for _, m in row]) for row in rows])
    down = _slices([row[0][1].shape[0] for row in rows])
    right = _slices([m.shape[1] for _, m in rows[0]])
    return Mosaic(
        grey, mask, dict(zip((source.ids[i] for i in numbers), product(down, right), strict=True))
    )


def aligned(
    one: Mosaic, two: Mosaic, there: Float[np.ndarray, "3 3"]
) -> tuple[Float[np.ndarray, "3 3"], tuple[int, int], float]:
    """Move the map from pixels (x, y, 1) of `one` to `two` to where grey values correlate best.

    Returns the map, by how much it moved (the least of equals), and the correlation, over every
    third pixel.
    """
    found, at = [], tuple(axis[::3, ::3] for axis in np.indices(one.grey.shape, sparse=True))
    for x, y in product(range(-MOVE, MOVE + 1), repeat=2):
        moved = there + np.array([(0, 0, x), (0, 0, y), (0, 0, 0)])
        inside, below = beneath(two.grey, moved, *at)
        r = np.corrcoef(one.grey[::3, ::3][inside], below)[0, 1]
        found.append((float(r), -abs(x) - abs(y), (x, y), moved))
    r, _, how, moved = max(found, key=lambda each: each[:2])
    return moved, how, r


def counted(
    truth: Mosaic, other: Mosaic, there: Float[np.ndarray, "3 3"], classes: int
) -> tuple[tuple[str, ...], tuple[float, ...], Statistics]:
    """Count ids, shares and statistics of the images of `truth` that overlap `other`."""
    found = {}
    for id, (rows, columns) in truth.images.items():
        at = np.ogrid[rows, columns]
        mask = truth.mask[rows, columns].copy()
        second = np.full(mask.shape, IGNORE, np.uint8)
        inside, shown = beneath(other.mask, there, *at)
        second[inside] = shown
        mask[second == IGNORE] = IGNORE
        if (mask != IGNORE).any():
            found[id] = (
                float((mask != IGNORE).mean()),
                metrics.confusion(second, mask, classes),
                boundaries.counts(second, mask, classes),
            )
    shared, matrices, outlines = zip(*found.values(), strict=True)
    return tuple(found), shared, Statistics(np.stack(matrices), np.stack(outlines))


def beneath(
    values: Shaped[np.ndarray, "h w"],
    there: Float[np.ndarray, "3 3"],
    y: Int[np.ndarray, "#m #n"],
    x: Int[np.ndarray, "#m #n"],
) -> tuple[Bool[np.ndarray, "m n"], Shaped[np.ndarray, " inside"]]:
    """Find which pixels (x, y) a map takes into `values`, and the nearest value of each."""
    right, down = (np.rint(row[0] * x + row[1] * y + row[2]).astype(np.int64) for row in there[:2])
    inside = (right >= 0) & (down >= 0) & (right < values.shape[1]) & (down < values.shape[0])
    return inside, values[down[inside], right[inside]]


def _slices(lengths: Sequence[int]) -> list[slice]:
    return [slice(*ends) for ends in pairwise(accumulate(lengths, initial=0))]


def _read(view: Mapping[str, object]) -> View:
    found = Statistics(*(np.array(view[k], np.int64) for k in ("confusion", "boundaries")))
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in view.items()}
    names = (f.name for f in fields(View) if f.name != "statistics")
    return View(**{name: plain[name] for name in names}, statistics=found)


def _file(data: str) -> Path:
    return paths.published_root() / "agreement" / f"{data}.json"
