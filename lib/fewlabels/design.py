"""What a run, a claim and a study are: the words in which experiments are declared.

A run is a row of factors; a study is a question with its cells (the conditions compared) and its
scales (how much of it a profile can afford).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from string import Formatter
from types import MappingProxyType

from fewlabels.types import unknown


@dataclass(frozen=True)
class Run:
    """One training, completely: equal factors give the same run.

    Attributes:
        amount: label budget of a tile, see `sparsify.draw`.
        grid: longest side of a tile in pixels, on which labels are drawn and scores computed.
        crop, batch: side of a crop in pixels, crops a step.
        gamma, alpha: of `partial_focal`; ignored by the other losses.
        tversky_alpha, tversky_beta: weight of false positives and of false negatives in
            `partial_tversky` and `partial_focal_tversky`; ignored by the other losses.
        tversky_gamma: of `partial_focal_tversky`; ignored by the other losses.
        weight_bound: how many times another's weight a class may weigh, see
            `losses.class_weights`.
        expansion: how drawn labels are expanded for training, see `expand`; scores never are.
        reach: how far: the distance, radius, size or scale of that method (`expand.METHODS`).
        left_out: names of classes whose pixels count as unlabelled in the loss, see `losses`.
        draw: seed of the label draw. Runs that are compared share it.
        redrawn: draw new labels for every round of the tiles, as much public code does: training
            then sees many times the budget. Only to measure what that flatters.
        seed: of weights, crops and augmentation.
        watch: how many times on the way the test tiles are scored, evenly spaced, the last step
            included. The curve is shown, never used to choose.
        augmentation: see `augment.augmentation`.
        motion_share, rotation, shift, zoom, fill: of its `rotate` and `shift_scale_rotate`, see
            `augment.Motion`.
        cutmix: share of the crops that get a box of another crop, see `augment.cutmix`.
        rare_below: a class is rare if it has labels, but fewer than this fraction of those drawn
            for all training tiles, classes left out not counted; 0 calls none rare.
        rare_times: how often a tile with a label of a rare class comes in a round of the tiles;
            from the second on the crop is placed around such a label.
        rare_augmentation: of those tiles; `same` as the others.
        clip, warm_up, ema, patience, keep, plateau_patience, plateau_factor: see
            `optimise.Optimisation`.
        validation: what decides where something is chosen (`patience`, `keep`, `plateau`): `none`;
            or `sparse` or `dense` labels of the validation places, which then do not train. Both
            scores are recorded, at the watched steps; the test tiles never decide.
    """

    data: str = "synthetic"
    fold: int = 0
    grid: int = 700
    model: str = "smp:Unet:resnet18"
    weights: str = "none"
    sampler: str = "random"
    amount: float | int = 0.01
    draw: int = 0
    loss: str = "partial_cross_entropy"
    gamma: float = 2.0
    alpha: float | None = None
    class_weights: str = "none"
    augmentation: str = "d4"
    steps: int = 250
    batch: int = 8
    crop: int = 256
    optimiser: str = "adamw"
    schedule: str = "one_cycle"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    precision: str = "auto"
    seed: int = 0
    watch: int = 10
    tversky_alpha: float = 0.3
    tversky_beta: float = 0.7
    tversky_gamma: float = 4 / 3
    weight_bound: float = 10.0
    left_out: tuple[str, ...] = ()
    expansion: str = "none"
    reach: float = 5.0
    clip: float | None = None
    warm_up: int = 0
    ema: float = 0.0
    validation: str = "none"
    patience: int = 0
    keep: str = "last"
    plateau_patience: int = 5
    plateau_factor: float = 0.1
    motion_share: float = 0.5
    rotation: float = 45.0
    shift: float = 0.0625
    zoom: float = 0.1
    fill: str = "reflect"
    cutmix: float = 0.0
    rare_below: float = 0.0
    rare_times: int = 1
    rare_augmentation: str = "same"
    redrawn: bool = False


@dataclass(frozen=True)
class Start:
    """A model with the weights it starts from.

    Attributes:
        model: may have places, as in `smp:Unet:{encoder}`, that the factors of a cell fill.
        weights_of: the weights of what fills a place, instead of `weights`.
    """

    model: str
    weights: str
    weights_of: Mapping[str, str] = field(default_factory=dict)

    def filled(self, factors: Mapping[str, object]) -> dict[str, object]:
        """Factors of a run: those of a cell, with the model and weights that they lead to."""
        places = {key: factors[key] for _, key, _, _ in Formatter().parse(self.model) if key}
        weights = [self.weights_of[v] for v in places.values() if v in self.weights_of]
        named = {"model": self.model.format(**places), "weights": [*weights, self.weights][0]}
        return named | {k: v for k, v in factors.items() if k not in places}


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
            cell has the last ones; see `compared.readings`.
        departs: where our setting differs from theirs, besides what the table of factors shows.
        scales: (profile, "synthetic" or "real") -> Scale.
        tested_like: where cells split the tiles in different ways: the cell whose test groups all
            are compared on, see `compared.retested`.
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
