"""Count how much each expansion adds, and how much of it is wrong.

Nothing is trained. Masks are used to judge, never to expand.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from tqdm.auto import tqdm

from fewlabels import paths
from fewlabels.labels import expansion, sampling
from fewlabels.results.statistics import interval
from fewlabels.scoring import metrics
from fewlabels.types import IGNORE, RecordError, Tile

REACHES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "none": (0,),
        "link": (5, 10, 20),
        "disc": (2, 5, 10),
        "geodesic": (5, 10, 20),
        "slic": (50, 100, 200),
        "felzenszwalb": (10, 30, 100),
    }
)
BUDGETS = (0.001, 0.01)
SETTING = ["budget", "method", "reach"]
COUNTS = ["pixels", "labelled", "correct"]


def audit(
    labels: UInt8[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], classes: int
) -> pd.DataFrame:
    """Compare labels with the dense mask, one row a class; IGNORE in the mask counts nowhere.

    Returns:
        columns `pixels` (of the class in the mask), `labelled` (with the class), `correct` (both).

    Raises:
        ValueError: labels and mask differ in size, or hold a value that is no class.
    """
    matrix = metrics.confusion(labels, np.where(labels == IGNORE, labels, mask), classes)
    pixels = metrics.confusion(mask, mask, classes).diagonal()
    counted = {"pixels": pixels, "labelled": matrix.sum(0), "correct": matrix.diagonal()}
    return pd.DataFrame(counted).rename_axis("class")


def one_a_site(tiles: Sequence[Tile], most: int = 12) -> list[Tile]:
    """Return the first tile of every site; of more than `most` sites, evenly spaced ones."""
    first = list({tile.site: tile for tile in reversed(tiles)}.values())[::-1]
    kept = np.linspace(0, len(first) - 1, min(most, len(first))).round().astype(int)
    return [first[i] for i in kept]


def audited(tiles: Iterable[Tile], classes: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """Audit all methods at all reaches on random draws: one row a tile, budget, method, reach and
    class.

    Method `none` is the draw itself. The other columns are `site` and the counts of `audit`.
    """
    rows = []
    for tile in tqdm(list(tiles), desc="audit", unit="tile"):
        for budget in BUDGETS:
            drawn = sampling.draw(tile.mask, "random", budget, seed=seed, tile=tile.id)
            for method, reach in ((m, r) for m, rs in REACHES.items() for r in rs):
                option = {expansion.METHODS[method].reach: reach} if reach else {}
                labels = expansion.expand(drawn, method, image=tile.image, **option)
                found = audit(labels, tile.mask, len(classes)).set_axis(classes)
                where = {"tile": tile.id, "site": tile.site, "budget": budget}
                named = found.rename_axis("class").reset_index()
                rows.append(named.assign(**where, method=method, reach=float(reach)))
    return pd.concat(rows, ignore_index=True)


def recorded(data: str) -> pd.DataFrame:
    """Read the stored audit of a data set.

    Raises:
        RecordError: there is none; says how to make it.
    """
    if not (file := file_of(data)).is_file():
        raise RecordError(
            f"the audit of '{data}' is not in '{file}'; make it: `python bench/audit.py {data}`"
        )
    return pd.read_csv(file, compression="gzip").rename(columns={"place": "site"})  # earlier audits


def shares(table: pd.DataFrame, by: Sequence[str] = ("class",)) -> pd.DataFrame:
    """Pool the counts of every setting over tiles (and over classes, if `by` is empty), with their
    `coverage` (correct / pixels) and `purity` (correct / labelled); NaN where the denominator is 0.
    """
    counts = table.groupby([*SETTING, *by], sort=False)[COUNTS].sum()
    of = {"coverage": counts["pixels"], "purity": counts["labelled"]}
    return counts.assign(**{name: counts["correct"] / n.where(n > 0) for name, n in of.items()})


def added(table: pd.DataFrame) -> pd.DataFrame:
    """Compute what each setting adds for every given label: means over tiles, with 95 % intervals
    over sites.

    Columns: `correct` and `wrong` (each a `statistics.Interval`, added labels a given label), `net`
    (the difference of their means) and `right` (share of the added labels that are correct).
    """
    keys = ["tile", "site", "budget"]
    count = table.groupby([*keys, "method", "reach"], sort=False)[COUNTS].sum().reset_index()
    given = count[count["method"] == "none"].set_index(keys)["labelled"].rename("given")
    mine = count[count["method"] != "none"].join(given, on=keys)
    mine = mine.assign(
        correct=mine["correct"] / mine["given"] - 1,
        wrong=(mine["labelled"] - mine["correct"]) / mine["given"],
    )
    rows = {
        setting: {
            name: interval(rows[name].to_numpy(), rows["site"].to_numpy())
            for name in ("correct", "wrong")
        }
        for setting, rows in mine.groupby(SETTING, sort=False)
    }
    out = pd.DataFrame(rows.values(), index=pd.MultiIndex.from_tuples(rows, names=SETTING))
    correct, wrong = (np.array([i.mean for i in out[name]]) for name in ("correct", "wrong"))
    return out.assign(net=correct - wrong, right=correct / (correct + wrong))


def file_of(data: str) -> Path:
    """Where an audit of all tiles is stored, beside the published study's records."""
    return paths.published_root() / "audit" / f"{data}.csv.gz"
