import dataclasses

import numpy as np
import pytest
import torch

from fewlabels.labels import ledger, sampling
from fewlabels.training.augmentation import augmentation
from fewlabels.training.batches import Batch, Batches, LabelledTile, Rare
from fewlabels.types import IGNORE, DataError, NoLabelsError


def tile(name: str, h: int = 40, w: int = 50, amount: float | int = 0.05) -> LabelledTile:
    """An image that carries its own coordinates, so that a crop says where it came from."""
    y, x = np.mgrid[:h, :w]
    image = np.stack([y, x, np.full_like(y, ord(name[0]))], axis=-1).astype(np.uint8)
    mask = ((y + x) % 3).astype(np.uint8)
    return LabelledTile(name, image, sampling.draw(mask, "random", amount, seed=0, tile=name))


def batches(tiles=None, *, crop=16, size=3, steps=20, seed=0, how="none", book=None) -> Batches:
    tiles = tiles or [tile("a"), tile("b"), tile("c")]
    return Batches(tiles, crop, size, steps, seed, augmentation(how), book)


def test_a_batch_has_no_field_for_a_mask():
    assert [f.name for f in dataclasses.fields(Batch)] == ["images", "labels", "ids"]
    assert [f.name for f in dataclasses.fields(LabelledTile)] == [
        "id",
        "image",
        "labels",
        "redrawn",
    ]


@pytest.mark.parametrize("how", ["none", "d4"])
def test_a_batch_is_a_pure_function_of_seed_and_step(how: str):
    forward = [batches(how=how)[s] for s in range(6)]
    backward = [batches(how=how)[s] for s in reversed(range(6))][::-1]
    ahead = list(batches(how=how).ahead(start=2))[:4]
    for one, two in zip(forward, backward, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
    assert all(torch.equal(a.images, b.images) for a, b in zip(forward[2:], ahead, strict=True))
    assert not torch.equal(forward[0].images, batches(how=how, seed=1)[0].images)


@pytest.mark.parametrize("workers", [1, 2, 7, 30])
def test_the_number_of_workers_changes_nothing(workers: int):
    mixed = dataclasses.replace(batches(how="flips+shift_scale_rotate"), cutmix=0.5)
    made = list(mixed.ahead(3, workers))
    expected = [mixed[s] for s in range(3, 20)]
    assert [b.ids for b in made] == [b.ids for b in expected]
    assert all(torch.equal(a.images, b.images) for a, b in zip(made, expected, strict=True))
    assert all(torch.equal(a.labels, b.labels) for a, b in zip(made, expected, strict=True))
    assert list(batches().ahead(20, workers)) == []


@pytest.mark.parametrize("workers", [1, 4])
def test_a_batch_made_ahead_is_entered_only_when_it_is_used(workers: int):
    def seen(used: int, workers: int) -> int:
        tiles = [tile("a"), tile("b")]
        book = ledger.ledger({t.id: t.labels for t in tiles})
        coming = batches(tiles, book=book).ahead(0, workers)
        for _ in range(used):
            next(coming)
        coming.close()
        return book.touched

    assert seen(3, workers) == seen(3, 1) < seen(4, 1)


@pytest.mark.parametrize("how", ["none", "d4"])
def test_labels_lie_on_their_pixels(how: str):
    """The image holds its coordinates, so every label can be looked up in the tile it is from."""
    tiles = {t.id: t for t in [tile("a"), tile("b"), tile("c")]}
    seen = 0
    for batch in batches(list(tiles.values()), how=how).ahead():
        for image, labels, name in zip(batch.images, batch.labels, batch.ids, strict=True):
            y, x = image[0].long().numpy(), image[1].long().numpy()
            assert (tiles[name].labels[y, x] == labels.numpy()).all()
            seen += int((labels != IGNORE).sum())
    assert seen > 100


def test_every_crop_holds_a_label_even_at_one_pixel_a_tile():
    for batch in batches([tile("a", amount=1), tile("b", amount=1)], crop=8, steps=50).ahead():
        assert ((batch.labels != IGNORE).flatten(1).sum(dim=1) > 0).all()


def test_tiles_come_in_rounds():
    ids = [name for batch in batches(size=2, steps=30).ahead() for name in batch.ids]
    for start in range(0, 60, 3):
        assert set(ids[start : start + 3]) == {"a", "b", "c"}


def test_a_tile_smaller_than_the_crop_is_mirrored_and_its_labels_are_not():
    small = tile("a", h=10, w=12, amount=0.5)
    batch = batches([small], crop=16, size=1)[0]
    assert (batch.labels[0, 10:] == IGNORE).all()
    assert (batch.labels[0, :, 12:] == IGNORE).all()
    assert (batch.labels[0, :10, :12].numpy() == small.labels).all()
    assert batch.images[0, 0, 10, 0] == 9  # row 9 again
    assert batch.images[0, 1, 0, 12] == 11


def test_the_ledger_sees_what_training_sees():
    tiles = [tile("a"), tile("b")]
    book = ledger.ledger({t.id: t.labels for t in tiles})
    list(batches(tiles, steps=200, book=book).ahead())
    drawn = sum(int((t.labels != IGNORE).sum()) for t in tiles)
    assert 0.9 * drawn < book.touched <= drawn


def test_training_without_labels_or_tiles_is_refused():
    bare = LabelledTile("x", np.zeros((9, 9, 3), np.uint8), np.full((9, 9), IGNORE, np.uint8))
    with pytest.raises(NoLabelsError, match="tile 'x' carries no label"):
        batches([bare])
    with pytest.raises(NoLabelsError, match="no tile"):
        Batches([], 8, 1, 1, 0, augmentation("none"))
    with pytest.raises(IndexError):
        batches()[20]


def test_an_image_of_another_size_than_its_labels_is_refused(unchecked):
    odd = dataclasses.replace(tile("a"), image=np.zeros((40, 51, 3), np.uint8))
    with pytest.raises(DataError, match=r"'a': its image is \(40, 51\) pixels and its labels"):
        batches([odd])


def rare_tiles() -> tuple[list[LabelledTile], dict[str, np.ndarray]]:
    """Tiles a, b, c and d of 40 x 50 pixels; a and c hold two labels each of a class 7."""
    tiles, pixels = [tile(name) for name in "abcd"], {}
    for name, place in {0: (3, 5), 2: (31, 44)}.items():
        y, x = place
        tiles[name].labels[y, x : x + 2] = 7
        pixels[tiles[name].id] = np.array([y * 50 + x, y * 50 + x + 1])
    return tiles, pixels


def whitened(seed: int, image: np.ndarray, labels: np.ndarray) -> tuple:
    return np.full_like(image, 255), labels


def test_rare_tiles_come_again_around_a_rare_label_and_have_their_own_augmentation():
    """Rounds of 4 + 2 (3 - 1) = 8 turns: a and c three times each, twice around a 7."""
    tiles, pixels = rare_tiles()
    rare = Rare(pixels, 3, whitened)
    every = Batches(tiles, 4, 8, 30, 0, augmentation("none"), rare=rare)
    with_rare = 0
    for batch in every.ahead():
        assert sorted(batch.ids) == sorted("abcd" + 2 * "ac")
        for image, labels, name in zip(batch.images, batch.labels, batch.ids, strict=True):
            assert bool((image == 255).all()) == (name in "ac")
            with_rare += int((labels == 7).any())
    assert 30 * 4 <= with_rare < 30 * 6


def test_without_extra_turns_rare_tiles_change_nothing_else():
    tiles, pixels = rare_tiles()
    plain = Batches(tiles, 16, 3, 9, 0, augmentation("d4"))
    rare = Batches(tiles, 16, 3, 9, 0, augmentation("d4"), rare=Rare(pixels, 1, augmentation("d4")))
    assert all(torch.equal(a.images, b.images) for a, b in zip(plain, rare, strict=True))
    with pytest.raises(ValueError, match="0 times a round"):
        Rare(pixels, 0, augmentation("none"))


def test_a_box_of_another_crop_brings_its_labels_and_the_ledger_counts_where_they_are_from():
    tiles = [tile("a"), tile("b"), tile("c")]
    book = ledger.ledger({t.id: t.labels for t in tiles})
    mixed = Batches(tiles, 16, 3, 20, 0, augmentation("none"), book, cutmix=1.0)
    by_letter = {ord(t.id): t.labels for t in tiles}
    foreign = 0
    for batch in mixed.ahead():
        for image, labels, name in zip(batch.images, batch.labels, batch.ids, strict=True):
            y, x, letter = image.long().numpy()
            expected = np.choose(letter - ord("a"), [by_letter[ord(n)][y, x] for n in "abc"])
            assert (expected == labels.numpy()).all()
            foreign += int((labels.numpy() != IGNORE)[letter != ord(name)].sum())
    assert foreign > 20
    windows = ledger.ledger({t.id: t.labels for t in tiles})
    list(Batches(tiles, 16, 3, 20, 0, augmentation("none"), windows).ahead())
    assert all((book.seen[n] == windows.seen[n]).all() for n in "abc")
