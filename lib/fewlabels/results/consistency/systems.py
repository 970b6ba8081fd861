"""The five systems' own printed numbers, held against the rules.

`printed.csv` has each number with the part of their report that prints it (`where`); losses are in
nats, shares and scores in %. Found and expected are computed from it here.
"""

from functools import cache
from importlib.resources import files

import pandas as pd

from fewlabels.results.consistency import rules
from fewlabels.results.consistency.rules import Finding, findings

QUESTIONS = {
    "A": "Backbone and label fraction",
    "B": "U-Net against U-Net++",
    "C": "U-Net parts on Mars terrain",
    "D": "Pixels a class and linking",
    "E": "Sampling and loss",
}


def printed() -> pd.DataFrame:
    """Every number as text: `system`, `condition`, `metric`, `value`, `final`, `where`."""
    with (files("fewlabels.results.consistency") / "printed.csv").open() as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def final() -> pd.DataFrame:
    """The final figure of each of their runs: `system`, `question`, `condition`, `metric`,
    `value`.
    """
    rows = printed().query("final == 'yes'")
    rows = rows.assign(question=rows["system"].map(QUESTIONS))
    return rows[["system", "question", "condition", "metric", "value"]].reset_index(drop=True)


def theirs() -> list[Finding]:
    """What does not add up in the five systems' own numbers."""
    return [*_a(), *_b(), *_c(), *_d(), *_e()]


def _a() -> list[Finding]:
    loss = {
        encoder: [_of("A", f"{encoder}, {part} %", "best validation loss") for part in (20, 50)]
        for encoder in ("ResNet-18", "ResNet-50")
    }
    robust = rules.robustness(loss["ResNet-50"], loss["ResNet-18"])
    better = rules.in_general([more < less for less, more in loss.values()])
    return [
        *findings("A", "robustness", ("ResNet-50, spread of the loss over 20 and 50 %", robust)),
        *findings("A", "in-general", ("encoders with a lower loss at 50 % than at 20 %", better)),
    ]


def _b() -> list[Finding]:
    cell, weight = "U-Net, 15 %", _of("B", "all", "smallest class weight")
    loss, accuracy = _of("B", cell, "best validation loss"), _share("B", cell, "final accuracy")
    at = f"{cell}, best validation loss at {100 * accuracy:.2f} % accuracy"
    return findings(
        "B",
        "ce-bound",
        (f"{at}, unweighted", rules.ce_bound(loss, accuracy)),
        (f"{at}, smallest weight {weight}", rules.ce_bound(loss, accuracy, weight)),
    )


def _c() -> list[Finding]:
    classes = ("soil", "bedrock", "sand", "big rock")
    scores = {
        metric: [_share("C", name, metric) for name in classes]
        for metric in ("precision", "recall", "F1", "IoU")
    }
    mean = rules.macro_mean(_share("C", "all", "mean IoU"), scores["IoU"])
    pairs = zip(classes, scores["F1"], scores["IoU"], strict=True)
    above = rules.precision_recall(scores["precision"], scores["recall"])
    return [
        *findings("C", "f1-iou", *((name, rules.f1_iou(f1, iou)) for name, f1, iou in pairs)),
        *findings("C", "macro-mean", ("mean IoU of the four classes, local test set", mean)),
        *findings("C", "precision-recall", ("classes with recall above precision", above)),
    ]


def _d() -> list[Finding]:
    plain, linked = "2,100 a class, regularised", "500 a class, linked"
    scores = {
        cell: [_share("D", cell, f"{part} IoU") for part in ("test", "validation")]
        for cell in (plain, linked)
    }
    gaps = {cell: 100 * (test - validation) for cell, (test, validation) in scores.items()}
    cases = [
        (f"{cell}, test less validation IoU; {other}: {gaps[other]:+.2f}",
         rules.above_validation(*scores[cell]))
        for cell, other in ((plain, linked), (linked, plain))
    ]  # fmt: skip
    return findings("D", "test-above-validation", *cases)


def _e() -> list[Finding]:
    classes, collapsed, before = int(_of("E", "all", "classes")), [], []
    cells = ("random, first experiment", "stratified, first experiment")
    for cell in (*cells, "stratified, PCE", "stratified, focal"):
        for score in ("best IoU", "final IoU"):
            value = _share("E", cell, score)
            where = f"{cell}, {score}: that of one class of share {100 * value * classes:.1f} %"
            collapsed.append((where, rules.constant_predictor(value, classes)))
    for score in ("best IoU", "final IoU"):
        twins = [_share("E", cell, score) for cell in (cells[1], "stratified, PCE")]
        before.append((f"stratified, PCE, {score} in two experiments", rules.same_cell(*twins)))
    focal, pce, healthy = (
        _share("E", cell, "best IoU") for cell in ("stratified, focal", "stratified, PCE", cells[1])
    )
    gain = rules.collapsed_baseline(focal, pce, healthy, classes)
    over = f"focal against PCE, best IoU: over {100 * pce:.1f} and over {100 * healthy:.1f}"
    return [
        *findings("E", "same-cell", *before),
        *findings("E", "constant-predictor", *collapsed),
        *findings("E", "collapsed-baseline", (over, gain)),
        *findings("E", "label-share", *_label_shares()),
        *findings("E", "majority", *_majorities((*cells, "stratified, focal"))),
    ]


def _label_shares() -> list[tuple[str, rules.Outcome]]:
    """Whatever the sampler: evenly over the classes, rare ones would be more frequent, not less."""
    pixels = _of("E", "all", "training images") * _of("E", "all", "side in pixels") ** 2
    labels = int(pixels * _share("E", "all", "labelled per cent"))
    shares = {
        name: [_share("E", name, f"share of the {what}") for what in ("labels", "masks")]
        for name in ("building", "road")
    }
    return [
        (f"{name}, share of {labels:,} labels; masks {100 * masks:.1f} %",
         rules.label_share(mine, masks, labels))
        for name, (mine, masks) in shares.items()
    ]  # fmt: skip


def _majorities(cells: tuple[str, ...]) -> list[tuple[str, rules.Outcome]]:
    largest = _share("E", "land", "share of the masks")
    return [(c, rules.majority(_share("E", c, "accuracy"), largest)) for c in cells]


@cache
def _values() -> dict[tuple[str, str, str], float]:
    rows = printed()
    keys = zip(rows["system"], rows["condition"], rows["metric"], strict=True)
    return dict(zip(keys, rows["value"].astype(float), strict=True))


def _of(system: str, condition: str, metric: str) -> float:
    return _values()[system, condition, metric]


def _share(system: str, condition: str, metric: str) -> float:
    return _of(system, condition, metric) / 100
