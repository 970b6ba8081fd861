"""Draw the points at which a person says what is there, to assess a class map by design.

Two files come of it. The interpreter opens the first: points in random order, without the map's
class, which would sway the answer. The second, NAME_strata.json, is for `assess`: it holds what
the estimators need of the design, and which point is of which stratum.

Points on ground that trained the model are drawn like all others and marked in the second file.
Without them the estimates would hold for the rest of the map only, while an area is wanted of the
whole; with them they are unbiased, provided that the interpreter answers anew. `assess` also gives
the accuracy without them. The labels have to be named for it: of them a model folder keeps counts
and a hash only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely
from jaxtyping import Bool, Float, Int

from fewlabels.files import whole_file
from fewlabels.mapping import class_map, class_text, form, maps, survey, tiles
from fewlabels.mapping.class_map import ClassMap
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.survey import Labels
from fewlabels.scoring import allocation
from fewlabels.scoring.allocation import SampleError
from fewlabels.types import IGNORE, DataError, unknown

FORMAT = 1
LAYER = "points"
TRUTH = "truth"
LEAST = 50  # points a class, as Olofsson et al. advise for rare ones
MOST = 100_000  # points
USERS = 0.8  # accuracy that is expected of a class unless it is said


@dataclass(frozen=True)
class Design:
    """What sample is wanted.

    Attributes:
        n: number of points; None where `se` decides.
        se: standard error wanted of overall accuracy, or of the share of the area of the class
            `of`; None where `n` decides.
        allocation: one of `allocation.RULES`.
        expected: user's accuracies in [0, 1]: `0.8` of all classes, `water=0.95` of one.
        least: points a class; None for 50, or what `n` allows if that is less.
    """

    n: int | None = None
    se: float | None = None
    of: str = ""
    allocation: str = "proportional"
    expected: tuple[str, ...] = ()
    least: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Drawn:
    """The sample that was written.

    Attributes:
        strata: `pixels` and `points` of each class of the map.
        se: standard error that is expected of what the design is for.
        trained: points on ground that trained the model; None where no labels were named.
    """

    points: Path
    key: Path
    strata: pd.DataFrame
    se: float
    trained: int | None
    of: str = ""

    def lines(self) -> list[str]:
        """Say what the sample is good for, and what to do with it."""
        what = f"the share of '{self.of}'" if self.of else "overall accuracy"
        said = [
            f"{self.strata['points'].sum()} points; expected standard error of {what}: "
            f"{100 * self.se:.2f} points of percent; fill the column '{TRUTH}', in QGIS from its "
            "list, without looking at the map"
        ]
        if self.trained is None:
            return [*said, "name what trained the model with --labels, and points on it are marked"]
        return [
            *said,
            f"{self.trained} points lie on ground that trained the model, and are marked",
        ]


def sample(
    file: Path,
    out: Path,
    how: Design,
    *,
    labels: Path | None = None,
    column: str = "class",
    crs: str | None = None,
    classes: Sequence[str] = (),
    also: Sequence[str] = (),
) -> Drawn:
    """Draw a stratified random sample of the pixels of a class map, strata its classes.

    The map is read twice, by strips. The sample follows from the map, the design and the seed.

    Args:
        out: GeoPackage of the points, to interpret.
        labels: what trained the model, on which points are marked.
        column, crs: of the labels, see `survey.Labels`.
        classes: see `class_map.opened`.
        also: further classes to offer the interpreter, which the map does not have.

    Raises:
        DataError: as `class_map.opened` and `survey.labelled`, or a file exists.
        SampleError: the sample cannot be drawn as asked.
        DiskFullError, PlaceError: it cannot be written.
    """
    if out.suffix.lower() != ".gpkg":
        raise DataError(f"'{out}' is no name for the points; they are a GeoPackage, NAME.gpkg")
    key = key_of(out)
    maps.free(out, key)
    found = class_map.opened(file, classes)
    sizes = np.array(list(found.pixels.values()))
    how = _settled(how, len(sizes))
    deviations = _deviations(found, how)
    counts = _counts(how, sizes, deviations)
    drawn = _points(found, counts, how.seed)
    trained = None
    if labels is not None:
        drawn["trained"] = _labelled(found.scene, labels, column, crs, drawn)
        trained = int(drawn["trained"].sum())
    names = [found.names[value] for value in found.pixels]
    strata = pd.DataFrame({"pixels": sizes, "points": counts}, index=names)
    se = allocation.expected_error(counts, sizes, deviations)
    with whole_file(key) as scratch:
        scratch.write_text(json.dumps(_about(found, how, strata, drawn) | {"expected_se": se}))
        _write(out, found.scene, drawn, [*found.names.values(), *also])
    return Drawn(out, key, strata, se, trained, how.of)


def _about(
    found: ClassMap, how: Design, strata: pd.DataFrame, points: pd.DataFrame
) -> dict[str, object]:
    scene = found.scene
    return {
        "format": FORMAT, "map": scene.file.name, "sha256": found.sha256,
        "crs": scene.crs and scene.crs.to_wkt(), "transform": list(scene.transform)[:6],
        "classes": {str(value): name for value, name in found.names.items()},
        "design": asdict(how), "points": points.to_dict("list"),
        "strata": strata.rename_axis("name").reset_index().to_dict("records"),
    }  # fmt: skip


def _write(out: Path, scene: Scene, points: pd.DataFrame, offered: Sequence[str]) -> None:
    frame = geopandas.GeoDataFrame(
        {"id": points["id"], TRUTH: pd.Series([None] * len(points), dtype=object)},
        geometry=shapely.points(points["column"] + 0.5, points["row"] + 0.5),
    )
    style = form.qml(TRUTH, offered, abs(scene.transform.determinant) ** 0.5)
    maps.layers(out, scene, {LAYER: frame}, {LAYER: style})


def key_of(points: Path) -> Path:
    """The file beside a sample's points that says which stratum each is of."""
    return points.with_name(f"{points.stem}_strata.json")


def _counts(
    how: Design, sizes: Int[np.ndarray, " h"], deviations: Float[np.ndarray, " h"]
) -> Int[np.ndarray, " h"]:
    if how.allocation not in allocation.RULES:
        raise unknown("allocation", how.allocation, allocation.RULES)
    if how.n is not None:
        found = allocation.allocated(how.n, sizes, how.allocation, deviations, how.least)
    else:
        found = allocation.smallest(how.se, sizes, how.allocation, deviations, how.least)
    if found.sum() > MOST:
        raise SampleError(
            f"{found.sum()} points are wanted, but at most {MOST} can be drawn; ask for fewer "
            "points or a larger standard error"
        )
    return found


def _settled(how: Design, strata: int) -> Design:
    """The design with its least number a class.

    Raises:
        SampleError: not one of number and standard error is said, or it cannot be had.
    """
    if (how.n is None) == (how.se is None):
        raise SampleError("say either how many points are wanted or which standard error")
    if how.se is not None and not 0 < how.se < 1:
        raise SampleError(f"a standard error of a share lies between 0 and 1; found {how.se:g}")
    least = LEAST if how.n is None else min(LEAST, how.n // strata)
    return replace(how, least=max(1, least if how.least is None else how.least))


def _deviations(found: ClassMap, how: Design) -> Float[np.ndarray, " h"]:
    """Expected standard deviation within each class of the map: of being right, or of being the
    class `of`, with errors spread evenly over the other classes.
    """
    names = [found.names[value] for value in found.pixels]
    users = dict.fromkeys(names, USERS)
    for part in sorted(how.expected, key=lambda part: "=" in part):
        name, _, number = part.rpartition("=")
        if name and name not in users:
            raise SampleError(
                f"an accuracy is expected of '{name}', but the map has no such class"
                f"{class_text.meant(name, names)}; it has: {', '.join(names)}"
            )
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise SampleError(f"an expected accuracy is a number from 0 to 1; found '{part}'")
        users |= {name: share} if name else dict.fromkeys(names, share)
    if how.of and how.of not in names:
        raise SampleError(
            f"the map has no pixel of '{how.of}'{class_text.meant(how.of, names)}; it has: "
            f"{', '.join(names)}"
        )
    right = np.array([users[name] for name in names])
    other = (1 - right) / max(1, len(names) - 1)
    share = np.where([name == how.of for name in names], right, other) if how.of else right
    return np.sqrt(share * (1 - share))


def _points(found: ClassMap, counts: Int[np.ndarray, " h"], seed: int) -> pd.DataFrame:
    """Draw pixels of each class by their number in reading order: `id` in random order, `row`,
    `column`, `stratum`.
    """
    chosen = {
        value: np.sort(np.random.default_rng((seed, value)).choice(size, number, replace=False))
        for (value, size), number in zip(found.pixels.items(), counts.tolist(), strict=True)
    }
    seen, parts = dict.fromkeys(chosen, 0), []
    for top, values in class_map.strips(found.scene):
        for value, ranks in chosen.items():
            there = np.flatnonzero(values == value)
            first, last = np.searchsorted(ranks, (seen[value], seen[value] + len(there)))
            row, column = np.divmod(there[ranks[first:last] - seen[value]], values.shape[1])
            name = found.names[value]
            parts.append(pd.DataFrame({"row": row + top, "column": column, "stratum": name}))
            seen[value] += len(there)
    every = pd.concat(parts).sort_values(["row", "column"])
    mixed = every.iloc[np.random.default_rng((seed, len(every))).permutation(len(every))]
    mixed = mixed.reset_index(drop=True)
    mixed.insert(0, "id", np.arange(1, len(mixed) + 1))
    return mixed


def _labelled(
    scene: Scene, labels: Path, column: str, crs: str | None, points: pd.DataFrame
) -> Bool[np.ndarray, " n"]:
    given, found = survey.labelled(Labels(labels, column, crs=crs), scene), []
    with tiles.labelling(given, scene) as burn:
        for row, across in zip(points["row"].tolist(), points["column"].tolist(), strict=True):
            here = burn(slice(row, row + 1), slice(across, across + 1))
            found.append(bool(here.labels[0, 0] != IGNORE or here.contradictory))
    return np.array(found)


def read_key(file: Path) -> Mapping[str, object]:
    """Read what `sample` wrote beside its points.

    Raises:
        DataError: it is no such file.
    """
    needed = {"sha256", "classes", "strata", "points", "design"}
    try:
        found = json.loads(file.read_text())
        if found["format"] != FORMAT or needed - found.keys():
            raise ValueError(f"it is not of format {FORMAT}")
        pd.DataFrame(found["points"])[["id", "stratum"]], pd.DataFrame(found["strata"])["pixels"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"'{file}' cannot be read as the strata of a sample ({error})") from error
    return found
