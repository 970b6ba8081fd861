"""What a run trains on, before it is trained."""

import dataclasses

import numpy as np
import pytest

from fewlabels.experiments import prepare
from fewlabels.labels import sampling
from fewlabels.studies import Run
from fewlabels.types import IGNORE, FactorError, UnknownName

TINY = Run(grid=64, crop=32, batch=2, steps=3, sampler="per_class", amount=20)


def ready(**factors: object) -> prepare.Prepared:
    return prepare.prepare(dataclasses.replace(TINY, **factors))


@pytest.fixture(scope="module")
def shares() -> dict[str, float]:
    """Of the drawn labels, by class, counted one by one."""
    plain = ready()
    values = np.concatenate([v[v != IGNORE] for v in plain.drawn.values()])
    return {name: (values == i).sum() / len(values) for i, name in enumerate(plain.train.classes)}


def test_a_class_is_rare_by_its_share_of_the_drawn_labels(shares: dict[str, float]):
    below = min(shares.values()) + 1e-9
    found = ready(rare_below=below)
    expected = [name for name, share in shares.items() if 0 < share < below]
    assert [found.train.classes[i] for i in found.rare] == expected
    facts = prepare.label_facts(found, found.ledger())
    assert facts["rare_classes"] == expected
    holding = sum(np.isin(v, found.rare).any() for v in found.drawn.values())
    assert 0 < facts["rare_tiles"] == holding < len(found.drawn)
    assert ready().rare == ()


def test_masks_and_expansions_do_not_say_what_is_rare(shares: dict[str, float]):
    below = min(shares.values()) + 1e-9
    plain, grown = ready(rare_below=below), ready(rare_below=below, expansion="disc", reach=3)
    assert plain.rare == grown.rare
    pixels = [prepare.batches(r, r.ledger()).rare.pixels for r in (plain, grown)]
    assert list(pixels[0]) == list(pixels[1])
    assert all((pixels[0][tile] == pixels[1][tile]).all() for tile in pixels[0])
    for tile, at in pixels[0].items():
        assert np.isin(plain.drawn[tile].flat[at], plain.rare).all()


def test_ignored_classes_are_neither_rare_nor_counted(shares: dict[str, float]):
    least = min((s, name) for name, s in shares.items() if s)[1]
    assert ready(rare_below=shares[least] + 1e-9).rare
    assert ready(rare_below=shares[least] + 1e-9, ignored=(least,)).rare == ()


def test_labels_drawn_anew_each_round_show_more_than_they_state():
    tiles = len(ready().labelled)
    three = {"steps": 3 * tiles, "batch": 1, "crop": 64, "amount": 2}
    frozen, anew = ready(**three), ready(**three, redrawn=True)
    for before, after in zip(frozen.labelled, anew.labelled, strict=True):
        assert (before.labels == after.labels).all()
        assert (len(before.redrawn), len(after.redrawn)) == (0, 2)
        seen = [after.in_round(i).labels for i in range(3)]
        assert (seen[0] == after.labels).all()
        assert len({labels.tobytes() for labels in seen}) == 3
    assert frozen.sha256 == anew.sha256  # the budget that is stated
    books = {}
    for name, this in (("frozen", frozen), ("anew", anew)):
        books[name] = this.ledger()
        for _ in prepare.batches(this, books[name]).ahead():
            pass
    stated = prepare.label_facts(anew, books["anew"])["pixels"]
    rounds = [[t.in_round(i).labels != IGNORE for i in range(3)] for t in anew.labelled]
    distinct = sum(np.any(each, axis=0).sum() for each in rounds)
    assert books["frozen"].touched == stated < books["anew"].touched == distinct


def test_the_factors_reach_the_batches():
    found = ready(rare_below=1.0, rare_times=2, cutmix=0.4, rare_augmentation="flips")
    made = prepare.batches(found, found.ledger())
    assert (made.rare.times, made.cutmix) == (2, 0.4)
    assert set(made.rare.pixels) == set(found.drawn)  # every class is below the whole
    assert made.rare.augment is not made.augment
    same = prepare.batches(ready(), ready().ledger())
    assert same.rare.augment is same.augment
    assert same.rare.pixels == {}


def test_validation_sites_do_not_train_and_keep_their_own_draw():
    plain, split = ready(), ready(validation="sparse", expansion="disc")
    held_out = set(split.validation.sites)
    assert held_out
    assert held_out.isdisjoint(split.train.sites)
    assert held_out.isdisjoint(split.test.sites)
    assert set(plain.train.sites) == set(split.train.sites) | held_out
    for tile, labels in split.validation_drawn.items():
        assert (labels == plain.drawn[tile]).all()
    facts = prepare.label_facts(split, split.ledger())
    assert facts["validation_pixels"] == sum(
        (v != IGNORE).sum() for v in split.validation_drawn.values()
    )


@pytest.mark.parametrize(
    ("factors", "error", "match"),
    [
        ({"augmentation": "d4+blur"}, UnknownName, "augmentation 'blur'"),
        ({"rare_augmentation": "more"}, UnknownName, "augmentation 'more'"),
        ({"fill": "white"}, UnknownName, "fill 'white'"),
        ({"validation": "test"}, UnknownName, "validation 'test'; known: dense, none, sparse"),
        ({"redrawn": True, "expansion": "disc"}, FactorError, "cannot be expanded"),
    ],
)
def test_wrong_factors_are_named_before_anything_is_loaded(factors, error, match, monkeypatch):
    monkeypatch.setattr(prepare.registry, "load", None)
    with pytest.raises(error, match=match):
        ready(**factors)


def test_the_annotator_is_asked_where_the_margin_is_small_and_answers_with_the_mask():
    rng = np.random.default_rng(0)
    first = np.linspace(0.5, 1, 400, dtype=np.float32).reshape(20, 20)  # margin grows with the row
    mask = rng.integers(0, 2, (20, 20)).astype(np.uint8)
    mask[0, :5] = IGNORE
    labels = np.full((20, 20), IGNORE, np.uint8)
    labels[0, 5:8] = mask[0, 5:8]
    probabilities = np.stack([first, 1 - first])
    more = sampling.undecided(probabilities, labels, mask, 10, np.random.default_rng(0))
    new = np.flatnonzero((more != IGNORE) & (labels == IGNORE))
    free = [i for i in range(400) if not i < 8]
    assert len(new) == 10
    assert set(new.tolist()) <= set(free[: round(0.05 * len(free))])
    assert (more.ravel()[new] == mask.ravel()[new]).all()
    assert (more[0, 5:8] == labels[0, 5:8]).all()
    assert (labels != IGNORE).sum() == 3
    few = np.where(np.arange(400).reshape(20, 20) < 15, mask, IGNORE)
    every = sampling.undecided(probabilities, labels, few, 10, np.random.default_rng(0))
    assert np.array_equal(every, few)  # fewer free pixels than are asked for


def test_each_round_adds_labels_where_the_query_says_and_no_more():
    rounds = {"sampler": "random", "amount": 15, "rounds": 3}
    random, margin = ready(**rounds), ready(**rounds, query="margin")
    assert random.sha256 == margin.sha256
    image = random.train[0].image
    flat = np.full((len(random.train.classes), *image.shape[:2]), 0.1, np.float32)
    for number in (2, 3):
        before = margin.drawn
        random = prepare.next_round(random, number, lambda _: flat)
        margin = prepare.next_round(margin, number, lambda _: flat)
        for tile in random.train:
            asked = 5 * number
            drawn = sampling.draw(tile.mask, "random", asked, seed=0, tile=tile.id)
            assert np.array_equal(random.drawn[tile.id], drawn)
            labels = margin.drawn[tile.id]
            known = labels != IGNORE
            assert known.sum() == asked
            assert (labels[known] == tile.mask[known]).all()
            assert known[before[tile.id] != IGNORE].all()
    assert random.sha256 != margin.sha256
    assert [t.labels.sum() for t in margin.labelled] == [v.sum() for v in margin.drawn.values()]
    assert set(margin.ledger().declared.values()) == {15}
    assert len(prepare.batches(margin, margin.ledger(), 3)) == 1


@pytest.mark.parametrize(
    "factors",
    [
        {"amount": 0.5}, {"amount": 10}, {"steps": 4}, {"redrawn": True}, {"expansion": "disc"},
        {"validation": "sparse"},
    ],
)  # fmt: skip
def test_rounds_that_cannot_be_dealt_out_are_refused(factors: dict[str, object]):
    with pytest.raises(FactorError):
        ready(**{"amount": 15, "rounds": 3} | factors)
