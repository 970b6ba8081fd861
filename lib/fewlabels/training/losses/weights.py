"""Compute class weights from the labels of one draw: once a run, never from a batch."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewlabels.types import unknown

BETA = 0.9999
"""Of the effective number of samples: the largest of the four values that its authors tried."""


def class_weights(
    counts: Int[np.ndarray, " k"], how: str, *, bound: float = 10.0
) -> Float[Tensor, " k"] | None:
    """Compute class weights whose mean over labelled pixels is 1; None for `none`.

    Args:
        counts: labelled pixels of each class, at least one of some class.
        how: `none`, `inverse` (1 / n_c), `median` (median of n over n_c) or `effective`
            (1 / E_c with the effective number E_c = (1 - BETA^n_c) / (1 - BETA)).
        bound: no class weighs more than `bound` times another; at least 1. Larger weights are cut
            before the scaling. A class without labels gets 1, which never counts.

    Raises:
        UnknownName: no such `how`.
        ValueError: bound below 1, or no labels at all.

    Source: median frequency, Eigen and Fergus 2015, https://arxiv.org/abs/1411.4734; effective
    number, Cui et al. 2019, https://arxiv.org/abs/1901.05555
    """
    if how not in WEIGHTINGS:
        raise unknown("class weighting", how, WEIGHTINGS)
    if bound < 1:
        raise ValueError(f"bound must be at least 1, found {bound}")
    if how == "none":
        return None
    present = counts > 0
    if not present.any():
        raise ValueError(f"class weights need labels, found 0 of each of {len(counts)} classes")
    there = WEIGHTINGS[how](counts[present].astype(float))
    there = np.minimum(there, bound * there.min())
    weights = np.ones(len(counts))
    weights[present] = there * counts.sum() / (there * counts[present]).sum()
    return torch.tensor(weights, dtype=torch.float32)


WEIGHTINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": np.ones_like,
    "inverse": lambda n: 1 / n,
    "median": lambda n: np.median(n) / n,
    "effective": lambda n: (1 - BETA) / -np.expm1(n * np.log(BETA)),
}
