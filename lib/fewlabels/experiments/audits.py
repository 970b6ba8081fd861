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
from fewlabels.files import whole_file
from fewlabels.labels import expansion, sampling
from fewlabels.results.statistics import interval
from fewlabels.types import IGNORE, RecordError, Tile

REACHES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
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
        columns `pixels` (of the class in the mask), `labelled` (with the class), `correct` (both),
        and those of `with_shares`.

    Raises:
        ValueError: labels and mask differ in size, or hold a value that is no class.
    """
    if labels.shape != mask.shape:
        raise ValueError(f"labels are {labels.shape}, the mask is {mask.shape}; one size is needed")
    true = mask != IGNORE
    given = true & (labels != IGNORE)
    for name, values in (("labels", labels[given]), ("mask", mask[true])):
        if values.size and values.max() >= classes:
            raise ValueError(f"the {name} hold class {values.max()}, but there are {classes}")
    counted = [mask[true], labels[given], mask[given & (labels == mask)]]
    rows = {c: np.bincount(v, minlength=classes) for c, v in zip(COUNTS, counted, strict=True)}
    return with_shares(pd.DataFrame(rows).rename_axis("class"))


def with_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Add `coverage` (correct / pixels) and `purity` (correct / labelled) to counts of one tile or
    summed over tiles; NaN where the denominator is 0.
    """
    pixels, labelled = (counts[c].astype(float).replace(0, np.nan) for c in ("pixels", "labelled"))
    return counts.assign(coverage=counts["correct"] / pixels, purity=counts["correct"] / labelled)


def one_a_site(tiles: Sequence[Tile], most: int = 12) -> list[Tile]:
    """Return the first tile of every site; of more than `most` sites, evenly spaced ones."""
    first = list({tile.site: tile for tile in reversed(tiles)}.values())[::-1]
    kept = np.linspace(0, len(first) - 1, min(most, len(first))).round().astype(int)
    return [first[i] for i in kept]


def audited(
    tiles: Iterable[Tile],
    classes: Sequence[str],
    *,
    budgets: Sequence[float] = BUDGETS,
    reaches: Mapping[str, Sequence[float]] = REACHES,
    sampler: str = "random",
    seed: int = 0,
) -> pd.DataFrame:
    """Audit all methods at all reaches: one row a tile, budget, method, reach and class.

    Method `none` (reach 0) is the draw itself. The other columns are `site` and the counts of
    `audit`.
    """
    rows = []
    for tile in tqdm(list(tiles), desc="audit", unit="tile"):
        for budget in budgets:
            drawn = sampling.draw(tile.mask, sampler, budget, seed=seed, tile=tile.id)
            for method, reach in [("none", 0), *((m, r) for m, rs in reaches.items() for r in rs)]:
                option = {} if method == "none" else {expansion.METHODS[method].reach: reach}
                labels = expansion.expand(drawn, method, image=tile.image, **option)
                found = audit(labels, tile.mask, len(classes))[COUNTS]
                named = found.set_axis(classes).rename_axis("class").reset_index()
                where = {"tile": tile.id, "site": tile.site, "budget": budget}
                rows.append(named.assign(**where, method=method, reach=float(reach)))
    return pd.concat(rows, ignore_index=True)


def record(table: pd.DataFrame, data: str) -> Path:
    """Store an audit of all tiles beside the published study's records."""
    file = _file(data)
    with whole_file(file) as scratch:
        table.to_csv(scratch, index=False, compression={"method": "gzip", "mtime": 0})
    return file


def recorded(data: str) -> pd.DataFrame:
    """Read the stored audit of a data set.

    Raises:
        RecordError: there is none; says how to make it.
    """
    if not (file := _file(data)).is_file():
        raise RecordError(
            f"the audit of '{data}' is not in '{file}'; make it: `fewlabels audit --data {data}`"
        )
    return pd.read_csv(file, compression="gzip").rename(columns={"place": "site"})  # earlier audits


def shares(table: pd.DataFrame, by: Sequence[str] = ("class",)) -> pd.DataFrame:
    """Pool the counts of every setting over tiles (and over classes, if `by` is empty), with their
    `coverage` and `purity`.
    """
    return with_shares(table.groupby([*SETTING, *by], sort=False)[COUNTS].sum())


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
    mine["correct_a_label"] = mine["correct"] / mine["given"] - 1
    mine["wrong_a_label"] = (mine["labelled"] - mine["correct"]) / mine["given"]
    rows = {
        setting: {
            name: interval(rows[f"{name}_a_label"].to_numpy(), rows["site"].to_numpy())
            for name in ("correct", "wrong")
        }
        for setting, rows in mine.groupby(SETTING, sort=False)
    }
    out = pd.DataFrame(rows.values(), index=pd.MultiIndex.from_tuples(rows, names=SETTING))
    correct, wrong = (np.array([i.mean for i in out[name]]) for name in ("correct", "wrong"))
    return out.assign(net=correct - wrong, right=correct / (correct + wrong))


def best(added: pd.DataFrame, budget: float, *, right: float = 0.95) -> tuple[str, float] | None:
    """Return method and reach that add most, of those whose added labels are right at least this
    often; None where there is none.
    """
    mine = added.xs(budget, level="budget")
    mine = mine[mine["right"] >= right]
    return mine["correct"].map(lambda i: i.mean).idxmax() if len(mine) else None


def _file(data: str) -> Path:
    return paths.published_root() / "audit" / f"{data}.csv.gz"
