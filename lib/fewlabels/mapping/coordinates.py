"""Lists of coordinates: the text files of spreadsheets, receivers and statistics programs."""

import csv
import logging
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd

from fewlabels.mapping import class_text
from fewlabels.mapping.formats import foreign
from fewlabels.types import DataError, NoLabelsError

log = logging.getLogger(__name__)

SEPARATORS = ",;\t| "
NAMES = {
    ("lon", "lat"): "EPSG:4326",
    ("lng", "lat"): "EPSG:4326",
    ("long", "lat"): "EPSG:4326",
    ("longitude", "latitude"): "EPSG:4326",
    ("x", "y"): None,
    ("easting", "northing"): None,
    ("point_x", "point_y"): None,
}
"""Columns of coordinates, and the coordinate system that their names imply."""
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read(file: Path, crs: str | None) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """The points of a list with a line of column names, and what is no number: `row 7 'abc'`.

    The separator is the one that finds the columns of coordinates; decimals have points or commas.
    Rows are counted from 1, as a spreadsheet does. Where there are two pairs of coordinates, the
    one whose system is known is used, unless `crs` says the system.

    Raises:
        DataError: it is no text, has no columns of coordinates, a column twice, or a row of another
            length than the line of names.
        NoLabelsError: it has no row.
    """
    lines = _text(file).splitlines(keepends=True)
    lines = lines[1:] if lines and lines[0].lower().startswith("sep=") else lines
    with foreign(f"'{file}' does not open as a list of coordinates"):
        first = next((line for line in lines if line.strip()), "")
        header, separator = max(
            ((_rows([first], separator)[0][1], separator) for separator in SEPARATORS),
            key=lambda found: (bool(_pairs(found[0])), not _pairs(found[0]) and len(found[0])),
        )
        rows = _rows(lines, separator)[1:]
    while header[-1:] == [""] and len(header) > 1:
        header.pop()
    header, pairs = [class_text.plain(name) or "" for name in header], _pairs(header)
    if not pairs:
        raise DataError(
            f"'{file}' has columns {', '.join(header)}; coordinates must be in x and y, or in lon "
            "and lat"
        )
    if twice := [name for name in header if header.count(name) > 1]:
        raise DataError(f"'{file}' has the column '{twice[0]}' twice; rename one")
    if not rows:
        raise NoLabelsError(f"'{file}' holds no label: there is no row below the names of columns")
    for number, row in rows:
        if not any(row[len(header) :]):
            del row[len(header) :]
        if len(row) != len(header):
            raise DataError(
                f"'{file}', row {number} has {len(row)} fields and the line of names has "
                f"{len(header)}: {', '.join(row)!r}; put a name that holds the separator in quotes"
            )
    table = pd.DataFrame([row for _, row in rows], columns=header, dtype=object)
    pairs = sorted(pairs, key=lambda pair: (NAMES[pair] is None) != bool(crs))
    (x, y), system = pairs[0], NAMES[pairs[0]]
    if len(pairs) > 1:
        other = " and ".join(pairs[1])
        log.warning("'%s': coordinates are read from %s and %s, not from %s", file, x, y, other)
    names = {name.lower(): name for name in header}
    east, north = (_numbers(table[names[axis]]) for axis in (x, y))
    wrong = {
        number: f"row {number} '{text}'"
        for axis, found in ((x, east), (y, north))
        for (number, _), text, value in zip(rows, table[names[axis]], found, strict=True)
        if text and not np.isfinite(value)
    }
    points = geopandas.points_from_xy(east, north)
    points[~(np.isfinite(east) & np.isfinite(north))] = None
    rest = table.drop(columns=[names[x], names[y]])
    frame = geopandas.GeoDataFrame(rest, geometry=points, crs=None if crs else system)
    return frame, list(wrong.values())


def _text(file: Path) -> str:
    with foreign(f"'{file}' does not open as a list of coordinates"):
        raw = file.read_bytes()
    try:
        return raw.decode(MARKS.get(raw[:2], "utf-8-sig"))
    except UnicodeDecodeError:
        log.warning("'%s' is not UTF-8 and is read as Windows-1252; check the names", file)
        return raw.decode("cp1252", errors="replace")


def _rows(lines: list[str], separator: str) -> list[tuple[int, list[str]]]:
    table = enumerate(csv.reader(lines, delimiter=separator, skipinitialspace=True), start=1)
    found = [(number, [part.strip() for part in row]) for number, row in table]
    return [(number, row) for number, row in found if any(row)] or [(1, [""])]


def _pairs(header: list[str]) -> list[tuple[str, str]]:
    names = {name.strip().lower() for name in header}
    return [pair for pair in NAMES if names.issuperset(pair)]


def _numbers(texts: pd.Series) -> np.ndarray:
    """The numbers of a column; commas are decimal where no number of the column has a point."""
    if not texts.str.contains(".", regex=False).any():
        texts = texts.str.replace(",", ".", regex=False)
    return pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
