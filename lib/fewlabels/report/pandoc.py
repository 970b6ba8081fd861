"""How pandoc is run: every warning is an error, and what it says comes back as one sentence."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pypandoc

from fewlabels.types import FewLabelsError

# Jupyter's Markdown where it differs from pandoc's own: no blank line before a list or a heading.
MARKDOWN = (
    "markdown+lists_without_preceding_blankline+autolink_bare_uris"
    "-blank_before_header-blank_before_blockquote"
)
FILTERS = ("strict.lua", "captioned.lua", "xref.lua", "fold.lua")


class ReportError(FewLabelsError):
    """A report that does not hold together: a reference, a citation or a file is missing."""


def pandoc(folder: Path, theme: Path, arguments: Sequence[str]) -> None:
    """Run pandoc in `folder` over report.md and metadata.json, through the theme's filters.

    Raises:
        ReportError: what pandoc or a filter refused.
    """
    filters = [f"--lua-filter={theme / name}" for name in FILTERS]
    command = [
        pypandoc.get_pandoc_path(),
        "report.md",
        f"--from={MARKDOWN}",
        "--metadata-file=metadata.json",
        "--standalone",
        "--wrap=none",
        "--columns=10000",  # else the length of a table's lines would set its column widths
        "--number-sections",
        "--toc",
        "--toc-depth=2",
        "--fail-if-warnings",
        *filters,
        "--citeproc",
        *arguments,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise ReportError(complaint(done.stderr))


def complaint(stderr: str) -> str:
    """What pandoc's stderr says, without the wrapping of warnings and of Lua's tracebacks."""
    kept = []
    for line in stderr.split("stack traceback:")[0].split("\n"):
        line = re.sub(r"^(\[WARNING\]|Error running filter .*?:)\s*", "", line).strip()
        line = re.sub(r"^Citeproc: citation (\S+) not found$", r"no entry for citation @\1", line)
        if line and line != "Failing because there were warnings.":
            kept.append(line)
    return "; ".join(kept) or "pandoc failed without a word"
