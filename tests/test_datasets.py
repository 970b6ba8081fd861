import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import paint
from PIL import Image

from fewlabels import cli, paths
from fewlabels.data import cache, dataset, registry
from fewlabels.data.registry import Declaration
from fewlabels.data.sources import dubai, folder, sheets
from fewlabels.experiments import prepare
from fewlabels.studies import Run
from fewlabels.types import IGNORE, DataError, UnknownName


def load(root: Path, **options):
    return registry.load("dubai", root, cache_root=root / "cache", **options)


def test_dubai_folds_keep_shared_ground_together(dubai_root: Path):
    together = [{"tile1", "tile3"}, {"tile4", "tile7", "tile8"}]
    for fold in range(5):
        train, test = (set(load(dubai_root, fold=fold, split=s).sites) for s in ("train", "test"))
        assert not train & test
        assert len(train | test) == 8
        for group in together:
            assert group <= train or group <= test


def test_validation_is_the_next_group_and_fit_what_is_left(dubai_root: Path):
    for fold in range(5):
        fit, val, train = (load(dubai_root, fold=fold, split=s) for s in ("fit", "val", "train"))
        assert set(val.sites) == set(dubai.FOLDS[(fold + 1) % 5])
        assert set(fit.sites) | set(val.sites) == set(train.sites)
        assert len(fit) + len(val) == len(train)


def test_patches_at_random_are_each_tested_once_and_leak(dubai_root: Path):
    options = {"root": dubai_root, "cache_root": dubai_root / "cache"}
    tested = []
    for fold in range(5):
        train, test, val = (
            registry.load("dubai:patches", fold=fold, split=s, **options)
            for s in ("train", "test", "val")
        )
        assert not set(train.ids) & set(test.ids)
        assert len(train) + len(test) == 72
        assert set(val.ids) < set(train.ids)
        assert set(train.sites) & set(test.sites)
        assert test[0].site == test[0].id.partition("-")[0]  # what the tile is stays what it was
        tested += test.ids
    apart = load(dubai_root)
    assert sorted(tested) == sorted(load(dubai_root, split="all").ids)
    assert train.fingerprint != apart.fingerprint
    again = registry.load("dubai:patches", fold=4, split="test", **options)
    assert again.ids == test.ids


def test_a_published_split_has_nothing_to_deal(ai4mars_root: Path):
    with pytest.raises(DataError, match="one published test group"):
        registry.load("ai4mars:patches", ai4mars_root, cache_root=ai4mars_root / "cache")


def test_two_sites_leave_none_to_fit(folder_root: Path):
    (folder_root / "images" / "west" / "a.png").unlink()
    options = {"root": folder_root, "cache_root": folder_root / "cache"}
    assert registry.load("folder", split="val", **options).sites == ("south",)
    with pytest.raises(DataError, match="of 2 sites, 1 are the test.*none is left to fit"):
        registry.load("folder", split="fit", **options)


def test_dubai_reads_colours_palettes_and_void(dubai_root: Path):
    tiles = load(dubai_root, split="all")
    assert len(tiles) == 72
    assert tiles.classes[0] == "building"
    for tile in (tiles[0], tiles[9], tiles[27]):  # tiles 2 and 4 are palette PNGs
        assert (tile.mask[:3] == IGNORE).all()
        assert set(np.unique(tile.mask[3:])) <= set(range(5))
        true = paint(np.where(tile.mask == IGNORE, 5, tile.mask))[8:].astype(int)
        assert np.abs(true - tile.image[8:]).mean() < 25  # the image was painted from its classes


def test_dubai_names_an_unknown_colour(tmp_path: Path):
    rgb = np.zeros((4, 5, 3), np.uint8)
    rgb[0, :3] = (1, 2, 3)
    Image.fromarray(rgb).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"m\.png.*#010203 on 3 pixels"):
        dubai.mask_classes(tmp_path / "m.png")


def test_missing_dubai_says_what_to_do(tmp_path: Path):
    with pytest.raises(DataError, match="found 0 of 72.*fewlabels data dubai.*DATA_ROOT"):
        load(tmp_path)


def test_the_archive_s_own_folder_is_found(dubai_root: Path, tmp_path: Path):
    (tmp_path / "dubai_aerial").mkdir()
    (tmp_path / "dubai_aerial" / "Semantic segmentation dataset").symlink_to(
        dubai_root / "dubai_aerial"
    )
    inner = tmp_path / "dubai_aerial" / "Semantic segmentation dataset"
    assert inner.is_dir()
    moved = tmp_path / "moved" / "dubai_aerial" / "Semantic segmentation dataset"
    moved.parent.mkdir(parents=True)
    import shutil

    shutil.copytree(dubai_root / "dubai_aerial", moved)
    assert load(tmp_path / "moved").fingerprint == load(dubai_root).fingerprint


def test_unknown_names_list_the_known_ones(dubai_root: Path):
    with pytest.raises(UnknownName, match=r"'mars'; known: .*dubai.*synthetic"):
        registry.load("mars")
    with pytest.raises(UnknownName, match="known: all, fit, test, train, val"):
        load(dubai_root, split="dev")
    with pytest.raises(DataError, match="folds 0 to 4, not 5"):
        load(dubai_root, fold=5)


def test_the_grid_shrinks_and_never_enlarges(dubai_root: Path):
    assert load(dubai_root, grid=24)[0].image.shape == (20, 24, 3)
    assert load(dubai_root, grid=24)[0].mask.shape == (20, 24)
    assert load(dubai_root, grid=1000)[0].image.shape == (40, 48, 3)


def test_shrunk_masks_hold_no_new_class(dubai_root: Path):
    assert set(np.unique(load(dubai_root, grid=17)[3].mask)) <= {0, 1, 2, 3, 4, IGNORE}


def test_fingerprint_is_of_the_bytes_not_of_the_place(dubai_root: Path, tmp_path: Path):
    import shutil

    shutil.copytree(dubai_root / "dubai_aerial", tmp_path / "dubai_aerial")
    before = load(dubai_root).fingerprint
    assert load(tmp_path).fingerprint == before
    mask = tmp_path / "dubai_aerial" / "Tile 5" / "masks" / "image_part_003.png"
    Image.fromarray(paint(np.ones((40, 48), int))).save(mask)
    changed = load(tmp_path)
    assert changed.fingerprint != before
    assert (changed[-1].mask == load(dubai_root)[-1].mask).all()
    assert (next(t for t in changed if t.id == "tile5-3").mask == 1).all()


@pytest.mark.usefixtures("unchecked")  # the type checker reads a tile that it takes by chance
@pytest.mark.parametrize("damage", ["truncate", "flip", "index"])
def test_a_damaged_cache_is_an_error_not_data(damage: str, dubai_root: Path, tmp_path: Path):
    tiles = registry.load("dubai", dubai_root, cache_root=tmp_path)
    folder = tiles.tiles.folder
    file = folder / ("index.json" if damage == "index" else "masks.bin")
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[5] ^= 1
    file.write_bytes(content[:-1] if damage != "flip" else content)
    with pytest.raises(DataError, match="damaged.*delete that folder"):
        registry.load("dubai", dubai_root, cache_root=tmp_path, split="all")[0]


def test_an_image_and_mask_of_different_size_are_refused(folder_root: Path):
    Image.fromarray(np.zeros((20, 29), np.uint8)).save(folder_root / "masks" / "north" / "a.png")
    with pytest.raises(DataError, match=r"north/a.*20 x 30.*20 x 29"):
        registry.load("folder", folder_root, cache_root=folder_root / "cache")
    assert list((folder_root / "cache").iterdir()) == []


def test_folder_reads_classes_void_and_sites(folder_root: Path):
    tiles = registry.load("folder", folder_root, 0, "test", cache_root=folder_root / "cache")
    assert tiles.classes == ("water", "land")
    assert tiles.sites == ("north",)
    assert (tiles[0].mask[0] == IGNORE).all()
    assert set(np.unique(tiles[0].mask[1:])) == {0, 1}


def test_a_tile_without_any_class_is_left_out(folder_root: Path, caplog):
    void = Image.fromarray(np.full((20, 30), 9, np.uint8))
    void.save(folder_root / "masks" / "west" / "a.png")
    ask = partial(registry.load, "folder", folder_root, cache_root=folder_root / "cache")
    with caplog.at_level("INFO"):
        assert ask(split="all").sites == ("north", "south")
    assert "folder: 1 of 3 tiles hold no class" in caplog.text
    with pytest.raises(DataError, match="no tile of 'test' in fold 2 has a pixel with a class"):
        ask(2, "test")


def test_folder_refuses_values_that_are_no_class(folder_root: Path):
    Image.fromarray(np.full((20, 30), 7, np.uint8)).save(folder_root / "masks" / "west" / "a.png")
    with pytest.raises(DataError, match=r"west/a.*\[7\].*0 to 1 and 255"):
        registry.load("folder", folder_root, cache_root=folder_root / "cache")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "classes.json"),
        ('{"classes": ["one"]}', "two different"),
        ("{}", "classes.json"),
        ('{"classes": {"water": 5, "road": 9}}', "is no list of str"),
        ('{"classes": "ab"}', "is no list of str"),
        ('{"classes": [1, 2]}', "is no list of str"),
        ('{"classes": ["a", "b"], "void": ["255"]}', "is no list of int"),
    ],
)
def test_folder_explains_its_class_file(text: str, match: str, folder_root: Path):
    (folder_root / "classes.json").write_text(text)
    with pytest.raises(DataError, match=match):
        folder.source(folder_root)


def test_folder_refuses_two_images_for_one_mask(folder_root: Path):
    image = next(p for p in (folder_root / "images").rglob("*.png"))
    Image.open(image).convert("RGB").save(image.with_suffix(".jpg"))
    with pytest.raises(DataError, match=f"{image.stem}.* have the same name; keep one"):
        registry.load("folder", folder_root)


def test_folder_names_a_missing_mask(folder_root: Path):
    (folder_root / "masks" / "south" / "a.png").unlink()
    with pytest.raises(DataError, match=r"south/a\.png.*no mask"):
        folder.source(folder_root)


def test_folder_is_read_as_viewers_and_other_systems_leave_it(folder_root: Path, caplog):
    """Copies of a macOS disk, upper-case endings, a byte-order mark, a camera held sideways."""
    caplog.set_level("INFO")
    image, mask = (folder_root / kind / "west" / "a.png" for kind in ("images", "masks"))
    (image.parent / "._a.png").write_bytes(b"no image")
    classes = folder_root / "classes.json"
    classes.write_bytes(b"\xef\xbb\xbf" + classes.read_bytes())
    mask.rename(mask.with_suffix(".PNG"))
    shown = np.zeros((20, 30, 3), np.uint8)
    shown[:, :15] = 200
    exif = Image.Exif()
    exif[274] = 6  # a viewer turns it to the right
    turned = Image.fromarray(np.rot90(shown).copy())
    turned.save(image.with_suffix(".jpg"), exif=exif, quality=95)
    image.unlink()
    source = folder.source(folder_root)
    found, _ = source.decode(source.ids.index("west/a"))
    assert np.abs(found.astype(int) - shown).max() < 30
    void = np.full((20, 30), 255, np.uint8)
    void[0, 0] = 0
    for site in ("west", "north", "south"):
        for file in (folder_root / "masks" / site).iterdir():
            Image.fromarray(void).save(file)
    registry.load("folder", folder_root, split="all", cache_root=folder_root / "cache")
    assert "99.8 % of the pixels carry no class" in caplog.text
    assert f"no pixel has the class '{source.classes[1]}'" in caplog.text


def test_a_file_that_is_no_image_is_named(folder_root: Path):
    (folder_root / "images" / "west" / "a.png").write_text("text")
    with pytest.raises(DataError, match=r"west/a\.png.*does not open"):
        registry.load("folder", folder_root, cache_root=folder_root / "cache")


def test_tiles_are_views_of_the_cache(dubai_root: Path):
    tile = load(dubai_root)[0]
    behind = tile.image
    while isinstance(behind.base, np.ndarray):
        behind = behind.base
    assert isinstance(behind, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        tile.image[0, 0, 0] = 1


def test_index_holds_what_the_docstring_says(dubai_root: Path):
    folder = load(dubai_root).tiles.folder
    index = json.loads((folder / "index.json").read_text())
    assert index["format"] == cache.FORMAT
    assert [t["id"] for t in index["tiles"]][:2] == ["tile1-1", "tile1-2"]


def test_every_data_set_has_a_notice(dubai_root: Path):
    assert "synthetic" in registry.load("synthetic", split="test").notice
    assert all(declared.notice for declared in registry.SOURCES.values())
    assert "Dubai" in load(dubai_root).notice


def test_a_data_set_is_one_declaration_and_one_line(folder_root: Path, monkeypatch, capsys):
    """What a stranger's module would hold: its name, how it is found, and what the images are."""
    mine = Declaration("mine", lambda root: replace(folder.source(root), name="mine"), "Mine.")
    monkeypatch.setitem(registry.SOURCES, "mine", mine)
    assert registry.fetch("mine", folder_root) == folder_root
    tiles = registry.load("mine:background", folder_root)
    assert (tiles.name, len(tiles), len(tiles.folds)) == ("mine:background", 2, 3)
    assert tiles.notice.startswith("Mine. Unlabelled pixels")
    assert cli.main(["data", "mine", "--root", str(folder_root)]) == 0
    assert "mine: 3 tiles of 3 sites" in capsys.readouterr().out


def test_the_command_line_lists_the_data_sets_and_says_where_they_are_from(capsys):
    assert cli.main(["data", "mars"]) == 1
    said = capsys.readouterr().err
    assert all(name in said for name in registry.NAMES)
    assert cli.main(["data", "synthetic", "--grid", "64"]) == 0
    assert "synthetic scenes" in capsys.readouterr().out


def test_declarations_hold_what_the_page_on_data_says():
    page = (paths.project_root() / "data" / "README.md").read_text()
    for name, declared in registry.SOURCES.items():
        assert f"\n## {name}\n" in page
        if declared.folder:
            assert f"`{declared.folder}/" in page
            assert declared.citation
            assert declared.licence


def test_what_a_data_set_holds_is_on_its_card():
    page = (paths.project_root() / "data" / "README.md").read_text()
    for declared in (sheets.LANDCOVERAI, sheets.DEEPGLOBE, sheets.POTSDAM):
        assert f"{declared.side} x {declared.side}" in page
        assert all(name in page for name in declared.classes)
        assert all(together[0] in page for together in declared.together)


@pytest.mark.parametrize("name", ["landcoverai", "deepglobe", "potsdam"])
def test_a_run_is_prepared_on_chips(name: str, request: pytest.FixtureRequest):
    root = request.getfixturevalue(f"{name}_root")
    ready = prepare.prepare(Run(data=name, grid=16, crop=8, amount=8), root)
    assert len(ready.labelled) == len(ready.train)
    assert set(ready.train.sites).isdisjoint(ready.test.sites)
    assert all((labels != IGNORE).sum() == 8 for labels in ready.drawn.values())


def test_background_is_what_nobody_labelled_but_never_in_the_test(tmp_path: Path):
    plain, varied = (
        {
            split: registry.load(name, split=split, grid=64, cache_root=tmp_path)
            for split in ("fit", "val", "test")
        }
        for name in ("synthetic", "synthetic:background")
    )
    last = len(plain["fit"].classes)
    assert varied["fit"].classes == (*plain["fit"].classes, "background")
    assert varied["fit"].fingerprint != plain["fit"].fingerprint
    for split in ("fit", "val"):
        for before, after in zip(plain[split], varied[split], strict=True):
            kept = after.mask != last
            assert 0 < kept.mean() < 1
            assert (after.mask[kept] == before.mask[kept]).all()
    for before, after in zip(plain["test"], varied["test"], strict=True):
        assert (before.mask == after.mask).all()


def test_cleaned_leaves_outliers_out_of_training_alone(tmp_path: Path, monkeypatch):
    name = "synthetic:background"
    first = registry.load(name, tmp_path, split="fit", grid=64).ids[0]

    def found(tiles):
        assert len(tiles) == 32  # of all that train, whatever is held out
        rules = {rule: [t.id == first for t in tiles] for rule in dataset.RULES}
        return pd.DataFrame(rules)

    monkeypatch.setattr(dataset, "outliers", found)
    for split in ("train", "fit", "val", "test"):
        whole, cleaned = (
            registry.load(full, split=split, grid=64, cache_root=tmp_path)
            for full in (name, f"{name}:cleaned")
        )
        assert cleaned.classes == whole.classes
        assert set(whole.ids) - set(cleaned.ids) == ({first} & set(whole.ids))
        assert cleaned.fingerprint != whole.fingerprint
