"""Synthetic scenes: pure, all classes in their shares, shadows that darken and no more, and colours
that overlap.
"""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fewlabels.data import synthetic
from fewlabels.data.synthetic import (
    BUILDING,
    CLASSES,
    FIELD,
    GRASS,
    POOL,
    ROAD,
    SOIL,
    TREE,
    WATER,
    Canvas,
    layout,
)
from fewlabels.scoring import baseline, metrics
from fewlabels.types import Tile

SHARES = (0.075066, 0.123426, 0.097004, 0.258315, 0.206687, 0.129681, 0.100748, 0.009073)
MEANS = (105.331, 108.456, 92.224)


@pytest.fixture(scope="module")
def pairs():
    source = synthetic.source()
    return [source.decode(i) for i in range(len(source.ids))]


def empty(size: int) -> Canvas:
    """Bare grass of one grey, flat."""
    canvas = synthetic.blank(np.random.default_rng(0), synthetic.style(0, 0), size)
    canvas.paint(..., GRASS, 0.5)
    return canvas


def digest(seed: int, index: int) -> str:
    image, mask = synthetic.scene(seed, index, 96)
    return hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()


def test_equal_arguments_give_equal_bytes_whatever_was_drawn_before():
    first = digest(3, 5)
    np.random.seed(1)  # noqa: NPY002
    synthetic.scene(3, 6, 96)
    assert digest(3, 5) == first


def test_another_process_draws_the_same_scene():
    code = (
        "import hashlib; from fewlabels.data import synthetic as s; i, m = s.scene(3, 5, 96);"
        "print(hashlib.sha256(i.tobytes() + m.tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(3, 5)


def test_another_index_or_seed_gives_another_scene():
    assert len({digest(0, 0), digest(0, 1), digest(0, 10), digest(1, 0), digest(10, 0)}) == 5


def test_scenes_are_bytes_of_the_stated_size_and_hold_classes_only():
    for size in (64, 96, 250):
        image, mask = synthetic.scene(0, 7, size)
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == (size, size, 3)
        assert mask.shape == (size, size)
        assert mask.max() < len(CLASSES)


def test_no_image_is_flat_dark_or_burnt(pairs):
    for image, _ in pairs:
        assert image.std() > 15
        assert 40 < image.mean() < 200
        assert (image == 255).all(axis=-1).mean() < 0.05


def test_shares_of_the_classes_are_as_documented(pairs):
    masks = np.stack([mask for _, mask in pairs])
    shares = np.bincount(masks.ravel(), minlength=len(CLASSES)) / masks.size
    common = np.delete(shares, POOL)
    assert common.min() > 0.04
    assert common.max() < 0.35
    assert 0.002 < shares[POOL] < 0.01
    assert (masks == POOL).any(axis=(1, 2)).mean() > 0.6


def test_shadow_of_a_wall_is_as_long_as_its_height_over_the_slope():
    height = np.zeros((3, 20))
    height[:, 10] = 4.0
    towards_left = layout.shadows(height, (0.0, -1.0), 1.0)
    assert [list(np.flatnonzero(row)) for row in towards_left] == [[11, 12, 13]] * 3
    steeper = layout.shadows(height, (0.0, 1.0), 1.5)
    assert list(np.flatnonzero(steeper[1])) == [8, 9]


def test_flat_ground_has_no_shadow():
    assert not layout.shadows(np.full((8, 8), 3.0), (0.6, 0.8), 0.5).any()


def test_shadow_darkens_the_image_and_leaves_the_mask():
    canvas = empty(64)
    canvas = replace(canvas, look=replace(canvas.look, sun=(0.0, 1.0), slope=1.0))
    canvas.height[:, 30:34] = 12.0
    before = canvas.mask.copy()
    image = synthetic.develop(canvas)
    assert image[:, 20:28].mean() < 0.65 * image[:, 40:48].mean()
    assert (canvas.mask == before).all()


def test_pools_and_buildings_take_free_ground_only():
    canvas = empty(128)
    canvas.mask[:, 40:60] = WATER
    canvas.mask[60:70] = ROAD
    before, plan = canvas.mask.copy(), layout.frame(canvas.rng, 128, 0.3, bend=5)
    synthetic.paint_village(canvas, plan, np.array([-20.0, 20.0]), np.ones((128, 128), bool))
    new = canvas.mask != before
    assert set(np.unique(canvas.mask[new])) == {BUILDING, POOL}
    assert np.isin(before[new], (GRASS, FIELD, SOIL)).all()


def test_no_tree_grows_where_the_chance_is_zero_and_a_wood_where_it_is_one():
    for chance, least, most in ((0.0, 0.0, 0.0), (1.0, 0.6, 1.0)):
        canvas = empty(128)
        synthetic.paint_trees(canvas, np.full((128, 128), chance))
        assert least <= (canvas.mask == TREE).mean() <= most


def test_locate_is_the_inverse_of_coordinates():
    plan = layout.frame(np.random.default_rng(0), 80, 0.7, bend=20)
    u, v = plan.coordinates()
    assert plan.locate(u[12, 61], v[12, 61]) == pytest.approx([12, 61])


def test_nearest_agrees_with_all_pairs():
    rng = np.random.default_rng(0)
    at, positions = rng.uniform(-9, 9, (6, 7)), np.sort(rng.uniform(-5, 5, 8))
    slow = np.abs(at[..., None] - positions).min(axis=-1)
    assert layout.nearest(at, positions) == pytest.approx(slow)


def test_noise_has_about_mean_0_and_deviation_1():
    for scale in (2, 6, 20):
        drawn = layout.noise(np.random.default_rng(0), 256, scale)
        assert drawn.shape == (256, 256)
        assert abs(drawn.mean()) < 0.3
        assert 0.6 < drawn.std() < 1.4


def test_cuts_rise_and_reach_across_a_turned_image():
    for seed in range(50):
        found = layout.cuts(np.random.default_rng(seed), 100, 20, 90)
        assert (np.diff(found) >= 20).all()
        assert found[0] < -71 < 71 < found[-1]


def test_a_site_keeps_its_light_and_another_has_its_own():
    assert synthetic.style(0, 4).sun == synthetic.style(0, 4).sun
    assert synthetic.style(0, 4).sun != synthetic.style(0, 5).sun != synthetic.style(1, 5).sun


def test_colour_alone_tells_little_and_next_to_nothing_of_buildings(pairs):
    source = synthetic.source()
    tiles = [Tile(*n, *p) for *n, p in zip(source.ids, source.sites, pairs, strict=True)]
    test = [tile for tile in tiles if tile.site in source.folds[0]]
    train = [tile for tile in tiles if tile.site not in source.folds[0]]
    confusion = baseline.colour_alone(train, test, len(CLASSES)).sum(axis=0)
    scores = metrics.scores(confusion)
    assert 0.15 < scores.miou < 0.42
    assert scores.iou[BUILDING] < 0.25


def test_folds_hold_every_site_once():
    source = synthetic.source()
    assert sorted(p for fold in source.folds for p in fold) == sorted(set(source.sites))
    assert len(source.folds) == 5
    assert len(set(source.ids)) == len(source.ids) == len(source.sites) == 40
    assert all(i.startswith(p) for i, p in zip(source.ids, source.sites, strict=True))
    assert source.ids[11] == "place01-1"


def test_the_fingerprint_stands_for_these_pixels(pairs):
    """Whoever changes the scenes gives the set another fingerprint, and these numbers."""
    assert synthetic.source().fingerprint.startswith("5e1e8128")
    masks = np.stack([mask for _, mask in pairs])
    shares = np.bincount(masks.ravel(), minlength=8) / masks.size
    assert shares == pytest.approx(SHARES, abs=2e-5)  # an ulp of another library moves few pixels
    assert [image.mean() for image, _ in pairs[:3]] == pytest.approx(MEANS, abs=0.01)


def test_bad_arguments_are_named_with_what_was_found():
    with pytest.raises(ValueError, match="index of a synthetic scene is -1; it must be at least 0"):
        synthetic.scene(0, -1)
    with pytest.raises(ValueError, match="seed of a synthetic scene is -3"):
        synthetic.scene(-3, 0)
    with pytest.raises(ValueError, match="size of a synthetic scene is 63; .* at least 64"):
        synthetic.scene(0, 0, size=63)
