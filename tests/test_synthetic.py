import subprocess
import sys

import numpy as np
import pytest

from fewlabels import metrics
from fewlabels.baseline import colour_alone
from fewlabels.datasets import synthetic
from fewlabels.types import Tile

SOURCE = synthetic.source()
POOL = synthetic.CLASSES.index("pool")


@pytest.fixture(scope="module")
def tiles() -> list[Tile]:
    found = zip(SOURCE.ids, SOURCE.places, map(SOURCE.decode, range(40)), strict=True)
    return [Tile(name, place, *pair) for name, place, pair in found]


def share(tiles: list[Tile]) -> np.ndarray:
    count = np.bincount(np.concatenate([t.mask.ravel() for t in tiles]), minlength=8)
    return count / count.sum()


def test_a_scene_is_a_pure_function_of_seed_and_index():
    image, mask = synthetic.scene(3, 7, size=96)
    again = synthetic.scene(3, 7, size=96)
    assert (image == again[0]).all()
    assert (mask == again[1]).all()
    assert (synthetic.scene(3, 8, size=96)[1] != mask).any()
    assert (synthetic.scene(4, 7, size=96)[1] != mask).any()


def test_another_process_makes_the_same_bytes():
    code = (
        "import zlib; from fewlabels.datasets.synthetic import scene; i, m = scene(0, 1, 96);"
        "print(zlib.crc32(i), zlib.crc32(m))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    import zlib

    assert [int(x) for x in out.stdout.split()] == [
        zlib.crc32(part) for part in synthetic.scene(0, 1, 96)
    ]


def test_classes_are_imbalanced_and_one_is_rare(tiles: list[Tile]):
    shares = share(tiles)
    assert len(synthetic.CLASSES) >= 6
    assert 0.0005 < shares[POOL] < 0.01
    assert (np.delete(shares, POOL) > 0.03).all()
    assert shares.max() < 0.5
    assert sum((t.mask == POOL).any() for t in tiles) > len(tiles) / 2


def test_every_pixel_has_a_class_and_every_fold_every_class(tiles: list[Tile]):
    assert max(int(t.mask.max()) for t in tiles) == len(synthetic.CLASSES) - 1
    for places in SOURCE.folds:
        assert (share([t for t in tiles if t.place in places]) > 0).all()


def test_places_are_whole_in_one_fold_each():
    every = [place for places in SOURCE.folds for place in places]
    assert sorted(every) == sorted(set(SOURCE.places))
    assert len(SOURCE.folds) == 5
    assert len(set(SOURCE.ids)) == len(SOURCE.ids) == 40


def test_places_differ_more_than_scenes_of_one_place(tiles: list[Tile]):
    colour = {t.id: t.image.reshape(-1, 3).mean(0) for t in tiles}
    by_place = {
        p: np.array([colour[t.id] for t in tiles if t.place == p]) for p in set(SOURCE.places)
    }
    within = np.mean([c.std(0).mean() for c in by_place.values()])
    between = np.std([c.mean(0) for c in by_place.values()], axis=0).mean()
    assert between > within


def test_a_shadow_falls_away_from_the_sun():
    height = np.zeros((9, 9))
    height[4, 4] = 3.0
    dark = synthetic.shadows(height, sun=(-1.0, 0.0), slope=1.0)  # the sun stands at the top
    assert np.argwhere(dark).tolist() == [[5, 4], [6, 4]]


def test_shadows_darken_the_image_and_leave_the_mask(monkeypatch: pytest.MonkeyPatch):
    image, mask = synthetic.scene(0, 0, size=128)
    monkeypatch.setattr(
        synthetic, "shadows", lambda height, sun, slope: np.zeros(height.shape, bool)
    )
    bright, same = synthetic.scene(0, 0, size=128)
    assert (same == mask).all()
    assert (bright.astype(int) - image).min() >= -1
    assert bright.mean() > image.mean() + 1


def test_colour_alone_does_not_tell_the_classes(tiles: list[Tile]):
    test = [t for t in tiles if t.place in SOURCE.folds[0]]
    train = [t for t in tiles if t.place not in SOURCE.folds[0]]
    linear = metrics.scores(colour_alone(train, test, len(synthetic.CLASSES)))
    assert 0.15 < linear.miou < 0.35


def test_the_fingerprint_is_of_the_parameters():
    assert synthetic.source().fingerprint == SOURCE.fingerprint
    assert synthetic.source(seed=1).fingerprint != SOURCE.fingerprint
    assert synthetic.source(size=128).fingerprint != SOURCE.fingerprint


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: synthetic.scene(-1, 0), "seed .* -1; it must be at least 0"),
        (lambda: synthetic.scene(0, -2), "index .* -2; it must be at least 0"),
        (lambda: synthetic.scene(0, 0, size=8), "size .* 8; it must be at least 64"),
        (lambda: synthetic.source(scenes=1), "scenes is 1"),
    ],
)
def test_impossible_scenes_are_refused(call, match: str):
    with pytest.raises(ValueError, match=match):
        call()
