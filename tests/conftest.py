"""Shared by all tests: shapes and types are checked, and tiny copies of the data layouts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import config, install_import_hook
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

install_import_hook("fewlabels", "typechecker.checked")
settings.register_profile("untimed", deadline=None)  # no test depends on how busy a machine is
settings.load_profile("untimed")

COLOURS = [(60, 16, 152), (132, 41, 246), (110, 193, 228), (254, 221, 58), (226, 169, 41)]


@pytest.fixture(autouse=True)
def apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the checkout's own runs and tile caches."""
    shared = tmp_path_factory.getbasetemp() / "shared"
    monkeypatch.setenv("CACHE_ROOT", str(shared / "cache"))
    monkeypatch.setenv("RUNS_ROOT", str(tmp_path_factory.mktemp("runs")))
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.fixture
def unchecked() -> Iterator[None]:
    """As outside the tests: arguments of a wrong shape or type reach the function's own checks."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def paint(classes: np.ndarray) -> np.ndarray:
    """Class indices as Dubai's colours; 5 is its grey, 6 its undocumented black."""
    return np.array([*COLOURS, (155, 155, 155), (0, 0, 0)], np.uint8)[classes]


@pytest.fixture(scope="session")
def dubai_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated copy of Dubai's layout: 8 tiles of 9 pairs of 40 x 48 pixels."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for tile in range(1, 9):
        folder = root / "dubai_aerial" / f"Tile {tile}"
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        for part in range(1, 10):
            classes = np.kron(rng.integers(0, 5, (5, 6)), np.ones((8, 8), int))
            classes[:2], classes[2:3] = 5, 6
            rgb = paint(classes)
            noisy = np.clip(rgb + rng.normal(0, 12, rgb.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / "images" / f"image_part_00{part}.jpg", quality=95)
            mask = Image.fromarray(rgb)
            mask = mask.quantize(8, dither=Image.Dither.NONE) if tile in (2, 4) else mask
            mask.save(folder / "masks" / f"image_part_00{part}.png")
    return root


def navcam_id(sol: int, stand: int, minute: int) -> str:
    """An id as AI4Mars has them, of a frame taken some minutes after noon."""
    clock = round(397_446_666 + 88_775.244 * (sol + 0.5)) + 60 * minute
    return f"NLB_{clock}EDR_F{stand:07d}NCAM00{minute:03d}M1"


@pytest.fixture
def ai4mars_root(tmp_path: Path) -> Path:
    """A generated copy of AI4Mars' layout: 18 training and 6 test frames of 32 x 32 pixels.

    Training: sols 1 to 6, two frames on each of 1, 2, 3, 4 and 6 and eight on 5. The rover stood
    at 20 on sols 2 and 3, and on sol 6 where the test frame of sol 7 was taken. The first frame of
    sol 1 and the last one of sol 8 hold no label.
    """
    stands = {1: 10, 2: 20, 3: 20, 4: 40, 5: 50, 6: 70, 7: 70, 8: 80, 9: 90}
    frames = {sol: [navcam_id(sol, stands[sol], m) for m in range(2)] for sol in stands}
    frames[5] += [navcam_id(5, 50, m) for m in range(2, 8)]
    folder, rng = tmp_path / "ai4mars_msl_256", np.random.default_rng(2)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for frame in (frame for several in frames.values() for frame in several):
        classes = np.kron(rng.integers(0, 4, (4, 4)), np.ones((8, 8), int)).astype(np.uint8)
        grey = (40 + 50 * classes).astype(np.uint8)
        classes[:16] = 255
        classes[:] = 255 if frame in (frames[1][0], frames[8][1]) else classes
        Image.fromarray(grey).convert("RGB").save(folder / "images" / f"{frame}.jpg", quality=95)
        Image.fromarray(classes).save(folder / "masks" / f"{frame}.png")
    for name, sols in {"train.txt": range(1, 7), "test_gold.txt": range(7, 10)}.items():
        (folder / name).write_text("".join(f"{f}\n" for sol in sols for f in frames[sol]))
    return tmp_path


@pytest.fixture
def folder_root(tmp_path: Path) -> Path:
    """A folder of the user's own: three sites, two classes, void 9."""
    rng = np.random.default_rng(1)
    (tmp_path / "classes.json").write_text('{"classes": ["water", "land"], "void": [9]}')
    for site in ("north", "south", "west"):
        for kind in ("images", "masks"):
            (tmp_path / kind / site).mkdir(parents=True)
        mask = rng.integers(0, 2, (20, 30)).astype(np.uint8)
        mask[0] = 9
        Image.fromarray(rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(
            tmp_path / "images" / site / "a.png"
        )
        Image.fromarray(mask).save(tmp_path / "masks" / site / "a.png")
    return tmp_path


def geotiff(file: Path, array: np.ndarray, metres: float = 0.25) -> None:
    """An array as GeoTIFF in the Polish system 1992 (EPSG:2180), its corner at a made-up place."""
    tags = ImageFileDirectory_v2()
    doubles = {33550: (metres, metres, 0.0), 33922: (0.0, 0.0, 0.0, 280_307.75, 394_547.0, 0.0)}
    for tag, values in doubles.items():
        tags.tagtype[tag] = 12
        tags[tag] = values
    tags.tagtype[34735] = 3
    tags[34735] = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 2180)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(file, tiffinfo=tags, compression="tiff_lzw")


def blocks(rng: np.random.Generator, classes: int, shape: tuple[int, int]) -> np.ndarray:
    """Classes in blocks of 4 x 4 pixels, cut off at the right and lower edge."""
    rough = rng.integers(0, classes, (-(-shape[0] // 4), -(-shape[1] // 4)))
    return np.kron(rough, np.ones((4, 4), int))[: shape[0], : shape[1]].astype(np.uint8)


def smaller(monkeypatch: pytest.MonkeyPatch, name: str, **changed: object):
    """Declare a data set of sheets for a generated copy: smaller chips, fewer sheets."""
    from fewlabels.data import registry
    from fewlabels.data.sources import sheets

    small = replace(getattr(sheets, name.upper()), **changed)
    found = replace(registry.SOURCES[name], find=small.source)
    monkeypatch.setitem(registry.SOURCES, name, found)
    return small


@pytest.fixture
def landcoverai_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generated copy of LandCover.ai's layout: 41 orthophotos of 36 x 50, chips of 16 x 16.

    The first band holds the orthophoto's number, the second the class, the third the column.
    """
    small = smaller(monkeypatch, "landcoverai", side=16)
    folder, rng = tmp_path / small.folder, np.random.default_rng(3)
    for number, name in enumerate(small.ids):
        mask = blocks(rng, 5, (36, 50))
        image = np.stack([np.full_like(mask, number), 50 * mask, mask * 0 + np.arange(50)], axis=-1)
        geotiff(folder / "images" / f"{name}.tif", image.astype(np.uint8))
        geotiff(folder / "masks" / f"{name}.tif", mask)
    for name in ("train.txt", "val.txt", "test.txt", "split.py"):
        (folder / name).write_text("M-33-20-D-c-4-2_0\n")  # published, not read
    return tmp_path


DEEPGLOBE = [(0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255), (255,) * 3]


@pytest.fixture
def deepglobe_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generated copy of DeepGlobe's layout: 12 images of 32 x 32 with masks, chips of 8 x 8."""
    small = smaller(monkeypatch, "deepglobe", side=8, ids=12)
    folder, rng = tmp_path / small.folder, np.random.default_rng(4)
    for part in ("train", "valid", "test"):
        (folder / part).mkdir(parents=True)
    for number in range(12):
        rgb = np.array([*DEEPGLOBE, (0, 0, 0)], np.uint8)[blocks(rng, 7, (32, 32))]
        stem = str(1 + 83_737 * number)
        Image.fromarray(rgb).save(folder / "train" / f"{stem}_sat.jpg", quality=95)
        unclean = np.where(
            rgb, 255 - rng.integers(0, 90, rgb.shape), rng.integers(0, 90, rgb.shape)
        )
        Image.fromarray(unclean.astype(np.uint8)).save(folder / "train" / f"{stem}_mask.png")
        Image.fromarray(rgb).save(folder / "valid" / f"{stem}9_sat.jpg")
    (folder / "class_dict.csv").write_text("name,r,g,b\nurban_land,0,255,255\n")
    return tmp_path


POTSDAM = [(255,) * 3, (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)]


@pytest.fixture
def potsdam_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generated copy of Potsdam's layout: 38 patches of 40 x 40, chips of 20 x 20.

    Masks 4_12 and 6_7 are unclean as the published ones are said to be.
    """
    small = smaller(monkeypatch, "potsdam", side=20)
    folder, rng = tmp_path / small.folder, np.random.default_rng(5)
    for patch in small.ids:
        classes = blocks(rng, 6, (40, 40))
        rgb = np.array(POTSDAM, np.uint8)[classes]
        geotiff(folder / "2_Ortho_RGB" / f"top_potsdam_{patch}_RGB.tif", rgb // 2 + 40, 0.05)
        if patch == "4_12":
            rgb = np.where(
                rgb, rgb - rng.integers(0, 80, rgb.shape), rng.integers(0, 80, rgb.shape)
            )
        if patch == "6_7":
            rgb[classes == 4] = (252, 255, 0)
        label = folder / "5_Labels_all" / f"top_potsdam_{patch}_label.tif"
        geotiff(label, rgb.astype(np.uint8), 0.05)
    return tmp_path
