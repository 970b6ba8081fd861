"""Apply the rules to the numbers that the five systems reported.

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
    """Read every number as text: `system`, `condition`, `metric`, `value`, `final`, `where`."""
    with (files("fewlabels.results.consistency") / "printed.csv").open() as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def final() -> pd.DataFrame:
    """Select the final figure of each of their runs: `system`, `question`, `condition`, `metric`,
    `value`.
    """
    rows = printed().query("final == 'yes'")
    rows = rows.assign(question=rows["system"].map(QUESTIONS))
    return rows[["system", "question", "condition", "metric", "value"]].reset_index(drop=True)


def reported() -> list[Finding]:
    """Find what does not add up in the five systems' own numbers."""
    return [*_a(), *_b(), *_c(), *_d(), *_e()]


def _a() -> list[Finding]:
    shallow, deep = (
        [_of("A", f"{encoder}, {part} %", "best validation loss") for part in (20, 50)]
        for encoder in ("ResNet-18", "ResNet-50")
    )
    robust = rules.robustness(deep, shallow)
    better = rules.in_general([more < less for less, more in (shallow, deep)])
    return [
        *findings("A", "robustness", ("ResNet-50, spread of the loss over 20 and 50 %", robust)),
        *findings("A", "in-general", ("encoders with a lower loss at 50 % than at 20 %", better)),
    ]


def _b() -> list[Finding]:
    name, weight = "U-Net, 15 %", _of("B", "all", "smallest class weight")
    loss, accuracy = _of("B", name, "best validation loss"), _share("B", name, "final accuracy")
    at = f"{name}, best validation loss at {100 * accuracy:.2f} % accuracy"
    return findings(
        "B",
        "ce-bound",
        (f"{at}, unweighted", rules.ce_bound(loss, accuracy)),
        (f"{at}, smallest weight {weight}", rules.ce_bound(loss, accuracy, weight)),
    )


def _c() -> list[Finding]:
    classes = ("soil", "bedrock", "sand", "big rock")
    precision, recall, f1, iou = (
        [_share("C", name, metric) for name in classes]
        for metric in ("precision", "recall", "F1", "IoU")
    )
    mean = rules.macro_mean(_share("C", "all", "mean IoU"), iou)
    above = rules.precision_recall(precision, recall)
    each = ((name, rules.f1_iou(*of)) for name, *of in zip(classes, f1, iou, strict=True))
    return [
        *findings("C", "f1-iou", *each),
        *findings("C", "macro-mean", ("mean IoU of the four classes, local test set", mean)),
        *findings("C", "precision-recall", ("classes with recall above precision", above)),
    ]


def _d() -> list[Finding]:
    plain, linked = "2,100 a class, regularised", "500 a class, linked"
    cases = []
    for condition, other in ((plain, linked), (linked, plain)):
        test, validation = _of("D", other, "test IoU"), _of("D", other, "validation IoU")
        where = f"{condition}, test less validation IoU; {other}: {test - validation:+.2f}"
        mine = (_share("D", condition, f"{part} IoU") for part in ("test", "validation"))
        cases.append((where, rules.above_validation(*mine)))
    return findings("D", "test-above-validation", *cases)


def _e() -> list[Finding]:
    classes, scores = int(_of("E", "all", "classes")), ("best IoU", "final IoU")
    random, before = "random, first experiment", "stratified, first experiment"
    pce, focal = "stratified, PCE", "stratified, focal"
    of = {(condition, score): _share("E", condition, score)
          for condition in (random, before, pce, focal) for score in scores}  # fmt: skip
    best = {condition: of[condition, "best IoU"] for condition in (focal, pce, before)}
    gain = rules.collapsed_baseline(*best.values(), classes)
    over = f"focal against PCE, best IoU: over {100 * best[pce]:.1f} and over"
    land = _share("E", "land", "share of the masks")
    return [
        *findings("E", "same-condition", *(
            (f"{pce}, {score} in two experiments",
             rules.same_condition(of[before, score], of[pce, score]))
            for score in scores
        )),
        *findings("E", "constant-predictor", *(
            (f"{condition}, {score}: that of one class of share {100 * value * classes:.1f} %",
             rules.constant_predictor(value, classes))
            for (condition, score), value in of.items()
        )),
        *findings("E", "collapsed-baseline", (f"{over} {100 * best[before]:.1f}", gain)),
        *findings("E", "label-share", *map(_label_share, ("building", "road"))),
        *findings("E", "majority", *(
            (condition, rules.majority(_share("E", condition, "accuracy"), land))
            for condition in (random, before, focal)
        )),
    ]  # fmt: skip


def _label_share(name: str) -> tuple[str, rules.Outcome]:
    """Compare a class's share of the labels with that of the masks.

    This holds for either sampler: labels even over the classes would hold rare ones more often.
    """
    pixels = _of("E", "all", "training images") * _of("E", "all", "side in pixels") ** 2
    labels = int(pixels * _share("E", "all", "labelled per cent"))
    mine, masks = (_share("E", name, f"share of the {what}") for what in ("labels", "masks"))
    where = f"{name}, share of {labels:,} labels; masks {100 * masks:.1f} %"
    return where, rules.label_share(mine, masks, labels)


@cache
def _values() -> dict[tuple[str, str, str], float]:
    rows = printed()
    keys = zip(rows["system"], rows["condition"], rows["metric"], strict=True)
    return dict(zip(keys, rows["value"].astype(float), strict=True))


def _of(system: str, condition: str, metric: str) -> float:
    return _values()[system, condition, metric]


def _share(system: str, condition: str, metric: str) -> float:
    return _of(system, condition, metric) / 100
