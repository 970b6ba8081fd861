from functools import partial
from math import exp, log

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fewlabels.training.losses import (
    LOSSES,
    WEIGHTINGS,
    class_weights,
    labelled,
    partial_cross_entropy,
    partial_dice,
    partial_focal,
    partial_focal_tversky,
    partial_tversky,
)
from fewlabels.types import IGNORE, UnknownName

WEIGHTS = [0.5, 3.0, 1.0, 7.0]
DENSITIES = [0.1, 0.7]  # below and above labelled.DENSE: picked out, and all computed
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
every_density = pytest.mark.parametrize("density", DENSITIES)


def case(density: float = 0.7, k: int = 4, dtype: torch.dtype = torch.float32):
    """Random logits and labels; at least one pixel of each class is labelled."""
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(2, k, 12, 10, generator=g, dtype=dtype)
    labels = torch.randint(0, k, (2, 12, 10), generator=g)
    labels[torch.rand(2, 12, 10, generator=g) >= density] = IGNORE
    labels[0, 0, :k] = torch.arange(k)
    return logits, labels


def value_and_grad(loss, logits: torch.Tensor, labels: torch.Tensor):
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, labels)
    value.backward()
    return value.detach(), logits.grad


def as_static(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the path that XLA takes."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


def labelled_probabilities(logits, labels) -> list[tuple[list[float], int]]:
    """Softmax probabilities and class of each labelled pixel, in Python floats."""
    found = []
    for b, y, x in (labels != IGNORE).nonzero().tolist():
        z = [exp(v) for v in logits[b, :, y, x].tolist()]
        found.append(([v / sum(z) for v in z], int(labels[b, y, x])))
    return found


def slow_focal(logits, labels, gamma, weights) -> float:
    """The formula as a loop over pixels."""
    pixels = labelled_probabilities(logits, labels)
    total = sum(weights[c] * -((1 - p[c]) ** gamma) * log(p[c]) for p, c in pixels)
    return total / sum(weights[c] for _, c in pixels)


def slow_tversky(logits, labels, alpha, beta, power, weights) -> float:
    """The formula as loops over classes and pixels."""
    pixels = labelled_probabilities(logits, labels)
    total = norm = 0.0
    for k in {c for _, c in pixels}:
        tp = sum(p[k] for p, c in pixels if c == k)
        fp = sum(p[k] for p, c in pixels if c != k)
        fn = sum(1 - p[k] for p, c in pixels if c == k)
        total += weights[k] * (1 - tp / (tp + alpha * fp + beta * fn)) ** power
        norm += weights[k]
    return total / norm


@every_density
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", [[1.0] * 4, WEIGHTS])
def test_focal_is_its_formula(gamma: float, weights: list[float], density: float):
    logits, labels = case(density)
    ours = partial_focal(logits, labels, gamma=gamma, class_weights=torch.tensor(weights))
    assert ours.item() == pytest.approx(slow_focal(logits, labels, gamma, weights), rel=1e-5)


@every_density
@pytest.mark.parametrize("weights", [[1.0] * 4, WEIGHTS])
def test_region_losses_are_their_formulas(weights: list[float], density: float):
    logits, labels = case(density)
    w = torch.tensor(weights)
    for ours, options in {
        partial_dice(logits, labels, class_weights=w): (0.5, 0.5, 1.0),
        partial_tversky(logits, labels, alpha=0.2, beta=0.9, class_weights=w): (0.2, 0.9, 1.0),
        partial_focal_tversky(logits, labels, gamma=1.6, class_weights=w): (0.3, 0.7, 1 / 1.6),
    }.items():
        assert ours.item() == pytest.approx(slow_tversky(logits, labels, *options, weights))


def test_tversky_by_hand():
    p = torch.tensor([[0.9, 0.2, 0.6, 0.1], [0.1, 0.8, 0.4, 0.9]])  # class, pixel
    labels = torch.tensor([[[0, 1, 1, IGNORE]]])
    zero = 1 - 0.9 / (0.9 + 0.3 * (0.2 + 0.6) + 0.7 * 0.1)
    one = 1 - 1.2 / (1.2 + 0.3 * 0.1 + 0.7 * (0.2 + 0.6))
    found = partial_tversky(p.log().view(1, 2, 1, 4), labels)
    assert found.item() == pytest.approx((zero + one) / 2)


@every_density
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_and_its_gradient_are_torch_s(weights, layout, density: float):
    logits, labels = case(density)
    logits = logits.contiguous(memory_format=layout)
    w = None if weights is None else torch.tensor(weights)
    theirs = partial(F.cross_entropy, weight=w, ignore_index=IGNORE)
    value, grad = value_and_grad(partial(partial_cross_entropy, class_weights=w), logits, labels)
    expected, expected_grad = value_and_grad(theirs, logits, labels)
    assert value.item() == pytest.approx(expected.item(), abs=1e-6)
    assert torch.allclose(grad, expected_grad, atol=1e-6, rtol=0)


@every_loss
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_all_paths_agree_and_keep_the_memory_layout(loss, layout, monkeypatch):
    logits, labels = case(0.2)
    logits = logits.contiguous(memory_format=layout)
    loss = partial(loss, class_weights=torch.tensor(WEIGHTS))
    found = [value_and_grad(loss, logits, labels)]
    monkeypatch.setattr(labelled, "DENSE", 0.0)
    found.append(value_and_grad(loss, logits, labels))
    assert all(grad.is_contiguous(memory_format=layout) for _, grad in found)
    as_static(monkeypatch)
    found.append(value_and_grad(loss, logits, labels))
    for value, grad in found[1:]:
        assert value.item() == pytest.approx(found[0][0].item(), abs=1e-6)
        assert torch.allclose(grad, found[0][1], atol=1e-6, rtol=0)


def test_the_path_follows_the_density(monkeypatch):
    shapes = {}
    for density in DENSITIES:
        logits, labels = case(density)
        shapes[density] = labelled.labelled_pixels(logits, labels).scores.shape
    n = int((case(0.1)[1] != IGNORE).sum())
    assert shapes == {0.1: (1, 4, n), 0.7: (2, 4, 12, 10)}
    as_static(monkeypatch)
    static = {labelled.labelled_pixels(*case(d)).scores.shape for d in DENSITIES}
    assert static == {(240, 4)}


@every_loss
def test_loss_does_not_shrink_with_label_density(loss):
    values = []
    for labelled_share in (1, 16, 256):
        labels = torch.full((1, 256), IGNORE)
        labels[:, :labelled_share] = 2
        values.append(loss(torch.zeros(1, 4, 16, 16), labels.view(1, 16, 16)).item())
    assert values == pytest.approx([values[0]] * 3)


def test_a_uniform_guess_costs_what_arithmetic_says():
    labels = torch.full((1, 2, 2), IGNORE)
    labels[0, 0] = torch.tensor([0, 3])
    uniform = torch.zeros(1, 4, 2, 2)
    assert partial_cross_entropy(uniform, labels).item() == pytest.approx(log(4))
    assert partial_focal(uniform, labels).item() == pytest.approx(0.75**2 * log(4))
    # each present class: TP 1/4, FP 1/4, FN 3/4
    assert partial_dice(uniform, labels).item() == pytest.approx(1 - 0.5 / (0.5 + 0.25 + 0.75))


@every_loss
@pytest.mark.parametrize("times", [2, 5])
def test_the_same_pixels_again_do_not_change_the_value(loss, times: int):
    logits, labels = case(0.3)
    once = loss(logits, labels)
    again = loss(logits.repeat(times, 1, 1, 1), labels.repeat(times, 1, 1))
    wide = F.pad(logits, (0, 50)), F.pad(labels, (0, 50), value=IGNORE)
    assert again.item() == pytest.approx(once.item(), rel=1e-5)
    assert loss(*wide).item() == pytest.approx(once.item(), rel=1e-5)


@every_loss
@every_density
def test_gradient_is_exactly_zero_where_there_is_no_label(loss, density: float):
    logits, labels = case(density)
    grad = value_and_grad(loss, logits, labels)[1].abs().sum(dim=1)
    assert (grad[labels == IGNORE] == 0).all()
    assert (grad[labels != IGNORE] > 0).all()


def test_special_cases_are_the_losses_they_reduce_to():
    logits, labels = case()
    w = torch.tensor(WEIGHTS)
    plain = partial_cross_entropy(logits, labels, class_weights=w)
    assert torch.equal(partial_focal(logits, labels, gamma=0.0, class_weights=w), plain)
    dice = partial_dice(logits, labels, class_weights=w)
    assert torch.equal(partial_tversky(logits, labels, alpha=0.5, beta=0.5, class_weights=w), dice)
    tversky = partial_tversky(logits, labels)
    assert torch.equal(partial_focal_tversky(logits, labels, gamma=1.0), tversky)
    focal = partial_focal(logits, labels)
    assert partial_focal(logits, labels, alpha=0.25).item() == pytest.approx(0.25 * focal.item())


@every_loss
@every_density
def test_gradcheck(loss, density: float):
    logits, labels = case(density, dtype=torch.float64)
    logits, labels = logits[:1, :, :3, :4].clone().requires_grad_(), labels[:1, :3, :4]
    loss = partial(loss, class_weights=torch.tensor(WEIGHTS))
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), (logits,))


@pytest.mark.parametrize("gamma", [0.5, 1.0])
def test_gradcheck_of_focal_below_gamma_two(gamma: float):
    logits, labels = case(dtype=torch.float64)
    logits, labels = logits[:1, :, :3, :4].clone().requires_grad_(), labels[:1, :3, :4]
    assert torch.autograd.gradcheck(lambda z: partial_focal(z, labels, gamma=gamma), (logits,))


EXTREME = {**LOSSES, "focal of gamma 0.5": partial(partial_focal, gamma=0.5)}


@pytest.mark.parametrize("loss", EXTREME.values(), ids=EXTREME)
@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("truth", [[0, 0, IGNORE, IGNORE, IGNORE, IGNORE], [0, 1, 2, 1, 2, 0]])
def test_extreme_logits_stay_finite(loss, size: float, truth: list[int]):
    logits = torch.zeros(1, 3, 1, 6)
    logits[:, 0] = size
    value, grad = value_and_grad(loss, logits, torch.tensor(truth).view(1, 1, 6))
    assert value.isfinite()
    assert grad.isfinite().all()


@every_loss
def test_a_perfect_prediction_costs_nothing_and_moves_nothing(loss):
    labels = torch.tensor([[[0, 1, 2, IGNORE]]])
    logits = 200 * F.one_hot(labels % 3, 3).permute(0, 3, 1, 2).float()
    value, grad = value_and_grad(loss, logits, labels)
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert grad.abs().max().item() == pytest.approx(0, abs=1e-6)


@every_loss
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 3.0]])
def test_a_batch_without_labels_is_zero_with_a_graph(loss, static, weights, monkeypatch):
    if static:
        as_static(monkeypatch)
    loss = partial(loss, class_weights=weights and torch.tensor(weights))
    value, grad = value_and_grad(loss, torch.randn(1, 3, 4, 4), torch.full((1, 4, 4), IGNORE))
    assert value.item() == 0
    assert (grad == 0).all()


@every_loss
def test_labelled_pixels_of_weight_zero_are_zero_with_a_graph(loss):
    loss = partial(loss, class_weights=torch.tensor([0.0, 1.0]))
    value, grad = value_and_grad(
        loss, torch.randn(1, 2, 4, 4), torch.zeros((1, 4, 4), dtype=torch.long)
    )
    assert value.item() == 0
    assert (grad == 0).all()


@every_loss
@every_density
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(loss, density: float, dtype: torch.dtype):
    logits, labels = case(density)
    loss = partial(loss, class_weights=torch.tensor([0.1, 3.3, 1.0, 7.7]))
    ours = loss(logits.to(dtype), labels)
    assert ours.dtype == torch.float32
    assert ours.item() == loss(logits.to(dtype).float(), labels).item()


@every_loss
def test_autocast_changes_nothing(loss):
    logits, labels = case(0.2)
    loss = partial(loss, class_weights=torch.tensor(WEIGHTS))
    value, grad = value_and_grad(loss, logits, labels)
    with torch.autocast("cpu", torch.bfloat16):
        under, under_grad = value_and_grad(loss, logits, labels)
    assert under.dtype == torch.float32
    assert torch.equal(under, value)
    assert torch.equal(under_grad, grad)


@every_loss
@pytest.mark.usefixtures("unchecked")
def test_compiled_is_one_graph_for_any_labels(loss):
    torch.compiler.reset()
    loss = partial(loss, class_weights=torch.tensor(WEIGHTS))
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True, dynamic=False)
    for density in (*DENSITIES, 0.0):
        logits, labels = case(density)
        labels = labels if density else torch.full_like(labels, IGNORE)
        value, grad = value_and_grad(compiled, logits, labels)
        expected, expected_grad = value_and_grad(loss, logits, labels)
        assert value.item() == pytest.approx(expected.item(), abs=1e-6)
        assert torch.allclose(grad, expected_grad, atol=1e-6, rtol=0)


@every_loss
def test_an_ignored_class_counts_as_unlabelled(loss):
    logits, labels = case()
    without = labels.masked_fill((labels == 0) | (labels == 3), IGNORE)
    value, grad = value_and_grad(partial(loss, ignored=(0, 3)), logits, labels)
    expected, expected_grad = value_and_grad(loss, logits, without)
    assert torch.equal(value, expected)
    assert torch.equal(grad, expected_grad)


@every_loss
def test_the_logit_of_an_ignored_class_is_pushed_down_elsewhere(loss):
    logits, labels = case()
    grad = value_and_grad(partial(loss, ignored=(0,)), logits, labels)[1]
    learned = (labels != IGNORE) & (labels != 0)
    assert (grad[:, 0][~learned] == 0).all()
    assert grad[:, 0].sum() > 0
    if loss in (partial_cross_entropy, partial_focal):  # a region loss weighs pixels together
        assert (grad[:, 0][learned] > 0).all()


def test_a_class_without_labels_is_not_in_the_mean_of_a_region_loss():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]).view(1, 3, 1, 2)
    labels = torch.tensor([[[0, 1]]])
    p, q, r = (v / (exp(2) + exp(0) + exp(1)) for v in (exp(2), exp(0), exp(1)))
    assert p + q + r == pytest.approx(1)
    by_hand = 1 - 2 * p / (2 * p + q + (1 - p))  # the same for both; r is missing from p
    assert partial_dice(logits, labels).item() == pytest.approx(by_hand)


@every_loss
@every_density
@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_named(loss, density: float):
    logits, labels = case(density)
    with pytest.raises(ValueError, match=r"labels must be \(2, 12, 10\).*found \(2, 12, 4\)"):
        loss(logits, labels[..., :4])
    with pytest.raises(ValueError, match=r"logits must be \(b, k, h, w\), found \(2, 4, 120\)"):
        loss(logits.flatten(2), labels)
    for wrong, found in ((4, "0 to 4"), (254, "0 to 254"), (-1, "-1 to 3"), (-100, "-100 to 3")):
        changed = labels.clone()
        changed[0, 1, 0] = wrong
        with pytest.raises(ValueError, match=rf"\[0, 4\) or be 255.*found {found}"):
            loss(logits, changed)
    with pytest.raises(ValueError, match="hold 4 numbers, found \\(3,\\)"):
        loss(logits, labels, class_weights=torch.ones(3))
    for ignored in ((4,), (-1,), (0, 1, 2, 3)):
        with pytest.raises(ValueError, match=r"some, not all, of the classes \[0, 4\), found \("):
            loss(logits, labels, ignored=ignored)


def test_options_out_of_range_are_named():
    logits, labels = case()
    with pytest.raises(ValueError, match="gamma must be at least 0, found -1"):
        partial_focal(logits, labels, gamma=-1.0)
    with pytest.raises(ValueError, match="gamma must be above 0, found 0"):
        partial_focal_tversky(logits, labels, gamma=0.0)
    for alpha, beta in ((-0.1, 0.7), (0.3, -0.7), (0.0, 0.0)):
        with pytest.raises(ValueError, match=f"not both 0, found {alpha} and {beta}"):
            partial_tversky(logits, labels, alpha=alpha, beta=beta)


def test_class_weights_by_hand():
    counts = np.array([60, 30, 10])
    assert class_weights(counts, "none") is None
    # 1/60 : 1/30 : 1/10 = 1 : 2 : 6, and 60 * 1 + 30 * 2 + 10 * 6 = 180 over 100 pixels
    assert class_weights(counts, "inverse").tolist() == pytest.approx([1 / 1.8, 2 / 1.8, 6 / 1.8])
    median = class_weights(counts, "median")
    assert (median[1] / median[0]).item() == pytest.approx(2)
    effective = class_weights(np.array([1, 2]), "effective")
    assert (effective[0] / effective[1]).item() == pytest.approx(1.9999)  # (1 - B^2) / (1 - B)


@pytest.mark.parametrize("how", sorted(set(WEIGHTINGS) - {"none"}))
@pytest.mark.parametrize("bound", [1.0, 10.0, 200.0])
def test_no_class_weighs_more_than_the_bound_times_another(how: str, bound: float):
    counts = np.array([10**6, 5 * 10**5, 40, 1, 0])
    weights = class_weights(counts, how, bound=bound).numpy().astype(float)
    assert weights.max() / weights.min() <= bound * (1 + 1e-6)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1, rel=1e-5)
    assert (np.diff(weights[:4]) >= 0).all()
    assert weights[4] == 1


def test_the_bound_is_ten_unless_another_is_asked_for():
    counts = np.array([4400, 27])  # 163 to 1, as in system E
    assert class_weights(counts, "inverse").tolist() == pytest.approx([4427 / 4670, 44270 / 4670])
    asked = class_weights(counts, "inverse", bound=1000.0)
    assert (asked[1] / asked[0]).item() == pytest.approx(4400 / 27)


def test_class_weights_that_cannot_be_are_named():
    with pytest.raises(UnknownName, match="known: effective, inverse, median, none"):
        class_weights(np.array([1, 1]), "sqrt")
    with pytest.raises(ValueError, match="bound must be at least 1, found 0.5"):
        class_weights(np.array([1, 1]), "inverse", bound=0.5)
    with pytest.raises(ValueError, match="need labels, found 0 of each of 2 classes"):
        class_weights(np.array([0, 0]), "inverse")
