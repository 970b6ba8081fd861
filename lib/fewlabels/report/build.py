"""Bind executed notebooks into one HTML file and one PDF that hold together, or raise.

Pandoc makes both from the same Markdown with the same numbers, and every warning of it is an
error. They replace older files only when both are complete. The theme refuses what would load or
run something (`strict.lua`), and the page forbids it to the browser (`report.html5`).
"""

import json
import logging
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pypandoc
import typst

from fewlabels.paths import project_root
from fewlabels.report.cells import plain_text
from fewlabels.report.convert import convert
from fewlabels.types import FewLabelsError

log = logging.getLogger(__name__)

# Jupyter's Markdown where it differs from pandoc's own: no blank line before a list or a heading.
MARKDOWN = (
    "markdown+lists_without_preceding_blankline+autolink_bare_uris"
    "-blank_before_header-blank_before_blockquote"
)
FILTERS = ("appendix.lua", "captioned.lua", "strict.lua", "xref.lua", "fold.lua")


class ReportError(FewLabelsError):
    """A report that does not hold together: a reference, a citation or a file is missing."""


def build(
    executed: Sequence[Path],
    out_dir: Path,
    header: Mapping[str, str],
    *,
    title: str,
    subtitle: str = "",
    abstract: str = "",
    note: str = "",
    banner: str = "",
) -> tuple[Path, Path]:
    """Bind executed notebooks, in this order; return the paths of `report.html` and `report.pdf`.

    Args:
        header: what the report rests on (data, profile, versions, ...), shown under its title.
        abstract: Markdown; the rest is plain text.
        note: ends every caption and stands on every page of the PDF, such as "Synthetic scenes."
        banner: the same in a whole sentence, always visible in the HTML; `note` if empty.

    Raises:
        NotebookError: see `convert`.
        ReportError: an unknown or a repeated label, a citation without an entry, something that
            would be loaded from elsewhere. Older files are untouched then.
    """
    source = (project_root() / "report").resolve()
    html, pdf = out_dir / "report.html", out_dir / "report.pdf"
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=out_dir) as name:
        scratch = Path(name)
        texts = {path.stem: convert(path, scratch / "figures", note=note) for path in executed}
        (scratch / "report.md").write_text("\n\n".join(texts.values()), encoding="utf-8")
        metadata = {
            "title": plain_text(title),
            "subtitle": plain_text(subtitle),
            "abstract": f"{abstract}\n",  # with an end of line pandoc takes it for paragraphs
            "note": plain_text(note),
            "banner": plain_text(banner or note),
            "facts": [
                {"name": plain_text(k), "value": plain_text(str(v))} for k, v in header.items()
            ],
            "bibliography": str(source / "references.bib"),
            "reference-section-title": "References",
            "link-citations": True,
            "lang": "en",
        }
        (scratch / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        try:
            _to_html(scratch, source / "theme")
            _to_pdf(scratch, source / "theme")
        except ReportError as error:
            raise ReportError(f"the report was not built: {error}{_where(error, texts)}") from error
        os.replace(scratch / html.name, html)
        os.replace(scratch / pdf.name, pdf)
    return html, pdf


def _to_html(folder: Path, theme: Path) -> None:
    begun = time.monotonic()
    wanted = ["--to=html5", f"--template={theme / 'report.html5'}", f"--css={theme / 'style.css'}"]
    _pandoc(folder, theme, [*wanted, "--mathml", "--embed-resources", "--output=report.html"])
    log.info("HTML written in %.1f s", time.monotonic() - begun)


def _to_pdf(folder: Path, theme: Path) -> None:
    """Write the PDF without code, in the fonts that typst brings, so that it is alike anywhere."""
    begun = time.monotonic()
    template = f"--template={theme / 'report.typ'}"
    wanted = ["--to=typst", template, "--toc-depth=1", "--syntax-highlighting=idiomatic"]
    _pandoc(folder, theme, [*wanted, "--output=report.typ"])
    try:
        typst.compile(
            folder / "report.typ",
            output=folder / "report.pdf",
            root=folder,
            ignore_system_fonts=True,
        )
    except typst.TypstError as error:
        raise ReportError(f"typst: {error.message}") from error
    log.info("PDF written in %.1f s", time.monotonic() - begun)


def _pandoc(folder: Path, theme: Path, arguments: Sequence[str]) -> None:
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
        *(f"--lua-filter={theme / name}" for name in FILTERS),
        "--citeproc",
        *arguments,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise ReportError(_complaint(done.stderr))


def _complaint(stderr: str) -> str:
    """Return what pandoc says, without the wrapping of warnings and of Lua's tracebacks."""
    said = []
    for line in stderr.split("stack traceback:")[0].split("\n"):
        line = re.sub(r"^(\[WARNING\]|Error running filter .*?:)\s*", "", line).strip()
        line = re.sub(r"^Citeproc: citation (\S+) not found$", r"no entry for citation @\1", line)
        if line and line != "Failing because there were warnings.":
            said.append(line)
    return "; ".join(said) or "pandoc failed without a word"


def _where(error: ReportError, texts: Mapping[str, str]) -> str:
    """Return which notebooks hold the labels and keys that an error names."""
    names = re.findall(r"[@#]([\w:-]+)", str(error))
    found = [stem for stem, text in texts.items() if any(name in text for name in names)]
    return f" (in {', '.join(found)})" if found else ""
