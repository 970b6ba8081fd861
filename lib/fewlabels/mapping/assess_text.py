"""An assessment in words: a paragraph for a methods section, notes, lines and a table."""

from collections.abc import Mapping

import pandas as pd

from fewlabels.mapping.sample import LEAST

FEW = 20  # points of a class of the map, below which its intervals are rough
Record = Mapping[str, object]
Found = Mapping[str, float | None]
UNUSED = ("without an answer", "without geometry", "not of the sample", "moved from their pixel",
          "that are duplicates", "outside the map", "on nodata")  # fmt: skip
SOURCES = {
    "Olofsson et al. 2014": "https://doi.org/10.1016/j.rse.2014.02.015",
    "Stehman 2014": "https://doi.org/10.1080/01431161.2014.930207",
}


def percent(found: Found, digits: int = 1) -> str:
    """Write an estimated share as `93.1 [90.2, 95.3] %`."""
    return f"{_ends(found, 100, digits)} %" if found["value"] is not None else "undefined"


def area(record: Record, name: str, what: str = "") -> str:
    """Write the area of a class with its interval, in hectares, or in pixels where those are not
    known; `mapped_` gives what the map has.
    """
    row = record["of_class"][name]
    known = row["hectares"] is not None and row["mapped_hectares"] is not None
    unit = "hectares" if known else "pixels"
    short = "ha" if unit == "hectares" else "pixels"
    most = max(each[f"mapped_{unit}"] for each in record["of_class"].values())
    digits = 2 if unit == "hectares" and most < 100 else 0
    if what:
        return f"{row[f'{what}{unit}']:,.{digits}f} {short}"
    return f"{_ends(row[unit], 1, digits)} {short}"


def paragraph(record: Record) -> str:
    """Compose a paragraph for a methods section."""
    strata = "; ".join(f"{name} {row['points']}" for name, row in record["strata"].items())
    of = "the map's classes"
    if record["strata_of"]:
        of = f"the classes of an earlier map, {record['strata_of']}"
    design = record["design"]
    drawn = "" if design is None else (
        f" Allocation was {design['allocation']}, with at least {design['least']} points a class "
        f"(seed {design['seed']})."
    )  # fmt: skip
    names = record["classes"]
    rows = record["of_class"]
    users = "; ".join(f"{name} {percent(rows[name]['users'])}" for name in names)
    producers = "; ".join(f"{name} {percent(rows[name]['producers'])}" for name in names)
    areas = "; ".join(
        f"{name} {area(record, name)} (mapped: {area(record, name, 'mapped_')})" for name in names
    )
    source = SOURCES[record["estimators"]]
    return (
        f"Accuracy and areas were estimated from a stratified random sample of "
        f"{sum(row['points'] for row in record['strata'].values())} interpreted pixels, with {of} "
        f"as strata ({strata}).{drawn} Estimators are those of {record['estimators']} ({source}), "
        "95 % intervals (in brackets) are Wilson's with the effective sample size, those of areas "
        "and producer's accuracies widened by what a stratum without a point of the class can hold "
        "unseen. Overall "
        f"accuracy is {percent(record['overall'])}. User's accuracy: {users}. Producer's accuracy: "
        f"{producers}. Estimated area: {areas}."
    )


def notes(record: Record, near: Mapping[str, str]) -> list[str]:
    """Say what a reader of the numbers has to know.

    Args:
        near: what a class that the map does not have may be a misspelling of, `; did you mean...`.
    """
    lines = _of_points(record) + _of_strata(record["strata"]) + _of_classes(record["of_class"])
    for name in record["new_classes"]:
        lines.append(f"the map has no class '{name}'; all of it counts as omitted{near[name]}")
    if record["trained"]:
        alone = record["overall_without_trained"]
        lines.append(
            f"{record['trained']} points lie on ground that trained the model"
            + (f"; overall accuracy elsewhere is {percent(alone)}" if alone else "")
        )
    return lines


def _of_points(record: Record) -> list[str]:
    counted = record["counted"]
    lines = [f"points {why}: {counted[why]}" for why in UNUSED if counted.get(why)]
    if number := counted["pixels with two answers"]:
        lines.append(f"pixels with two answers that differ: {number}; the first is used")
    if counted["without an answer"]:
        lines.append("points without an answer are taken for a random part of their stratum")
    if record["design"] is None:
        lines.append(
            "no file of strata lies beside the points: they are taken for a random sample of each "
            "class of the map; if they were chosen in another way, nothing here holds"
        )
    if record["strata_of"]:
        lines.append(
            f"the points were drawn of another map, {record['strata_of']}: strata are the classes "
            "of that one, and areas are of the ground that both maps have, in its pixels"
        )
    return lines


def _of_strata(strata: Mapping[str, Mapping[str, int]]) -> list[str]:
    lines, whole = [], sum(row["pixels"] for row in strata.values())
    for name, row in strata.items():
        if not row["points"]:
            lines.append(
                f"stratum '{name}' has no answered point: {100 * row['pixels'] / whole:.2f} % of "
                "the map is in no estimate"
            )
        elif row["points"] == 1 < row["pixels"]:
            lines.append(
                f"stratum '{name}' has one answered point and no variance of its own; the distance "
                "to the mean of all strata takes its place, which is too much on average"
            )
        elif row["points"] < min(FEW, row["pixels"]):
            lines.append(
                f"stratum '{name}' has {row['points']} answered points, so its intervals are "
                f"rough; {LEAST} are advised"
            )
    return lines


def _of_classes(classes: Mapping[str, Record]) -> list[str]:
    lines = []
    for what in ("users", "producers"):
        sure = [name for name, row in classes.items() if row[what]["value"] in (0, 1)]
        if sure:
            lines.append(
                f"{what[:-1]}'s accuracy of {', '.join(sure)}: all points agree, so the standard "
                "error is 0; the interval follows from their number"
            )
    shares = {name: row["share"] for name, row in classes.items()}
    if apart := [n for n, share in shares.items() if share["se"] == 0 < share["value"] < 1]:
        lines.append(
            f"no confusion with {', '.join(apart)} was drawn, so the standard error of the area is "
            "0; the interval is that of a sample without strata"
        )
    rare = {name: row["unseen"] for name, row in classes.items() if row["unseen"] > 0}
    rare = {n: u for n, u in rare.items() if shares[n]["high"] <= shares[n]["value"] + u}
    if rare:
        listed = ", ".join(f"{name} {100 * share:.2f} %" for name, share in rare.items())
        lines.append(
            "a stratum without a point of a class can hold some of it unseen; intervals allow for "
            f"so much of the map: {listed}; more points in large strata make them narrower"
        )
    if not any(row["hectares"] for row in classes.values()):
        lines.append(
            "the map's coordinate reference system is not known, so areas are in pixels only"
        )
    return lines


def table(record: Record) -> pd.DataFrame:
    """Put all estimates of each class, and overall accuracy, into rows with value, standard error
    and interval; shares are fractions.
    """
    rows = [("all", "overall accuracy", record["overall"])]
    words = {"users": "user's accuracy", "producers": "producer's accuracy",
             "share": "share of the area", "pixels": "area in pixels",
             "hectares": "area in hectares"}  # fmt: skip
    for name, row in record["of_class"].items():
        rows += [(name, text, row[key]) for key, text in words.items() if row[key]]
        for unit in ("pixels", "hectares"):
            if row[f"mapped_{unit}"] is not None:
                rows.append((name, f"mapped {unit}", {"value": row[f"mapped_{unit}"]}))
    index = pd.MultiIndex.from_tuples([row[:2] for row in rows], names=["class", "estimate"])
    columns = ["value", "se", "low", "high"]
    return pd.DataFrame([row[2] for row in rows], index, columns=columns)


def lines(record: Record) -> list[str]:
    """Put matrix, estimates, paragraph and notes into lines."""
    names, matrix = record["classes"], record["matrix"]
    counts = pd.DataFrame(matrix["counts"], names, names)
    shares = 100 * pd.DataFrame(matrix["proportions"], names, names)
    classes = pd.DataFrame(
        {
            "user's accuracy": [percent(record["of_class"][name]["users"]) for name in names],
            "producer's": [percent(record["of_class"][name]["producers"]) for name in names],
            "area": [area(record, name) for name in names],
            "mapped": [area(record, name, "mapped_") for name in names],
        },
        names,
    )
    return [
        "points (rows: map, columns: reference)", counts.to_string(),
        "% of the area", shares.to_string(float_format="%.2f"),
        f"overall accuracy {percent(record['overall'])}", classes.to_string(),
        paragraph(record), *record["notes"],
    ]  # fmt: skip


def _ends(found: Found, scale: float, digits: int) -> str:
    value, low, high = (f"{scale * found[key]:,.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
