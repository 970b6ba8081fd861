"""Assess a class map by design: its accuracy and the area of its classes from interpreted points.

Where `sample` drew the points of the same map, the strata are the map's classes. Points drawn of
an older map keep that map's strata, which the file beside them says (Stehman's estimators). Points
without such a file are taken for a random sample of each class of the map.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from rasterio.crs import CRS
from rasterio.transform import Affine

from fewlabels.files import whole_file
from fewlabels.mapping import assess_text, class_map, class_text, grid, vector_labels
from fewlabels.mapping import sample as sampling
from fewlabels.mapping.class_map import NONE, ClassMap
from fewlabels.results import figures
from fewlabels.scoring import design_based
from fewlabels.scoring.design_based import OUTSIDE, Accuracy, Estimate, Sample
from fewlabels.scoring.metrics import known
from fewlabels.types import DataError, NoLabelsError

Record = Mapping[str, object]


def assess(
    file: Path,
    points: Path,
    column: str = sampling.TRUTH,
    *,
    strata: Path | None = None,
    classes: Sequence[str] = (),
    layer: str | None = None,
    crs: str | None = None,
) -> Record:
    """Estimate accuracy and areas of the map `file` from the answers in `column` of `points`.

    Args:
        strata: what `sample` wrote beside its points; NAME_strata.json, if there is one, if None.
        classes: see `class_map.opened`.
        layer, crs: see `vector_labels.read`.

    Returns:
        All of it, as `write` keeps it in JSON; `assess_text` puts it into words and a table.

    Raises:
        NoLabelsError: no point can be used.
    """
    found = class_map.opened(file, classes)
    beside = sampling.key_of(points)
    key = None
    if strata is not None or beside.exists():
        key = sampling.read_key(strata or beside)
    frame, nowhere = vector_labels.answers(points, found.scene, column, layer=layer, crs=crs)
    rows, counted = _usable(frame, found, key, column)
    counted["outside the map"] += nowhere
    if not (rows["mapped"] != "").any():
        listed = ", ".join(f"{number} {why}" for why, number in counted.items() if number)
        raise NoLabelsError(
            f"'{points}': none of {len(frame) + nowhere} points can be used on '{file}' ({listed})"
        )
    return _record(found, key, rows, counted | {"found": len(frame) + nowhere}, points)


def write(record: Record, out: Path) -> tuple[Path, ...]:
    """Write an assessment as OUT.json, OUT.csv, OUT.png and OUT.txt; those of before are replaced.

    Raises:
        DiskFullError, PlaceError: they cannot be written.
    """
    files = tuple(out.with_name(f"{out.name}{end}") for end in (".json", ".csv", ".png", ".txt"))
    text = assess_text.paragraph(record)
    drawn = figures.assessment(record)
    with whole_file(files[0]) as scratch:
        scratch.write_text(json.dumps({**record, "text": text}, indent=1) + "\n")
    with whole_file(files[1]) as scratch:
        assess_text.table(record).to_csv(scratch)
    with whole_file(files[2]) as scratch:
        drawn.savefig(scratch)
    plt.close(drawn)
    with whole_file(files[3]) as scratch:
        scratch.write_text("\n".join([text, "", *record["notes"]]) + "\n")
    return files


def _usable(
    frame: pd.DataFrame, found: ClassMap, key: Record | None, column: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The points to use, with `stratum`, `mapped` (empty where the map has no class), `truth`,
    `hectares` and `trained`; and how many others there are, by reason.
    """
    counted: dict[str, int] = {}
    at, names = frame.geometry.centroid, {f"{v}": name for v, name in found.names.items()}
    rows = pd.DataFrame({"truth": frame[column], "id": frame.get("id")}, index=frame.index)
    rows[["column", "row"]] = np.floor(np.column_stack([at.x, at.y]))
    named = rows["truth"].isin(names.values())
    rows["truth"] = rows["truth"].where(named, rows["truth"].replace(names))
    rows = _kept(rows, rows["truth"].notna(), "without an answer", counted)
    rows = _kept(rows, rows["row"].notna(), "without geometry", counted)
    rows = rows.astype({"row": int, "column": int}).assign(trained=False)
    rows[["own row", "own column"]] = rows[["row", "column"]]
    home, crs = found.scene.transform, found.scene.crs
    if key is not None:
        rows = _of_sample(rows, key, found, counted)
        home, crs = Affine(*key["transform"]), key["crs"] and CRS.from_wkt(key["crs"])
    own = rows[["own row", "own column"]]
    answers = rows.groupby(list(own))["truth"].nunique()
    counted["pixels with two answers"] = int((answers > 1).sum())
    rows = _kept(rows, ~own.duplicated(), "that are duplicates", counted)
    cells = grid.hectares(home, crs, *rows[list(own)].to_numpy().T)
    values = class_map.values_at(found.scene, *rows[["row", "column"]].to_numpy().T)
    rows = rows.assign(
        hectares=np.nan if cells is None else cells,
        mapped=[found.names.get(value, "") for value in values.tolist()],
    )
    inside = rows["row"].between(0, found.scene.height - 1)
    inside &= rows["column"].between(0, found.scene.width - 1)
    counted["outside the map"] = int((~inside).sum())
    counted["on nodata"] = int((inside & (values == NONE)).sum())
    if key is None:
        rows = rows[rows["mapped"] != ""]
        rows = rows.assign(stratum=rows["mapped"])
    return rows.reset_index(drop=True), counted


def _kept(rows: pd.DataFrame, there: pd.Series, why: str, counted: dict[str, int]) -> pd.DataFrame:
    counted[why] = int((~there).sum())
    return rows[there]


def _of_sample(
    rows: pd.DataFrame, key: Record, found: ClassMap, counted: dict[str, int]
) -> pd.DataFrame:
    """The points that `sample` drew, with their stratum, their pixel of the map that it was drawn
    of, and whether they trained.
    """
    if len(rows) and rows["id"].isna().all():
        raise DataError(
            "the points have no column 'id', which says their strata; restore the column, or "
            "remove the file of strata"
        )
    drawn = pd.DataFrame(key["points"]).set_index("id")
    numbers = pd.to_numeric(rows["id"], errors="coerce")
    rows = _kept(rows, numbers.isin(drawn.index), "not of the sample", counted)
    drawn = drawn.loc[numbers[rows.index].astype(int)].set_axis(rows.index)
    rows = rows.assign(stratum=drawn["stratum"], trained=drawn.get("trained", False))
    rows[["own row", "own column"]] = drawn[["row", "column"]]
    same = (rows["row"] == drawn["row"]) & (rows["column"] == drawn["column"])
    elsewhere = key["transform"] != list(found.scene.transform)[:6]
    return _kept(rows, same | elsewhere, "moved from their pixel", counted)


def _record(
    found: ClassMap,
    key: Record | None,
    rows: pd.DataFrame,
    counted: Mapping[str, int],
    points: Path,
) -> Record:
    sizes = pd.Series({found.names[value]: size for value, size in found.pixels.items()})
    if key is not None:
        sizes = pd.DataFrame(key["strata"]).set_index("name")["pixels"]
    used = rows["stratum"].value_counts().reindex(sizes.index, fill_value=0)
    present = sizes[used > 0]
    new = sorted(set(rows["truth"]) - set(found.names.values()))
    names = [*found.names.values(), *new]
    number = {name: i for i, name in enumerate(names)} | {"": OUTSIDE}
    drawn = Sample(
        present.index.get_indexer(rows["stratum"]).astype(np.int64),
        rows["mapped"].map(number).to_numpy(np.int64),
        rows["truth"].map(number).to_numpy(np.int64),
        present.to_numpy(np.int64),
    )
    made = design_based.accuracy(drawn, len(names))
    same = key is None or key["sha256"] == found.sha256
    record = {
        "map": found.scene.file.name, "sha256": found.sha256, "system": found.scene.system,
        "points": points.name, "design": key and key["design"],
        "estimators": "Olofsson et al. 2014" if same else "Stehman 2014",
        "strata_of": None if same else key["map"],
        "counted": {"used": int((drawn.mapped != OUTSIDE).sum()), **counted},
        "strata": {
            name: {"pixels": int(size), "points": int(used[name])} for name, size in sizes.items()
        },
        "classes": names, "new_classes": new,
        "matrix": {
            "rows": "map", "columns": "reference", "classes": names,
            "counts": made.counts.tolist(), "proportions": made.proportions.tolist(),
        },
        "overall": _numbers(made.overall), "trained": int(rows["trained"].sum()),
        "overall_without_trained": _without(drawn, rows["trained"].to_numpy(bool), len(names)),
        "of_class": _of_class(found, names, drawn, made, rows["hectares"].to_numpy()),
    }  # fmt: skip
    near = {name: class_text.meant(name, found.names.values()) for name in new}
    return {**record, "notes": assess_text.notes(record, near)}


def _of_class(
    found: ClassMap,
    names: Sequence[str],
    drawn: Sample,
    made: Accuracy,
    cells: Float[np.ndarray, " n"],
) -> dict[str, Record]:
    """The estimates of each class, beside what is counted on the map."""
    value = {name: value for value, name in found.names.items()}
    hectares = [None] * len(names)
    if np.isfinite(cells).all():
        hectares = map(_numbers, design_based.accuracy(drawn, len(names), cells).areas)
    columns = (made.users, made.producers, made.shares, made.areas, made.unseen)
    return {
        name: {
            "users": _numbers(user), "producers": _numbers(producer), "share": _numbers(share),
            "pixels": _numbers(area), "hectares": ground, "unseen": more,
            "mapped_pixels": found.pixels.get(value.get(name), 0),
            "mapped_hectares": found.hectares and found.hectares.get(value.get(name), 0.0),
        }
        for name, user, producer, share, area, more, ground in zip(
            names, *columns, hectares, strict=True
        )
    }  # fmt: skip


def _without(drawn: Sample, trained: Bool[np.ndarray, " n"], classes: int) -> Record | None:
    """Overall accuracy of the ground that did not train, if some points do and some do not."""
    apart = np.where(trained, OUTSIDE, drawn.mapped)
    if not trained.any() or (apart == OUTSIDE).all():
        return None
    return _numbers(design_based.accuracy(replace(drawn, mapped=apart), classes).overall)


def _numbers(found: Estimate) -> dict[str, float | None]:
    return {name: known(value) for name, value in asdict(found).items()}
