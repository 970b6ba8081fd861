"""DeepGlobe Land Cover: painted masks read with the publisher's rule, split by image."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from conftest import DEEPGLOBE
from PIL import Image

from fewlabels import paths
from fewlabels.data import registry
from fewlabels.data.sources import deepglobe
from fewlabels.types import IGNORE, DataError


def load(root: Path, split: str = "all", **options) -> registry.Dataset:
    return registry.load("deepglobe", root, split=split, cache_root=root / "cache", **options)


def file(root: Path, kind: str, id_: int = 1) -> Path:
    suffix = {"sat": "jpg", "mask": "png"}[kind]
    return root / deepglobe.FOLDER / "train" / f"{id_}_{kind}.{suffix}"


def test_chips_are_the_squares_of_their_image(deepglobe_root: Path):
    tiles = load(deepglobe_root)
    assert len(tiles) == 12 * 4 * 4
    assert tiles.ids[16:18] == ("83738_r00c00", "83738_r00c01")
    whole = np.asarray(Image.open(file(deepglobe_root, "sat", 83_738)))
    assert (tiles[16 + 7].image == whole[8:16, 24:32]).all()


def test_colours_are_classes_and_black_is_void(deepglobe_root: Path):
    assert deepglobe.CLASSES == (
        "urban", "agriculture", "rangeland", "forest", "water", "barren",
    )  # fmt: skip
    pure = np.array([*DEEPGLOBE, (0, 0, 0)], np.uint8)
    seen = set()
    for tile in load(deepglobe_root):
        painted = pure[np.where(tile.mask == IGNORE, 6, tile.mask)]
        assert np.abs(painted.astype(int) - tile.image).mean() < 60  # the image shows the classes
        seen |= set(np.unique(tile.mask).tolist())
    assert seen == {0, 1, 2, 3, 4, 5, IGNORE}


def test_a_channel_is_split_at_128():
    rgb = np.array([[(127, 128, 128), (128, 127, 255), (127, 0, 127)]], np.uint8)
    assert deepglobe.mask_classes(rgb, Path("m.png")).tolist() == [[0, 2, IGNORE]]


def test_a_colour_outside_the_classes_is_named_with_its_file(deepglobe_root: Path):
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[3, :5] = (200, 90, 20)
    Image.fromarray(rgb).save(file(deepglobe_root, "mask"))
    with pytest.raises(DataError, match=r"deepglobe: mask '.*/1_mask\.png'.*#FF0000 on 5 pixels"):
        load(deepglobe_root)


def test_all_chips_of_an_image_are_on_one_side_and_each_image_is_tested_once(deepglobe_root: Path):
    tested = []
    for fold in range(5):
        sites = [set(load(deepglobe_root, s, fold=fold).sites) for s in ("fit", "val", "test")]
        assert all(not a & b for a, b in combinations(sites, 2))
        assert len(set.union(*sites)) == 12
        tested += sites[2]
    assert len(tested) == len(set(tested)) == 12
    assert set(load(deepglobe_root, "test", fold=1).sites) == {
        str(1 + 83_737 * k) for k in (1, 6, 11)
    }


def test_ids_are_in_order_of_number_not_of_text(deepglobe_root: Path):
    numbers = [int(site) for site in load(deepglobe_root).sites]
    assert numbers == sorted(numbers)
    assert [str(n) for n in numbers] != sorted(str(n) for n in numbers)


def test_images_without_public_masks_are_not_read(deepglobe_root: Path):
    assert list((deepglobe_root / deepglobe.FOLDER / "valid").iterdir())
    assert len(set(load(deepglobe_root).sites)) == 12


def test_missing_files_are_named_and_the_way_to_get_them(deepglobe_root: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"0 of 12.*fewlabels data deepglobe.*DATA_ROOT"):
        load(tmp_path / "nowhere")
    file(deepglobe_root, "mask").unlink()
    with pytest.raises(DataError, match=r"11 of 12 .*\*_mask\.png.* that of 1 is missing"):
        load(deepglobe_root)
    file(deepglobe_root, "sat").unlink()
    with pytest.raises(DataError, match="found 11 of 12 images"):
        load(deepglobe_root)


def test_an_unknown_image_is_refused(deepglobe_root: Path):
    file(deepglobe_root, "sat").rename(file(deepglobe_root, "sat").with_name("city_sat.jpg"))
    with pytest.raises(DataError, match=r"city_sat\.jpg' is none of the published images"):
        load(deepglobe_root)


def test_a_mask_of_another_size_is_refused(deepglobe_root: Path):
    Image.fromarray(np.zeros((32, 30, 3), np.uint8)).save(file(deepglobe_root, "mask"))
    with pytest.raises(DataError, match=r"1_sat\.jpg' is 32 x 32.*its mask 32 x 30.*one size"):
        load(deepglobe_root)


def test_without_sites_the_notice_says_so(deepglobe_root: Path):
    assert "no split by site is proven" in load(deepglobe_root).notice


@pytest.mark.real
def test_real_images_are_cut_whole():
    if not (paths.data_root() / deepglobe.FOLDER).is_dir():
        pytest.skip(f"{deepglobe.FOLDER} is not under DATA_ROOT")
    assert len(deepglobe.source(paths.data_root()).ids) == 803 * 16
