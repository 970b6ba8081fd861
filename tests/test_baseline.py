import numpy as np

from fewlabels.scoring.baseline import colour_alone
from fewlabels.types import IGNORE, Tile


def tile(by_colour: bool) -> Tile:
    """Two classes that differ in colour, or in place only."""
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 1
    mask[0] = IGNORE
    rng = np.random.default_rng(0)
    image = rng.normal(90, 5, (40, 40, 3)) + 60 * by_colour * (mask == 1)[..., None]
    return Tile("t", "p", image.astype(np.uint8), mask)


def test_colours_that_differ_are_told_apart_and_others_are_not():
    apart = colour_alone([tile(True)], [tile(True)], 2)
    assert apart.shape == (1, 2, 2)
    assert apart[0].trace() == 39 * 40
    alike = colour_alone([tile(False)], [tile(False)], 2)
    assert alike[0].trace() < 0.6 * 39 * 40
