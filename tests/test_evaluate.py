import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fewlabels import devices
from fewlabels.scoring import boundaries, calibration, inference, metrics
from fewlabels.training import networks
from fewlabels.types import IGNORE, Tile

CPU = devices.compute("cpu", "fp32")


def image(h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3)).astype(np.uint8)


def local(classes: int = 4) -> nn.Module:
    """Looks at single pixels only."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Conv2d(3, classes, 1)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return net


class Told(nn.Module):
    """Says for every pixel the class that its brightness encodes, with a fixed sureness."""

    def __init__(self, classes: int, margin: float) -> None:
        super().__init__()
        self.classes, self.margin = classes, margin

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = ((x[:, 0] * 0.229 + 0.485) * 255).round().long()
        return self.margin * nn.functional.one_hot(bright, self.classes).permute(0, 3, 1, 2).float()


def tile(guess: np.ndarray, mask: np.ndarray) -> Tile:
    """A tile of which `Told` predicts `guess`."""
    return Tile("a", "here", np.repeat(guess[..., None], 3, axis=2), mask)


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return networks.build("smp:Unet:mobilenet_v2", 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (7, 33), (32, 32), (33, 65), (100, 40)])
def test_an_image_of_any_size_is_predicted_at_its_size(shape: tuple[int, int], unet: nn.Module):
    found = inference.probabilities(unet, image(*shape), CPU)
    assert found.shape == (3, *shape)
    assert found.sum(axis=0) == pytest.approx(np.ones(shape), abs=1e-5)
    for window in (None, 32, 50):
        assert inference.predict(unet, image(*shape), CPU, window=window).shape == shape


def test_what_is_predicted_is_the_most_probable_class(unet: nn.Module):
    found = inference.probabilities(unet, image(45, 70), CPU)
    assert (inference.predict(unet, image(45, 70), CPU) == found.argmax(axis=0)).all()


def test_mirroring_up_to_the_stride_leaves_the_image_itself_alone():
    x = image(45, 70)
    with torch.inference_mode():
        plain = local()(networks.normalise(torch.from_numpy(x.transpose(2, 0, 1))[None]))[0]
    assert torch.allclose(inference.logits(local(), x, CPU), plain, atol=1e-6)


@pytest.mark.parametrize("window", [70, 71, 5000])
def test_a_window_as_large_as_the_image_is_the_whole_image(window: int, unet: nn.Module):
    x = image(45, 70)
    windowed = inference.logits(unet, x, CPU, window=window)
    assert torch.equal(windowed, inference.logits(unet, x, CPU))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.data())
def test_windows_change_nothing_for_a_network_that_looks_at_single_pixels(h, w, window, data):
    overlap = data.draw(st.none() | st.integers(0, window - 1))
    x = image(h, w, seed=h * w)
    whole = inference.logits(local(), x, CPU)
    found = inference.logits(local(), x, CPU, window=window, overlap=overlap)
    assert torch.allclose(found, whole, atol=1e-4)


def test_windows_agree_with_the_whole_image_where_a_network_sees_no_edge():
    torch.manual_seed(0)
    net = nn.Conv2d(3, 4, 5, padding=2)  # sees 2 pixels far, so edges of windows differ
    x = image(64, 96)  # no side of it is mirrored
    whole = inference.probabilities(net, x, CPU)
    found = inference.probabilities(net, x, CPU, window=32, overlap=16)
    assert not np.array_equal(found, whole)
    assert np.abs(found - whole).max() < 0.02  # an edge weighs least in the mean
    narrow = inference.probabilities(net, x, CPU, window=32, overlap=0)
    assert np.abs(narrow - whole).max() > 0.02


@given(st.integers(1, 300), st.integers(1, 80), st.data())
def test_windows_cover_a_side_share_the_overlap_and_are_as_few_as_can_be(size, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    spans = inference.spans(size, window, overlap)
    assert (spans[0].start, spans[-1].stop) == (0, size)
    if size > window:
        assert {s.stop - s.start for s in spans} == {window}
        shared = [a.stop - b.start for a, b in pairwise(spans)]
        assert overlap <= min(shared)
        assert max(shared) < window
        assert (len(spans) - 1) * (window - overlap) + overlap < size  # one fewer would not reach


@pytest.mark.parametrize(("window", "overlap"), [(0, None), (8, 8), (8, -1)])
def test_windows_that_cannot_be_laid_are_refused(window: int, overlap: int | None):
    with pytest.raises(ValueError, match=f"window {window} with an overlap of {overlap}"):
        inference.predict(local(), image(20, 20), CPU, window=window, overlap=overlap)


def test_logits_are_float32_also_where_the_network_computes_in_bfloat16():
    half = devices.Compute(torch.device("cpu"), "bf16")
    assert inference.logits(local(), image(20, 20), half).dtype == torch.float32


def test_statistics_are_those_of_the_prediction(unet: nn.Module):
    rng = np.random.default_rng(1)
    shapes = [(45, 70), (33, 20)]
    masks = [rng.choice([0, 1, 2, IGNORE], s).astype(np.uint8) for s in shapes]
    tiles = [Tile(str(i), "", image(*m.shape, seed=i), m) for i, m in enumerate(masks)]
    found = inference.statistics(unet, tiles, 3, CPU)
    assert (found.confusion == inference.confusions(unet, tiles, 3, CPU)).all()
    for i, this in enumerate(tiles):
        p = inference.probabilities(unet, this.image, CPU)
        guess = p.argmax(axis=0).astype(np.uint8)
        assert (found.boundaries[i] == boundaries.counts(guess, this.mask, 3)).all()
        by_hand = calibration.bins(p.max(axis=0), guess, this.mask)
        assert found.calibration[i] == pytest.approx(by_hand, abs=1e-3)


def test_tiles_at_once_are_counted_as_one_after_the_other():
    """Seven tiles of several sizes on one thread, and on two and four that share them."""
    many = [tile(*np.random.default_rng(i).integers(0, 3, (2, 40, 30 + i)).astype(np.uint8))
            for i in range(7)]  # fmt: skip
    now, found = torch.get_num_threads(), {}
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found[threads] = inference.statistics(Told(3, 2.0), iter(many), 3, CPU)
            again = inference.confusions(Told(3, 2.0), iter(many), 3, CPU)
            assert (again == found[threads].confusion).all()
    finally:
        torch.set_num_threads(now)
    assert (found[1].confusion != found[1].confusion[0]).any(axis=(1, 2))[1:].all()
    for name, counts in vars(found[1]).items():
        assert all((vars(found[threads])[name] == counts).all() for threads in (2, 4))


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 8])
def test_tiles_at_once_share_the_threads(threads: int):
    """Of 8 threads four tiles have two each; of 5, which divide in no other way, one has all."""
    at_once = {1: 1, 2: 2, 3: 3, 5: 1, 8: 4}[threads]
    now, begun, taken = torch.get_num_threads(), Barrier(at_once, timeout=60), []

    def items() -> Iterator[Tile]:
        for i in range(4 * at_once):
            taken.append(i)
            yield dataclasses.replace(tile(*np.zeros((2, 1, 1), np.uint8)), id=str(i))

    def found(one: Tile) -> tuple[str, int, bool]:
        begun.wait()
        as_needed = one.id != "0" or len(taken) <= at_once + 1
        return one.id, torch.get_num_threads(), as_needed

    try:
        torch.set_num_threads(threads)
        got = inference._of_each(found, nn.Identity(), items(), CPU)
        assert got == [(str(i), threads // at_once, True) for i in range(4 * at_once)]
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == threads
        with pytest.raises(AttributeError):
            inference._of_each(lambda one: one.nothing, nn.Identity(), items(), CPU)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(now)


def test_a_network_that_keeps_what_passes_through_its_hooks_has_one_tile_at_a_time():
    """Its second layer adds what a hook kept of the first: of another tile, were there two."""

    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.kept = nn.Identity(), []
            self.first.register_forward_hook(lambda *given: self.kept.append(given[2]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.first(x)
            time.sleep(0.01)
            assert len(self.kept) == 1
            return self.kept.pop()

    now = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        many = [tile(np.full((4, 4), i, np.uint8), np.zeros((4, 4), np.uint8)) for i in range(4)]
        assert inference.confusions(Keeping(), many, 3, CPU).shape == (4, 3, 3)
    finally:
        torch.set_num_threads(now)


def test_a_perfect_and_sure_network_has_perfect_scores():
    mask = np.kron(np.arange(6).reshape(2, 3) % 3, np.ones((20, 20), int)).astype(np.uint8)
    found = inference.statistics(Told(3, 100.0), [tile(mask, mask)], 3, CPU)
    assert metrics.scores(found.confusion).miou == 1
    outline = boundaries.scores(found.boundaries)
    assert (outline.mean_iou, outline.mean_f1) == (1, 1)
    assert calibration.error(found.calibration) == 0


def test_the_calibration_error_of_a_constant_network_by_hand():
    mask = np.zeros((10, 10), np.uint8)
    mask[:4] = 1
    found = inference.statistics(Told(2, 2.0), [tile(np.zeros_like(mask), mask)], 2, CPU)
    sure = 1 / (1 + np.exp(-2))
    assert calibration.error(found.calibration) == pytest.approx(sure - 0.6, abs=1e-6)


def test_what_is_predicted_on_an_ignored_class_changes_no_score():
    mask = np.kron([[0, 1, 2]], np.ones((30, 10), int)).astype(np.uint8)
    one, two = mask.copy(), mask.copy()
    one[:15, 20:], two[10:, 20:] = 0, 1
    net = Told(3, 1.0)
    a, b = (inference.statistics(net, [tile(g, mask)], 3, CPU, ignored=(2,)) for g in (one, two))
    assert (a.boundaries == b.boundaries).all()
    assert (a.calibration == b.calibration).all()
    assert a.calibration[..., 0].sum() == 600
    assert a.confusion.sum() == 900
    assert metrics.scores(a.confusion, (2,)).accuracy == 1
