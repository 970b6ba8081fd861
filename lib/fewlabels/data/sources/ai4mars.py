"""AI4Mars: frames of Curiosity's navigation cameras, labelled in part by people.

    ai4mars_msl_256/train.txt, test_gold.txt    ids, one a line: the published split
    ai4mars_msl_256/images/ID.jpg               256 x 256, grey
    ai4mars_msl_256/masks/ID.png                a pixel's value is its class, 255 is no label

The training masks are from the crowd, the test masks from experts who all agreed. Pixels that
nobody labelled, or on which people disagreed, have no class. So a mask here is the labels *as
given*, not dense truth.

The site of a frame is the sol (Martian day) on which it was taken, computed from the spacecraft
clock in its id. The id also says where the rover stood (site and drive counters); it often stays
there for some sols. Three rules keep training and test of the published split apart:

1. A frame without any label is skipped: it cannot train, and no score counts it.
2. A training frame is skipped if a test frame was taken on its sol or from where the rover stood.
3. Validation is every fifth group of training sols, in order of time; sols on which the rover
   stood at one spot are one group.

Source: Swan et al. 2021, CVPR Workshops; https://doi.org/10.5281/zenodo.15995036
Source of the layout of ids: MSL Camera SIS, see
https://an.rsl.wustl.edu/help/Content/About%20the%20data/Data%20products/MSL/MSL%20Filenames%20OPGS%20Single.htm
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fewlabels.data.source import Declaration, Source, colours, fingerprint_files, opened
from fewlabels.types import IGNORE, DataError

CLASSES = ("soil", "bedrock", "sand", "big rock")
FOLDER = "ai4mars_msl_256"
TRAIN, TEST = "train.txt", "test_gold.txt"
KINDS = {"images": ".jpg", "masks": ".png"}
VALIDATION = 5
"""One of this many groups of training sols is for validation."""

ID = re.compile(r"N[LR][AB]_(?P<clock>\d{9})EDR_[A-Z](?P<stand>\d{7})\w+")
SOL_ZERO = 397_446_666
"""Midnight before the landing, local mean solar time, in seconds since J2000."""
SOL_LENGTH = 88_775.244
"""Seconds in a sol."""


@dataclass(frozen=True)
class Frame:
    """One line of a list; `stand` says where the rover stood (its site and drive counters)."""

    id: str
    list: str
    sol: str
    stand: str


def local_time(clock: int) -> tuple[int, float]:
    """Sol and local mean solar time in hours [0, 24) at a reading of Curiosity's clock.

    The clock is read as seconds since J2000; it is some minutes off, so the hour is about right
    and the sol is right away from midnight, when no frame was taken.

    Source: https://naif.jpl.nasa.gov/pub/naif/MSL/kernels/sclk/msl_lmst_gc120806_v2.tsc; the
    length of a sol: Allison and McEwen 2000, https://doi.org/10.1016/S0032-0633(99)00092-6
    """
    sol, rest = divmod(clock - SOL_ZERO, SOL_LENGTH)
    return int(sol), 24 * rest / SOL_LENGTH


def source(root: Path) -> Source:
    """The labelled frames of `root`/ai4mars_msl_256 in their published split, as one fold.

    Raises:
        DataError: a list or a file is missing, an id is none or listed twice, a mask does not
            open, or a side of the split is empty.
    """
    folder, listed = root / FOLDER, []
    for name in (TRAIN, TEST):
        if not (folder / name).is_file():
            raise DataError(
                f"ai4mars: '{folder / name}' is missing, and this subset cannot be downloaded: "
                "make it from https://doi.org/10.5281/zenodo.15995036 as data/README.md says, or "
                f"set DATA_ROOT to the folder that holds {FOLDER}"
            )
        listed += [_frame(id_, name) for id_ in (folder / name).read_text("utf-8").split()]
    _check_listed(listed, folder)
    train, test = _apart(
        [f for f in listed if _mask(_file(folder, "masks", f)).getextrema() != (IGNORE, IGNORE)]
    )
    if not train or not test:
        raise DataError(
            f"ai4mars: of {len(listed)} frames listed in '{folder}', {len(train)} are left to "
            f"train and {len(test)} to test; both lists need frames with labels (data/README.md)"
        )
    frames = [*train, *test]
    images, masks = ([_file(folder, kind, frame) for frame in frames] for kind in KINDS)
    return Source(
        name="ai4mars",
        classes=CLASSES,
        synthetic=False,
        ids=tuple(frame.id for frame in frames),
        sites=tuple(frame.sol for frame in frames),
        folds=(tuple(sorted({frame.sol for frame in test})),),
        fingerprint=fingerprint_files([folder / TRAIN, folder / TEST, *images, *masks], folder),
        decode=lambda i: (_image(images[i]), np.asarray(_mask(masks[i]))),
        validation=(tuple(sol for group in _groups(train)[::VALIDATION] for sol in group),),
    )


def _frame(name: str, list_: str) -> Frame:
    match = ID.fullmatch(name)
    if not match:
        raise DataError(
            f"ai4mars: '{name}' in {list_} is no id of a Navcam frame, such as "
            "NLB_486264973EDR_F0481570NCAM00546M1, so its sol is unknown"
        )
    sol, _ = local_time(int(match["clock"]))
    return Frame(name, list_, f"sol{sol:04d}", match["stand"])


def _check_listed(frames: Sequence[Frame], folder: Path) -> None:
    (name, times), *_ = Counter(f.id for f in frames).most_common(1) or [("", 0)]
    if times > 1:
        where = " and ".join(f.list for f in frames if f.id == name)
        raise DataError(f"ai4mars: '{name}' is listed {times} times, in {where}; keep one")
    files = [_file(folder, kind, frame) for frame in frames for kind in KINDS]
    if missing := [file for file in files if not file.is_file()]:
        raise DataError(
            f"ai4mars: {len(missing)} of {len(files)} listed files are missing, the first is "
            f"'{missing[0]}'; get the whole folder again (data/README.md)"
        )


def _apart(frames: Sequence[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Training and test frames that share no sol and no stand; all test frames are kept."""
    test = [f for f in frames if f.list == TEST]
    sols, stands = {f.sol for f in test}, {f.stand for f in test}
    train = [f for f in frames if f.list == TRAIN and f.sol not in sols and f.stand not in stands]
    return train, test


def _groups(frames: Sequence[Frame]) -> list[tuple[str, ...]]:
    """Sols in groups that share no stand with one another, by the first sol of each."""
    sols, of_sol = np.unique([f.sol for f in frames], return_inverse=True)
    stands, of_stand = np.unique([f.stand for f in frames], return_inverse=True)
    nodes = len(sols) + len(stands)
    links = coo_array((np.ones(len(frames)), (of_sol, len(sols) + of_stand)), (nodes, nodes))
    number, group = connected_components(links, directed=False)
    group = group[: len(sols)]
    groups = [tuple(sols[group == g].tolist()) for g in range(number)]
    return sorted(groups)


def _file(folder: Path, kind: str, frame: Frame) -> Path:
    return folder / kind / f"{frame.id}{KINDS[kind]}"


def _mask(file: Path) -> Image.Image:
    return opened("ai4mars", file, "classes")


def _image(file: Path) -> UInt8[np.ndarray, "h w 1"]:
    """The frame's one band; the files hold it three times."""
    bands = colours("ai4mars", file)
    if (bands != bands[..., :1]).any():
        raise DataError(
            f"ai4mars: '{file}' is in colour; Navcam frames are grey, so this is another file"
        )
    return bands[..., :1]


DECLARATION = Declaration(
    name="ai4mars",
    find=source,
    notice="The images are frames of the Curiosity rover's navigation cameras (AI4Mars; "
    "NASA/JPL-Caltech), taken on the ground of Mars; people labelled a part of each.",
    citation="Swan et al. 2021, CVPR Workshops; https://doi.org/10.5281/zenodo.15995036",
    licence="published by NASA/JPL as open data; read the terms on Zenodo before you pass it on",
    folder=FOLDER,
)
