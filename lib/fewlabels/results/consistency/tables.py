"""Apply the rules to our own tables and records."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.resources import files

import numpy as np
import pandas as pd
import yaml

from fewlabels.results import records, reproductions
from fewlabels.results.consistency import rules
from fewlabels.results.consistency.rules import Finding, Outcome, findings
from fewlabels.results.records import Record, Unit
from fewlabels.results.statistics import Interval, interval
from fewlabels.studies import STUDIES
from fewlabels.studies.run import Run
from fewlabels.types import LintError

Case = tuple[str, str, Outcome]  # rule, where, outcome


def explained() -> dict[str, str]:
    """Read what explains findings in the published records: id (`*` for any text) -> sentence."""
    return yaml.safe_load((files("fewlabels.results.consistency") / "explained.yaml").read_text())


def ours(
    found: Mapping[str, Mapping[Unit, Record]], alike: pd.DataFrame = reproductions.NONE
) -> list[Finding]:
    """Find what does not add up in the runs of studies.

    Besides the columns of their tables, these are compared: stored scores with those of the
    confusion matrix, label shares with masks, versions of the code, and equal configurations.

    Args:
        alike: runs that another version of the code trained again, see `reproductions.read`.
    """
    cases = _all_cases(found, alike)
    return [finding for of, these in cases.items() for finding in findings(of, these)]


def checked(found: Mapping[str, Mapping[Unit, Record]]) -> Counter[str]:
    """Count how often `ours` applied each rule; 0 where there was nothing to compare."""
    cases = _all_cases(found, reproductions.NONE)
    return Counter(rule for these in cases.values() for rule, _, _ in these)


def settled(found: Sequence[Finding], explained: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Tabulate the findings: `of`, `rule`, `found`, `expected`, `where`, `explained`.

    Args:
        explained: as returned by `explained`.

    Raises:
        LintError: findings that nobody has explained; lists all of them.
    """
    known = (explained or {}).items()
    reasons = (next((why for id, why in known if fnmatchcase(f.id, id)), "") for f in found)
    rows = [{**vars(f), "explained": why} for f, why in zip(found, reasons, strict=True)]
    open_ones = [f.line() for f, row in zip(found, rows, strict=True) if not row["explained"]]
    if open_ones:
        title = f"{len(open_ones)} finding(s) without explanation:"
        raise LintError("\n".join([title, *open_ones]))
    columns = ["of", "rule", "found", "expected", "where", "explained"]
    return pd.DataFrame(rows, columns=columns)


def _all_cases(
    found: Mapping[str, Mapping[Unit, Record]], alike: pd.DataFrame
) -> dict[str, list[Case]]:
    of_studies = {
        study: [
            *_of_table(_table(study, runs)), *_stored(runs), *_label_shares(runs),
            *_versions(runs, alike),
        ]
        for study, runs in found.items()
    }  # fmt: skip
    return of_studies | {"all": list(_same_conditions(found))}


def _table(study: str, runs: Mapping[Unit, Record]) -> pd.DataFrame:
    asked = STUDIES[study].readings if study in STUDIES else {}
    return records.table({**runs, **records.at_best_step(runs, asked)})


def _of_table(table: pd.DataFrame) -> list[Case]:
    """Apply every rule that the columns of `records.table` allow: in each row `iou_<class>` with
    `miou` and `f1_<class>`, `truth_<class>` with `miou` and `accuracy`, `seen` with `pixels`; in
    each condition, over folds, `miou` with `val_dense_miou`.
    """
    cases = [case for row in table.to_dict("records") for case in _of_row(row)]
    if {"condition", "fold", "val_dense_miou"} <= set(table.columns):
        cases += _against_validation(table)
    return cases


def _of_row(row: Mapping[str, object]) -> Iterator[Case]:
    where = ", ".join(f"{k} {row[k]}".removeprefix("condition ") for k in records.UNIT if k in row)
    iou, f1, truth = (_by_class(row, column) for column in ("iou", "f1", "truth"))
    shares = [share for share in truth.values() if share > 0]
    if iou and "miou" in row:
        yield "macro-mean", where, rules.macro_mean(row["miou"], iou.values())
        k = len(shares) or len(iou)
        yield "constant-predictor", where, rules.constant_predictor(row["miou"], k, shares)
    for name in iou.keys() & f1.keys():
        yield "f1-iou", f"{where}, {name}", rules.f1_iou(f1[name], iou[name])
    if shares and "accuracy" in row:
        yield "majority", where, rules.majority(row["accuracy"], max(shares))
    if {"seen", "pixels"} <= row.keys():
        yield "labels-seen", where, rules.labels_seen(row["seen"], row["pixels"])


def _by_class(row: Mapping[str, object], column: str) -> dict[str, float]:
    """Class -> value of the columns `<column>_<class>`, without undefined ones."""
    named = {k.removeprefix(f"{column}_"): v for k, v in row.items() if k.startswith(f"{column}_")}
    return {name: value for name, value in named.items() if np.isfinite(value)}


def _against_validation(table: pd.DataFrame) -> Iterator[Case]:
    """Compare means over folds: sites differ, so that single folds exceed by chance."""
    for condition, rows in table.dropna(subset="val_dense_miou").groupby("condition", sort=False):
        if len(rows) < 2:
            continue
        gap = (rows["miou"] - rows["val_dense_miou"]).to_numpy(float)
        within = _half(interval(gap, rows["fold"].to_numpy()))
        test, validation = rows["miou"].mean(), rows["val_dense_miou"].mean()
        outcome = rules.above_validation(test, validation, within)
        where = f"{condition}, mean over {rows['fold'].nunique()} folds"
        yield "test-above-validation", where, outcome


def _stored(runs: Mapping[Unit, Record]) -> Iterator[Case]:
    """Compare the scores that were stored when the run ended with its confusion matrix."""
    for (condition, fold, replicate), record in runs.items():
        where = f"{condition}, fold {fold}, replicate {replicate}, as stored"
        if not (stored := record.facts.get("scores")):
            continue  # the first simulated annotators did not store them
        classes = [v for v in stored["iou"].values() if v is not None]
        yield "macro-mean", where, rules.macro_mean(stored["miou"], classes)
        same = rules.same_condition(stored["miou"], record.scores.miou, rules.ROUNDED)
        yield "as-stored", where, same


def _label_shares(runs: Mapping[Unit, Record]) -> Iterator[Case]:
    """Compare labels of uniform draws with the masks of the training tiles.

    Those are the test tiles of the other folds, so their masks are in the other folds' confusion
    matrices. Where they are not (folds missing, classes ignored) nothing is compared. A budget of
    pixels a tile gives every tile the same weight, a share of them gives every pixel the same.
    """
    tested = {fold: record for (_, fold, _), record in runs.items()}
    for (condition, fold, replicate), record in runs.items():
        others = [other for at, other in tested.items() if at != fold]
        sites = {site for other in others for site in other.facts["data"]["test_sites"]}
        elsewhere = sites != set(record.facts["data"]["train_sites"])
        drawn = (record.run.sampler, record.run.query) == ("random", "random")
        if not drawn or record.run.ignored or elsewhere:
            continue
        labels = record.facts["labels"]
        truth = np.concatenate([other.confusion.sum(axis=2) for other in others])
        if isinstance(record.run.amount, int):
            truth = truth / truth.sum(axis=1, keepdims=True)
        shares = truth.sum(axis=0) / truth.sum()
        for (name, count), share in zip(labels["per_class"].items(), shares, strict=True):
            outcome = rules.label_share(count / labels["pixels"], share, labels["pixels"])
            yield "label-share", f"{condition}, fold {fold}, replicate {replicate}, {name}", outcome


def _versions(runs: Mapping[Unit, Record], alike: pd.DataFrame) -> Iterator[Case]:
    groups = reproductions.apart(map(reproductions.code, runs.values()), alike)
    where = " and ".join(", ".join(sorted(group)) for group in groups)
    yield "one-code", f"versions {where}", rules.one_code(len(groups))


def _same_conditions(found: Mapping[str, Mapping[Unit, Record]]) -> Iterator[Case]:
    """Compare conditions, of any study, whose runs differ only in fold, draw and seed."""
    conditions: dict[Run, dict[str, list[Record]]] = {}
    for study, runs in found.items():
        for (condition, _, _), record in runs.items():
            named = conditions.setdefault(replace(record.run, fold=0, draw=0, seed=0), {})
            named.setdefault(f"{study}: {condition}", []).append(record)
    for (first, mine), *others in (list(same.items()) for same in conditions.values()):
        for other, theirs in others:
            if {r.key for r in mine} == {r.key for r in theirs}:
                continue  # studies share these runs: there is nothing to compare
            one, two = _scored(mine), _scored(theirs)
            same = rules.same_condition(one.mean, two.mean, _half(one) + _half(two))
            yield "same-condition", f"{first}; {other}", same


def _scored(runs: list[Record]) -> Interval:
    return interval(np.array([r.scores.miou for r in runs]), np.array([r.run.fold for r in runs]))


def _half(found: Interval) -> float:
    """Half of an interval's width; 1 mIoU point where there is none."""
    return (found.high - found.low) / 2 if np.isfinite(found.low) else rules.POINT
