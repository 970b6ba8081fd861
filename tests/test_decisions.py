"""Decisions: against closed forms where the noise is known, and by simulation where it is not."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from fewlabels.results.statistics import decisions as d


def family(rng, effect, sites, runs, between, within, claims=4, data=("a", "b")):
    found = {}
    for claim in range(claims):
        rows = []
        for name in data:
            for site in range(sites):
                level = effect + rng.normal(0, between)
                rows += [(name, site, r, level + rng.normal(0, within)) for r in range(runs)]
        found[f"c{claim}"] = pd.DataFrame(rows, columns=["data", "site", "replicate", "value"])
    return found


def test_with_many_sites_the_posterior_is_the_normal_one_of_their_means():
    found = family(np.random.default_rng(1), 0.012, 200, 2, 0.02, 0.02, claims=1)
    rows, made = found["c0"], d.decisions(found)["c0"]
    means = rows.groupby(["data", "site"])["value"].mean()
    error = np.sqrt(sum(part.var(ddof=1) / 200 for _, part in means.groupby("data"))) / 2
    assert made.gain == pytest.approx(means.mean(), abs=2e-4)
    assert made.high - made.low == pytest.approx(2 * 1.96 * error, rel=0.06)
    assert made.better == pytest.approx(norm.sf((0.01 - means.mean()) / error), abs=0.03)
    assert made.better + made.same + made.worse == pytest.approx(1)
    assert made.sites == 400


def test_a_claim_with_two_sites_borrows_the_deviations_of_its_family():
    found = family(np.random.default_rng(2), 0, 40, 3, 0.01, 0.01, data=("a",))
    few = found["c0"][found["c0"]["site"] < 2]
    alone = d.decisions({"few": few})["few"]
    helped = d.decisions(found | {"few": few})["few"]
    assert helped.high - helped.low < 0.8 * (alone.high - alone.low)


@pytest.mark.parametrize(
    ("better", "same", "worse", "gain", "advice"),
    [
        (0.6, 0.38, 0.02, 0.012, "take it"),
        (0.02, 0.38, 0.6, -0.012, "keep the other"),
        (0.06, 0.88, 0.06, 0.001, "the same: take the cheaper"),
        (0.5, 0.3, 0.2, 0.01, "open"),
        (0.01, 0.98, 0.01, 0.002, "take it (within a point)"),
    ],
)
def test_rule_of_the_protocol(better, same, worse, gain, advice):
    assert d.Decision(gain, -1, 1, better, same, worse, 9, 2.0).advice == advice


def test_intervals_cover_and_decisions_are_seldom_wrong():
    rng, inside, wrong, taken, total = np.random.default_rng(3), 0, 0, 0, 0
    for _ in range(60):
        effect = rng.normal(0, 0.02)
        made = d.decisions(
            family(rng, effect, 8, 3, rng.uniform(0.005, 0.03), rng.uniform(0.005, 0.05))
        )
        for one in made.values():
            inside += one.low <= effect <= one.high
            taken += one.advice == "take it"
            wrong += one.advice == "take it" and effect < -0.01
            total += 1
    assert 0.92 <= inside / total <= 0.98
    assert taken > 20
    assert wrong / taken < 0.05
