"""Three data sets of one layout: images, masks of the same name, and a table of sites.

    FOLDER/groups.csv             file,place,...: the site that each image shows
    FOLDER/images/NAME.jpg        red, green, blue
    FOLDER/masks/NAME.png         palette PNG, a pixel's index is its class, 255 no class
    FOLDER/MD5SUMS                of every file

`cz_ortho`: Czech orthophoto at 50 cm, 15 map sheets. `india_s2`: Sentinel-2 of India, 53 sites;
`india_s2_nir` has near infrared as its fourth band and lacks the one scene without it.
`usgs_coast`: photographs of the coast of North Carolina, without the nine of guessed origin.
data/README.md says what is wrong with each of them.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.data.source import Declaration, Pair, Source, colours, fingerprint_files, opened
from fewlabels.types import DataError

FOLDS = 5
Row = dict[str, str]


@dataclass(frozen=True)
class Layout:
    """What the data sets differ in.

    Attributes:
        images: number of images that belong to it.
        more: folders of further grey images, each a band.
        kept: which rows of groups.csv are used.
    """

    name: str
    folder: str
    classes: tuple[str, ...]
    images: int
    more: tuple[str, ...] = ()
    kept: Callable[[Row], bool] = lambda row: True


def source(root: Path, layout: Layout) -> Source:
    """The tiles of one of these data sets, in five test groups of whole sites.

    Sites are dealt to the groups from the largest on, each to the group with the fewest labelled
    pixels so far, so the groups are balanced and follow from groups.csv alone.

    Raises:
        DataError: the folder or one of its files is missing or damaged.
    """
    folder = root / layout.folder
    rows = [row for row in _rows(layout, folder) if layout.kept(row)]
    if len(rows) != layout.images:
        raise DataError(
            f"{layout.name}: '{folder / 'groups.csv'}' lists {len(rows)} images, known are "
            f"{layout.images}; {_by_hand(layout)}"
        )
    stems = [Path(row["file"]).stem for row in rows]
    files = [
        [folder / "images" / f"{stem}.jpg", folder / "masks" / f"{stem}.png",
         *(folder / band / f"{stem}.jpg" for band in layout.more)]
        for stem in stems
    ]  # fmt: skip
    _check(layout, folder, [file for each in files for file in each])
    sites = tuple(row["place"] for row in rows)
    labelled = [sum(int(row[c]) for c in row if c.startswith("px_") and c != "px_unlabelled")
                for row in rows]  # fmt: skip
    return Source(
        name=layout.name,
        classes=layout.classes,
        synthetic=False,
        ids=tuple(stems),
        sites=sites,
        folds=_folds(sites, labelled),
        fingerprint=fingerprint_files(
            [folder / "groups.csv", *(file for each in files for file in each)], folder
        ),
        decode=lambda i: _decoded(layout, files[i]),
    )


def _rows(layout: Layout, folder: Path) -> list[Row]:
    file = folder / "groups.csv"
    try:
        with file.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise DataError(
            f"{layout.name}: '{file}' cannot be read ({error}); {_by_hand(layout)}"
        ) from error
    if not rows or not {"file", "place"} <= rows[0].keys():
        raise DataError(f"{layout.name}: '{file}' has no columns file and place")
    return rows


def _check(layout: Layout, folder: Path, files: list[Path]) -> None:
    """Hold every file against its MD5."""
    try:
        lines = (folder / "MD5SUMS").read_text().splitlines()
    except OSError as error:
        raise DataError(
            f"{layout.name}: '{folder / 'MD5SUMS'}' cannot be read ({error})"
        ) from error
    sums = (line.partition(" ") for line in lines)
    known = {name.strip().lstrip("*./"): total for total, _, name in sums}
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            found = hashlib.md5(file.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(
                f"{layout.name}: '{file}' cannot be read ({error}); {_by_hand(layout)}"
            ) from error
        if found != known.get(name):
            raise DataError(
                f"{layout.name}: '{file}' has MD5 {found}, MD5SUMS says {known.get(name)}; "
                f"{_by_hand(layout)}"
            )


def _folds(sites: tuple[str, ...], labelled: list[int]) -> tuple[tuple[str, ...], ...]:
    sizes: Counter[str] = Counter()
    for site, number in zip(sites, labelled, strict=True):
        sizes[site] += number
    groups: list[list[str]] = [[] for _ in range(FOLDS)]
    totals = [0] * FOLDS
    for site, number in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        least = totals.index(min(totals))
        groups[least].append(site)
        totals[least] += number
    return tuple(tuple(sorted(group)) for group in groups)


def _decoded(layout: Layout, files: list[Path]) -> Pair:
    image, mask, *more = files
    bands = [colours(layout.name, image), *(_grey(layout, file) for file in more)]
    classes = np.array(opened(layout.name, mask, "classes"), np.uint8)
    wrong = np.setdiff1d(classes, [*range(len(layout.classes)), 255])
    if len(wrong):
        raise DataError(f"{layout.name}: '{mask}' holds the value {wrong[0]}, which is no class")
    return np.concatenate(bands, axis=2), classes


def _grey(layout: Layout, file: Path) -> UInt8[np.ndarray, "h w 1"]:
    return np.asarray(opened(layout.name, file, "image").convert("L"))[..., None]


def _by_hand(layout: Layout) -> str:
    return f"data/README.md says how to make {layout.folder} from its source, and DATA_ROOT where"


CZECH = Layout(
    "cz_ortho", "cz_ortho_512",
    ("vegetation", "unpaved road", "paved area", "building", "water", "land"), 221,
)  # fmt: skip
INDIA = Layout("india_s2", "india_s2_512", ("built-up", "vegetation", "water"), 104)
INFRARED = Layout(
    "india_s2_nir", INDIA.folder, INDIA.classes, 103, ("nir",), lambda row: row["scene"] != "92"
)
COAST = Layout(
    "usgs_coast", "usgs_coast_460", ("deep water", "shallow or wet", "land"), 156,
    kept=lambda row: row["flight_day"] != "other",
)  # fmt: skip

_INDIA = {
    "citation": "S. Borkar and others 2024, "
    "https://github.com/sahilsb8/U-Net-Multispectral-Satellite-Image-Segmentation",
    "licence": "MIT (masks); contains modified Copernicus Sentinel data",
}
DECLARATIONS = (
    Declaration(
        name="cz_ortho",
        find=partial(source, layout=CZECH),
        notice="The images are orthophotos of the Czech Republic at 50 cm ((c) CUZK, CC BY 4.0; "
        "masks by J. Pazdera, who states no licence).",
        citation="J. Pazdera 2024, "
        "https://github.com/JiriPazdera/Semantic-segmentation-of-aerial-images",
        licence="images CC BY 4.0 (CUZK); masks: none stated, so do not pass them on",
        folder=CZECH.folder,
    ),
    Declaration(
        name="india_s2",
        find=partial(source, layout=INDIA),
        notice="The images are Sentinel-2 scenes of India in red, green and blue (S. Borkar, MIT).",
        folder=INDIA.folder,
        **_INDIA,
    ),
    Declaration(
        name="india_s2_nir",
        find=partial(source, layout=INFRARED),
        notice="The images are Sentinel-2 scenes of India in red, green, blue and near infrared "
        "(S. Borkar, MIT).",
        folder=INDIA.folder,
        **_INDIA,
    ),
    Declaration(
        name="usgs_coast",
        find=partial(source, layout=COAST),
        notice="The images are photographs of the coast of North Carolina from the air (U.S. "
        "Geological Survey, public domain).",
        citation="D. Buscombe, U.S. Geological Survey, "
        "https://github.com/dbuscombe-usgs/Semantic-Segmentation-with-Sparse-Labels",
        licence="images: public domain (U.S. Geological Survey); masks: no separate licence",
        folder=COAST.folder,
    ),
)
