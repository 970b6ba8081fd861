import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewlabels import sparsify
from fewlabels.sparsify import draw, even_split
from fewlabels.types import IGNORE, BudgetError, NoLabelsError, UnknownName


def scene(seed: int = 0, shape: tuple[int, int] = (30, 40)) -> np.ndarray:
    """Four classes of very different size, and some void."""
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, 1, 2, 3, IGNORE], p=[0.7, 0.2, 0.07, 0.01, 0.02], size=shape)
    mask[0, :4] = range(4)
    return mask.astype(np.uint8)


def number(labels: np.ndarray) -> int:
    return int((labels != IGNORE).sum())


def per_class(labels: np.ndarray) -> list[int]:
    return sparsify.counts([labels], 4).tolist()


@settings(max_examples=60, deadline=None)
@given(
    how=st.sampled_from(sorted(set(sparsify.SAMPLERS) - {"all"})),
    amounts=st.one_of(
        st.tuples(st.integers(1, 900), st.integers(1, 900)),
        st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
    ),
    seed=st.integers(0, 5),
)
def test_a_smaller_draw_is_inside_a_larger_one(how: str, amounts: tuple, seed: int):
    mask = scene(seed)
    few, many = (draw(mask, how, n, seed=seed, tile="t") for n in sorted(amounts))
    chosen = few != IGNORE
    assert (many[chosen] == mask[chosen]).all()
    assert (few[chosen] == mask[chosen]).all()


def test_amounts_are_pixels_or_a_fraction_of_the_pixels_with_a_class():
    mask = scene()
    carrying = number(mask)
    assert number(draw(mask, "random", 37, seed=0, tile="t")) == 37
    assert number(draw(mask, "random", 0.1, seed=0, tile="t")) == round(0.1 * carrying)
    assert number(draw(mask, "random", 1e-9, seed=0, tile="t")) == 1
    assert number(draw(mask, "random", 1.0, seed=0, tile="t")) == carrying
    assert number(draw(mask, "stratified", 100, seed=0, tile="t")) == 100


def test_all_is_the_mask():
    assert (draw(scene(), "all", 0, seed=0, tile="t") == scene()).all()


def test_per_class_draws_as_many_of_each_and_all_of_a_rare_one():
    mask = scene()
    have = per_class(mask)
    want = [min(50, n) for n in have]
    assert want[3] < 50 < want[0] + 1
    assert per_class(draw(mask, "per_class", 50, seed=0, tile="t")) == want


def test_stratified_gives_the_rest_of_a_small_class_to_the_others():
    mask = np.zeros((10, 10), np.uint8)
    mask[0, :3], mask[1] = 1, 2  # 87, 3 and 10 pixels
    got = sparsify.counts([draw(mask, "stratified", 24, seed=0, tile="t")], 3).tolist()
    assert got[1:] == [3, 10]
    assert got[0] == 11


@pytest.mark.parametrize(
    ("total", "capacity", "shares"),
    [
        (6, [9, 9, 9], [2, 2, 2]),
        (7, [9, 9, 9], [3, 2, 2]),
        (10, [1, 9, 9], [1, 5, 4]),
        (30, [1, 9, 9], [1, 9, 9]),
        (2, [5, 5, 5], [1, 1, 0]),
        (0, [3], [0]),
    ],
)
def test_even_split_by_hand(total: int, capacity: list[int], shares: list[int]):
    assert even_split(total, capacity) == shares


@given(capacity=st.lists(st.integers(1, 30), min_size=1, max_size=6), total=st.integers(0, 100))
def test_even_split_deals_everything_and_grows(capacity: list[int], total: int):
    now, more = even_split(total, capacity), even_split(total + 1, capacity)
    assert sum(now) == min(total, sum(capacity))
    assert all(0 <= a <= b <= c for a, b, c in zip(now, more, capacity, strict=True))


def test_few_stratified_pixels_do_not_always_skip_the_same_class():
    mask = np.repeat(np.arange(4, dtype=np.uint8), 100).reshape(20, 20)
    drawn = [draw(mask, "stratified", 2, seed=0, tile=str(t)) for t in range(200)]
    assert sparsify.counts(drawn, 4).min() > 60  # 100 expected


def test_random_labels_follow_the_classes():
    mask = scene(shape=(300, 300))
    share = np.array(per_class(mask)) / number(mask)
    got = np.array(per_class(draw(mask, "random", 9000, seed=3, tile="t"))) / 9000
    assert (np.abs(got - share) < 5 * np.sqrt(share * (1 - share) / 9000)).all()


def test_every_pixel_is_as_likely():
    mask = np.zeros((8, 8), np.uint8)
    hits = sum((draw(mask, "random", 8, seed=s, tile="t") == 0).astype(int) for s in range(800))
    assert 60 < hits.min() < 100 < hits.max() < 145  # 100 expected, binomial


def test_seed_and_tile_make_another_draw_and_nothing_else_does():
    mask = scene()
    one = draw(mask, "random", 50, seed=0, tile="a")
    assert (one == draw(mask, "random", 50, seed=0, tile="a")).all()
    assert (one != draw(mask, "random", 50, seed=1, tile="a")).any()
    assert (one != draw(mask, "random", 50, seed=0, tile="b")).any()


def test_ranks_do_not_depend_on_the_size_asked_for_or_the_process():
    code = "from fewlabels.sparsify import ranks; print(*ranks(3, seed=7, tile='tile1-1'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = sparsify.ranks(100, seed=7, tile="tile1-1")[:3]
    assert [int(x) for x in out.stdout.split()] == here.tolist()


def test_ranks_are_frozen():
    """Philox's raw words are the same on every platform and in every NumPy; these are they."""
    assert sparsify.ranks(2, seed=0, tile="t").tolist() == FROZEN


FROZEN = [17692476468225482517, 15374181667861778277]


def test_fingerprint_tells_draws_apart():
    one, other = (draw(scene(), "random", 50, seed=s, tile="t") for s in (0, 1))
    assert sparsify.fingerprint([one]) == sparsify.fingerprint([one.copy()])
    assert sparsify.fingerprint([one]) != sparsify.fingerprint([other])
    assert sparsify.fingerprint([one, other]) != sparsify.fingerprint([other, one])


@pytest.mark.parametrize("amount", [0, -3, 0.0, -0.1, 1.5, float("nan"), float("inf"), True, 10**6])
def test_impossible_budgets_are_refused(amount: float):
    with pytest.raises(BudgetError, match=r"tile 't'.*budget"):
        draw(scene(), "random", amount, seed=0, tile="t")


def test_a_mask_without_classes_and_an_unknown_sampler_are_refused():
    with pytest.raises(NoLabelsError, match="tile '3514': 0 of 12 pixels"):
        draw(np.full((3, 4), IGNORE, np.uint8), "random", 1, seed=0, tile="3514")
    with pytest.raises(UnknownName, match="known: all, per_class, random, stratified"):
        draw(scene(), "clicks", 1, seed=0, tile="t")
