"""How an executed notebook becomes Markdown: prose as it stands, code folded, outputs captioned.

Options of a code cell, Quarto's spelling, in its first lines:

    #| label: fig-budget          fig-... or tbl-...; prose refers to it as @fig-budget
    #| fig-cap: "What is seen."   the cell shows exactly one figure
    #| tbl-cap: "What is told."   the cell shows exactly one table
    #| echo: false                the code is left out
    #| output: false              what it shows is left out
    #| needs: images              shows images: see `kept`
    #| data: reported             numbers of other data than the report's: the caption goes
                                  without the note

Cells tagged `setup` are left out, those tagged `parameters` become one folded list of the values
in force. What a cell writes to stderr is left out, an error in it is an error here.
"""

import base64
import re
import struct
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from fewlabels.report.cells import first_line, numbered, options, parameters, tags
from fewlabels.types import NotebookError

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PIPE_TABLE = re.compile(r"^\s*\|?\s*:?-+:?\s*\|[\s|:-]*$", re.MULTILINE)
_BARE_OBJECT = re.compile(r"\s*\[?<.*>\]?\s*", re.DOTALL)
_WIDGET = "application/vnd.jupyter.widget-view+json"


def convert(executed: Path, figures: Path, *, note: str = "") -> str:
    """The Markdown (pandoc's) of one executed notebook; its figures are written to `figures`.

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
            blocks += _cell(cell, notebook, f"{figures}/{executed.stem}-{number}", note)
        except NotebookError as error:
            line = first_line(cell) if cell.cell_type == "code" else cell.source.split("\n")[0]
            where = f"notebook '{executed.stem}', cell {number} ('{line}')"
            raise NotebookError(f"{where}: {error}") from error
    return "\n\n".join(blocks) + "\n"


def _cell(cell: NotebookNode, notebook: NotebookNode, stem: str, note: str) -> list[str]:
    """The Markdown blocks of one cell."""
    if tags(cell) & {"setup", "injected-parameters"}:
        return []
    if cell.cell_type == "markdown":
        return [cell.source]
    if cell.cell_type != "code":
        return []
    if "parameters" in tags(cell):
        listed = "\n".join(f"{name} = {value}" for name, value in parameters(notebook).items())
        return [fenced(listed, '.python .cell-code summary="Parameters"')]
    chosen, code = options(cell.source)
    blocks = []
    if code and chosen.get("echo") != "false":
        blocks.append(fenced(code, ".python .cell-code"))
    if chosen.get("output") != "false":
        theirs = chosen.get("data") == "reported"
        blocks += _outputs(cell.outputs, chosen, stem, "" if theirs else note)
    return blocks


def _outputs(outputs: list[NotebookNode], chosen: dict[str, str], stem: str, note: str) -> list:
    """The Markdown blocks of what a cell shows, each figure and table with its caption."""
    shown = [kind_and_text(output, stem) for output in outputs]
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
            blocks.append(fenced(text.rstrip(), ".output"))
        elif kind == "prose":
            blocks.append(text)
    return blocks


def _captioned(content: str, caption: str, label: str) -> str:
    """What theme/captioned.lua makes a figure or a table of."""
    return f":::: {{#{label} .captioned}}\n{content}\n\n::: {{.caption}}\n{caption}\n:::\n::::"


def fenced(text: str, attributes: str) -> str:
    """A fenced block whose fence is longer than any within it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {{{attributes}}}\n{text}\n{fence}"


def kind_and_text(output: NotebookNode, stem: str) -> tuple[str, str]:
    """What an output is (figure, table, prose, output or nothing), and its Markdown.

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
    if "image/svg+xml" in data or "image/png" in data:
        return "figure", _figure(data, stem)
    if "<table" in data.get("text/html", ""):
        return "table", fenced(data["text/html"], ".html-table")
    plain = data.get("text/plain", "")
    if not plain:
        raise NotebookError(f"shows {', '.join(data)}, which has no form for a printed page")
    return ("nothing" if _BARE_OBJECT.fullmatch(plain) else "output"), plain


def _figure(data: NotebookNode, stem: str) -> str:
    """Writes the figure to a file; the Markdown of it without a caption."""
    if "image/svg+xml" in data:
        image, target = data["image/svg+xml"].encode(), Path(f"{stem}.svg")
        width, height = svg_inches(data["image/svg+xml"])
    else:
        image, target = base64.b64decode(data["image/png"]), Path(f"{stem}.png")
        width, height = png_inches(image)
    target.write_bytes(image)
    size = f"width={width:.2f}in height={height:.2f}in"
    return f"![]({target.parent.name}/{target.name}){{{size}}}"


def svg_inches(image: str) -> tuple[float, float]:
    """Width and height that an SVG states for itself, as matplotlib's do.

    Raises:
        NotebookError: it states none.
    """
    units = {"pt": 72, "px": 96, "": 96, "in": 1, "mm": 25.4}
    tag = re.search(r"<svg[^>]*>", image)
    sizes = {
        name: float(number) / units[unit]
        for name, number, unit in re.findall(
            r'\s(width|height)="([\d.]+)(pt|px|in|mm|)"', tag[0] if tag else ""
        )
    }
    if sizes.keys() != {"width", "height"}:
        raise NotebookError("an SVG without width and height")
    return sizes["width"], sizes["height"]


def png_inches(image: bytes) -> tuple[float, float]:
    """Width and height of a PNG at its own resolution; at 96 pixels an inch where it states none.

    Source: PNG 3rd edition, 11.2.1 IHDR and 11.3.4.3 pHYs, https://www.w3.org/TR/png-3/
    """
    width, height = struct.unpack(">II", image[16:24])
    place = image.find(b"pHYs", 0, image.find(b"IDAT"))
    if place < 0 or image[place + 12] != 1:
        return width / 96, height / 96
    (per_metre,) = struct.unpack(">I", image[place + 4 : place + 8])
    return width / per_metre / 0.0254, height / per_metre / 0.0254
