"""AI4Mars: the published split, kept honest by three rules, and what its files can get wrong."""

from pathlib import Path

import numpy as np
import pytest
from conftest import navcam_id
from PIL import Image

from fewlabels import paths, studies
from fewlabels.data import registry
from fewlabels.data.sources import ai4mars
from fewlabels.labels import sampling
from fewlabels.types import IGNORE, DataError, NoLabelsError


def load(root: Path, split: str = "train", **options) -> registry.Dataset:
    return registry.load("ai4mars", root, split=split, cache_root=root / "cache", **options)


def listed(root: Path, name: str) -> list[str]:
    return (root / ai4mars.FOLDER / name).read_text().split()


def mask_file(root: Path, frame: str) -> Path:
    return root / ai4mars.FOLDER / "masks" / f"{frame}.png"


def test_test_is_every_labelled_gold_frame(ai4mars_root: Path):
    test, gold = load(ai4mars_root, "test"), listed(ai4mars_root, ai4mars.TEST)
    assert test.ids == (*gold[:3], *gold[4:])
    assert set(test.sites) == {"sol0007", "sol0008", "sol0009"}
    assert len(test.folds) == 1
    assert "ai4mars" in studies.ONE_GROUP


def test_training_shares_no_sol_and_no_stand_with_the_test(ai4mars_root: Path):
    train, crowd = load(ai4mars_root), listed(ai4mars_root, ai4mars.TRAIN)
    stands = {ai4mars.ID.fullmatch(i)["stand"] for i in load(ai4mars_root, "test").ids}
    assert train.ids == tuple(crowd[1:16])
    assert stands.isdisjoint(ai4mars.ID.fullmatch(i)["stand"] for i in train.ids)


def test_a_training_frame_of_a_test_sol_is_left_out(ai4mars_root: Path):
    frame, like = navcam_id(9, 99, 30), listed(ai4mars_root, ai4mars.TRAIN)[5]
    folder = ai4mars_root / ai4mars.FOLDER
    for kind in ("images/{}.jpg", "masks/{}.png"):
        (folder / kind.format(frame)).write_bytes((folder / kind.format(like)).read_bytes())
    with (folder / ai4mars.TRAIN).open("a") as file:
        file.write(f"{frame}\n")
    assert frame not in load(ai4mars_root, "all").ids


def test_validation_is_whole_sols_and_a_stand_is_not_split(ai4mars_root: Path):
    groups = ai4mars._groups([ai4mars._frame(i, "") for i in load(ai4mars_root).ids])
    assert groups == [("sol0001",), ("sol0002", "sol0003"), ("sol0004",), ("sol0005",)]
    fit, val = (load(ai4mars_root, split) for split in ("fit", "val"))
    assert set(val.sites) == {"sol0001"}
    assert set(fit.sites) == {"sol0002", "sol0003", "sol0004", "sol0005"}


def test_groups_join_over_a_chain_of_stands():
    frames = [(1, 10), (1, 11), (2, 12), (3, 11), (3, 13), (4, 13), (5, 14)]
    groups = ai4mars._groups([ai4mars._frame(navcam_id(*f, 0), "") for f in frames])
    assert groups == [("sol0001", "sol0003", "sol0004"), ("sol0002",), ("sol0005",)]


def test_a_frame_has_one_band_and_the_labels_as_given(ai4mars_root: Path):
    for tile in load(ai4mars_root, "all"):
        assert tile.image.shape == (32, 32, 1)
        assert (tile.mask[:16] == IGNORE).all()
        there = tile.mask != IGNORE
        assert np.abs(40 + 50 * tile.mask[there].astype(int) - tile.image[there, 0]).mean() < 5


def test_the_sol_of_a_frame_whose_sol_is_known():
    """NLB_486264973EDR_S0481570NCAM00546M_ lies under sol/01000 on NASA's server of raw images."""
    assert ai4mars.local_time(486_264_973)[0] == 1000
    landing = 4600.5 * 86_400 + (5 * 60 + 17) * 60 + 57 + 67.184  # 2012-08-06 05:17:57 UTC
    assert ai4mars.local_time(round(landing)) == (0, pytest.approx(15.05, abs=0.01))


def test_missing_files_are_named_and_the_way_to_get_them(ai4mars_root: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"train\.txt' is missing.*zenodo.*README.*DATA_ROOT"):
        load(registry.fetch("ai4mars", tmp_path / "nowhere"))
    mask_file(ai4mars_root, listed(ai4mars_root, ai4mars.TEST)[2]).unlink()
    with pytest.raises(DataError, match=r"1 of 48 listed files are missing.*masks.*\.png"):
        load(ai4mars_root)
    (ai4mars_root / ai4mars.FOLDER / ai4mars.TEST).unlink()
    with pytest.raises(DataError, match=r"test_gold\.txt' is missing"):
        load(ai4mars_root)


def test_a_frame_in_both_lists_is_refused(ai4mars_root: Path):
    frame = listed(ai4mars_root, ai4mars.TRAIN)[4]
    with (ai4mars_root / ai4mars.FOLDER / ai4mars.TEST).open("a") as file:
        file.write(frame)
    with pytest.raises(DataError, match=rf"{frame}' is listed 2 times, in train.txt and test_gold"):
        load(ai4mars_root)


def test_an_id_without_a_clock_is_refused(ai4mars_root: Path):
    with (ai4mars_root / ai4mars.FOLDER / ai4mars.TRAIN).open("a") as file:
        file.write("1046ML0046370040501538E01_DRCL")
    with pytest.raises(DataError, match=r"1046ML.*in train\.txt is no id.*sol is unknown"):
        load(ai4mars_root)


def test_a_side_without_frames_is_refused(ai4mars_root: Path):
    (ai4mars_root / ai4mars.FOLDER / ai4mars.TRAIN).write_text("")
    with pytest.raises(DataError, match="of 6 frames listed.*0 are left to train and 5 to test"):
        load(ai4mars_root)


def test_an_image_of_another_size_than_its_labels_is_refused(ai4mars_root: Path):
    frame = listed(ai4mars_root, ai4mars.TEST)[0]
    Image.fromarray(np.zeros((30, 32), np.uint8)).save(mask_file(ai4mars_root, frame))
    with pytest.raises(DataError, match=rf"{frame}.*32 x 32.*30 x 32.*one size"):
        load(ai4mars_root)


def test_mask_values_that_are_no_class_are_refused(ai4mars_root: Path):
    frame = listed(ai4mars_root, ai4mars.TRAIN)[3]
    Image.fromarray(np.full((32, 32), 4, np.uint8)).save(mask_file(ai4mars_root, frame))
    with pytest.raises(DataError, match=rf"{frame}.*\[4\] are no class.*0 to 3 and 255"):
        load(ai4mars_root)


def test_colour_where_grey_is_due_is_refused(ai4mars_root: Path):
    frame = listed(ai4mars_root, ai4mars.TRAIN)[3]
    colour = Image.fromarray(np.full((32, 32, 3), (200, 120, 40), np.uint8))
    colour.save(mask_file(ai4mars_root, frame))
    with pytest.raises(DataError, match=rf"mask.*{frame}.*kind RGB.*8-bit grey"):
        load(ai4mars_root)
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(mask_file(ai4mars_root, frame))
    colour.save(ai4mars_root / ai4mars.FOLDER / "images" / f"{frame}.jpg")
    with pytest.raises(DataError, match=rf"{frame}\.jpg' is in colour"):
        load(ai4mars_root)


def test_a_tile_without_labels_cannot_be_drawn_from():
    nothing = np.full((4, 4), IGNORE, np.uint8)
    with pytest.raises(NoLabelsError, match="'NLB_1'.*0 of 16 pixels.*drop the tile"):
        sampling.draw(nothing, "all", 1.0, seed=0, tile="NLB_1")


@pytest.fixture
def real_root() -> Path:
    if not (paths.data_root() / ai4mars.FOLDER).is_dir():
        pytest.skip(f"{ai4mars.FOLDER} is not under DATA_ROOT")
    return paths.data_root()


@pytest.mark.real
def test_real_frames_were_taken_by_day(real_root: Path):
    """A wrong epoch or a wrong length of the sol would spread them over the night."""
    ids = [i for name in (ai4mars.TRAIN, ai4mars.TEST) for i in listed(real_root, name)]
    hours = [ai4mars.local_time(int(ai4mars.ID.fullmatch(i)["clock"]))[1] for i in ids]
    assert len(ids) == 1522
    assert 8 < min(hours) < max(hours) < 18


@pytest.mark.real
def test_real_counts_are_those_of_the_data_page(real_root: Path):
    page = (paths.project_root() / "data" / "README.md").read_text()
    for split in ("test", "train", "val", "fit"):
        tiles = registry.load("ai4mars", real_root, split=split)
        assert f"| `{split}` | {len(tiles):,} | {len(set(tiles.sites))} |" in page
