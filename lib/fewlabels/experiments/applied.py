"""Study W: does a map err more outside its area of applicability than inside, and on which ground?

One row is one map on one ground (`studies.w.APPLIES`): how many scored pixels lie inside and
outside the area of applicability, and how many of them are wrong. The features of all sites of a
data set have to be the same ones, which they are where the bands have names or are three.
"""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.experiments import tables, whole_maps
from fewlabels.experiments.tables import Job
from fewlabels.experiments.whole_maps import Site
from fewlabels.learners import LEARNERS, dissimilarity
from fewlabels.learners.dissimilarity import Space
from fewlabels.learners.features import FeaturePredictor
from fewlabels.studies.w import APPLIED, APPLIES

LEARNER, PARTS = "frozen_linear", 5  # parts of held-out squares


@tables.filling
def run(
    table: pd.DataFrame, dataset: Dataset, names: Sequence[str], replicates: Sequence[int], *,
    bands: Sequence[str] = (),
) -> Iterator[Job]:  # fmt: skip
    """List what a table lacks of the sites of a data set; see `tables.filling`.

    The other site of a site is the one before it in `names`; that of the first is the last.
    """
    done = set(tables.of(table, dataset, data=dataset.name)["site"])
    for other, name in zip([*names[-1:], *names], names, strict=False):
        if name not in done:
            yield partial(rows, name=name, other=other, replicates=replicates, bands=bands)


def rows(
    dataset: Dataset, name: str, other: str, replicates: Sequence[int], compute: Compute,
    bands: Sequence[str] = (),
) -> Iterator[dict[str, object]]:  # fmt: skip
    """Fit the head to labels of half a site, and count on which side of its area it errs."""
    site, beyond = (
        whole_maps.site(dataset, each, [LEARNER], replicates, compute, bands)
        for each in (name, other)
    )
    own = labelled_half(site, whole_maps.tiles_of(dataset, name)[0].mask.shape[1])
    for replicate in replicates:
        drawn = site.draws[replicate, "random"]
        for budget in APPLIED:
            train = drawn[own[drawn]][:budget]
            if len(train) < budget or len(np.unique(site.y[train])) < 2:
                continue
            units = whole_maps.units(site.tile[train], site.at[train])
            x, y = site.x[train], site.y[train]
            fitted = LEARNERS[LEARNER].fitted(site.bank, x, y, units, int(y.max()) + 1, compute)
            space = dissimilarity.space(x, fitted.head)
            limit = threshold(space, units, whole_maps.generator(dataset.name, name, "parts"))
            scored = site.scored[~np.isin(site.scored, train)]
            grounds = ((site, scored[own[scored]]), (site, scored[~own[scored]]),
                       (beyond, beyond.scored))  # fmt: skip
            for ground, (where, pixels) in zip(APPLIES, grounds, strict=True):
                if len(pixels):
                    yield tables.facts(dataset, compute, code()) | {
                        "site": name, "replicate": replicate, "labels": "random", "budget": budget,
                        "learner": LEARNER, "ground": ground, "threshold": limit,
                        **counted(fitted, space, limit, where, pixels),
                    }  # fmt: skip


@cache
def code() -> str:
    """SHA-256 over the modules that a row follows from, see `whole_maps.code_of`."""
    return whole_maps.code_of(Path(whole_maps.__file__), Path(__file__))


def labelled_half(site: Site, width: int) -> Bool[np.ndarray, " n"]:
    """Which pixels lie on the half that is labelled: the first half of the tiles, or the left half
    of the only one, which is `width` pixels wide.
    """
    tiles = int(site.tile.max()) + 1
    return site.tile < -(-tiles // 2) if tiles > 1 else site.at[:, 1] < width // 2


def threshold(space: Space, units: Int[np.ndarray, " n"], rng: np.random.Generator) -> float:
    """The largest dissimilarity, outliers aside, of training pixels from those of other parts;
    whole squares of 64 pixels are dealt into five parts.
    """
    _, square = np.unique(units, return_inverse=True)
    part = rng.permutation(square.max() + 1)[square] % PARTS
    pairs = [(space.x[part == one], space.x[part != one]) for one in np.unique(part)]
    unlike = [dissimilarity.nearest(held, trains) for held, trains in pairs]
    return dissimilarity.whisker(np.concatenate(unlike) / space.mean)


def counted(
    fitted: FeaturePredictor, space: Space, limit: float, site: Site, pixels: Int[np.ndarray, " m"]
) -> dict[str, int]:
    """Count pixels and wrong ones inside and outside; `unsure` are wrong ones among the pixels of
    least probability, as many as lie outside.
    """
    x, shares = site.x[pixels], fitted.head.probabilities(site.x[pixels])
    wrong = fitted.head.known[shares.argmax(axis=1)] != site.y[pixels]
    outside = space.dissimilarity(x) > limit
    least = np.argsort(shares.max(axis=1), kind="stable")[: outside.sum()]
    found = {"inside": ~outside, "outside": outside, "wrong_inside": wrong & ~outside,
             "wrong_outside": wrong & outside, "unsure": wrong[least]}  # fmt: skip
    return {name: int(which.sum()) for name, which in found.items()}
