"""Data sets of large images: chips, sites, painted masks, and what their files can get wrong."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from conftest import DEEPGLOBE, POTSDAM, geotiff
from PIL import Image

from fewlabels import paths, studies
from fewlabels.data import chips, registry
from fewlabels.data.sources import sheets
from fewlabels.types import IGNORE, DataError

EVERY = ("landcoverai", "deepglobe", "potsdam")
FIRST = {"landcoverai": "M-33-7-A-d-2-3", "deepglobe": "1", "potsdam": "6_9"}


def load(root: Path, name: str, split: str = "all", **options) -> registry.Dataset:
    return registry.load(name, root, split=split, cache_root=root / "cache", **options)


def files(root: Path, name: str, id_: str | None = None) -> tuple[Path, Path]:
    """Image and mask of a sheet."""
    of, id_ = getattr(sheets, name.upper()), id_ or FIRST[name]
    return tuple(root / of.folder / p.replace("*", id_) for p in (of.images, of.masks[0]))


@pytest.fixture(params=EVERY)
def of_each(request: pytest.FixtureRequest) -> tuple[str, Path]:
    return request.param, request.getfixturevalue(f"{request.param}_root")


def cell(sheet: str) -> tuple[int, int]:
    """Row, southwards, and column, eastwards, of a Polish map sheet among all of 1:5 000.

    A sheet of 1:1 000 000 (a letter for 4 degrees of latitude, a number for 6 of longitude) has 12
    x 12 sheets of 1:100 000, counted row by row from 1. Each of them is quartered four times.
    """
    band, zone, hundred, *quarters = sheet.split("-")
    row, column = divmod(int(hundred) - 1, 12)
    row, column = row - 12 * (ord(band) - ord("A")), column + 12 * int(zone)
    for quarter in quarters:
        south, east = divmod("ABCD1234".index(quarter.upper()) % 4, 2)
        row, column = 2 * row + south, 2 * column + east
    return row, column


def touch(one: str, other: str) -> bool:
    return max(abs(a - b) for a, b in zip(cell(one), cell(other), strict=True)) <= 1


def test_chips_are_the_squares_of_their_sheet_and_the_ragged_edge_is_left(of_each):
    name, root = of_each
    tiles, side = load(root, name), load(root, name)[0].mask.shape[0]
    image = np.asarray(Image.open(files(root, name)[0]))
    rows, columns = image.shape[0] // side, image.shape[1] // side
    for row, column in np.ndindex(rows, columns):
        tile = tiles[tiles.ids.index(f"{FIRST[name]}_r{row:02d}c{column:02d}")]
        here = np.s_[side * row : side * (row + 1), side * column : side * (column + 1)]
        assert (tile.image == image[here]).all()
        assert tile.site == FIRST[name]
    assert tiles.sites.count(FIRST[name]) == rows * columns
    assert len(tiles) == {"landcoverai": 41 * 6, "deepglobe": 12 * 16, "potsdam": 38 * 4}[name]


def test_masks_are_read_as_published(landcoverai_root, deepglobe_root, potsdam_root):
    for tile in load(landcoverai_root, "landcoverai")[::20]:
        assert (tile.image[..., 1] == 50 * tile.mask).all()
    pure, seen = np.array([*DEEPGLOBE, (0, 0, 0)], np.uint8), set()
    for tile in load(deepglobe_root, "deepglobe"):
        painted = pure[np.where(tile.mask == IGNORE, 6, tile.mask)]
        assert np.abs(painted.astype(int) - tile.image).mean() < 60  # the image shows the classes
        seen |= set(np.unique(tile.mask).tolist())
    assert seen == {0, 1, 2, 3, 4, 5, IGNORE}
    for tile in load(potsdam_root, "potsdam"):
        assert (tile.image == np.array(POTSDAM, np.uint8)[tile.mask] // 2 + 40).all()


def test_every_sheet_is_tested_once_and_never_in_its_own_training(of_each):
    name, root = of_each
    every, tested = set(load(root, name).sites), []
    for fold in range(len(load(root, name).folds)):
        sites = [set(load(root, name, s, fold=fold).sites) for s in ("fit", "val", "test")]
        assert all(not a & b for a, b in combinations(sites, 2))
        assert set.union(*sites) == every
        if name == "landcoverai":
            across = (product(*pair) for pair in combinations(sites, 2))
            assert not any(touch(*two) for pairs in across for two in pairs)
        tested += sites[2]
    assert sorted(tested) == sorted(every if name != "potsdam" else sheets.TEST)
    assert (name in studies.ONE_GROUP) == (name == "potsdam")


def test_sheets_that_touch_are_declared_together():
    near = {frozenset((a, b)) for a, b in combinations(sheets.LANDCOVERAI.ids, 2) if touch(a, b)}
    for pair in near:
        assert any(pair <= set(group) for group in sheets.LANDCOVERAI.together)
    for group in sheets.LANDCOVERAI.together:
        assert all(any({one, other} in near for other in group) for one in group)


def test_the_cell_of_a_sheet_by_hand():
    """Sheet 20 of M-33 is in row 1, column 7; then D, c, 4 and 2 halve it four times."""
    row = ((((1 - 144) * 2 + 1) * 2 + 1) * 2 + 1) * 2 + 0
    column = ((((7 + 396) * 2 + 1) * 2 + 0) * 2 + 1) * 2 + 1
    assert cell("M-33-20-D-c-4-2") == (row, column)
    assert cell("N-33-144-D-d-4-4")[0] + 1 == cell("M-33-12-B-b-2-2")[0]
    assert cell("M-33-12-B-b-2-2")[1] + 1 == cell("M-34-1-A-a-1-1")[1]


def test_the_split_of_potsdam_is_the_published_one(potsdam_root: Path):
    sites = {s: set(load(potsdam_root, "potsdam", s).sites) for s in ("train", "val", "test")}
    columns = {2: range(10, 13), 3: range(10, 13), 4: range(10, 13), 5: range(10, 13),
               6: range(7, 13), 7: range(7, 13)}  # fmt: skip
    assert sites["train"] == {f"{r}_{c}" for r in columns for c in columns[r]}
    columns = {2: (13, 14), 3: (13, 14), 4: (13, 14, 15), 5: (13, 14, 15), 6: (13, 14, 15), 7: [13]}
    assert sites["test"] == {f"{r}_{c}" for r in columns for c in columns[r]}
    assert sites["val"] == {"6_7", "6_8", "6_9", "7_7", "7_8", "7_9"}
    cells = [[tuple(map(int, p.split("_"))) for p in sites[s]] for s in ("val", "test")]
    assert min(max(abs(a - c), abs(b - d)) for (a, b), (c, d) in product(*cells)) > 1


def test_ids_of_deepglobe_are_in_order_of_number_not_of_text(deepglobe_root: Path):
    numbers = [int(site) for site in load(deepglobe_root, "deepglobe").sites]
    assert numbers == sorted(numbers)
    assert [str(n) for n in numbers] != sorted(str(n) for n in numbers)
    assert list((deepglobe_root / sheets.DEEPGLOBE.folder / "valid").iterdir())  # and not read
    assert len(set(numbers)) == 12


def test_a_channel_is_split_at_128_where_masks_are_known_to_be_unclean():
    rgb = np.array([[(127, 128, 128), (128, 127, 255), (127, 0, 127)]], np.uint8)
    mask = chips.Sheet("1", Path("image"), Path("m.png"))
    assert sheets.DEEPGLOBE.read(rgb, mask).tolist() == [[0, 2, IGNORE]]
    rgb = np.array([[(9, 222, 221), (225, 227, 227), (252, 255, 0)]], np.uint8)
    for id_ in ("4_12", "6_7"):
        sheet = chips.Sheet(id_, Path("image"), Path("m.tif"))
        assert sheets.POTSDAM.read(rgb, sheet).tolist() == [[2, 0, 4]]
    with pytest.raises(DataError, match=r"m\.tif' holds 3 unknown colours"):
        sheets.POTSDAM.read(rgb, chips.Sheet("5_10", Path("image"), Path("m.tif")))


@pytest.mark.parametrize(
    ("name", "id_", "colour", "found"),
    [("potsdam", "7_13", (252, 255, 0), "FCFF00"), ("potsdam", "2_11", (0, 0, 0), "000000"),
     ("potsdam", "4_12", (200, 20, 210), "FF00FF"), ("deepglobe", "1", (200, 90, 20), "FF0000")],
)  # fmt: skip
def test_a_colour_outside_the_classes_is_named_with_its_file(name, id_, colour, found, request):
    root = request.getfixturevalue(f"{name}_root")
    file = files(root, name, id_)[1]
    rgb = np.full((*np.asarray(Image.open(file)).shape[:2], 3), 255, np.uint8)
    rgb[30, 1:8] = colour
    Image.fromarray(rgb).save(file)
    with pytest.raises(DataError, match=rf"{name}: mask '.*{id_}_.*'.*#{found} on 7 pixels"):
        load(root, name)


@pytest.mark.parametrize(
    ("name", "words"),
    [("landcoverai", "fewlabels data landcoverai.*DATA_ROOT"),
     ("deepglobe", "0 of 12.*fewlabels data deepglobe.*DATA_ROOT"),
     ("potsdam", r"cannot be downloaded.*ISPRS's form.*isprs\.org.*5_Labels_all\.zip.*DATA_ROOT")],
)  # fmt: skip
def test_missing_data_say_how_to_get_them(name: str, words: str, request, tmp_path: Path):
    request.getfixturevalue(f"{name}_root")
    with pytest.raises(DataError, match=words):
        load(tmp_path / "nowhere", name)


def test_a_missing_or_an_unknown_file_is_named(of_each):
    name, root = of_each
    image, mask = files(root, name)
    mask.rename(mask.with_name("kept"))
    with pytest.raises(DataError, match=rf"{name}: found \d+ of .*{FIRST[name]} is missing"):
        load(root, name)
    (mask.with_name("kept")).rename(mask)
    odd = image.with_name(image.name.replace(FIRST[name], "city"))
    odd.write_bytes(image.read_bytes())
    with pytest.raises(DataError, match=rf"{odd.name}' is none of the \d+ published"):
        load(root, name)
    odd.unlink()
    image.unlink()
    with pytest.raises(DataError, match=rf"found \d+ of {len(set(load_ids(name)))}"):
        load(root, name)


def load_ids(name: str) -> tuple[str, ...]:
    of = getattr(sheets, name.upper())
    return tuple(map(str, range(12))) if isinstance(of.ids, int) else of.ids


def test_potsdam_put_there_by_hand_is_found_at_any_depth(potsdam_root: Path):
    before, folder = load(potsdam_root, "potsdam"), potsdam_root / "potsdam"
    (folder / "Potsdam").mkdir()
    (folder / "2_Ortho_RGB").rename(folder / "Potsdam" / "2_Ortho_RGB")
    assert registry.fetch("potsdam", potsdam_root) == potsdam_root
    assert load(potsdam_root, "potsdam").fingerprint == before.fingerprint


def test_the_participants_labels_do_for_training_patches_only(potsdam_root: Path):
    given = potsdam_root / "potsdam" / "5_Labels_for_participants"
    given.mkdir()
    for patch in sheets.TRAIN:
        label = files(potsdam_root, "potsdam", patch)[1]
        label.rename(given / label.name)
    assert len(load(potsdam_root, "potsdam")) == 38 * 4
    for patch in sheets.TEST:
        files(potsdam_root, "potsdam", patch)[1].unlink()
    with pytest.raises(DataError, match=r"24 of 38 .*that of 2_13.*participants\.zip only the"):
        load(potsdam_root, "potsdam")


def test_a_mask_of_another_size_or_kind_and_a_sheet_that_is_too_small_are_refused(
    landcoverai_root: Path,
):
    image, mask = files(landcoverai_root, "landcoverai")
    cases = [
        ((36, 50, 3), np.uint8, (36, 49), np.uint8, "is 36 x 50.*its mask 36 x 49.*one size"),
        ((15, 50, 3), np.uint8, (15, 50), np.uint8, "15 x 50 pixels, less than one chip of 16"),
        ((36, 50, 3), np.uint8, (36, 50, 3), np.uint8, "masks/.*kind RGB; it must be 8-bit grey"),
        ((36, 50), np.uint16, (36, 50), np.uint8, "images/.*kind I;16; it must be 8-bit RGB"),
    ]
    for shape, kind, of_mask, kind_of_mask, words in cases:
        geotiff(image, np.zeros(shape, kind))
        geotiff(mask, np.zeros(of_mask, kind_of_mask))
        with pytest.raises(DataError, match=words):
            load(landcoverai_root, "landcoverai")
    image.write_text("text")
    with pytest.raises(DataError, match=rf"images/{image.name}' does not open as an image"):
        load(landcoverai_root, "landcoverai")


def test_a_value_that_is_no_class_is_named_with_its_chip(landcoverai_root: Path):
    mask = np.zeros((36, 50), np.uint8)
    mask[20, 20:22] = (5, 9)
    geotiff(files(landcoverai_root, "landcoverai")[1], mask)
    with pytest.raises(DataError, match=r"2-3_r01c01': mask values \[5, 9\].*0 to 4"):
        load(landcoverai_root, "landcoverai")
    assert list((landcoverai_root / "cache").iterdir()) == []


def test_one_orthophoto_is_decoded_once_and_without_a_warning_of_its_size(
    landcoverai_root: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
):
    decoded: list[str] = []
    opened = chips.opened

    def seen(name: str, file: Path, kind: str) -> Image.Image:
        decoded.extend([file] * (kind != "header"))
        return opened(name, file, kind)

    monkeypatch.setattr(chips, "opened", seen)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 36 * 50 - 1)
    load(landcoverai_root, "landcoverai")
    assert len(decoded) == len(set(decoded)) == 82
    assert not [w for w in recwarn if issubclass(w.category, Image.DecompressionBombWarning)]


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "chips"),
    [("landcoverai", 7470 + 1602 + 1602), ("deepglobe", 803 * 16), ("potsdam", 38 * 100)],
)
def test_real_sheets_give_as_many_chips_as_the_published_cut(name: str, chips: int):
    of = getattr(sheets, name.upper())
    if not (paths.data_root() / of.folder).is_dir():
        pytest.skip(f"{of.folder} is not under DATA_ROOT")
    assert len(of.source(paths.data_root()).ids) == chips
