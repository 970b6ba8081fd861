"""Estimate a map's accuracy and the area of its classes from a stratified sample of its pixels.

Each estimate is a ratio of two stratified totals, or one such total. Where the strata are the
classes of the map these are the estimators of Olofsson et al., else those of Stehman.

Source: Olofsson et al. 2014, https://doi.org/10.1016/j.rse.2014.02.015
Source: Stehman 2014, https://doi.org/10.1080/01431161.2014.930207
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped
from statsmodels.stats.proportion import proportion_confint

OUTSIDE = -1
"""Class of the map where it has none. Such a pixel counts in its stratum, but in no estimate."""
NOTHING = 1e-12  # a standard error of a proportion below it is rounding


@dataclass(frozen=True)
class Sample:
    """Pixels drawn at random without replacement from each stratum, and what they are.

    Attributes:
        stratum: of each pixel drawn, in [0, h).
        mapped: class of the map, in [0, k) or OUTSIDE.
        truth: reference class, in [0, k).
        sizes: pixels of each stratum.
        finite: whether the variance shrinks by 1 - n / N of each stratum, as in Stehman's paper but
            not in Olofsson's.

    Raises:
        ValueError: a stratum has no pixel in the sample, or fewer than the sample has of it.
    """

    stratum: Int[np.ndarray, " n"]
    mapped: Int[np.ndarray, " n"]
    truth: Int[np.ndarray, " n"]
    sizes: Int[np.ndarray, " h"]
    finite: bool = True

    def __post_init__(self) -> None:
        if (self.drawn == 0).any() or (self.drawn > self.sizes).any():
            raise ValueError(f"{self.drawn} pixels cannot be drawn from strata of {self.sizes}")

    @property
    def drawn(self) -> Int[np.ndarray, " h"]:
        """Pixels drawn from each stratum."""
        return np.bincount(self.stratum, minlength=len(self.sizes))


@dataclass(frozen=True)
class Estimate:
    """A value, its standard error and the ends of its 95 % interval; NaN where undefined."""

    value: float
    se: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """All estimates of one sample.

    Attributes:
        counts: pixels drawn; rows are the map's class, columns the reference class.
        proportions: estimated share of the area in each cell of that matrix.
        overall: share of the area that is mapped as what it is.
        users: share of a mapped class that is this class.
        producers: share of a reference class that is mapped as this class.
        shares: share of the area that is of a reference class.
        areas: area of each reference class, in units of `cells`.
        unseen: see `unseen`; the class's area and producer's accuracy have intervals that wide.
    """

    counts: Int[np.ndarray, "k k"]
    proportions: Float[np.ndarray, "k k"]
    overall: Estimate
    users: tuple[Estimate, ...]
    producers: tuple[Estimate, ...]
    shares: tuple[Estimate, ...]
    areas: tuple[Estimate, ...]
    unseen: tuple[float, ...]


def accuracy(
    sample: Sample, classes: int, cells: Float[np.ndarray, " n"] | None = None
) -> Accuracy:
    """Estimate accuracy and areas over the pixels that the map gives a class.

    Args:
        cells: area of each pixel drawn; 1 if None.

    Raises:
        ValueError: the map gives none of them a class.
    """
    there = sample.mapped != OUTSIDE
    if not there.any():
        raise ValueError("the map has no class on any pixel drawn")
    mapped, truth = (
        (column[:, None] == np.arange(classes)) & there[:, None]
        for column in (sample.mapped, sample.truth)
    )
    both = mapped[:, :, None] & truth[:, None, :]
    weight = (sample.sizes / sample.drawn)[sample.stratum]
    cells = there.astype(float) if cells is None else there * cells
    pairs = list(zip(mapped.T, truth.T, strict=True))
    more, whole = unseen(sample, classes).tolist(), float(weight @ cells)
    shares = [proportion(t, there, sample) for _, t in pairs]
    producers = [proportion(m & t, t, sample) for m, t in pairs]
    areas = [_area(t * cells, cells, sample) for _, t in pairs]
    return Accuracy(
        counts=both.sum(axis=0),
        proportions=np.einsum("n,nij->ij", weight, both) / (weight @ there),
        overall=proportion((mapped & truth).any(axis=1), there, sample),
        users=tuple(proportion(m & t, m, sample) for m, t in pairs),
        producers=tuple(
            replace(p, low=min(p.low, p.value * s.value / (s.value + u))) if s.value else p
            for p, s, u in zip(producers, shares, more, strict=True)
        ),
        shares=tuple(_up_to(s, s.value + u, 1) for s, u in zip(shares, more, strict=True)),
        areas=tuple(
            _up_to(a, a.value + u * whole, whole) for a, u in zip(areas, more, strict=True)
        ),
        unseen=tuple(more),
    )


def unseen(sample: Sample, classes: int) -> Float[np.ndarray, " k"]:
    """Compute how much of the whole each class could be in one stratum of which no pixel of it was
    drawn: the largest one-sided 95 % limit, 1 - 0.05^(1 / n) of a stratum; 0 if there is none.

    So rare an omission does not show in a standard error.
    """
    drawn = np.zeros((len(sample.sizes), classes), int)
    np.add.at(drawn, (sample.stratum, sample.truth), 1)
    limit = sample.sizes / sample.sizes.sum() * (1 - 0.05 ** (1 / sample.drawn))
    limit[sample.finite & (sample.drawn == sample.sizes)] = 0
    return np.where(drawn == 0, limit[:, None], 0.0).max(axis=0)


def _up_to(found: Estimate, high: float, most: float) -> Estimate:
    return replace(found, high=float(min(max(found.high, high), most)))


def proportion(
    part: Shaped[np.ndarray, " n"], whole: Shaped[np.ndarray, " n"], sample: Sample
) -> Estimate:
    """Divide the stratified total of `part` by that of `whole`: a combined ratio estimator.

    All is NaN where no pixel of `whole` was drawn.
    """
    part, whole = part.astype(float), whole.astype(float)
    under = _total(whole, sample)
    if under == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan)
    value = _total(part, sample) / under
    se = float(np.sqrt(_variance(part - value * whole, 0.0, sample))) / under
    se = se if se > NOTHING else 0.0
    return Estimate(value, se, *_interval(value, se, whole, sample))


def _interval(
    value: float, se: float, whole: Float[np.ndarray, " n"], sample: Sample
) -> tuple[float, float]:
    """Compute Wilson's interval, with the size n = value (1 - value) / se^2 that a simple random
    sample of this standard error would have.

    1.96 standard errors to either side, as in the papers, miss too often where accuracy is high or
    a class rare. Where all pixels drawn agree, the standard error is 0 and says nothing: n is then
    the number of pixels of `whole`. Where all strata of `whole` were drawn to the last pixel, the
    value is known.

    Source: Franco et al. 2019, https://pmc.ncbi.nlm.nih.gov/articles/PMC6690503
    """
    held = np.unique(sample.stratum[whole > 0])
    if sample.finite and (sample.drawn == sample.sizes)[held].all():
        return value, value
    spread = value * (1 - value)
    n = spread / se**2 if min(se, spread) > NOTHING else float((whole > 0).sum())
    low, high = proportion_confint(value * n, n, method="wilson")
    return float(np.clip(low, 0, value)), float(np.clip(high, value, 1))


def _area(
    part: Float[np.ndarray, " n"], whole: Float[np.ndarray, " n"], sample: Sample
) -> Estimate:
    """Estimate the stratified total of `part`, of which that of `whole` is the most possible."""
    value, most = _total(part, sample), _total(whole, sample)
    se = float(np.sqrt(_variance(part, value / sample.sizes.sum(), sample)))
    low, high = _interval(min(value / most, 1.0), se / most, whole, sample)
    return Estimate(value, se, low * most, high * most)


def _total(values: Float[np.ndarray, " n"], sample: Sample) -> float:
    return float((np.bincount(sample.stratum, values) / sample.drawn) @ sample.sizes)


def _variance(values: Float[np.ndarray, " n"], middle: float, sample: Sample) -> float:
    """Estimate the variance of a stratified total.

    A stratum of a single drawn pixel has no variance of its own. Its value is held against
    `middle`, the mean over all strata, which gives too much on average and not too little.

    Source: option "adjust" of survey.lonely.psu, https://r-survey.r-forge.r-project.org/survey/
    """
    n, sizes = sample.drawn, sample.sizes
    means = np.where(n > 1, np.bincount(sample.stratum, values) / n, middle)
    squares = np.bincount(sample.stratum, (values - means[sample.stratum]) ** 2)
    rest = 1 - n / sizes if sample.finite else np.ones(len(n))
    return float((sizes.astype(float) ** 2 * rest * squares / np.maximum(n - 1, 1) / n).sum())
