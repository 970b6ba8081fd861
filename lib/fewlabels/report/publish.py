"""What the published report leaves in the repository besides itself: README's figure and table.

The README's numbers stand between two markers and are written here, from the committed records.
"""

import base64
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd

from fewlabels import paths, records, stats, studies, sweep
from fewlabels.files import whole_file
from fewlabels.types import NotebookError

MARKERS = (
    "<!-- results: written by `make report PROFILE=published` -->",
    "<!-- end of results -->",
)
FIGURE = ("14_sampling_loss", "fig-e")


def publish(html: Path, pdf: Path, executed: dict[str, Path], data: str) -> tuple[Path, Path]:
    """Copy the built report to report/ and renew README's figure and table.

    Raises:
        NotebookError: the figure is not in its notebook.
    """
    report = paths.project_root() / "report"
    notebook, label = FIGURE
    with whole_file(report / "figure.png") as scratch:
        scratch.write_bytes(_figure(executed[notebook], label))
    _renew(paths.project_root() / "README.md", _results(data))
    for built, name in ((html, "index.html"), (pdf, "report.pdf")):
        with whole_file(report / name) as scratch:
            shutil.copyfile(built, scratch)
    return report / "index.html", report / "report.pdf"


def _figure(executed: Path, label: str) -> bytes:
    for cell in nbformat.read(executed, as_version=4).cells:
        if re.search(rf"^#\| label: {label}$", cell.source, re.M):
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output["data"]["image/png"])
    raise NotebookError(f"'{executed.name}' holds no picture labelled '{label}'")


def _results(data: str) -> str:
    found = sweep.recorded("E", "published", data)
    table, study = records.table(found), studies.study("E")
    scores = {cell: table[table["cell"] == cell] for cell in study.cells()}
    summary = pd.DataFrame(
        {
            "labels, loss": list(scores),
            "mIoU in % [95 % interval]": [
                stats.interval(rows["miou"].to_numpy(), rows["fold"].to_numpy()).text()
                for rows in scores.values()
            ],
            "runs": [len(rows) for rows in scores.values()],
        }
    )
    some = next(iter(found.values()))
    folds, pairs = table["fold"].nunique(), table["pair"].nunique()
    what = (
        f"System E on {data}: {some.run.model}, weights `{some.run.weights}`, {some.run.steps} "
        "steps, 1 % of the pixels labelled (dense: all of them), scores on the dense masks of "
        f"{folds} leak-free test folds, {pairs} pair(s) of label draw and seed a fold, intervals "
        f"over folds. A verdict needs {stats.UNITS} units (folds x pairs)."
    )
    claims = stats.claims_table(table, study.claims).drop(columns=["p (Holm)"])
    return "\n\n".join([what, _markdown(summary), _markdown(claims)])


def _markdown(table: pd.DataFrame) -> str:
    rows = [
        list(table.columns),
        ["---"] * len(table.columns),
        *table.astype(str).to_numpy().tolist(),
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _renew(readme: Path, text: str) -> None:
    start, end = MARKERS
    before, _, rest = readme.read_text().partition(start)
    after = rest.partition(end)[2]
    with whole_file(readme) as scratch:
        scratch.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}")
