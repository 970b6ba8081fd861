"""Names of classes and columns as people write them: one form of each, and which name was meant."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import groupby

import pandas as pd

from fewlabels.types import DataError

UNSEEN = re.compile("[\u00ad\u200b\ufeff]|[^\\s\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that nobody sees, and those that no XML holds."""
MOST_CODE = 254  # the largest value of a map that is a class


def plain(value: object) -> str | None:
    """One form of a name: composed letters, single blanks, whole numbers without a decimal point.
    None where nothing is left. Case and leading zeros stay as they are.
    """
    text = unicodedata.normalize("NFC", UNSEEN.sub("", f"{value}"))
    return re.sub(r"^([+-]?\d+)\.0*$", r"\1", " ".join(text.split())) or None


def words(column: pd.Series) -> pd.Series:
    """The values of a column in that form; missing values stay missing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    found = [
        None if missing else plain(v) for v, missing in zip(column, column.isna(), strict=True)
    ]
    return pd.Series(found, column.index, dtype=object)


def alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ in nothing but case and leading zeros."""
    groups = groupby(sorted(names, key=_loose), _loose)
    return [sorted(group) for group in (list(same) for _, same in groups) if len(group) > 1]


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, if one of the known names is near."""
    loose = {_loose(other): other for other in known}
    near = get_close_matches(_loose(name), loose, n=1)
    return f"; did you mean '{loose[near[0]]}'?" if near else ""


def listed(text: str) -> tuple[str, ...]:
    """The parts of `a,"b, with a comma",1=c`."""
    (parts,) = csv.reader([text], skipinitialspace=True)
    return tuple(parts)


def chosen(asked: Sequence[str], found: Iterable[str]) -> dict[str, str]:
    """The class of each value to use, from NAME or VALUE=NAME; values of one name are merged.

    Raises:
        DataError: a value is asked for twice, or a part has no name.
    """
    made: dict[str, str] = {}
    there = set(found)
    for part in asked:
        value, _, name = ("", "", part) if plain(part) in there else part.rpartition("=")
        value, name = plain(value) or plain(name), plain(name)
        if name is None:
            raise DataError(f"the class '{part}' has no name")
        if value in made:
            raise DataError(f"the class '{value}' is named twice; name each class once")
        made[value] = name
    return made


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names in the order of the numbers that they are, if all are numbers; else of the alphabet."""
    names = set(names)
    numbers = all(re.fullmatch(r"-?\d+", name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name), name) if numbers else name))


def codes(values: Sequence[object]) -> tuple[int, ...]:
    """What a map holds for each class: its value where all are whole numbers from 0 to 254, else
    0, 1, 2, ...
    """
    texts = [f"{value}" for value in values]
    whole = all(t.isascii() and t.isdecimal() and t == f"{int(t)}" for t in texts)
    made = tuple(map(int, texts)) if whole else ()
    good = len(set(made)) == len(texts) and max(made, default=MOST_CODE + 1) <= MOST_CODE
    return made if good else tuple(range(len(texts)))


def _loose(name: str) -> str:
    return re.sub(r"\b0+(?=\d)", "", f"{name}".casefold())
