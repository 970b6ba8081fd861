"""ISPRS Potsdam: the published patches, their painted masks, and what its files can get wrong."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from conftest import POTSDAM, geotiff
from PIL import Image

from fewlabels import paths, studies
from fewlabels.data import registry
from fewlabels.data.sources import potsdam
from fewlabels.types import DataError


def load(root: Path, split: str = "all", **options) -> registry.Dataset:
    return registry.load("potsdam", root, split=split, cache_root=root / "cache", **options)


def label(root: Path, patch: str) -> Path:
    return root / potsdam.FOLDER / "5_Labels_all" / f"top_potsdam_{patch}_label.tif"


def image(root: Path, patch: str) -> Path:
    return root / potsdam.FOLDER / "2_Ortho_RGB" / f"top_potsdam_{patch}_RGB.tif"


def test_the_split_is_the_published_one(potsdam_root: Path):
    parts = {s: load(potsdam_root, s) for s in ("train", "fit", "val", "test")}
    sites = {split: set(part.sites) for split, part in parts.items()}
    assert len(parts["test"].folds) == 1
    assert "potsdam" in studies.ONE_GROUP
    columns = {2: range(10, 13), 3: range(10, 13), 4: range(10, 13), 5: range(10, 13),
               6: range(7, 13), 7: range(7, 13)}  # fmt: skip
    assert sites["train"] == {f"{r}_{c}" for r in columns for c in columns[r]}
    columns = {2: (13, 14), 3: (13, 14), 4: (13, 14, 15), 5: (13, 14, 15), 6: (13, 14, 15), 7: [13]}
    assert sites["test"] == {f"{r}_{c}" for r in columns for c in columns[r]}
    assert sites["val"] == {"6_7", "6_8", "6_9", "7_7", "7_8", "7_9"}
    assert sites["fit"] == sites["train"] - sites["val"]
    assert all(not sites[a] & sites[b] for a, b in combinations(("fit", "val", "test"), 2))
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 24 * 4, "fit": 18 * 4, "val": 6 * 4, "test": 14 * 4,
    }  # fmt: skip


def test_no_validation_patch_touches_a_test_patch():
    cells = [
        [tuple(map(int, p.split("_"))) for p in ps] for ps in (potsdam.VALIDATION, potsdam.TEST)
    ]
    assert min(max(abs(a - c), abs(b - d)) for (a, b), (c, d) in product(*cells)) > 1


def test_chips_are_the_squares_of_their_patch_and_colours_are_classes(potsdam_root: Path):
    assert potsdam.CLASSES == (
        "impervious surface", "building", "low vegetation", "tree", "car", "clutter",
    )  # fmt: skip
    tiles = load(potsdam_root)
    assert tiles.ids[:4] == ("2_10_r00c00", "2_10_r00c01", "2_10_r01c00", "2_10_r01c01")
    for tile in tiles:
        pure = np.array(POTSDAM, np.uint8)[tile.mask]
        assert (tile.image == pure // 2 + 40).all()  # the image was painted from its classes
    whole = np.asarray(Image.open(image(potsdam_root, "2_10")))
    assert (tiles[2].image == whole[20:, :20]).all()


def test_only_the_two_masks_known_to_be_unclean_are_rounded(potsdam_root: Path):
    assert potsdam.ROUNDED == ("4_12", "6_7")
    rgb = np.array([[(9, 222, 221), (225, 227, 227), (252, 255, 0)]], np.uint8)
    for patch in potsdam.ROUNDED:
        assert potsdam.mask_classes(rgb, label(potsdam_root, patch)).tolist() == [[2, 0, 4]]
    with pytest.raises(DataError, match=r"potsdam_5_10_label\.tif' holds 3 unknown colours"):
        potsdam.mask_classes(rgb, label(potsdam_root, "5_10"))


@pytest.mark.parametrize(
    ("patch", "colour", "found"),
    [("7_13", (252, 255, 0), "FCFF00"), ("2_11", (0, 0, 0), "000000"),
     ("4_12", (200, 20, 210), "FF00FF")],
)  # fmt: skip
def test_a_colour_outside_the_classes_is_named_with_its_file(
    potsdam_root: Path, patch: str, colour: tuple[int, int, int], found: str
):
    rgb = np.full((40, 40, 3), 255, np.uint8)
    rgb[30, 1:8] = colour
    geotiff(label(potsdam_root, patch), rgb)
    with pytest.raises(DataError, match=rf"mask '.*_{patch}_label\.tif'.*#{found} on 7 pixels"):
        load(potsdam_root)


def test_without_the_form_s_data_the_error_says_what_to_do_by_hand(tmp_path: Path):
    with pytest.raises(
        DataError,
        match=r"cannot be downloaded.*ISPRS's form.*isprs\.org.*2_Ortho_RGB\.zip.*5_Labels_all"
        r"\.zip.*DATA_ROOT",
    ):
        load(registry.fetch("potsdam", tmp_path))


def test_data_put_there_by_hand_are_found_at_any_depth(potsdam_root: Path):
    before = load(potsdam_root)
    folder = potsdam_root / potsdam.FOLDER
    (folder / "Potsdam").mkdir()
    (folder / "2_Ortho_RGB").rename(folder / "Potsdam" / "2_Ortho_RGB")
    assert registry.fetch("potsdam", potsdam_root) == potsdam_root
    assert load(potsdam_root).fingerprint == before.fingerprint


def test_the_participants_labels_do_for_training_patches_only(potsdam_root: Path):
    given = potsdam_root / potsdam.FOLDER / "5_Labels_for_participants"
    given.mkdir()
    for patch in potsdam.TRAIN:
        label(potsdam_root, patch).rename(given / label(potsdam_root, patch).name)
    assert len(load(potsdam_root)) == 38 * 4
    for patch in potsdam.TEST:
        label(potsdam_root, patch).unlink()
    with pytest.raises(DataError, match=r"24 of 38 .*that of 2_13.*participants\.zip only the"):
        load(potsdam_root)


def test_a_missing_patch_is_named(potsdam_root: Path):
    image(potsdam_root, "3_14").unlink()
    with pytest.raises(DataError, match=r"37 of 38 .*_RGB\.tif.*that of 3_14 is missing"):
        load(potsdam_root)


def test_an_unknown_patch_is_refused(potsdam_root: Path):
    image(potsdam_root, "3_14").rename(image(potsdam_root, "9_9"))
    with pytest.raises(DataError, match=r"top_potsdam_9_9_RGB\.tif' is none of the 38"):
        load(potsdam_root)


def test_a_mask_of_another_size_is_refused(potsdam_root: Path):
    geotiff(label(potsdam_root, "6_9"), np.zeros((41, 40, 3), np.uint8))
    with pytest.raises(DataError, match=r"6_9_RGB\.tif' is 40 x 40.*its mask 41 x 40.*one size"):
        load(potsdam_root)


@pytest.mark.real
def test_real_patches_are_cut_whole():
    if not (paths.data_root() / potsdam.FOLDER).is_dir():
        pytest.skip(f"{potsdam.FOLDER} is not under DATA_ROOT")
    assert len(potsdam.source(paths.data_root()).ids) == 38 * 100
