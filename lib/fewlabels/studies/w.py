"""Study W: on one's own scene, which learner makes most of some labels? Declared before its runs.

A mapper labels pixels of a site and wants the rest of that site. Each condition is a learner with a
budget of labels on the site. Claims compare conditions site by site.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BUDGETS = (30, 100, 300, 1000)
REPLICATES = 3  # label draws a site
EVEN = (30, 100)  # budgets that are also drawn evenly over the classes
LEARNERS = ("pixel_forest", "texture_forest", "frozen_linear", "frozen_forest")
DATA = ("cz_ortho", "india_s2_nir", "usgs_coast")
BANDS = MappingProxyType({"india_s2_nir": ("red", "green", "blue", "near infrared")})
DEVELOPMENT = MappingProxyType(
    {
        "dubai": tuple(f"tile{number}" for number in range(1, 9)),
        "cz_ortho": ("PROS83", "VYSK10", "VYSK13"),
        "india_s2_nir": ("p01", "p03", "p04", "p14", "p16", "p25", "p30", "p40"),
        "usgs_coast": (),
    }
)
"""Sites on which the settings of the learners were chosen, drawn from seed 0 (all of Dubai): they
are in no result. Chosen there: scales of the texture filters, the candidates for the penalty and
the rule that picks one, the share of features that a tree tries at a split."""


@dataclass(frozen=True)
class Condition:
    """A learner with a budget of labels on a site, drawn at random or `even` over the classes."""

    learner: str
    budget: int
    labels: str = "random"

    def __str__(self) -> str:
        even = ", even over the classes" if self.labels == "even" else ""
        return f"{self.learner}, {self.budget} labels{even}"


@dataclass(frozen=True)
class SiteClaim:
    """One statement about the mean over sites of a difference of mIoU.

    Attributes:
        pairs: (condition that should be better, the other); each pair is a test of its own.
        margin: the claim is that the difference is above minus this; 0.01 for `not worse`.
        family: claims of one family share what they know of the noise, see `decisions`.
    """

    text: str
    pairs: tuple[tuple[Condition, Condition], ...]
    margin: float = 0.0
    family: str = "learner"


def _each(one: str, other: str, budgets: tuple[int, ...] = BUDGETS) -> tuple:
    return tuple((Condition(one, n), Condition(other, n)) for n in budgets)


CLAIMS: Mapping[str, SiteClaim] = MappingProxyType(
    {
        "W1": SiteClaim(
            "A linear head on frozen features beats the single-pixel forest at each budget.",
            _each("frozen_linear", "pixel_forest"),
        ),
        "W2": SiteClaim(
            "A forest on texture beats the single-pixel forest at each budget.",
            _each("texture_forest", "pixel_forest"),
        ),
        "W5": SiteClaim(
            "A linear head on frozen features with 100 labels is not worse than the single-pixel "
            "forest with 1,000: ten times fewer labels.",
            ((Condition("frozen_linear", 100), Condition("pixel_forest", 1000)),),
            margin=0.01,
        ),
        "W8": SiteClaim(
            "Labels even over the classes beat random ones, for the linear head at 30 and 100.",
            tuple(
                (Condition("frozen_linear", n, "even"), Condition("frozen_linear", n)) for n in EVEN
            ),
            family="sampler",
        ),
    }
)
"""W3 and W4 (networks), W6, W7, W9 and W10 of the protocol are declared there and not run yet."""
