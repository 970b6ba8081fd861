"""Measure how far two annotations of the same ground agree: a scale for networks, not a bound.

Some tiles of a data set overlap and were annotated independently. `bench/agreement.py` brings one
annotation onto the pixels of the other and counts it like a prediction. From these counts people
and networks are compared on the same images.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fewlabels import paths
from fewlabels.results.records import Record
from fewlabels.results.statistics import Interval, interval
from fewlabels.scoring import boundaries, metrics
from fewlabels.scoring.metrics import Scores, Statistics
from fewlabels.types import RecordError

Runs = Mapping[tuple[str, int, int], Record]
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


def recorded(data: str) -> list[View]:
    """Read the stored views of a data set.

    Raises:
        RecordError: there are none; says how to make them.
    """
    if not (file := file_of(data)).is_file():
        raise RecordError(
            f"the agreement of annotations of '{data}' is not in '{file}'; make it: "
            "`python bench/agreement.py`"
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

    Columns `condition`, `replicate`, `miou` (of the network, on those whole images), and `below`:
    the mIoU of the other annotation, on the part that it shows, less that. Both are means over the
    classes that both truths hold.
    """
    images, people, rows = view.twice(), view.scores().iou, []
    for (condition, _, replicate), run in found.items():
        if set(images) <= set(run.tiles):
            counts = run.confusion[[run.tiles.index(image) for image in images]]
            network = metrics.scores(counts, run.ignored).iou
            both = np.isfinite(people) & np.isfinite(network)
            mine = float(network[both].mean())
            below = float(people[both].mean()) - mine
            rows.append(
                {"condition": condition, "replicate": replicate, "miou": mine, "below": below}
            )
    return pd.DataFrame(rows, columns=["condition", "replicate", "miou", "below"])


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
            for condition, mine in beside(view, runs).groupby("condition", sort=False):
                each = {k: interval(mine[k].to_numpy(), mine["replicate"].to_numpy())
                        for k in ("miou", "below")}  # fmt: skip
                rows.append(here | {"by": f"{study}: {condition}", **each, "runs": len(mine)})
    return pd.DataFrame(rows)


def file_of(data: str) -> Path:
    """Where the views of a data set are stored, beside the published study's records."""
    return paths.published_root() / "agreement" / f"{data}.json"
