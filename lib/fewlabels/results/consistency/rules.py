"""What numbers about segmentation cannot be, whoever computed them: one function a rule.

Scores, shares and accuracies are fractions in [0, 1]. A rule returns what was found and what was
expected, as text, or None where nothing is wrong.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log, sqrt
from types import MappingProxyType

import numpy as np

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
        "same-cell": "two cells of the same configuration agree",
        "one-code": "runs that are compared are of one version of the code, or of versions that "
        "gave a run the same counts",
        "collapsed-baseline": "a gain is not over a run that has collapsed",
        "robustness": "what is called more robust changes less",
        "in-general": "what is said in general is so in more than half of the cases",
    }
)


@dataclass(frozen=True)
class Finding:
    """One number that does not add up.

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
        """What an explanation names: `of/rule/where`."""
        return f"{self.of}/{self.rule}/{self.where}"

    def line(self) -> str:
        """One line: of, rule, found, expected, and where."""
        return f"{self.of} {self.rule} {self.found} {self.expected}  {self.where}"


def findings(of: str, rule: str, *cases: tuple[str, Outcome]) -> list[Finding]:
    """The cases (where, outcome of the rule) in which something is wrong."""
    return [Finding(of, rule, *wrong, where) for where, wrong in cases if wrong is not None]


def f1_iou(f1: float, iou: float, tolerance: float = ROUNDED) -> Outcome:
    """Both follow from the same counts: F1 = 2 h / (t + p), IoU = h / (t + p - h)."""
    return _unequal(iou, f1 / (2 - f1), tolerance)


def macro_mean(mean: float, classes: Iterable[float], tolerance: float = ROUNDED) -> Outcome:
    """A macro mean against its classes; NaN ones are absent and do not count."""
    return _unequal(mean, float(np.nanmean(list(classes))), tolerance)


def precision_recall(precision: Sequence[float], recall: Sequence[float]) -> Outcome:
    """Where only pixels of the classes shown are scored, each false positive of one class is a
    false negative of another, so recall cannot exceed precision in every class.
    """
    above = sum(r > p for p, r in zip(precision, recall, strict=True))
    wrong = above == len(recall)
    return (f"{above}/{len(recall)}", f"<{len(recall)}/{len(recall)}") if wrong else None


def constant_predictor(miou: float, classes: int, shares: Sequence[float] = ()) -> Outcome:
    """A network that predicts one class of share f has IoU f there and 0 elsewhere: mIoU f / k.

    With the shares known, within 1 point of one of them; else at or below 1 / k, the most that any
    single class can get.
    """
    at = [f / classes for f in shares if f > 0]
    if at:
        near = min(at, key=lambda score: abs(score - miou))
        return (
            (_percent(miou), f"!={_percent(near)}") if abs(miou - near) <= POINT + 1e-12 else None
        )
    return (_percent(miou), f">{_percent(1 / classes)}") if miou <= 1 / classes else None


def majority(accuracy: float, largest: float) -> Outcome:
    """Predicting the largest class everywhere is right as often as its share."""
    return (_percent(accuracy), f">{_percent(largest)}") if accuracy <= largest else None


def ce_bound(loss: float, accuracy: float, smallest_weight: float = 1.0) -> Outcome:
    """A wrong pixel has probability at most 1/2 for its class, so costs at least ln 2 nats."""
    bound = smallest_weight * (1 - accuracy) * log(2)
    return (f"{loss:.3f}", f">={bound:.3f}") if loss < bound else None


def above_validation(test: float, validation: float, within: float = POINT) -> Outcome:
    """Of unseen places neither is easier; `within` is the interval, or a point for single runs."""
    gap = test - validation
    return (f"{100 * gap:+.2f}", f"<={100 * within:.2f}") if gap > within else None


def label_share(labelled: float, share: float, labels: int) -> Outcome:
    """Share of a class among `labels` pixels drawn uniformly, where masks hold `share` of it."""
    chance = ERRORS * sqrt(share * (1 - share) / labels)
    low, high = max(share - chance, 0), share + chance
    if low <= labelled <= high:
        return None
    return _percent(labelled), f"{_percent(low)}..{_percent(high)}"


def labels_seen(seen: int, declared: int) -> Outcome:
    """Distinct labelled pixels that training touched."""
    return (str(seen), f"<={declared}") if seen > declared else None


def same_cell(score: float, other: float, within: float = POINT) -> Outcome:
    """The same configuration twice; `within` is the interval, or a point for single runs."""
    return _unequal(score, other, within)


def one_code(versions: int) -> Outcome:
    """Versions of the code behind one comparison, those that are known to agree counted as one."""
    return (f"{versions}", "=1") if versions > 1 else None


def collapsed_baseline(score: float, baseline: float, healthy: float, classes: int) -> Outcome:
    """A relative gain over a baseline that one class explains, though it scored `healthy` before.

    Expected is the gain over the healthy run.
    """
    if constant_predictor(baseline, classes) is None:
        return None
    return tuple(f"{100 * (score / other - 1):+.0f}%" for other in (baseline, healthy))


def robustness(own: Sequence[float], other: Sequence[float]) -> Outcome:
    """Scores of what is called robust and of what it is compared with, over the same levels."""
    mine, theirs = (max(scores) - min(scores) for scores in (own, other))
    return (f"{mine:.3f}", f"<{theirs:.3f}") if mine >= theirs - 1e-9 else None


def in_general(so: Sequence[bool]) -> Outcome:
    """The cases in which a general statement is so."""
    few = 2 * sum(so) <= len(so)
    return (f"{sum(so)}/{len(so)}", f">{len(so) // 2}/{len(so)}") if few else None


def _unequal(found: float, expected: float, tolerance: float) -> Outcome:
    close = abs(found - expected) <= tolerance + 1e-12
    return None if close else (_percent(found), _percent(expected))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
