"""The networks of the frozen arm: `fine_tuned` on the labelled sites of four folds.

Labels and scored pixels are those of the frozen head, so rows are paired with its rows.
"""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.experiments import frozen_arm as arm
from fewlabels.experiments import tables, whole_maps
from fewlabels.experiments.tables import Job
from fewlabels.learners import LEARNERS
from fewlabels.scoring import metrics
from fewlabels.studies import Run, frozen_arm, w
from fewlabels.types import IGNORE


@tables.filling
def run(
    table: pd.DataFrame, dataset: Dataset, replicates: Sequence[int], learners: Sequence[str]
) -> Iterator[Job]:
    """List what a table lacks of some replicates, a network at a time; see `tables.filling`.

    Args:
        learners: of `frozen_arm.TUNED`.
    """
    for replicate, learner in product(replicates, learners):
        for of, fold in product(frozen_arm.tuned(dataset.name), range(len(dataset.folds))):
            key = {"replicate": replicate, "fold": fold, "learner": learner}
            if tables.of(table, dataset, condition=frozen_arm.described(of), **key).empty:
                yield partial(rows, **key, of=of)


def rows(
    dataset: Dataset, fold: int, replicate: int, learner: str, of: Run, compute: Compute
) -> list[dict[str, object]]:
    """Train one network on the sites outside a fold; count what it maps right on each test site."""
    tested, classes = set(dataset.folds[fold]), len(dataset.classes)
    train = [tile for tile in dataset if tile.site not in tested]
    one = arm.drawing(of, replicate)
    labels = [arm.drawn_labels(one, tile, len(dataset)).reshape(tile.mask.shape) for tile in train]
    made = LEARNERS["fine_tuned"].fit(
        [tile.image for tile in train], labels, classes, seed=replicate, compute=compute,
        ids=[tile.id for tile in train], steps=frozen_arm.TUNED[learner], loss=of.loss,
        bands=w.BANDS.get(dataset.name, ()),
    )  # fmt: skip
    counts: dict[str, np.ndarray] = {}
    for tile in dataset:
        if tile.site in tested - set(frozen_arm.DEVELOPMENT.get(dataset.name, ())):
            at = arm.scored_pixels(tile)
            guess = made.probabilities(tile.image).argmax(axis=0).astype(np.uint8).ravel()[at]
            own = metrics.confusion(guess[None], tile.mask.ravel()[at][None], classes)
            counts[tile.site] = counts.get(tile.site, 0) + own
    pixels = sum(int((each != IGNORE).sum()) for each in labels)
    return [
        tables.facts(dataset, compute, code())
        | {"fold": fold, "replicate": replicate, "learner": learner,
           "condition": frozen_arm.described(of)}
        | {"site": site, "confusion": own.ravel().tolist(), "trained_pixels": pixels}
        for site, own in sorted(counts.items())
    ]  # fmt: skip


@cache
def code() -> str:
    """SHA-256 over the modules that a row follows from, see `whole_maps.code_of`."""
    library = Path(__file__).parents[1]
    more = ("labels", "training", "learners/network.py", "experiments/prepare.py")
    files = (*(library / name for name in more), Path(arm.__file__), Path(__file__))
    return whole_maps.code_of(*files)
