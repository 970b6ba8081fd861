"""What a claim and a study are: the words in which experiments are declared.

A study is a question with its cells (the conditions compared), its claims, and its scales (how much
of it a profile can afford).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

from fewlabels.studies.run import Start
from fewlabels.types import unknown


@dataclass(frozen=True)
class Scale:
    """How much of a study one profile runs on one kind of data.

    Attributes:
        starts: in order of preference: the first whose weights can be had is the one that all
            runs use; it stands in every row, so a stand-in is never taken for the first choice.
        folds: which test groups.
        pairs: how many (label draw, training seed) pairs a fold; draw and seed are both 0, 1, ...
        fixed: factors that all runs share. Where `data` is among them it may have the place
            `{data}`, for the data set that is asked for; among the factors of a cell, for theirs.
    """

    starts: tuple[Start, ...]
    folds: tuple[int, ...]
    pairs: int
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
    """One sentence of the earlier study as a measurable contrast, declared before any run.

    Attributes:
        theirs: what they reported, in their words and numbers.
        plus, minus: cells whose means are compared, unit by unit.
        metric: column of `records.table`.
        sign: +1 where the claim says plus is higher, -1 where it says lower.
        measure: `difference` of the two means; `share` or `ratio`: their quotient, held against
            `threshold` (a share is shown in %, a ratio as times); `each`: every cell of plus less
            the one of minus that stands in its place; `interaction`: the first of plus less its
            second, less the same of minus; `equivalence`: a difference that the claim says
            is none; `no_gain`: a difference that the claim says stays below the margin (sign -1);
            `largest`: the difference is a gain that exceeds the gain of every rival; `property`:
            the share of the runs of plus whose `metric` is 1 and not 0, held against `threshold`.
        margin: up to it a difference counts as none: 1 mIoU point. Asked of differences of mIoU,
            of `equivalence` and of `no_gain`.
        rivals: for `largest`, the other gains: (cell with, cell without).

    Raises:
        UnknownName: no such measure.
        ValueError: an interaction without two cells on either side, an `each` with sides of
            different length, a largest without rivals.
    """

    text: str
    theirs: str
    plus: tuple[str, ...]
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
            raise ValueError(f"'{self.text}': an interaction has two cells on either side")
        if self.measure == "each" and len(self.plus) != len(self.minus):
            raise ValueError(f"'{self.text}': each cell of plus is compared with one of minus")
        if (self.measure == "largest") != bool(self.rivals):
            raise ValueError(f"'{self.text}': rivals are what `largest`, and only it, is held to")

    @property
    def cells(self) -> tuple[str, ...]:
        """Every cell that the claim needs, once."""
        beside = (cell for rival in self.rivals for cell in rival)
        return tuple(dict.fromkeys((*self.plus, *self.minus, *beside)))

    @property
    def rule(self) -> str:
        """The declaration as one line: metric, contrast, direction, margin or threshold."""
        plus, minus = (self._side(cells) for cells in (self.plus, self.minus))
        rivals = "; ".join(f"[{w}] - [{without}]" for w, without in self.rivals)
        pairs = "; ".join(f"[{a}] - [{b}]" for a, b in zip(self.plus, self.minus, strict=False))
        said = MEASURES[self.measure].format(
            plus=plus, minus=minus, rivals=rivals, pairs=pairs, side="><"[self.sign < 0],
            threshold=self.threshold, margin=self.margin,
        )  # fmt: skip
        return f"{self.metric}: {said}"

    def _side(self, cells: tuple[str, ...]) -> str:
        named = [f"[{cell}]" for cell in cells]
        if self.measure == "interaction":
            return " - ".join(named)
        return f"mean({', '.join(named)})" if len(named) > 1 else "".join(named)


@dataclass(frozen=True)
class Timing:
    """One sentence of the earlier study about time: held against a benchmark, not against runs.

    It *holds* if `side` takes less than `limit` and less than `other`, *does not hold* if it takes
    more of either, and cannot be told where an interval holds the limit.

    Attributes:
        theirs: what they reported, in their words and numbers.
        bench, table: bench/results/`bench`.json and the title in it of a table of seconds, one row
            a thing that was timed, one column a side.
        limit: in seconds.
    """

    text: str
    theirs: str
    bench: str
    table: str
    side: str
    other: str
    limit: float

    @property
    def rule(self) -> str:
        """The declaration as one line."""
        return (
            f"seconds: [{self.side}] < {self.limit:g} and [{self.other}] / [{self.side}] > 1 "
            f"({self.table})"
        )


@dataclass(frozen=True)
class Study:
    """A question, the conditions it compares, and what each profile affords.

    Attributes:
        varies: factor -> its levels; the cells are all their combinations. A factor is one of `Run`
            or a place in the name of the scale's model.
        bounds: cells beside the grid, by name, such as the dense bound.
        claims: what the earlier study concluded, by its id.
        timings: the same of time, where no run can tell.
        later: cells that were added when runs of the others had been published: a comparison of
            those is whole without them.
        readings: conditions that need no run of their own, by name: the cell whose runs they read,
            and the column of its history by whose highest value they take the weights, where the
            cell has the last ones; see `regroup.readings`.
        departs: where our setting differs from theirs, besides what the table of factors shows.
        scales: (profile, "synthetic" or "real") -> Scale.
        tested_like: where cells split the tiles in different ways: the cell whose test groups all
            are compared on, see `regroup.retested`.
    """

    title: str
    question: str
    varies: Mapping[str, tuple]
    bounds: Mapping[str, Mapping[str, object]]
    claims: Mapping[str, Claim]
    departs: str
    scales: Mapping[tuple[str, str], Scale]
    tested_like: str = ""
    later: tuple[str, ...] = ()
    readings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    timings: Mapping[str, Timing] = field(default_factory=dict)

    def cells(self) -> dict[str, dict[str, object]]:
        """Name -> factors of every condition that is trained, the grid first, then the bounds."""
        grid = {}
        for levels in product(*self.varies.values()) if self.varies else ():
            factors = dict(zip(self.varies, levels, strict=True))
            grid[", ".join(_named(*factor) for factor in factors.items())] = factors
        return grid | {name: dict(factors) for name, factors in self.bounds.items()}

    def compared(self) -> list[str]:
        """The name of every condition, those that are trained first."""
        return [*self.cells(), *self.readings]


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
    """A label budget in words: an int is pixels an image, a float a share of them."""
    return f"{amount:,} px" if isinstance(amount, int) else f"{100 * amount:g} %"


def _named(factor: str, level: object) -> str:
    return budget(level) if factor == "amount" else SHORT.get(str(level), str(level))
