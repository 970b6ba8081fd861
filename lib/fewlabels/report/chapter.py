"""Open a study in a notebook: its runs, its tables, and the checks that every study shares."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from fewlabels import studies
from fewlabels.data import registry
from fewlabels.experiments import sweep
from fewlabels.experiments.plan import Unit
from fewlabels.results import figures, frozen_arm, site_scores, statistics
from fewlabels.results.records import Record
from fewlabels.results.statistics import Interval
from fewlabels.studies import frozen_arm as frozen_arm_study
from fewlabels.studies.design import Claim, Study


@dataclass(frozen=True)
class Chapter:
    """A study as a notebook shows it; displayed, its question and what the images are.

    Attributes:
        runs: (condition, fold, replicate) -> record.
        table: one row a run, from `sweep.table`.
    """

    name: str
    profile: str
    data: str
    runs: Mapping[Unit, Record]
    table: pd.DataFrame

    @property
    def study(self) -> Study:
        return studies.study(self.name)

    @property
    def conditions(self) -> list[str]:
        """The conditions that have runs, in the order of the study."""
        there = set(self.table["condition"])
        return [condition for condition in self.study.compared() if condition in there]

    @property
    def first(self) -> Record:
        return next(iter(self.runs.values()))

    def of(self, condition: str) -> list[Record]:
        """The records of one condition."""
        return [record for (name, _, _), record in self.runs.items() if name == condition]

    def _repr_markdown_(self) -> str:
        said = [f"**{self.study.question}**", self.first.notice]
        if missing := [c for c in self.study.compared() if c not in self.conditions]:
            said.append(f"Declared and not yet run: {', '.join(missing)}.")
        return "\n\n".join(said)

    def factors(self, *kinds: str) -> Styler:
        """Table of what varied between the runs and what they share, all kinds or these."""
        start = studies.start_of(self.name, self.profile, self.data, self.first.run)
        groups = registry.groups(self.data)
        rows = studies.factors(self.name, self.profile, self.data, start, groups)
        return plain([row for row in rows if not kinds or row["kind"] in kinds])

    def scores(self, columns: Mapping[str, tuple[str, float, int]]) -> pd.DataFrame:
        """Table of means with 95 % intervals by condition; columns as in `statistics.summary`."""
        return statistics.summary(self.table, columns).loc[self.conditions]

    def curves(self) -> dict[str, list[pd.DataFrame]]:
        """The histories of each condition's runs, for `figures.curves`."""
        return {name: [record.history for record in self.of(name)] for name in self.conditions}

    def difference(self, condition: str, other: str) -> Interval:
        """Mean mIoU of one condition less another's, paired by unit, interval over folds."""
        wide = self.table.pivot(index=["fold", "replicate"], columns="condition", values="miou")
        units = (wide[condition] - wide[other]).dropna()
        return statistics.interval(
            units.to_numpy(), units.index.get_level_values("fold").to_numpy()
        )

    def balanced(self) -> bool:
        """Whether all conditions have the same number of runs, but those declared later."""
        counts = self.table["condition"].value_counts()
        return counts.drop(list(self.study.later), errors="ignore").nunique() == 1

    def within_budget(self) -> bool:
        """Whether no run was trained on more labelled pixels than were drawn for it."""
        labels = [record.facts["labels"] for record in self.runs.values()]
        return all(each["seen"] <= each["pixels"] for each in labels)

    def same_labels(self, condition: str, other: str) -> bool:
        """Whether in every unit of both conditions the labels are the same to the pixel."""
        drawn = {unit: record.facts["labels"]["sha256"] for unit, record in self.runs.items()}
        units = [unit[1:] for unit in drawn if unit[0] == condition and (other, *unit[1:]) in drawn]
        return all(drawn[condition, *unit] == drawn[other, *unit] for unit in units)

    def splits_apart(self) -> bool:
        """Whether training, validation and test of every run have no site in common."""
        for record in self.runs.values():
            sites = [
                set(record.facts["data"][f"{split}_sites"])
                for split in ("train", "validation", "test")
            ]
            if sum(map(len, sites)) != len(set.union(*sites)):
                return False
        return True


def open_study(name: str, profile: str, data: str, device: str = "auto") -> Chapter:
    """Open a study; missing runs are trained, a log line each, unless the profile is `published`.

    Sets the look of figures, and shows the log lines, in this process.
    """
    figures.style()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = sweep.results(name, profile, data, device=device)
    return Chapter(name, profile, data, found, sweep.table(name, found))


def open_studies(
    names: Iterable[str], profile: str, data: str, device: str = "auto"
) -> dict[str, Chapter]:
    """Open those of these studies that the profile has for this data."""
    there = sweep.available(profile, data)
    return {name: open_study(name, profile, data, device) for name in names if name in there}


def five() -> list[str]:
    """Write the five findings that come first, of all that is published."""
    networks = sweep.table("budget", sweep.recorded("budget", "published", "dubai"))
    own_scene, *more = site_scores.findings()
    return [own_scene, *frozen_arm.findings(networks), *more]


def claims_table(*chapters: Chapter) -> Styler:
    """Table of their claims: the claim, what the study reported, what our networks show, and the
    verdicts on them and on those that were asked across sites. A column that says nothing is left
    out.
    """
    told = pd.concat([statistics.claims_table(each.table, each.study.claims) for each in chapters])
    told = told[["claim", "reported", "ours", "verdict"]].rename(columns={"reported": "theirs"})
    empty = {"theirs": Claim.reported}
    for arm, judged in _asked(chapters).items():
        verdicts = dict(judged[["claim", "verdict"]].to_numpy())
        told[arm] = [verdicts.get(claim.split(":")[0], "-") for claim in told["claim"]]
        empty[arm] = "-"
    told["claim"] = told["claim"].str.partition(" (Closest")[0]  # stands in the appendix
    return plain(told.drop(columns=[name for name, no in empty.items() if set(told[name]) == {no}]))


def forest(*chapters: Chapter) -> Figure:
    """Draw the effects of their claims on a difference, turned so that the claimed side is right of
    0: those of networks and, over all their data sets, of those that were asked across sites.
    """
    arms, effects = _asked(chapters), {}
    for each in chapters:
        judged = statistics.verdicts(each.table, each.study.claims).set_index("claim")["effect"]
        for name, claim in each.study.claims.items():
            if statistics.in_points(claim):
                effects[name] = {"networks": judged[name].turned(claim.sign)}
                for arm, told in arms.items():
                    for effect in told.loc[told["claim"] == name, "effect"]:
                        effects[name][arm] = effect["all"].turned(claim.sign)
    alone = all(each.table["fold"].nunique() == 1 for each in chapters)
    return figures.forest(effects, over="replicates" if alone else "sites")


def _asked(chapters: Iterable[Chapter]) -> dict[str, pd.DataFrame]:
    """What each of `frozen_arm.ARMS` says of their claims, see `frozen_arm.claims`."""
    known, rows = frozen_arm_study.claims(), frozen_arm.scored()
    asked = {n: known[n] for each in chapters for n in each.study.claims if n in known}
    return {arm: frozen_arm.claims(rows, asked, learner=who)
            for arm, who in frozen_arm.ARMS.items()}  # fmt: skip


def plain(rows: object) -> Styler:
    """Table of rows without an index, as the report prints it."""
    return pd.DataFrame(rows).style.format(escape="html").hide(axis="index")
