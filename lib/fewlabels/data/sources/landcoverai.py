"""LandCover.ai, version 1: 41 orthophotos of Poland with dense masks, split by sheet.

    landcover_ai/images/NAME.tif    8-bit RGB, 0.25 or 0.5 m a pixel
    landcover_ai/masks/NAME.tif     a pixel's value is its class, 0 to 4

A file is named after the map sheet it shows (1:5 000, Polish coordinate system 1992), so its name
says where the ground is. An orthophoto is a rectangle around its sheet, so orthophotos of sheets
that touch, at an edge or a corner, show partly the same ground. The published split draws chips at
random, so a test chip lies beside training chips. Here a sheet, and all sheets that touch it, are
on one side.

Source: Boguszewski et al. 2021, https://arxiv.org/abs/2005.02264; https://landcover.ai.linuxpolska.com
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fewlabels.data import chips
from fewlabels.data.download import Download
from fewlabels.data.source import Declaration, Source, way_out

CLASSES = ("background", "building", "woodland", "water", "road")
FOLDER = "landcover_ai"
CHIP = 512
"""Side of a chip in pixels, as in the published cut."""
FOLDS = 5
SHEETS = tuple(
    f"{hundred}-{part}"
    for hundred, parts in {
        "M-33-7": "A-d-2-3 A-d-3-2",
        "M-33-20": "D-c-4-2 D-d-3-3",
        "M-33-32": "B-b-4-4",
        "M-33-48": "A-c-4-4",
        "M-34-5": "D-d-4-2",
        "M-34-6": "A-d-2-2",
        "M-34-32": "B-a-4-3 B-b-1-3",
        "M-34-51": "C-b-2-1 C-d-4-1",
        "M-34-55": "B-b-4-1",
        "M-34-56": "A-b-1-4",
        "M-34-65": "D-a-4-4 D-c-4-2 D-d-4-1",
        "M-34-68": "B-a-1-3",
        "M-34-77": "B-c-2-3",
        "N-33-60": "D-c-4-2 D-d-1-2",
        "N-33-96": "D-d-1-1",
        "N-33-104": "A-c-1-1",
        "N-33-119": "C-c-3-3",
        "N-33-130": "A-d-3-3 A-d-4-4",
        "N-33-139": "C-d-2-2 C-d-2-4 D-c-1-3",
        "N-34-61": "B-a-1-1",
        "N-34-66": "C-c-4-3",
        "N-34-77": "A-b-1-4",
        "N-34-94": "A-b-2-4",
        "N-34-97": "C-b-1-2 D-c-2-4",
        "N-34-106": "A-b-3-4 A-c-1-3",
        "N-34-140": "A-b-3-2 A-b-4-2 A-d-3-4 A-d-4-2",
    }.items()
    for part in parts.split()
)
"""The 41 sheets, in order of their names' parts."""


def source(root: Path) -> Source:
    """The chips of the 41 orthophotos in `root`/landcover_ai, in five folds of whole sheets.

    Raises:
        DataError: an orthophoto or a mask is missing, unknown, or not of its pair's size.
    """
    advice = way_out("landcoverai", FOLDER)
    sheets = chips.sheets(
        "landcoverai", root / FOLDER, "images/*.tif", ["masks/*.tif"], SHEETS, advice
    )
    together = groups(SHEETS)
    folds = tuple(tuple(s for group in together[i::FOLDS] for s in group) for i in range(FOLDS))
    return chips.source("landcoverai", CLASSES, sheets, CHIP, folds=folds)


def cell(sheet: str) -> tuple[int, int]:
    """Row, southwards, and column, eastwards, of a sheet among all sheets of 1:5 000.

    A sheet of 1:1 000 000 (a letter for 4 degrees of latitude, a number for 6 of longitude) has 12
    x 12 sheets of 1:100 000, counted row by row from 1. Each of them is quartered four times, as
    A B / C D, a b / c d and 1 2 / 3 4, down to 1.25 minutes of latitude by 1.875 of longitude.
    """
    band, zone, hundred, *quarters = sheet.split("-")
    row, column = divmod(int(hundred) - 1, 12)
    row, column = row - 12 * (ord(band) - ord("A")), column + 12 * int(zone)
    for quarter in quarters:
        south, east = divmod("ABCD1234".index(quarter.upper()) % 4, 2)
        row, column = 2 * row + south, 2 * column + east
    return row, column


def groups(sheets: Sequence[str]) -> list[tuple[str, ...]]:
    """Sheets in groups of those that touch, at an edge or a corner, in the order they are given."""
    found: list[list[str]] = []
    for sheet in sheets:
        near = [group for group in found if any(map(partial(_touch, sheet), group))]
        rest = [group for group in found if group not in near]
        joined = [*(s for group in near for s in group), sheet]
        found = sorted([*rest, joined], key=lambda group: sheets.index(group[0]))
    return [tuple(group) for group in found]


def _touch(one: str, other: str) -> bool:
    return max(abs(a - b) for a, b in zip(cell(one), cell(other), strict=True)) <= 1


DECLARATION = Declaration(
    name="landcoverai",
    find=source,
    notice="The images are chips of 41 aerial orthophotos of Poland (LandCover.ai v1; "
    "CC BY-NC-SA).",
    citation="Boguszewski et al. 2021, https://arxiv.org/abs/2005.02264",
    licence="CC BY-NC-SA 4.0",
    folder=FOLDER,
    download=Download(
        members=("images/*.tif", "masks/*.tif"),
        address="https://landcover.ai.linuxpolska.com/download/landcover.ai.v1.zip",
        md5="3268c89070e8734b4e91d531c0617e03",  # from torchgeo/datasets/landcoverai.py
    ),
)
