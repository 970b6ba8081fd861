"""What the published report leaves in the repository besides itself: README's figure and tables.

README's numbers stand between markers and are written here, from the committed records.
"""

import base64
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
import pandas as pd

from fewlabels import paths, studies
from fewlabels.experiments import recommendations, sweep
from fewlabels.experiments.plan import Unit
from fewlabels.files import whole_file
from fewlabels.results import statistics
from fewlabels.results.records import Record
from fewlabels.types import NotebookError

RESULTS, FIGURE = "results", "figure"
"""The parts of README that are written here, each between `markers`."""
OPENING = (("15_label_budget", "fig-budget"), ("14_sampling_loss", "fig-e"))
"""README's figure: the first of these notebooks that the report holds, and the figure's label."""


@dataclass(frozen=True)
class Shown:
    """What the published report shows of some data: of each study its records, and what is made of
    them, once.
    """

    data: str
    found: Mapping[str, Mapping[Unit, Record]]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        return {name: sweep.table(name, these) for name, these in self.found.items()}

    @cached_property
    def claims(self) -> pd.DataFrame:
        return recommendations.claims(self.found)


def shown(data: str) -> Shown:
    """The studies of which whole comparisons are recorded.

    Raises:
        RecordError: a record is damaged.
    """
    there = sweep.available("published", data)
    return Shown(data, {name: sweep.recorded(name, "published", data) for name in there})


def publish(html: Path, pdf: Path, executed: Mapping[str, Path], what: Shown) -> tuple[Path, Path]:
    """Copy the built report to report/ and renew README's figure and tables.

    Args:
        executed: the notebooks by stem.

    Raises:
        NotebookError: the figure is not in its notebook.
    """
    report, readme = (paths.project_root() / name for name in ("report", "README.md"))
    notebook, label = next((stem, label) for stem, label in OPENING if stem in executed)
    picture, caption = _figure(executed[notebook], label)
    with whole_file(report / "figure.png") as scratch:
        scratch.write_bytes(picture)
    opens = f"![{caption}](report/figure.png)\n\n*{caption} [Read the report](report/index.html).*"
    _renew(readme, FIGURE, opens)
    _renew(readme, RESULTS, _results(what))
    for built, name in ((html, "index.html"), (pdf, "report.pdf")):
        with whole_file(report / name) as scratch:
            shutil.copyfile(built, scratch)
    return report / "index.html", report / "report.pdf"


def markers(part: str) -> tuple[str, str]:
    """What stands before and after a part of README that is written here."""
    return f"<!-- {part}: written by `make report PROFILE=published` -->", f"<!-- end of {part} -->"


def _figure(executed: Path, label: str) -> tuple[bytes, str]:
    """A figure of an executed notebook and its caption."""
    for cell in nbformat.read(executed, as_version=4).cells:
        if re.search(rf"^#\| label: {label}$", cell.source, re.M):
            caption = re.search(r'^#\| fig-cap: "(.*)"$', cell.source, re.M)
            for output in cell.outputs:
                if caption and "image/png" in output.get("data", {}):
                    return base64.b64decode(output["data"]["image/png"]), caption[1]
    raise NotebookError(f"'{executed.name}' holds no picture with a caption labelled '{label}'")


def _results(what: Shown) -> str:
    return "\n\n".join(
        [
            *recommendations.settings(what.found),
            "Scores are mIoU on dense masks of leak-free test folds (of C on what people "
            "labelled), n = units, one a pair of label draw and seed on a fold (of D4 masks, in a "
            "benchmark); intervals of 95 % are over folds, or over pairs where there is one fold. "
            "A verdict needs "
            f"{statistics.UNITS} units. {_missing(what)} The "
            "[report](report/index.html) has the mean of every condition.",
            *_enough(what.tables),
            "What to do with the labels you have:",
            _markdown(recommendations.table(what.tables)),
            "What became of the claims:",
            _markdown(what.claims.drop(columns="p (Holm)")),
        ]
    )


def _enough(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """How far few labels go, where that study is shown."""
    if "budget" not in tables:
        return []
    table = statistics.budget_table(tables["budget"], studies.budget.DENSE)
    asked = (
        "How much of the score of networks trained on every pixel, for as many steps, do few "
        "labels give?"
    )
    return [asked, _markdown(table)]


def _missing(what: Shown) -> str:
    """What was declared and is not shown yet."""
    short = {}
    for name in studies.comparing("published", what.data):
        start = studies.scale(name, "published", what.data).starts[0]
        declared = len(studies.runs(name, "published", what.data, start))
        short[name] = (declared - len(what.found.get(name, ())), declared)
    named = [
        f"{left} of the {every} runs of {name}" for name, (left, every) in short.items() if left
    ]
    if not named:
        return "Every declared run is in these tables."
    return f"Declared, but not in these tables: {'; '.join(named)}."


def _markdown(table: pd.DataFrame) -> str:
    rows = [
        list(table.columns),
        ["---"] * len(table.columns),
        *table.astype(str).to_numpy().tolist(),
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _renew(readme: Path, part: str, text: str) -> None:
    start, end = markers(part)
    before, _, rest = readme.read_text().partition(start)
    after = rest.partition(end)[2]
    with whole_file(readme) as scratch:
        scratch.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}")
