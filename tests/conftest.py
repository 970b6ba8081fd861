"""Shared by all tests: shapes and types are checked, and tiny copies of the data layouts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import config, install_import_hook
from PIL import Image

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
    """A folder of the user's own: three places, two classes, void 9."""
    rng = np.random.default_rng(1)
    (tmp_path / "classes.json").write_text('{"classes": ["water", "land"], "void": [9]}')
    for place in ("north", "south", "west"):
        for kind in ("images", "masks"):
            (tmp_path / kind / place).mkdir(parents=True)
        mask = rng.integers(0, 2, (20, 30)).astype(np.uint8)
        mask[0] = 9
        Image.fromarray(rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(
            tmp_path / "images" / place / "a.png"
        )
        Image.fromarray(mask).save(tmp_path / "masks" / place / "a.png")
    return tmp_path
