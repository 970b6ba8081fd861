"""How far two annotations of the same ground in Dubai agree: `python bench/agreement.py`.

Writes report/results/agreement/dubai.json, which the report reads; some minutes on one core.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage

from fewlabels import paths
from fewlabels.data.registry import SOURCES
from fewlabels.data.source import Source
from fewlabels.experiments.agreement import View, file_of, table
from fewlabels.files import whole_file
from fewlabels.scoring import boundaries, metrics
from fewlabels.scoring.metrics import Statistics
from fewlabels.types import IGNORE

SIDE = 3  # a tile's images are a mosaic of 3 x 3, row by row
OVERLAPS = {
    ("tile1", "tile3"): ((1.0, 0.0, -1506.057), (0.0, 1.0, -1613.991)),
    ("tile4", "tile8"): ((0.973, 0.003, 1641.152), (-0.002, 1.002, -2439.694)),
    ("tile7", "tile8"): ((1.0, 0.0, -3427.024), (0.0, 1.0, -3744.942)),
}
"""Tiles that show partly the same ground, and the affine map that takes a pixel (x, y, 1) of the
second one's mosaic to the first one's, found for this project from SIFT features by
RANSAC, and moved by whole pixels to where the images correlate best."""


def measured(source: Source, overlaps: Mapping[tuple[str, str], tuple]) -> list[View]:
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


def _masks(source: Source, tile: str) -> tuple[list[int], list[list[np.ndarray]]]:
    """The numbers of a tile's images, and their masks in rows as they lie on the ground."""
    numbers = [i for i, place in enumerate(source.sites) if place == tile]
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
    with whole_file(file_of(source.name)) as scratch:
        scratch.write_text(json.dumps(facts) + "\n")
    return file_of(source.name)


if __name__ == "__main__":
    source = SOURCES["dubai"].find(paths.data_root())
    views = measured(source, OVERLAPS)
    print(table(views).round(4).to_string(index=False))
    print(record(views, source))
