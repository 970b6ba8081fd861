import dataclasses

import numpy as np
import pytest
import torch

from fewlabels import ledger, sparsify
from fewlabels.augment import augmentation
from fewlabels.loaders import Batch, Batches, LabelledTile
from fewlabels.types import IGNORE, DataError, NoLabelsError, UnknownName


def tile(name: str, h: int = 40, w: int = 50, amount: float | int = 0.05) -> LabelledTile:
    """An image that carries its own coordinates, so that a crop says where it came from."""
    y, x = np.mgrid[:h, :w]
    image = np.stack([y, x, np.full_like(y, ord(name[0]))], axis=-1).astype(np.uint8)
    mask = ((y + x) % 3).astype(np.uint8)
    return LabelledTile(name, image, sparsify.draw(mask, "random", amount, seed=0, tile=name))


def batches(tiles=None, *, crop=16, size=3, steps=20, seed=0, how="none", book=None) -> Batches:
    tiles = tiles or [tile("a"), tile("b"), tile("c")]
    return Batches(tiles, crop, size, steps, seed, augmentation(how), book)


def test_a_batch_has_no_field_for_a_mask():
    assert [f.name for f in dataclasses.fields(Batch)] == ["images", "labels", "ids"]
    assert [f.name for f in dataclasses.fields(LabelledTile)] == ["id", "image", "labels"]


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
    made = list(batches(how="d4").ahead(3, workers))
    expected = [batches(how="d4")[s] for s in range(3, 20)]
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


def test_d4_reaches_all_eight_positions_and_moves_both_alike():
    apply = augmentation("d4")
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=2)
    labels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    seen = set()
    for seed in range(100):
        moved, with_it = apply(seed, image, labels)
        assert (moved[..., 0] == with_it).all()
        seen.add(with_it.tobytes())
    square = {np.rot90(m, k).tobytes() for m in (labels, labels.T) for k in range(4)}
    assert seen == square


def test_unknown_augmentations_are_refused():
    with pytest.raises(UnknownName, match="known: d4, none"):
        augmentation("blur")


def test_an_image_of_another_size_than_its_labels_is_refused(unchecked):
    odd = dataclasses.replace(tile("a"), image=np.zeros((40, 51, 3), np.uint8))
    with pytest.raises(DataError, match=r"'a': its image is \(40, 51\) pixels and its labels"):
        batches([odd])
