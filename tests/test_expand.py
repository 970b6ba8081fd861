import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree
from skimage.draw import line

from fewlabels.experiments import audits
from fewlabels.labels import expansion
from fewlabels.labels.expansion import filled
from fewlabels.labels.nearest import geodesic
from fewlabels.types import IGNORE, DataError, NoLabelsError, Tile, UnknownName


def sparse(seed: int, shape: tuple[int, int] = (24, 30), number: int = 40, classes: int = 3):
    rng = np.random.default_rng(seed)
    labels = np.full(shape, IGNORE, np.uint8)
    labels.ravel()[rng.choice(labels.size, number, replace=False)] = rng.integers(
        0, classes, number
    )
    return labels


def picture(shape: tuple[int, int], bands: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, bands)).astype(np.uint8)


def rows(*text: str) -> np.ndarray:
    """Labels from text: a digit is a class, a dot no label."""
    table = {".": IGNORE}
    return np.array([[table.get(c, ord(c) - 48) for c in row] for row in text], np.uint8)


def linked_one_by_one(labels: np.ndarray, distance: float) -> np.ndarray:
    """The plain twin: every pair of every class, one line at a time."""
    classes = sorted(set(labels[labels != IGNORE].tolist()))
    crossed = [np.zeros(labels.shape, bool) for _ in classes]
    for value, mine in zip(classes, crossed, strict=True):
        at = np.argwhere(labels == value)
        for i, j in cKDTree(at).query_pairs(distance):
            mine[line(*at[i], *at[j])] = True
    joined = np.full(labels.shape, IGNORE, np.uint8)
    for value, mine in zip(classes, crossed, strict=True):
        joined[mine] = value
    joined[np.sum(crossed, axis=0) > 1] = IGNORE
    joined[labels != IGNORE] = labels[labels != IGNORE]
    return joined


@settings(max_examples=40)
@given(seed=st.integers(0, 999), distance=st.sampled_from([1, 2.5, 5, 9, 14.2]))
def test_linking_equals_drawing_each_line(seed: int, distance: float):
    labels = sparse(seed)
    fast = expansion.expand(labels, "link", distance=distance)
    assert (fast == linked_one_by_one(labels, distance)).all()


def test_linking_by_hand():
    labels = rows("0...0", ".....", "1...1", ".....")
    assert (expansion.expand(labels, "link", distance=3.9) == labels).all()
    joined = expansion.expand(labels, "link", distance=4)
    assert (joined == rows("00000", ".....", "11111", ".....")).all()


def test_where_joins_of_two_classes_cross_nothing_is_labelled():
    labels = rows("..0..", ".....", "1...1", ".....", "..0..")
    joined = expansion.expand(labels, "link", distance=4)
    assert (joined == rows("..0..", "..0..", "11.11", "..0..", "..0..")).all()


def test_a_join_does_not_overwrite_a_true_label():
    labels = rows("0.1.0")
    assert (expansion.expand(labels, "link", distance=4) == rows("00100")).all()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    radius=st.sampled_from([1, 1.5, 3, 7.3, 60, 200]),
    number=st.sampled_from([1, 4, 40, 300]),
)
def test_disc_equals_looking_at_every_label(seed: int, radius: float, number: int):
    labels = sparse(seed, number=number)
    at = np.argwhere(labels != IGNORE)
    value = labels[labels != IGNORE]
    expected = np.full(labels.shape, IGNORE, np.uint8)
    for here in np.ndindex(labels.shape):
        square = ((at - here) ** 2).sum(axis=1)
        nearest = np.unique(value[square == square.min()])
        if square.min() <= radius**2 and len(nearest) == 1:
            expected[here] = nearest[0]
    assert (expansion.expand(labels, "disc", radius=radius) == expected).all()


def test_disc_leaves_a_tie_between_classes_open():
    assert (expansion.expand(rows("0...1"), "disc", radius=4) == rows("00.11")).all()
    assert (expansion.expand(rows("0...0"), "disc", radius=4) == rows("00000")).all()


def test_geodesic_on_flat_ground_is_the_distance_of_a_king_with_diagonals():
    labels = np.full((9, 9), IGNORE, np.uint8)
    labels[4, 4] = 1
    found = expansion.expand(labels, "geodesic", image=np.full((9, 9, 3), 7, np.uint8), radius=3)
    down, right = np.abs(np.mgrid[-4:5, -4:5])
    steps = np.maximum(down, right) + (2**0.5 - 1) * np.minimum(down, right)
    assert ((found == 1) == (steps <= 3)).all()


def test_geodesic_stops_at_an_edge_that_a_disc_crosses():
    image = np.zeros((15, 30, 3), np.uint8)
    image[:, 15:] = 200
    labels = np.full((15, 30), IGNORE, np.uint8)
    labels[7, 10] = 0
    far = expansion.expand(labels, "geodesic", image=image, radius=8)
    assert (far[7, 3:14] == 0).all()
    assert (far[:, 17:] == IGNORE).all()
    assert (expansion.expand(labels, "disc", radius=8)[7, 17] == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_geodesic_equals_dijkstra_on_the_graph_of_neighbours(seed: int):
    labels, image = sparse(seed, (14, 17), 9), picture((14, 17), seed=seed)
    labels[labels != IGNORE] = np.arange(9)  # nine classes: the owner of a pixel is its class
    h, w = labels.shape
    from fewlabels.labels.nearest import _edges

    cost = (1 + 10 * _edges(image)).ravel()
    index = np.arange(h * w).reshape(h, w)
    start, end, weight = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = index[: h - down, max(0, -right) : w - max(0, right)].ravel()
        b = index[down:, max(0, right) : w + min(0, right)].ravel()
        start, end = [*start, a], [*end, b]
        weight.append(np.hypot(down, right) * (cost[a] + cost[b]) / 2)
    graph = coo_array(
        (np.concatenate(weight), (np.concatenate(start), np.concatenate(end))), (h * w, h * w)
    )
    sources = np.flatnonzero(labels.ravel() != IGNORE)
    length, _, owner = dijkstra(
        graph, directed=False, indices=sources, min_only=True, return_predecessors=True
    )
    expected = np.where(length <= 12, labels.ravel()[owner], IGNORE).reshape(h, w)
    assert (geodesic(labels, image, radius=12) == expected).all()
    assert (expected == IGNORE).any()


def test_a_segment_takes_the_class_of_its_labels_unless_they_differ():
    segments = np.array([[0, 0, 0, 1, 1, 1, 2, 2, 2]])
    assert (filled(rows("0.01..1.."), segments) == rows("000111111")).all()
    assert (filled(rows("0.1...2.."), segments) == rows("0.1...222")).all()
    assert (filled(rows("....2...."), segments) == rows("...222...")).all()


@pytest.mark.parametrize("how", ["slic", "felzenszwalb"])
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_segments_follow_the_image(how: str, bands: int):
    image = np.zeros((40, 40, bands), np.uint8)
    image[:, 20:] = 220
    labels = np.full((40, 40), IGNORE, np.uint8)
    labels[::6, :18:6], labels[::6, 22::6] = 0, 1
    options = {"size": 64} if how == "slic" else {"scale": 500}
    found = expansion.expand(labels, how, image=image, **options)
    assert not (found[:, :20] == 1).any()
    assert not (found[:, 20:] == 0).any()
    assert (found != IGNORE).mean() > 0.8


@settings(max_examples=20)
@given(seed=st.integers(0, 999), how=st.sampled_from(expansion.NAMES))
def test_true_labels_are_never_changed_and_the_input_neither(seed: int, how: str):
    labels, image = sparse(seed), picture((24, 30), seed=seed)
    before = labels.copy()
    found = expansion.expand(labels, how, image=image)
    assert (labels == before).all()
    given_here = labels != IGNORE
    assert (found[given_here] == labels[given_here]).all()
    assert found is not labels


@pytest.mark.parametrize("how", ["link", "disc", "geodesic"])
def test_a_larger_reach_labels_more(how: str):
    labels, image = sparse(3, classes=1), picture((24, 30))
    reach = expansion.METHODS[how].reach
    near, far = (
        expansion.expand(labels, how, image=image, **{reach: r}) != IGNORE for r in (2.0, 6.0)
    )
    assert (far | ~near).all()
    assert far.sum() > near.sum()


def test_the_audit_by_hand():
    mask = rows("0011", "0011", "22..")
    labels = rows("00.1", "1..1", "0.1.")
    found = audits.audit(labels, mask, 4)
    assert found["pixels"].tolist() == [4, 4, 2, 0]
    assert found["labelled"].tolist() == [3, 3, 0, 0]  # the label on void counts nowhere
    assert found["correct"].tolist() == [2, 2, 0, 0]
    setting = {"budget": 0.1, "method": "none", "reach": 0.0}
    pooled = audits.shares(pd.concat([found, found]).reset_index().assign(**setting))
    assert pooled["pixels"].tolist() == [8, 8, 4, 0]
    assert pooled["coverage"].tolist()[:3] == [0.5, 0.5, 0]
    assert pooled["purity"].tolist()[:2] == pytest.approx([2 / 3, 2 / 3])
    assert pooled["coverage"].isna().tolist() == [False, False, False, True]
    assert pooled["purity"].isna().tolist() == [False, False, True, True]


def test_an_audit_of_many_sites_takes_evenly_spaced_ones():
    tiles = [
        Tile(f"{i}", f"{i // 2}", np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8))
        for i in range(20)
    ]
    assert [t.id for t in audits.one_a_site(tiles)] == [str(i) for i in range(0, 20, 2)]
    assert [t.id for t in audits.one_a_site(tiles, most=3)] == ["0", "8", "18"]


def test_what_does_not_fit_is_refused():
    labels, image = sparse(0), picture((24, 30))
    with pytest.raises(UnknownName, match="unknown expansion 'grow'; known: disc, felzenszwalb"):
        expansion.expand(labels, "grow")
    with pytest.raises(UnknownName, match="option of expansion 'disc' 'distance'; known: radius"):
        expansion.expand(labels, "disc", distance=3)
    with pytest.raises(UnknownName, match="option of expansion 'none'"):
        expansion.expand(labels, "none", radius=3)
    for wrong in (0, -2.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="radius must be a positive number"):
            expansion.expand(labels, "disc", radius=wrong)
    with pytest.raises(NoLabelsError, match="0 of 720 pixels are labelled"):
        expansion.expand(np.full((24, 30), IGNORE, np.uint8), "disc")
    with pytest.raises(DataError, match="'slic' follows the image"):
        expansion.expand(labels, "slic")
    broken = image.astype(np.float32)
    broken[3, 4] = np.nan
    with pytest.raises(DataError, match="3 of 2160 values that are not finite"):
        expansion.expand(labels, "geodesic", image=broken)
    with pytest.raises(ValueError, match="values must be below 2"):
        audits.audit(rows("002"), rows("001"), 2)


def test_an_audit_of_other_sizes_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"shapes \(1,3\)"):
        audits.audit(rows("000"), rows("00"), 1)


def test_an_image_of_another_size_is_refused(unchecked):
    with pytest.raises(DataError, match="image is 24 x 29.*labels 24 x 30"):
        expansion.expand(sparse(0), "geodesic", image=picture((24, 29)))
