"""Analyse errors: the worst images, confused classes, outlines and calibration.

All of it follows from the counts of each test image in the records; nothing is predicted again.
`Runs` are those of one study on one data set, (condition, fold, replicate) -> record.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from fewlabels.data import registry
from fewlabels.results.records import Record
from fewlabels.results.statistics import Interval, interval
from fewlabels.scoring import metrics
from fewlabels.types import DataError, Tile

Runs = Mapping[tuple[str, int, int], Record]


def classes(runs: Runs) -> tuple[str, ...]:
    """Name the classes in the order of the counts."""
    return tuple(next(iter(runs.values())).facts["data"]["classes"])


def counted(runs: Runs) -> bool:
    """Check that all records count outlines and confidence, which older ones do not."""
    each = [r.statistics for r in runs.values()]
    return all(s.boundaries is not None and s.calibration is not None for s in each)


def by_image(runs: Runs) -> pd.DataFrame:
    """Score each test image of each run: `condition`, `fold`, `replicate`, `image`, `miou`,
    `accuracy` and `iou_<class>`, fractions; NaN for a class that the image's mask does not hold.
    """
    names, rows = classes(runs), []
    for (condition, fold, replicate), record in runs.items():
        for image, matrix in zip(record.tiles, record.confusion, strict=True):
            score = metrics.scores(matrix, record.ignored)
            rows.append(
                {"condition": condition, "fold": fold, "replicate": replicate, "image": image}
                | {"miou": score.miou, "accuracy": score.accuracy}
                | {f"iou_{name}": iou for name, iou in zip(names, score.iou, strict=True)}
            )
    return pd.DataFrame(rows)


def worst(runs: Runs, n: int = 5) -> pd.DataFrame:
    """Find the images with the lowest mean mIoU over the runs, the worst first.

    Columns `image`, `fold`, `runs`, `miou` and `accuracy`: an `Interval` over replicates, each the
    mean of the conditions. And the confusion that affects most pixels: `truth`, `taken_for`,
    `of_image` (its share of the image's pixels) and `of_truth` (of those of the true class).
    """
    table, names = by_image(runs), classes(runs)
    order = table.groupby("image")["miou"].mean().sort_values(kind="stable").index[:n]
    rows = []
    for image in order:
        mine = table[table["image"] == image]
        means = mine.groupby("replicate")[["miou", "accuracy"]].mean()
        total = composition(runs, image)
        wrong = total - np.diag(np.diag(total))
        truth, found = np.unravel_index(wrong.argmax(), wrong.shape)
        rows.append(
            {"image": image, "fold": int(mine["fold"].iloc[0])}
            | {name: interval(means[name].to_numpy(), means.index.to_numpy()) for name in means}
            | {"runs": len(mine), "truth": names[truth], "taken_for": names[found]}
            | {"of_image": wrong.max(), "of_truth": wrong.max() / total[truth].sum()}
        )
    return pd.DataFrame(rows)


def composition(runs: Runs, image: str) -> Float[np.ndarray, "k k"]:
    """Compute the share of each (truth, prediction) in an image's scored pixels, mean over runs."""
    found = []
    for record in (r for r in runs.values() if image in r.tiles):
        matrix = record.confusion[record.tiles.index(image)].astype(float)
        matrix[list(record.ignored)] = 0
        found.append(matrix / matrix.sum())
    return np.mean(found, axis=0)


def confused(runs: Runs) -> pd.DataFrame:
    """Compute how often each class is predicted as each: `truth`, `taken_for`, `share` (an
    `Interval` over folds, a fraction of the true class's test pixels) and `runs`.

    A run whose test images hold none of a class is left out of that class.
    """
    names, rows = classes(runs), []
    folds = np.array([fold for _, fold, _ in runs])
    totals = np.stack([r.confusion.sum(axis=0) for r in runs.values()]).astype(float)
    for record, total in zip(runs.values(), totals, strict=True):
        total[list(record.ignored)] = 0
    for t, truth in enumerate(names):
        there = totals[:, t].sum(axis=1) > 0
        if there.any():
            part = totals[there, t] / totals[there, t].sum(axis=1, keepdims=True)
            shares = [interval(part[:, p], folds[there]) for p in range(len(names))]
            rows += [
                {"truth": truth, "taken_for": name, "share": share, "runs": share.units}
                for name, share in zip(names, shares, strict=True)
            ]
    return pd.DataFrame(rows)


def outlines(runs: Runs) -> pd.DataFrame:
    """Compare areas and outlines: a row a class, with the `Interval`s over folds of `f1` (of its
    pixels), `boundary_f1` (of its outline) and `gap` (the latter less the former).

    Runs whose test images do not hold a class are left out of it.
    """
    folds, rows = np.array([fold for _, fold, _ in runs]), {}
    f1, line = (
        np.array([getattr(record, scores).f1 for record in runs.values()])
        for scores in ("scores", "boundary")
    )
    for k, name in enumerate(classes(runs)):
        there = np.isfinite(f1[:, k]) & np.isfinite(line[:, k])
        if there.any():
            each = {"f1": f1[:, k], "boundary_f1": line[:, k], "gap": line[:, k] - f1[:, k]}
            rows[name] = {n: interval(v[there], folds[there]) for n, v in each.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("class").reset_index()


def reliability(runs: Runs) -> pd.DataFrame:
    """Compute accuracy by bin of confidence: `confidence` (mean of its test pixels), `right` (an
    `Interval` of the correct share) and `share` (of all test pixels).

    The counts of a fold's runs are added up first. Means and intervals are over those folds that
    have pixels in the bin, or over replicates where there is one fold.
    """
    folds, replicates = (np.array([unit[i] for unit in runs]) for i in (1, 2))
    each = np.stack([r.statistics.calibration.sum(axis=0) for r in runs.values()])
    blocks = folds if len(set(folds.tolist())) > 1 else replicates
    counts = np.stack([each[blocks == block].sum(axis=0) for block in np.unique(blocks)])
    rows = []
    for bin in counts.transpose(1, 0, 2):
        pixels, sure, right = bin[bin[:, 0] > 0].T
        if len(pixels):
            share = float((bin[:, 0] / counts[:, :, 0].sum(axis=1)).mean())
            row = {"confidence": float((sure / pixels).mean()), "share": share}
            rows.append(row | {"right": interval(right / pixels, np.arange(len(pixels)))})
    return pd.DataFrame(rows)


def calibration_error(runs: Runs) -> Interval:
    """Average the expected calibration error of the runs, with its interval over folds."""
    errors = np.array([record.ece for record in runs.values()])
    return interval(errors, np.array([fold for _, fold, _ in runs]))


def images(data: str, grid: int, wanted: Iterable[str]) -> dict[str, Tile]:
    """Load those images with their masks; none where the data set cannot be loaded."""
    try:
        tiles = registry.load(data, split="all", grid=grid)
    except DataError:
        return {}
    return {id: tiles[tiles.ids.index(id)] for id in wanted}
