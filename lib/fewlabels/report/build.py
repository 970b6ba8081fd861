"""How executed notebooks become one HTML file and one PDF that hold together, or an error.

Both are made from the same Markdown with the same numbers. They replace older ones only when both
are complete and the HTML has been found to load nothing from elsewhere.
"""

import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import typst

from fewlabels.paths import project_root
from fewlabels.report.check import complaints
from fewlabels.report.convert import convert
from fewlabels.report.pandoc import ReportError, pandoc

log = logging.getLogger(__name__)


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
    source: Path | None = None,
) -> tuple[Path, Path]:
    """Bind executed notebooks, in this order; the paths of `report.html` and `report.pdf`.

    Args:
        header: what the report rests on (data, profile, versions, ...), shown under its title.
        abstract: Markdown; the rest is plain text.
        note: ends every caption and stands on every page of the PDF, such as "Synthetic scenes."
        banner: the same in a whole sentence, always visible in the HTML; `note` if empty.
        source: folder with theme/ and references.bib; report/ of the checkout if None.

    Raises:
        NotebookError: see `convert`.
        ReportError: an unknown or a repeated label, a citation without an entry, something that
            would be loaded from elsewhere. Older files are untouched then.
    """
    source = source or project_root() / "report"
    html, pdf = out_dir / "report.html", out_dir / "report.pdf"
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=out_dir) as name:
        scratch = Path(name)
        texts = {path.stem: convert(path, scratch / "figures", note=note) for path in executed}
        (scratch / "report.md").write_text("\n\n".join(texts.values()), encoding="utf-8")
        metadata = {
            "title": plain(title),
            "subtitle": plain(subtitle),
            "abstract": f"{abstract}\n",  # with an end of line pandoc takes it for paragraphs
            "note": plain(note),
            "banner": plain(banner or note),
            "facts": [{"name": plain(k), "value": plain(str(v))} for k, v in header.items()],
            "bibliography": str((source / "references.bib").resolve()),
            "reference-section-title": "References",
            "link-citations": True,
            "lang": "en",
        }
        (scratch / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        try:
            _to_html(scratch, (source / "theme").resolve())
            _to_pdf(scratch, (source / "theme").resolve())
        except ReportError as error:
            raise ReportError(f"the report was not built: {error}{_where(error, texts)}") from error
        os.replace(scratch / html.name, html)
        os.replace(scratch / pdf.name, pdf)
    return html, pdf


def plain(text: str) -> str:
    """Text as Markdown that shows exactly this text."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def _to_html(folder: Path, theme: Path) -> None:
    begun = time.monotonic()
    wanted = ["--to=html5", f"--template={theme / 'report.html5'}", f"--css={theme / 'style.css'}"]
    pandoc(folder, theme, [*wanted, "--mathml", "--embed-resources", "--output=report.html"])
    found = complaints((folder / "report.html").read_text(encoding="utf-8"))
    if found:
        raise ReportError("; ".join(found))
    log.info("HTML written in %.1f s", time.monotonic() - begun)


def _to_pdf(folder: Path, theme: Path) -> None:
    """The PDF without code, set in the fonts that typst brings, so that it is the same anywhere."""
    begun = time.monotonic()
    template = f"--template={theme / 'report.typ'}"
    wanted = ["--to=typst", template, "--toc-depth=1", "--syntax-highlighting=idiomatic"]
    pandoc(folder, theme, [*wanted, "--output=report.typ"])
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


def _where(error: ReportError, texts: Mapping[str, str]) -> str:
    """Which notebooks hold the labels and keys that an error names."""
    names = re.findall(r"[@#]([\w:-]+)", str(error))
    found = [stem for stem, text in texts.items() if any(name in text for name in names)]
    return f" (in {', '.join(found)})" if found else ""
