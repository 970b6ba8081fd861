"""What the published report leaves in the repository besides itself: README's figure and table.

The README's numbers stand between two markers and are written here, from the committed records.
"""

import base64
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pandas as pd

from fewlabels import paths, stats, studies, sweep, timed
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
    there = sweep.available("published", data)
    found = {name: sweep.recorded(name, "published", data) for name in there}
    tables = {name: sweep.table(name, these) for name, these in found.items()}
    scores = {
        name: stats.summary(table, {"mIoU in % [95 % interval]": ("miou", 100, 1)})
        for name, table in tables.items()
    }
    claims = {name: _claims(name, table) for name, table in tables.items()}
    every = [record.run for these in found.values() for record in these.values()]
    folds, kept = len({run.fold for run in every}), studies.shared_factors(every)
    missing = [name for name in studies.declared("published", data) if name not in there]
    for name, table in tables.items():
        later = (cell for cell in studies.study(name).later if cell not in set(table["cell"]))
        missing += [f"'{cell}' of {name}" for cell in later]
    what = (
        f"Real aerial images ({data}, longer side {kept['grid']} pixels), {kept['steps']} steps of "
        f"{kept['batch']} crops of {kept['crop']}; scores on the dense masks of {folds} leak-free "
        "test folds, n = runs, one a pair of label draw and seed on a fold; intervals over folds. "
        f"A verdict needs {stats.UNITS} units (folds x pairs)."
        + (f" Declared, but not yet run: {', '.join(missing)}." if missing else "")
    )
    conditions = _stacked(scores).reset_index(names="condition")
    return "\n\n".join(
        [
            what,
            _markdown(conditions[["study", "condition", *scores[next(iter(scores))]]]),
            _markdown(_stacked(claims).drop(columns=["study", "p (Holm)"])),
        ]
    )


def _claims(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """All claims of a study, those about runs and those about time."""
    study = studies.study(name)
    return timed.beside(stats.claims_table(table, study.claims), study.timings)


def _stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables of all studies below one another, with the study's letter."""
    return pd.concat([table.assign(study=name) for name, table in tables.items()])


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
