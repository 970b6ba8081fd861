"""Rules that numbers about segmentation cannot break, one function a rule, held against the numbers
that the five systems reported.

Scores, shares and accuracies are fractions in [0, 1]. A rule returns what was found and what was
expected, as text, or None where nothing is wrong.

`printed.csv` has each number of the systems with the part of their report that prints it (`where`);
losses are in nats, counts and weights are plain, all else is in %. `reported.yaml` says which of
them each rule is held against.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import log, sqrt
from types import MappingProxyType

import numpy as np
import pandas as pd
import yaml

Outcome = tuple[str, str] | None

POINT = 0.01  # 1 mIoU point
ROUNDED = 2e-4  # what rounding to 0.01 % can add up to
ERRORS = 5  # standard errors that sampling is granted

RULES = MappingProxyType(
    {
        "f1-iou": "IoU = F1 / (2 - F1) for every class",
        "macro-mean": "the mean over classes is the mean of the classes shown",
        "precision-recall": "not every class has recall above precision, where no other is scored",
        "constant-predictor": "the score is not what predicting a single class gets, its share / "
        "number of classes",
        "majority": "accuracy is above the share of the largest class",
        "ce-bound": "mean cross-entropy is at least (1 - accuracy) ln 2, times the smallest weight",
        "test-above-validation": "test does not exceed validation by more than chance",
        "label-share": "labels hold each class as often as the masks do, up to sampling",
        "labels-seen": "training sees no more labels than were declared",
        "as-stored": "scores written when a run ended follow from its confusion matrix",
        "same-condition": "two conditions of the same configuration agree",
        "one-code": "runs that are compared are of one version of the code, or of versions that "
        "gave a run the same counts",
        "collapsed-baseline": "a gain is not over a run that has collapsed",
        "robustness": "what is called more robust changes less",
        "in-general": "what is said in general is so in more than half of the cases",
    }
)


@dataclass(frozen=True)
class Finding:
    """One number that breaks a rule.

    Attributes:
        of: a system, a study, or the key of a record.
        rule: a key of `RULES`.
        found, expected: numbers with their sign of comparison, without blanks.
        where: the condition, and what the numbers are.
    """

    of: str
    rule: str
    found: str
    expected: str
    where: str

    @property
    def id(self) -> str:
        """`of/rule/where`, by which an explanation names the finding."""
        return f"{self.of}/{self.rule}/{self.where}"

    def line(self) -> str:
        """Write it as one line."""
        return f"{self.of} {self.rule} {self.found} {self.expected}  {self.where}"


def findings(of: str, cases: Iterable[tuple[str, str, Outcome]]) -> list[Finding]:
    """Turn those cases (rule, where, outcome) into findings in which something is wrong."""
    return [Finding(of, rule, *wrong, where) for rule, where, wrong in cases if wrong is not None]


def f1_iou(f1: float, iou: float, tolerance: float = ROUNDED) -> Outcome:
    """Check IoU against F1: both follow from the same counts, IoU = F1 / (2 - F1)."""
    return _unequal(iou, f1 / (2 - f1), tolerance)


def macro_mean(mean: float, classes: Iterable[float], tolerance: float = ROUNDED) -> Outcome:
    """Check a macro mean against its classes; NaN ones are absent and do not count."""
    return _unequal(mean, float(np.nanmean(list(classes))), tolerance)


def precision_recall(precision: Sequence[float], recall: Sequence[float]) -> Outcome:
    """Check that recall does not exceed precision in every class.

    It cannot where only pixels of these classes are scored: each false positive of one class is
    then a false negative of another.
    """
    above = sum(r > p for p, r in zip(precision, recall, strict=True))
    wrong = above == len(recall)
    return (f"{above}/{len(recall)}", f"<{len(recall)}/{len(recall)}") if wrong else None


def constant_predictor(miou: float, classes: int, shares: Sequence[float] = ()) -> Outcome:
    """Check that a score is not that of predicting a single class.

    A class of share f then has IoU f and the others 0, so mIoU is f / k. Where the shares are
    known, the score must be over 1 point away from each of these; else above 1 / k.
    """
    at = [f / classes for f in shares if f > 0]
    if at:
        near = min(at, key=lambda score: abs(score - miou))
        close = abs(miou - near) <= POINT + 1e-12
        return (_percent(miou), f"!={_percent(near)}") if close else None
    return (_percent(miou), f">{_percent(1 / classes)}") if miou <= 1 / classes else None


def majority(accuracy: float, largest: float) -> Outcome:
    """Check that accuracy exceeds what predicting the largest class everywhere would reach."""
    return (_percent(accuracy), f">{_percent(largest)}") if accuracy <= largest else None


def ce_bound(loss: float, accuracy: float, smallest_weight: float = 1.0) -> Outcome:
    """Check a loss: a wrong pixel's class has probability at most 1/2, so it costs >= ln 2."""
    bound = smallest_weight * (1 - accuracy) * log(2)
    return (f"{loss:.3f}", f">={bound:.3f}") if loss < bound else None


def above_validation(test: float, validation: float, within: float = POINT) -> Outcome:
    """Check that test does not exceed validation by more than `within`, half of an interval."""
    gap = test - validation
    return (f"{100 * gap:+.2f}", f"<={100 * within:.2f}") if gap > within else None


def label_share(labelled: float, share: float, labels: float | Sequence[float]) -> Outcome:
    """Check a class's share among `labels` pixels (a number, or its factors) drawn uniformly from
    masks that hold `share`.
    """
    chance = ERRORS * sqrt(share * (1 - share) / np.prod(labels))
    low, high = max(share - chance, 0), share + chance
    if low <= labelled <= high:
        return None
    return _percent(labelled), f"{_percent(low)}..{_percent(high)}"


def labels_seen(seen: int, declared: int) -> Outcome:
    """Check the number of distinct labelled pixels that training touched."""
    return (str(seen), f"<={declared}") if seen > declared else None


def same_condition(score: float, other: float, within: float = POINT) -> Outcome:
    """Check that the same configuration scores the same twice, up to `within`."""
    return _unequal(score, other, within)


def one_code(versions: int) -> Outcome:
    """Check that one version of the code, or several that agree, made what is compared."""
    return (f"{versions}", "=1") if versions > 1 else None


def collapsed_baseline(score: float, baseline: float, healthy: float, classes: int) -> Outcome:
    """Check that a relative gain is not over a baseline that a single class explains.

    Expected is the gain over `healthy`, what the baseline scored in another experiment.
    """
    if constant_predictor(baseline, classes) is None:
        return None
    return tuple(f"{100 * (score / other - 1):+.0f}%" for other in (baseline, healthy))


def robustness(own: Sequence[float], other: Sequence[float]) -> Outcome:
    """Check that scores called robust change less than the others over the same levels."""
    mine, rival = (max(scores) - min(scores) for scores in (own, other))
    return (f"{mine:.3f}", f"<{rival:.3f}") if mine >= rival - 1e-9 else None


def in_general(higher: Sequence[float], lower: Sequence[float]) -> Outcome:
    """Check that in more than half of the pairs the first number is higher, as is said of all."""
    so = [one > other for one, other in zip(higher, lower, strict=True)]
    few = 2 * sum(so) <= len(so)
    return (f"{sum(so)}/{len(so)}", f">{len(so) // 2}/{len(so)}") if few else None


def _unequal(found: float, expected: float, tolerance: float) -> Outcome:
    close = abs(found - expected) <= tolerance + 1e-12
    return None if close else (_percent(found), _percent(expected))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


PLAIN = ("best validation loss", "smallest class weight", "classes", "training images",
         "side in pixels")  # fmt: skip
"""The metrics of `printed.csv` that are not in %."""


def printed() -> pd.DataFrame:
    """Read every number as text: `system`, `condition`, `metric`, `value`, `final` (whether it is
    the final figure of one of their runs), `where`.
    """
    with (files("fewlabels.results.consistency") / "printed.csv").open() as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def reported() -> list[Finding]:
    """Find what contradicts itself in the five systems' own numbers."""
    values = {}
    for row in printed().itertuples():
        number = float(row.value) / (1 if row.metric in PLAIN else 100)
        key = row.system, f"{row.condition} | {row.metric}"
        values[key] = int(number) if row.metric == "classes" else number
    found = []
    text = (files("fewlabels.results.consistency") / "reported.yaml").read_text()
    for case in yaml.safe_load(text):
        of, rule, where = (case.pop(name) for name in ("of", "rule", "where"))
        numbers = {
            name: [values[of, key] for key in keys] if isinstance(keys, list) else values[of, keys]
            for name, keys in case.items()
        }
        check = globals()[rule.removeprefix("test-").replace("-", "_")]  # named after the rule
        found += findings(of, [(rule, where.format(**numbers), check(**numbers))])
    return found
