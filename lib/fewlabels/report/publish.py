"""Write what the published report leaves in the repository: the report, its tables, the README's
figure and findings.

All of it comes from the committed records. In the README only what stands between markers changes.
"""

import base64
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pandas as pd

from fewlabels import studies
from fewlabels.experiments import sweep
from fewlabels.experiments.plan import Unit
from fewlabels.files import whole_file
from fewlabels.report.cells import options
from fewlabels.report.chapter import five
from fewlabels.results import recommend, statistics
from fewlabels.results.records import Record
from fewlabels.types import NotebookError

FIGURE, FINDINGS = PARTS = ("figure", "findings")
"""The parts of the README that are written here, each between `markers`."""
OPENING = ("00_answer", "fig-answer")
"""The README's figure: its notebook and label."""


Shown = Mapping[str, Mapping[Unit, Record]]
"""The records of each study that the published report shows."""


def shown(data: str) -> Shown:
    """Read the studies of which whole comparisons are recorded.

    Raises:
        RecordError: a record is damaged.
    """
    there = sweep.available("published", data)
    return {name: sweep.recorded(name, "published", data) for name in there}


def publish(
    html: Path, pdf: Path, executed: Mapping[str, Path], data: str, what: Shown, report: Path,
    readme: Path,
) -> tuple[Path, Path]:  # fmt: skip
    """Copy the built report to the folder `report`, write results.md and figure.png there, and
    renew the README's parts.

    Args:
        executed: the notebooks by stem.

    Raises:
        NotebookError: the figure is not in its notebook, or a marker is not in the README.
    """
    notebook, label = OPENING
    picture, caption = figure_of(executed[notebook], label)
    opens = f"![{caption}](report/figure.png)\n\n*{caption} [Read the report](report/index.html).*"
    listed = "\n".join(f"- {said}" for said in five())
    text = renewed(readme.name, readme.read_text(), FIGURE, opens)
    text = renewed(readme.name, text, FINDINGS, listed)
    for file, content in (
        (report / "figure.png", picture),
        (report / "results.md", _results(data, what).encode()),
        (readme, text.encode()),
    ):
        with whole_file(file) as scratch:
            scratch.write_bytes(content)
    for built, name in ((html, "index.html"), (pdf, "report.pdf")):
        with whole_file(report / name) as scratch:
            shutil.copyfile(built, scratch)
    return report / "index.html", report / "report.pdf"


def markers(part: str) -> tuple[str, str]:
    """Return what stands before and after a part of the README that is written here."""
    return f"<!-- {part}: written by `make report PROFILE=published` -->", f"<!-- end of {part} -->"


def renewed(name: str, text: str, part: str, content: str) -> str:
    """Return the text of a file with new content between a part's markers.

    Args:
        name: of the file, for the error.

    Raises:
        NotebookError: a marker does not stand there exactly once, the start before the end.
    """
    start, end = markers(part)
    before, *found, after = re.split(f"({re.escape(start)}|{re.escape(end)})", text)
    if found[::2] != [start, end]:
        raise NotebookError(
            f"'{name}' must have the marker '{start}' once and, after it, '{end}' once; put them "
            "back (nothing was written)"
        )
    return f"{before}{start}\n\n{content}\n\n{end}{after}"


def figure_of(executed: Path, label: str) -> tuple[bytes, str]:
    """Return a figure of an executed notebook and its caption."""
    for cell in nbformat.read(executed, as_version=4).cells:
        chosen, _ = options(cell.source)
        if chosen.get("label") == label and "fig-cap" in chosen:
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output["data"]["image/png"]), chosen["fig-cap"]
    raise NotebookError(f"'{executed.name}' holds no picture with a caption labelled '{label}'")


def _results(data: str, what: Shown) -> str:
    parts = [
        "<!-- written by `make report PROFILE=published` -->\n\n# Results",
        *sweep.settings(what),
        "Scores are mIoU on dense masks of leak-free test folds (for study C, on the pixels that "
        "people labelled). n counts units: one replicate (a label draw with a training seed) on "
        "one fold. Intervals of 95 % are over folds, or over replicates where there is one fold. "
        f"A verdict needs {statistics.UNITS} units. {_missing(data, what)} The [report](index.html)"
        " has the mean of every condition.",
    ]
    if "budget" in what:
        table = sweep.table("budget", what["budget"])
        parts += [
            "## How much of the dense score do few labels give?",
            "The dense score is that of networks trained on every pixel for as many steps.",
            markdown(statistics.budget_table(table, studies.ours.DENSE)),
        ]
    parts += [
        "## What to do with the labels you have",
        "On your own scene, by study W: gains in mIoU over the forest of single pixels.",
        markdown(recommend.advice()),
        "## What became of the claims",
        markdown(sweep.claims(what).drop(columns=["p (Holm)", "detectable"])),
    ]
    return "\n\n".join(parts) + "\n"


def _missing(data: str, what: Shown) -> str:
    """Say what was declared and is not shown yet."""
    short = []
    for name in studies.comparing("published", data):
        start = studies.scale(name, "published", data).starts[0]
        declared = len(studies.runs(name, "published", data, start))
        if left := declared - len(what.get(name, ())):
            short.append(f"{left} of the {declared} runs of {name}")
    if not short:
        return "Every declared run is in these tables."
    return f"Declared, but not in these tables: {'; '.join(short)}."


def markdown(table: pd.DataFrame) -> str:
    """Return a table without its index as a pipe table."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
