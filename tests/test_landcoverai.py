"""LandCover.ai: chips of orthophotos, split by sheet, and what its files can get wrong."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from conftest import geotiff
from PIL import Image

from fewlabels import paths
from fewlabels.data import registry
from fewlabels.data.sources import landcoverai
from fewlabels.types import DataError

FIRST = landcoverai.SHEETS[0]


def load(root: Path, split: str = "all", **options) -> registry.Dataset:
    return registry.load("landcoverai", root, split=split, cache_root=root / "cache", **options)


def file(root: Path, kind: str, name: str = FIRST) -> Path:
    return root / landcoverai.FOLDER / kind / f"{name}.tif"


def test_chips_are_the_squares_of_their_orthophoto_and_the_ragged_edge_is_left(landcoverai_root):
    tiles = load(landcoverai_root)
    assert len(tiles) == 41 * 2 * 3  # of 36 x 50 pixels, 2 x 3 whole chips of 16
    assert tiles.ids[:6] == tuple(f"{FIRST}_r{r:02d}c{c:02d}" for r in (0, 1) for c in (0, 1, 2))
    for number in (0, 17, 40):
        name = landcoverai.SHEETS[number]
        image, mask = (np.asarray(Image.open(file(landcoverai_root, k, name))) for k in KINDS)
        for i, (row, column) in enumerate(np.ndindex(2, 3)):
            tile = tiles[6 * number + i]
            here = np.s_[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            assert tile.site == name
            assert (tile.image == image[here]).all()
            assert (tile.mask == mask[here]).all()
            assert (tile.image[..., 0] == number).all()


KINDS = ("images", "masks")


def test_a_value_of_the_mask_is_a_class_of_the_published_order(landcoverai_root: Path):
    assert landcoverai.CLASSES == ("background", "building", "woodland", "water", "road")
    for tile in load(landcoverai_root)[::20]:
        assert (tile.image[..., 1] == 50 * tile.mask).all()


def test_every_sheet_is_tested_once_and_never_in_its_own_training(landcoverai_root: Path):
    tested = []
    for fold in range(5):
        parts = {s: load(landcoverai_root, s, fold=fold) for s in ("fit", "val", "test")}
        sites = [set(part.sites) for part in parts.values()]
        assert all(not a & b for a, b in combinations(sites, 2))
        assert set.union(*sites) == set(landcoverai.SHEETS)
        assert sum(map(len, parts.values())) == 246
        tested += sites[2]
    assert sorted(tested) == sorted(landcoverai.SHEETS)


def test_sheets_that_touch_are_on_one_side(landcoverai_root: Path):
    groups = [group for group in landcoverai.groups(landcoverai.SHEETS) if len(group) > 1]
    assert groups == [
        ("M-33-7-A-d-2-3", "M-33-7-A-d-3-2"),  # corner to corner
        ("M-33-20-D-c-4-2", "M-33-20-D-d-3-3"),  # across the border of two 1:25 000 sheets
        ("N-33-139-C-d-2-2", "N-33-139-C-d-2-4", "N-33-139-D-c-1-3"),
    ]
    for fold in range(5):
        sides = [set(load(landcoverai_root, s, fold=fold).sites) for s in ("fit", "val", "test")]
        for one, other in combinations(sides, 2):
            assert not any(landcoverai._touch(a, b) for a in one for b in other)


def test_the_cell_of_a_sheet_by_hand():
    """Sheet 20 of M-33 is in row 1, column 7; then D, c, 4 and 2 halve it four times."""
    row = ((((1 - 144) * 2 + 1) * 2 + 1) * 2 + 1) * 2 + 0
    column = ((((7 + 396) * 2 + 1) * 2 + 0) * 2 + 1) * 2 + 1
    assert landcoverai.cell("M-33-20-D-c-4-2") == (row, column)
    assert landcoverai.cell("N-33-144-D-d-4-4")[0] + 1 == landcoverai.cell("M-33-12-B-b-2-2")[0]
    assert landcoverai.cell("M-33-12-B-b-2-2")[1] + 1 == landcoverai.cell("M-34-1-A-a-1-1")[1]


def test_a_chain_of_touching_sheets_is_one_group():
    chain = ("M-33-7-A-a-1-1", "M-33-7-A-a-2-1", "M-34-7-A-a-1-1", "M-33-7-A-a-1-2")
    assert landcoverai.groups(chain) == [(chain[0], chain[1], chain[3]), (chain[2],)]


def test_another_chip_is_another_cache(landcoverai_root: Path, monkeypatch: pytest.MonkeyPatch):
    before = load(landcoverai_root)
    monkeypatch.setattr(landcoverai, "CHIP", 18)
    after = load(landcoverai_root)
    assert after.fingerprint != before.fingerprint
    assert after[0].mask.shape == (18, 18)
    assert len(after) == 41 * 2 * 2


def test_missing_orthophotos_are_named_and_the_way_to_get_them(landcoverai_root: Path, tmp_path):
    with pytest.raises(DataError, match=r"0 of 41.*fewlabels data landcoverai.*DATA_ROOT"):
        load(tmp_path / "nowhere")
    file(landcoverai_root, "images", "N-34-77-A-b-1-4").unlink()
    with pytest.raises(DataError, match=r"40 of 41 .*images/\*\.tif.*N-34-77-A-b-1-4 is missing"):
        load(landcoverai_root)


def test_an_image_without_a_mask_is_named(landcoverai_root: Path):
    file(landcoverai_root, "masks").unlink()
    with pytest.raises(DataError, match=rf"40 of 41 .*masks/\*\.tif.* {FIRST} is missing"):
        load(landcoverai_root)


def test_an_unknown_orthophoto_is_refused(landcoverai_root: Path):
    geotiff(file(landcoverai_root, "images", "M-34-100-A-a-1-1"), np.zeros((36, 50, 3), np.uint8))
    with pytest.raises(DataError, match=r"M-34-100-A-a-1-1\.tif' is none of the 41"):
        load(landcoverai_root)


def test_a_value_that_is_no_class_is_named_with_its_chip(landcoverai_root: Path):
    mask = np.zeros((36, 50), np.uint8)
    mask[20, 20:22] = (5, 9)
    geotiff(file(landcoverai_root, "masks"), mask)
    with pytest.raises(DataError, match=rf"'{FIRST}_r01c01': mask values \[5, 9\].*0 to 4"):
        load(landcoverai_root)
    assert list((landcoverai_root / "cache").iterdir()) == []


def test_a_mask_of_another_size_is_refused(landcoverai_root: Path):
    geotiff(file(landcoverai_root, "masks"), np.zeros((36, 49), np.uint8))
    with pytest.raises(DataError, match=rf"{FIRST}\.tif' is 36 x 50.*its mask 36 x 49.*one size"):
        load(landcoverai_root)


def test_an_image_smaller_than_a_chip_is_refused(landcoverai_root: Path):
    for kind, shape in zip(KINDS, [(15, 50, 3), (15, 50)], strict=True):
        geotiff(file(landcoverai_root, kind), np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match="15 x 50 pixels, less than one chip of 16 x 16"):
        load(landcoverai_root)


def test_pixels_of_a_wrong_kind_are_refused(landcoverai_root: Path):
    geotiff(file(landcoverai_root, "masks"), np.zeros((36, 50, 3), np.uint8))
    with pytest.raises(DataError, match=r"masks/.*kind RGB; it must be 8-bit grey"):
        load(landcoverai_root)
    geotiff(file(landcoverai_root, "masks"), np.zeros((36, 50), np.uint8))
    geotiff(file(landcoverai_root, "images"), np.zeros((36, 50), np.uint16))
    with pytest.raises(DataError, match=r"images/.*kind I;16; it must be 8-bit RGB"):
        load(landcoverai_root)


def test_a_file_that_is_no_image_is_named(landcoverai_root: Path):
    file(landcoverai_root, "images").write_text("text")
    with pytest.raises(DataError, match=rf"images/{FIRST}\.tif' does not open as an image"):
        load(landcoverai_root)


def test_one_orthophoto_is_decoded_once_and_one_is_held(
    landcoverai_root: Path, monkeypatch: pytest.MonkeyPatch
):
    from fewlabels.data import chips

    decoded: list[str] = []
    opened = chips.opened

    def seen(name: str, file: Path, kind: str) -> Image.Image:
        decoded.extend([file] * (kind != "header"))
        return opened(name, file, kind)

    monkeypatch.setattr(chips, "opened", seen)
    load(landcoverai_root)
    assert len(decoded) == len(set(decoded)) == 82


def test_a_large_orthophoto_is_opened_without_a_warning(
    landcoverai_root: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 36 * 50 - 1)
    load(landcoverai_root)
    assert not [w for w in recwarn if issubclass(w.category, Image.DecompressionBombWarning)]


@pytest.mark.real
def test_real_orthophotos_give_as_many_chips_as_the_published_cut():
    if not (paths.data_root() / landcoverai.FOLDER).is_dir():
        pytest.skip(f"{landcoverai.FOLDER} is not under DATA_ROOT")
    assert len(landcoverai.source(paths.data_root()).ids) == 7470 + 1602 + 1602
