from math import exp, log

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fewlabels.losses import LOSSES, class_weights, partial_cross_entropy, partial_focal
from fewlabels.types import IGNORE, UnknownName


def case(seed: int = 0, k: int = 4, dtype: torch.dtype = torch.float32):
    """Random logits and labels, about a third of them IGNORE."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, k, 6, 5, generator=g, dtype=dtype)
    labels = torch.randint(0, k, (2, 6, 5), generator=g)
    labels[torch.rand(2, 6, 5, generator=g) < 0.3] = IGNORE
    return logits, labels


def slow_focal(logits, labels, gamma, weights) -> float:
    """The formula as a loop over pixels, in Python floats."""
    total = norm = 0.0
    for b, y, x in (labels != IGNORE).nonzero().tolist():
        z, c = logits[b, :, y, x].tolist(), int(labels[b, y, x])
        log_p = z[c] - log(sum(exp(v) for v in z))
        total += weights[c] * -((1 - exp(log_p)) ** gamma) * log_p
        norm += weights[c]
    return total / norm


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", [[1.0] * 4, [0.5, 3.0, 1.0, 7.0]])
def test_focal_is_its_formula(gamma: float, weights: list[float]):
    logits, labels = case()
    ours = partial_focal(logits, labels, gamma=gamma, class_weights=torch.tensor(weights))
    assert ours.item() == pytest.approx(slow_focal(logits, labels, gamma, weights), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [0.5, 3.0, 1.0, 7.0]])
def test_cross_entropy_and_its_gradient_are_torch_s(weights: list[float] | None):
    logits, labels = case()
    w = None if weights is None else torch.tensor(weights)
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    a = partial_cross_entropy(ours, labels, class_weights=w)
    b = F.cross_entropy(theirs, labels, weight=w, ignore_index=IGNORE)
    a.backward()
    b.backward()
    assert a.item() == pytest.approx(b.item(), abs=1e-6)
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_loss_does_not_shrink_with_label_density(loss):
    values = []
    for labelled in (1, 16, 256):
        labels = torch.full((1, 256), IGNORE)
        labels[:, :labelled] = 2
        values.append(loss(torch.zeros(1, 4, 16, 16), labels.view(1, 16, 16)).item())
    assert values == pytest.approx([values[0]] * 3)
    assert partial_cross_entropy(
        torch.zeros(1, 4, 16, 16), labels.view(1, 16, 16)
    ).item() == pytest.approx(log(4))


@pytest.mark.parametrize("loss", LOSSES.values())
def test_gradient_is_exactly_zero_where_there_is_no_label(loss):
    logits, labels = case()
    logits.requires_grad_()
    loss(logits, labels).backward()
    grad = logits.grad.abs().sum(dim=1)
    assert (grad[labels == IGNORE] == 0).all()
    assert (grad[labels != IGNORE] > 0).all()


def test_gamma_zero_is_cross_entropy_and_alpha_rescales():
    logits, labels = case()
    plain = partial_cross_entropy(logits, labels)
    assert torch.equal(partial_focal(logits, labels, gamma=0.0), plain)
    focal = partial_focal(logits, labels)
    assert partial_focal(logits, labels, alpha=0.25).item() == pytest.approx(0.25 * focal.item())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradcheck(gamma: float):
    logits, labels = case(dtype=torch.float64)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: partial_focal(z, labels, gamma=gamma), (logits,))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_stay_finite(gamma: float, size: float):
    logits = torch.zeros(1, 3, 1, 2)
    logits[:, 0] = size
    logits.requires_grad_()
    loss = partial_focal(logits, torch.zeros(1, 1, 2, dtype=torch.long), gamma=gamma)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES.values())
def test_a_batch_without_labels_is_zero_with_a_graph(loss):
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((1, 4, 4), IGNORE))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


def test_half_precision_is_computed_in_float32():
    logits, labels = case()
    ours = partial_cross_entropy(logits.bfloat16(), labels)
    assert ours.dtype == torch.float32
    assert ours.item() == partial_cross_entropy(logits.bfloat16().float(), labels).item()


@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_named():
    logits, labels = case()
    with pytest.raises(ValueError, match=r"labels must be \(2, 6, 5\).*found \(2, 6, 4\)"):
        partial_cross_entropy(logits, labels[..., :4])
    wrong = labels.clone()
    wrong[0, 0, 0] = 4
    with pytest.raises(ValueError, match=r"\[0, 4\).*found 0 to 4"):
        partial_cross_entropy(logits, wrong)
    with pytest.raises(ValueError, match="hold 4 numbers, found \\(3,\\)"):
        partial_cross_entropy(logits, labels, class_weights=torch.ones(3))
    with pytest.raises(ValueError, match="gamma must be at least 0, found -1"):
        partial_focal(logits, labels, gamma=-1.0)


def test_class_weights_by_hand():
    counts = np.array([60, 30, 10])
    inverse = np.array([1 / 60, 1 / 30, 1 / 10])
    inverse /= (inverse * counts).sum() / 100
    assert class_weights(counts, "inverse").tolist() == pytest.approx(inverse.tolist())
    assert class_weights(counts, "none") is None
    ratio = class_weights(counts, "median")
    assert (ratio[1] / ratio[0]).item() == pytest.approx(2)


def test_class_weights_are_bounded_and_leave_absent_classes_alone():
    weights = class_weights(np.array([10**6, 1, 0]), "inverse", bound=10.0)
    assert weights.tolist() == pytest.approx([0.5, 10.0, 1.0], abs=1e-3)
    with pytest.raises(UnknownName, match="known: inverse, median, none"):
        class_weights(np.array([1, 1]), "sqrt")
