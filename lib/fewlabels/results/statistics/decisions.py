"""Decide between two conditions: the expected gain, and how probable it is that it matters.

A difference of mIoU is modelled as effect + data set + site + run. Data sets are fixed and count
alike; sites and runs are normal. Their deviations are shared by the claims of a family within a
data set, so that a claim with few runs borrows what the others say about noise. They are computed
on a grid, under half-t priors.

Source: protocol section 8; half-t priors, Gelman 2006, https://doi.org/10.1214/06-BA117A
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import t

MARGIN = 0.01  # of mIoU: a smaller difference is none
FREEDOM, SCALE = 4, 0.03  # of the half-t priors of both deviations, the scale in mIoU
GRID = np.geomspace(0.001, 0.4, 48)
DRAWS = 20_000
WORSE, SAME = 0.05, 0.8  # the rule: largest P(worse), least P(the same)
CERTAIN = 1.96


@dataclass(frozen=True)
class Decision:
    """What is known of a difference and what to do about it.

    Attributes:
        gain: expected difference in mIoU; `low` and `high` are its 95 % credible interval.
        better, same, worse: probability that the mean over sites is above MARGIN, within it, and
            below minus MARGIN.
        sites: independent sites, over all data sets.
        needed: how many times as many sites would bring the interval's half width to MARGIN.
    """

    gain: float
    low: float
    high: float
    better: float
    same: float
    worse: float
    sites: int
    needed: float

    @property
    def advice(self) -> str:
        """Apply the rule of the protocol: `take it`, `keep the other`, `the same: take the cheaper`
        or `open`. A gain that is surely small is said to be within a point.
        """
        within = " (within a point)" * (self.same > SAME)
        if self.worse < WORSE and self.gain > 0:
            return f"take it{within}"
        if self.better < WORSE and self.gain < 0:
            return f"keep the other{within}"
        return "the same: take the cheaper" if self.same > SAME else "open"

    def ends(self) -> str:
        """Write the gain with its interval, in points."""
        return f"{100 * self.gain:+.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def text(self) -> str:
        """Write it as one cell of a table."""
        more = f", {self.needed:.1f} times the sites would settle it" if self.needed > 1 else ""
        return f"{self.ends()}: {self.advice}{more * (self.advice == 'open')}"


def decisions(
    family: Mapping[str, pd.DataFrame], *, scale: float = SCALE, margin: float = MARGIN
) -> dict[str, Decision]:
    """Decide each claim of a family.

    Args:
        family: claim -> its differences of mIoU, a row a run, with columns `data`, `site`,
            `replicate` and `value`. At least one row each.
        scale: of the half-t priors; the sensitivity is run with half and double.
    """
    names = sorted({data for rows in family.values() for data in rows["data"]})
    grids = {
        data: _posterior([r[r["data"] == data] for r in family.values()], scale) for data in names
    }
    return {claim: _decided(rows, grids, margin) for claim, rows in family.items()}


def _decided(
    rows: pd.DataFrame, grids: Mapping[str, Float[np.ndarray, "g g"]], margin: float
) -> Decision:
    rng, drawn, variance = np.random.default_rng(0), [], []
    for data, part in rows.groupby("data"):
        weights = grids[data].ravel()
        picked = rng.choice(len(weights), DRAWS, p=weights)
        means, counts, _ = _sites(part)
        centre, spread = _centre(means, counts)
        drawn.append(rng.normal(centre.ravel()[picked], spread.ravel()[picked]))
        variance.append(np.var(drawn[-1]))
    mean = np.mean(drawn, axis=0)
    low, high = np.quantile(mean, (0.025, 0.975))
    half = CERTAIN * (np.sum(variance) ** 0.5) / len(variance)
    return Decision(
        float(mean.mean()), float(low), float(high), float((mean > margin).mean()),
        float((np.abs(mean) <= margin).mean()), float((mean < -margin).mean()),
        len(rows.drop_duplicates(["data", "site"])), float((half / margin) ** 2),
    )  # fmt: skip


def _posterior(parts: list[pd.DataFrame], scale: float) -> Float[np.ndarray, "g g"]:
    """The probability of each pair of deviations (of sites, of runs), by all claims of a family."""
    prior = t.logpdf(GRID / scale, FREEDOM) + np.log(GRID)  # the grid is even on the logarithm
    total = prior[:, None] + prior[None]
    for part in parts:
        if len(part):
            total = total + _likelihood(*_sites(part))
    shares = np.exp(total - total.max())
    return shares / shares.sum()


def _likelihood(
    means: Float[np.ndarray, " s"], counts: Float[np.ndarray, " s"], within: float
) -> Float[np.ndarray, "g g"]:
    """The log likelihood of each pair of deviations; a flat effect is integrated out."""
    runs = GRID[None]
    found = -(counts.sum() - len(counts)) * np.log(runs) - within / (2 * runs**2)
    variance, centre = _variance(counts), _centre(means, counts)[0]
    apart = ((means[:, None, None] - centre) ** 2 / variance).sum(axis=0)
    return found - (np.log(variance).sum(axis=0) + np.log((1 / variance).sum(axis=0)) + apart) / 2


def _centre(
    means: Float[np.ndarray, " s"], counts: Float[np.ndarray, " s"]
) -> tuple[Float[np.ndarray, "g g"], Float[np.ndarray, "g g"]]:
    """The mean of a data set and its standard error, given each pair of deviations."""
    precision = 1 / _variance(counts)
    total = precision.sum(axis=0)
    return (precision * means[:, None, None]).sum(axis=0) / total, total**-0.5


def _variance(counts: Float[np.ndarray, " s"]) -> Float[np.ndarray, "s g g"]:
    """Of the mean of each site's runs."""
    return GRID[None, :, None] ** 2 + GRID[None, None] ** 2 / counts[:, None, None]


def _sites(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and number of the runs of each site, and the squares within sites."""
    grouped = rows.groupby("site")["value"]
    apart = rows["value"] - grouped.transform("mean")
    return grouped.mean().to_numpy(), grouped.size().to_numpy(float), float((apart**2).sum())
