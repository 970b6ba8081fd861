"""What a claim and a study are, and how much of a study each profile runs, stated once for all.

A study is a question with its conditions, its claims, and its scales.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

from fewlabels.studies.run import Start
from fewlabels.types import unknown


@dataclass(frozen=True)
class Scale:
    """How much of a study one profile runs on one kind of data.

    Attributes:
        starts: in order of preference: all runs use the first one whose weights can be had. It is
            part of every run, so a stand-in cannot be mistaken for the first choice.
        folds: which test groups.
        replicates: label draws with a training seed a fold; draw and seed are both 0, 1, ...
        fixed: factors that all runs share. `data` may hold `{data}`, which stands for the data set
            that is asked for; in the factors of a condition, for the data set of the scale.
    """

    starts: tuple[Start, ...]
    folds: tuple[int, ...]
    replicates: int
    fixed: Mapping[str, object] = field(default_factory=dict)


MEASURES = MappingProxyType(
    {
        "difference": "{plus} - {minus} {side} 0",
        "share": "{plus} / {minus} {side} {threshold:.3g}",
        "ratio": "{plus} / {minus} {side} {threshold:.3g}",
        "each": "each of {pairs} {side} 0",
        "interaction": "({plus}) - ({minus}) {side} 0",
        "equivalence": "|{plus} - {minus}| < {margin:g}",
        "largest": "{plus} - {minus} {side} each of {rivals}",
        "no_gain": "{plus} - {minus} < {margin:g}",
        "property": "share of the runs of {plus} {side} {threshold:.3g}",
    }
)


@dataclass(frozen=True)
class Claim:
    """One statement under test as a measurable contrast, declared before any run.

    Attributes:
        reported: what the earlier study reported, in its words and numbers.
        plus, minus: conditions whose means are compared, unit by unit.
        metric: column of `records.table`.
        sign: +1 where the claim says that plus is higher, -1 where it says lower.
        measure: what is compared:
            `difference`: of the two means;
            `share`, `ratio`: their quotient, with `threshold` (shown in %, or as times);
            `each`: every condition of plus with the one of minus at the same position;
            `interaction`: the first of plus minus its second, with the same of minus;
            `equivalence`: a difference, claimed to lie within the margin;
            `no_gain`: a difference, claimed to stay below the margin (sign -1);
            `largest`: the gain of plus over minus, with the gain of every rival;
            `property`: the share of the runs of plus whose `metric` is 1, with `threshold`.
        margin: the largest difference that counts as none: 1 mIoU point. It applies to
            differences of mIoU, to `equivalence` and to `no_gain`.
        rivals: for `largest`, the other gains: (condition with, condition without).

    Raises:
        UnknownName: no such measure.
        ValueError: an interaction without two conditions on either side, an `each` with sides of
            different length, a `largest` without rivals.
    """

    text: str
    reported: str = "not asked by the five"
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    metric: str = "miou"
    sign: int = 1
    measure: str = "difference"
    threshold: float = 0.0
    margin: float = 0.01
    rivals: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise unknown("measure", self.measure, MEASURES)
        if self.measure == "interaction" and not len(self.plus) == len(self.minus) == 2:
            raise ValueError(f"'{self.text}': an interaction needs two conditions on either side")
        if self.measure == "each" and len(self.plus) != len(self.minus):
            raise ValueError(f"'{self.text}': each condition of plus needs one of minus")
        if (self.measure == "largest") != bool(self.rivals):
            raise ValueError(f"'{self.text}': `largest` needs rivals, other measures have none")

    @property
    def conditions(self) -> tuple[str, ...]:
        """Every condition that the claim needs, once."""
        rivals = (condition for rival in self.rivals for condition in rival)
        return tuple(dict.fromkeys((*self.plus, *self.minus, *rivals)))

    @property
    def rule(self) -> str:
        """The declaration as one line: metric, contrast, direction, margin or threshold."""
        plus, minus = (self._side(conditions) for conditions in (self.plus, self.minus))
        rivals = "; ".join(f"[{w}] - [{without}]" for w, without in self.rivals)
        pairs = "; ".join(f"[{a}] - [{b}]" for a, b in zip(self.plus, self.minus, strict=False))
        contrast = MEASURES[self.measure].format(
            plus=plus, minus=minus, rivals=rivals, pairs=pairs, side="><"[self.sign < 0],
            threshold=self.threshold, margin=self.margin,
        )  # fmt: skip
        return f"{self.metric}: {contrast}"

    def _side(self, conditions: tuple[str, ...]) -> str:
        named = [f"[{condition}]" for condition in conditions]
        if self.measure == "interaction":
            return " - ".join(named)
        return f"mean({', '.join(named)})" if len(named) > 1 else "".join(named)


@dataclass(frozen=True)
class Study:
    """A question, the conditions that it compares, and how much of it each profile runs.

    Attributes:
        varies: factor -> its levels; the grid of conditions is all their combinations. A factor is
            a field of `Run` or a place in the name of the scale's model.
        bounds: conditions beside the grid, by name, such as the dense bound.
        claims: the statements under test, by id.
        scales: (profile, "synthetic" or "real") -> Scale.
        deviations: where our setting differs from that of the earlier study, apart from what the
            table of factors shows; empty where the question is ours.
        later: conditions that were added when runs of the others had been published; a comparison
            of the others is complete without them.
        readings: conditions without runs of their own: name -> (condition whose runs are read,
            column of its history); the weights are those of the step where the column is highest,
            see `records.at_best_step`.
        tested_like: where conditions split the tiles differently, the condition whose test groups
            all are compared on, see `records.regroup_by_test_tiles`.
    """

    title: str
    question: str
    claims: Mapping[str, Claim]
    scales: Mapping[tuple[str, str], Scale]
    varies: Mapping[str, tuple] = field(default_factory=dict)
    bounds: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    deviations: str = ""
    later: tuple[str, ...] = ()
    readings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    tested_like: str = ""

    def conditions(self) -> dict[str, dict[str, object]]:
        """Name -> factors of every condition that is trained, the grid first, then the bounds."""
        grid = {}
        for levels in product(*self.varies.values()) if self.varies else ():
            factors = dict(zip(self.varies, levels, strict=True))
            grid[", ".join(_named(*factor) for factor in factors.items())] = factors
        return grid | {name: dict(factors) for name, factors in self.bounds.items()}

    def compared(self) -> list[str]:
        """The name of every condition, those that are trained first."""
        return [*self.conditions(), *self.readings]


SHORT = MappingProxyType(
    {
        "partial_cross_entropy": "PCE",
        "partial_focal": "focal",
        "partial_dice": "Dice",
        "partial_tversky": "Tversky",
        "partial_focal_tversky": "focal Tversky",
        "resnet18": "ResNet-18",
        "resnet50": "ResNet-50",
        "unet": "U-Net",
        "unetpp": "U-Net++",
    }
)


def budget(amount: float | int) -> str:
    """Write a label budget for readers: an int in pixels an image, a float in %."""
    return f"{amount:,} px" if isinstance(amount, int) else f"{100 * amount:g} %"


def _named(factor: str, level: object) -> str:
    return budget(level) if factor == "amount" else SHORT.get(str(level), str(level))


PROFILES = ("smoke", "quick", "full", "home", "published")
"""`home` has the learning rates, batches, crops and epochs of the five systems, as far as they
report them."""
SCRATCH = (Start("smp:Unet:resnet18:3", "none"),)  # learns from nothing in few steps
RESNET18 = (
    Start("smp:Unet:resnet18", "resnet18-imagenet-fp16"),
    Start("smp:Unet:resnet18", "imagenet"),
)
FOLDS = (0, 1, 2, 3, 4)
SCENES = {"grid": 256, "crop": 128, "lr": 5e-3, "watch": 6}
TINY = {"steps": 4, "batch": 2, "crop": 64, "watch": 2}
HALF = {"grid": 350, "crop": 128}  # half of 700: a crop shows the same ground at a quarter the cost
BASE = MappingProxyType(
    {
        ("smoke", "synthetic"): Scale((), (0,), 2, SCENES | TINY),
        ("smoke", "real"): Scale((), (0,), 2, {"grid": 128} | TINY),
        ("quick", "synthetic"): Scale((), (0,), 2, SCENES | {"steps": 20, "watch": 2}),
        ("quick", "real"): Scale((), (0,), 2, HALF),
        ("full", "synthetic"): Scale((), FOLDS, 3, SCENES | {"steps": 900, "watch": 10}),
        ("full", "real"): Scale((), FOLDS, 5),
        ("home", "real"): Scale((), FOLDS, 5),
        ("published", "real"): Scale((), FOLDS, 3, HALF),
    }
)
"""(profile, kind of data) -> what a study runs there unless it says otherwise."""

Key = str | tuple[str, str]


def scales(
    starts: Mapping[Key, tuple[Start, ...]],
    own: Mapping[Key, Mapping[str, object]],
    *,
    replicates: Mapping[Key, int] = MappingProxyType({}),
    folds: tuple[int, ...] | None = None,
) -> dict[tuple[str, str], Scale]:
    """Make the scales of a study from those of `BASE` and from what is its own.

    A key is a kind of data, a profile, or (profile, kind). The more specific one wins, in that
    order. A scale exists where it has a start; at `home`, also only where the study has factors.

    Args:
        starts: the networks to start from.
        own: fixed factors, added to those of `BASE`.
        replicates: replicates a fold, instead of those of `BASE`.
        folds: test groups at all profiles, instead of those of `BASE`.
    """
    found = {}
    for key, base in BASE.items():
        here = _of(starts, key)
        if not here or (key[0] == "home" and "home" not in own):
            continue
        fixed = dict(base.fixed)
        for factors in _of(own, key):
            fixed |= factors
        count = [base.replicates, *_of(replicates, key)][-1]
        found[key] = Scale(here[-1], folds or base.folds, count, fixed)
    return found


def _of(table: Mapping[Key, object], key: tuple[str, str]) -> Sequence:
    """What a table has for a profile and kind of data, the most specific last."""
    profile, kind = key
    return [table[k] for k in (kind, profile, key) if k in table]
