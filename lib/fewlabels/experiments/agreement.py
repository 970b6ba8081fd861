"""Measure how far two annotations of the same ground agree: a scale for networks, not a bound.

Some tiles of a data set overlap and were annotated independently. One annotation is brought onto
the pixels of the other and scored like a prediction, so that people and networks can be compared on
the same images.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from scipy import ndimage

from fewlabels import paths
from fewlabels.data.registry import SOURCES
from fewlabels.data.source import Affine, Source
from fewlabels.files import whole_file
from fewlabels.results.records import Record
from fewlabels.results.statistics import Interval, interval
from fewlabels.scoring import boundaries, metrics
from fewlabels.scoring.metrics import Scores, Statistics
from fewlabels.types import IGNORE, RecordError, unknown

Runs = Mapping[tuple[str, int, int], Record]
OVERLAPS = {name: declared.overlaps for name, declared in SOURCES.items() if declared.overlaps}
SIDE = 3  # a tile's images are a mosaic of 3 x 3, row by row
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
    """

    truth: str
    other: str
    classes: tuple[str, ...]
    tiles: tuple[str, ...]
    shared: tuple[float, ...]
    statistics: Statistics

    def twice(self) -> tuple[str, ...]:
        """List the images of which more than MOST is annotated twice."""
        return tuple(t for t, share in zip(self.tiles, self.shared, strict=True) if share > MOST)

    def scores(self) -> Scores:
        """Score the other annotation on those images."""
        images = [self.tiles.index(image) for image in self.twice()]
        return metrics.scores(self.statistics.confusion[images])


def overlaps(data: str) -> Mapping[tuple[str, str], Affine]:
    """Look up which tiles of a data set show the same ground, and the maps between them.

    Raises:
        UnknownName: no overlap of this data set is known.
    """
    if data not in OVERLAPS:
        raise unknown("data set with ground that was annotated twice", data, OVERLAPS)
    return OVERLAPS[data]


def measured(source: Source, overlaps: Mapping[tuple[str, str], Affine]) -> list[View]:
    """Measure both views of every overlap, at the data's own resolution."""
    views = []
    for (first, second), rows in overlaps.items():
        to_first = np.array([*rows, (0, 0, 1)])
        views.append(_view(source, first, second, np.linalg.inv(to_first)))
        views.append(_view(source, second, first, to_first))
    return views


def _view(source: Source, truth: str, other: str, there: np.ndarray) -> View:
    """Count the images of `truth`; `there` takes its pixels (x, y, 1) to those of `other`."""
    numbers, masks = _masks(source, truth)
    mine, theirs = np.block(masks), np.block(_masks(source, other)[1])
    down_right = there[1::-1, 1::-1], there[1::-1, 2]  # ndimage counts rows first
    shown = ndimage.affine_transform(
        theirs, *down_right, output_shape=mine.shape, order=0, mode="grid-constant", cval=IGNORE
    )
    found, classes = {}, len(source.classes)
    tops = np.cumsum([0, *(row[0].shape[0] for row in masks)])
    lefts = np.cumsum([0, *(mask.shape[1] for mask in masks[0])])
    for place, number in enumerate(numbers):
        row, column = divmod(place, SIDE)
        at = np.s_[tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]]
        mask = np.where(shown[at] == IGNORE, np.uint8(IGNORE), mine[at])
        if (known := mask != IGNORE).any():
            found[source.ids[number]] = (
                float(known.mean()),
                metrics.confusion(shown[at], mask, classes),
                boundaries.counts(shown[at], mask, classes),
            )
    shared, matrices, outlines = zip(*found.values(), strict=True)
    statistics = Statistics(np.stack(matrices), np.stack(outlines))
    return View(truth, other, source.classes, tuple(found), shared, statistics)


def _masks(source: Source, tile: str) -> tuple[list[int], list[list[UInt8[np.ndarray, "h w"]]]]:
    """The numbers of a tile's images, and their masks in rows as they lie on the ground."""
    numbers = [i for i, place in enumerate(source.places) if place == tile]
    masks = [source.decode(i)[1] for i in numbers]
    return numbers, [masks[at : at + SIDE] for at in range(0, len(masks), SIDE)]


def record(views: list[View], source: Source) -> Path:
    """Store the views of a data set beside the published study's records."""
    counts = ("confusion", "boundaries")
    listed = [
        {k: v for k, v in vars(view).items() if k != "statistics"}
        | {k: getattr(view.statistics, k).tolist() for k in counts}
        for view in views
    ]
    facts = {"data": source.name, "fingerprint": source.fingerprint, "views": listed}
    with whole_file(_file(source.name)) as scratch:
        scratch.write_text(json.dumps(facts) + "\n")
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
    return [_read(dict(view)) for view in json.loads(file.read_text())["views"]]


def _read(view: dict[str, object]) -> View:
    counts = [np.array(view.pop(k), np.int64) for k in ("confusion", "boundaries")]
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in view.items()}
    return View(**plain, statistics=Statistics(*counts))


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

    Columns `cell`, `pair`, `miou` (of the network, on those whole images), and `below`: the mIoU of
    the other annotation, on the part that it shows, less that. Both are means over the classes that
    both truths hold.
    """
    images, people, rows = view.twice(), view.scores().iou, []
    for (cell, _, pair), run in found.items():
        if set(images) <= set(run.tiles):
            counts = run.confusion[[run.tiles.index(image) for image in images]]
            network = metrics.scores(counts, run.left_out).iou
            both = np.isfinite(people) & np.isfinite(network)
            mine = float(network[both].mean())
            below = float(people[both].mean()) - mine
            rows.append({"cell": cell, "pair": pair, "miou": mine, "below": below})
    return pd.DataFrame(rows, columns=["cell", "pair", "miou", "below"])


def compared(views: list[View], found: Mapping[str, Runs]) -> pd.DataFrame:
    """Compare people and the conditions of studies on the images that are annotated twice.

    Columns `truth`, `images`, `by`, `miou`, `below` and `runs`. `miou` and `below` are `Interval`s
    over replicates, as all runs are of one site; people have only a mean.
    """
    rows = []
    for view in (v for v in views if v.twice()):
        here = {"truth": view.truth, "images": len(view.twice())}
        alone = Interval(view.scores().miou, np.nan, np.nan, 1, 1)
        rows.append(here | {"by": "people", "miou": alone, "below": None, "runs": 0})
        for study, runs in found.items():
            for cell, mine in beside(view, runs).groupby("cell", sort=False):
                each = {k: interval(mine[k].to_numpy(), mine["pair"].to_numpy())
                        for k in ("miou", "below")}  # fmt: skip
                rows.append(here | {"by": f"{study}: {cell}", **each, "runs": len(mine)})
    return pd.DataFrame(rows)


def _file(data: str) -> Path:
    return paths.published_root() / "agreement" / f"{data}.json"
