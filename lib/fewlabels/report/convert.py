"""Turn an executed notebook into Markdown: prose as it stands, code folded, outputs captioned.

Options of a code cell, in Quarto's spelling, in its first lines:

    #| label: fig-budget          fig-... or tbl-...; prose refers to it as @fig-budget
    #| fig-cap: "What is seen."   the cell shows exactly one figure
    #| tbl-cap: "What it says."   the cell shows exactly one table
    #| echo: false                the code is not shown
    #| output: false              the outputs are not shown
    #| needs: images              see `cells`
    #| data: reported             numbers of other data than the report's: no note in the caption

Cells tagged `setup` are not shown; those tagged `parameters` become one folded list of the values
in force. What a cell writes to stderr is not shown; an error output is an error here.
"""

import base64
import io
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from fewlabels.report.cells import first_line, numbered, options, parameters, tags
from fewlabels.types import NotebookError

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PIPE_TABLE = re.compile(r"^\s*\|?\s*:?-+:?\s*\|[\s|:-]*$", re.MULTILINE)
_BARE_OBJECT = re.compile(r"\s*\[?<.*>\]?\s*", re.DOTALL)
_WIDGET = "application/vnd.jupyter.widget-view+json"


def convert(executed: Path, figures: Path, *, note: str = "") -> str:
    """Return the Markdown (pandoc's) of one executed notebook; write its figures to `figures`.

    Args:
        note: ends every caption, such as "Synthetic scenes."

    Raises:
        NotebookError: an error among the outputs, a figure or table without caption and label, an
            unknown cell option; names notebook and cell.
    """
    notebook = nbformat.read(executed, as_version=4)
    figures.mkdir(parents=True, exist_ok=True)
    blocks: list[str] = []
    for number, cell in numbered(notebook):
        try:
            blocks += _cell(cell, notebook, figures / f"{executed.stem}-{number}.webp", note)
        except NotebookError as error:
            line = first_line(cell) if cell.cell_type == "code" else cell.source.split("\n")[0]
            where = f"notebook '{executed.stem}', cell {number} ('{line}')"
            raise NotebookError(f"{where}: {error}") from error
    return "\n\n".join(blocks) + "\n"


def _cell(cell: NotebookNode, notebook: NotebookNode, picture: Path, note: str) -> list[str]:
    if tags(cell) & {"setup", "injected-parameters"}:
        return []
    if cell.cell_type != "code":
        return [cell.source] if cell.cell_type == "markdown" else []
    if "parameters" in tags(cell):
        listed = "\n".join(f"{name} = {value!r}" for name, value in parameters(notebook).items())
        return [_fenced(listed, '.python .cell-code summary="Parameters"')]
    chosen, code = options(cell.source)
    blocks = []
    if code and chosen.get("echo") != "false":
        blocks.append(_fenced(code, ".python .cell-code"))
    if chosen.get("output") != "false":
        other = chosen.get("data") == "reported"
        blocks += _outputs(cell.outputs, chosen, picture, "" if other else note)
    return blocks


def _outputs(
    outputs: list[NotebookNode], chosen: dict[str, str], picture: Path, note: str
) -> list[str]:
    shown = [_kind_and_text(output, picture) for output in outputs]
    kinds = [kind for kind, _ in shown]
    for kind, option in (("figure", "fig-cap"), ("table", "tbl-cap")):
        expected = 1 if option in chosen else 0
        if kinds.count(kind) != expected:
            raise NotebookError(
                f"shows {kinds.count(kind)} {kind}s, its options say {expected}; "
                f"each {kind} stands in a cell of its own with '#| label:' and '#| {option}:'"
            )
        if expected and not chosen[option]:
            raise NotebookError(f"an empty {option}")
        if expected and not chosen.get("label", "").startswith(option[:4]):
            raise NotebookError(f"a {kind} needs '#| label: {option[:4]}...'")
    blocks = []
    for kind, text in shown:
        if kind in ("figure", "table"):
            caption = chosen["fig-cap" if kind == "figure" else "tbl-cap"]
            blocks.append(_captioned(text, f"{caption} {note}".strip(), chosen["label"]))
        elif kind == "output":
            blocks.append(_fenced(text.rstrip(), ".output"))
        elif kind == "prose":
            blocks.append(text)
    return blocks


def _captioned(content: str, caption: str, label: str) -> str:
    """Return the block that theme/captioned.lua makes a figure or a table of."""
    return f":::: {{#{label} .captioned}}\n{content}\n\n::: {{.caption}}\n{caption}\n:::\n::::"


def _fenced(text: str, attributes: str) -> str:
    """Return a fenced block whose fence is longer than any within it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {{{attributes}}}\n{text}\n{fence}"


def _kind_and_text(output: NotebookNode, picture: Path) -> tuple[str, str]:
    """Return what an output is (figure, table, prose, output or nothing), and its Markdown.

    Of several forms the richest that both HTML and PDF can show is taken. Widgets without a
    picture of themselves and bare objects such as `<Axes: >` are nothing.

    Raises:
        NotebookError: an error output, or HTML that is no table and has no plain form.
    """
    if output.output_type == "error":
        raise NotebookError(f"raised {output.ename}: {output.evalue}")
    if output.output_type == "stream":
        kind = "output" if output.name == "stdout" and output.text.strip() else "nothing"
        return kind, _ANSI.sub("", output.text)
    data = output.data
    if _WIDGET in data and "image/png" not in data:
        return "nothing", ""
    if "text/markdown" in data:
        text = data["text/markdown"]
        return ("table" if _PIPE_TABLE.search(text) else "prose"), text
    if "image/png" in data:
        png = base64.b64decode(data["image/png"])
        with Image.open(io.BytesIO(png)) as opened:
            opened.save(picture, lossless=True)
        width, height = png_inches(png)
        size = f"width={width:.2f}in height={height:.2f}in"
        return "figure", f"![]({picture.parent.name}/{picture.name}){{{size}}}"
    if "<table" in data.get("text/html", ""):
        return "table", _fenced(data["text/html"], ".html-table")
    plain = data.get("text/plain", "")
    if not plain:
        raise NotebookError(f"shows {', '.join(data)}, which has no form for a printed page")
    return ("nothing" if _BARE_OBJECT.fullmatch(plain) else "output"), plain


def png_inches(image: bytes) -> tuple[float, float]:
    """Return width and height of a PNG at its own resolution, or at 96 pixels an inch."""
    with Image.open(io.BytesIO(image)) as opened:
        across, down = opened.info.get("dpi", (96, 96))
        return opened.width / across, opened.height / down
