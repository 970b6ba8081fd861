import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fewlabels.data import dataset
from fewlabels.data.dataset import RULES
from fewlabels.types import IGNORE, Tile


def tile(name: str, low: int, high: int, labelled: int = 100) -> Tile:
    """10 x 10 pixels, half of them `low` and half `high`: mean and deviation are known."""
    image = np.full((10, 10, 1), low, np.uint8)
    image[5:] = high
    image[0, 0, 0] += len(name)  # no two alike by chance
    mask = np.full(100, IGNORE, np.uint8)
    mask[:labelled] = 0
    return Tile(name, name, image, mask.reshape(10, 10))


USUAL = [tile("u" * n, 80 + 4 * n, 120 + 4 * n + 4 * (n % 4)) for n in range(1, 9)]


def found(*more: Tile) -> dict[str, list[str]]:
    table = dataset.outliers([*USUAL, *more])
    return {rule: table.loc[table[rule], "tile"].tolist() for rule in RULES}


def test_usual_images_are_no_outliers():
    assert not any(found().values())


@pytest.mark.parametrize(
    ("odd", "rules"),
    [
        (tile("dark", 0, 41), {"clipped", "brightness"}),
        (tile("bright", 196, 240), {"brightness"}),
        (tile("flat", 119, 119), {"contrast"}),
        (tile("harsh", 20, 219), {"contrast"}),
        (replace(USUAL[0], id="again"), {"repeated"}),
        (tile("bare", 97, 141, labelled=0), {"labels"}),
        (tile("sparse", 97, 141, labelled=1), set()),
    ],
    ids=lambda value: value.id if isinstance(value, Tile) else "",
)
def test_an_odd_image_is_found_by_the_rules_that_it_breaks(odd: Tile, rules: set[str]):
    assert {rule for rule, ids in found(odd).items() if odd.id in ids} == rules


def test_far_by_hand():
    """Median 3, median deviation 1: far is what is more than 3.5 * 1.4826 = 5.19 off."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 8.0])
    assert dataset.far(values).tolist() == [False] * 5
    assert dataset.far(np.append(values[:4], 8.2)).tolist() == [False] * 4 + [True]
    assert not dataset.far(np.array([1.0, 1.0, 1.0, 9.0])).any()


class Streamed(Sequence):
    """Thirty tiles of 192 KiB that are made when they are asked for."""

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> Tile:
        if index >= len(self):
            raise IndexError
        image = np.full((256, 256, 3), 80 + index, np.uint8)
        return Tile(str(index), "here", image, np.zeros((256, 256), np.uint8))


def test_images_are_not_kept_while_the_others_are_read():
    """All together are 5.6 MiB; what one needs on the way (counts in 64 bits) is about 2."""
    tracemalloc.start()
    assert len(dataset.outliers(Streamed())) == 30
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20
