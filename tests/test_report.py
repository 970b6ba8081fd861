"""The report holds together: every number, label, citation and caption, or no report at all."""

import base64
import io
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
import torch
from nbformat import v4, write
from PIL import Image

from fewlabels import devices
from fewlabels.report import make
from fewlabels.report.build import ReportError, build
from fewlabels.report.cells import plain_text
from fewlabels.report.convert import convert, png_inches
from fewlabels.types import NotebookError

NOTE = "Synthetic scenes."
HEADER = {"Data": "synthetic_1 *not real*", "Commit": "1a2b3c4 (dirty)"}
FIRST = r"""# Losses {#sec-losses}

The loss in @eq-pce is that of @tang2018normalized; @tbl-miou tells, @fig-second shows.
$$\ell = -\frac{1}{|\Omega|}\sum_{i \in \Omega} \log p_i$$ {#eq-pce}
Here $\Omega$ is what is labelled.
"""
SECOND = """# Results {#sec-results}
As in @sec-losses and @fig-first [@lin2017focal].
- a list without a blank line before it
"""


def png(width=120, dpi=60):
    file = io.BytesIO()
    Image.new("RGB", (width, 40), "teal").save(file, "PNG", dpi=(dpi, dpi))
    return file.getvalue()


def code(source, *outputs, tags=()):
    return v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def shows(kind, data):
    return v4.new_output("display_data", {kind: data, "text/plain": "<plain>"})


def figure(label, caption="A field."):
    data = base64.b64encode(png()).decode()
    return code(f'#| label: {label}\n#| fig-cap: "{caption}"\nplt.show()', shows("image/png", data))


def table(label, caption="Mean IoU."):
    html = (
        '<div><style scoped>.dataframe {}</style><table class="dataframe"><thead>'
        "<tr><th></th><th>mean</th></tr><tr><th>loss</th><th></th></tr></thead>"
        "<tbody><tr><th>pce</th><td>0.52</td></tr></tbody></table></div>"
    )
    return code(f"#| label: {label}\n#| tbl-cap: {caption}\nframe", shows("text/html", html))


def notebook(folder, stem, *cells):
    folder.mkdir(parents=True, exist_ok=True)
    made = [v4.new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    write(v4.new_notebook(cells=made), folder / f"{stem}.ipynb")
    return folder / f"{stem}.ipynb"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    first = notebook(
        folder,
        "00_first",
        FIRST,
        code('data = "unset"\nsteps = 3', tags=["parameters"]),
        code('# Parameters\ndata = "synthetic"', tags=["injected-parameters"]),
        code("import secret_setup", tags=["setup"]),
        figure("fig-first", "One field [a]."),
        code("print(7)", v4.new_output("stream", name="stdout", text="\x1b[1mseven\x1b[0m")),
        code("warn()", v4.new_output("stream", name="stderr", text="a warning on stderr")),
    )
    second = notebook(folder, "01_second", SECOND, table("tbl-miou"), figure("fig-second"))
    html, pdf = build(
        [first, second],
        folder / "out",
        HEADER,
        title="Few labels, 100 % maps",
        abstract="See @tbl-miou.\n\n- one\n- two",
        note=NOTE,
        banner="All images here are synthetic.",
    )
    return html.read_text(), pdf


def fails(tmp_path, *cells, error=ReportError, match):
    with pytest.raises(error, match=match):
        build([notebook(tmp_path, "10_bad", *cells)], tmp_path / "out", HEADER, title="Title")


def text_of(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", html)))


def test_numbers_run_through_all_notebooks(report):
    text = text_of(report[0])
    assert "The loss in Equation 1 is that of Tang et al. (2018); Table 1 tells, Figure 2" in text
    assert "As in Section 1 and Figure 1 (Lin et al. 2017)" in text
    assert "Figure 1. One field [a]." in text
    assert "Figure 2. A field." in text
    assert '<a href="#fig-second" class="xref">' in report[0]


def test_what_is_marked_appendix_follows_the_study_under_its_chapter(tmp_path):
    one = "# One {#sec-one}\n\n## Ran {#sec-ran .appendix}\n\n### Part\nMore.\n\n## Left\nStays."
    two = "# Two {#sec-two .appendix}\nMoved, see @sec-ran.\n\n## Inner\n\n# Three\nSee @sec-two."
    books = [notebook(tmp_path, "00_one", one), notebook(tmp_path, "01_two", two)]
    page = build(books, tmp_path / "out", HEADER, title="T")[0].read_text()
    headings = [text_of(h) for h in re.findall(r"<h[1-4][^>]*>.*?</h[1-4]>", page, re.DOTALL)]
    assert [h for h in headings if h[0].isdigit()] == [
        "1 One", "1.1 Left", "2 Three", "3 Appendix", "3.1 One", "3.1.1 Ran", "3.1.1.1 Part",
        "3.2 Two", "3.2.1 Inner",
    ]  # fmt: skip
    assert "Moved, see Section 3.1.1." in text_of(page)
    assert "See Section 3.2." in text_of(page)


def test_an_abstract_may_have_paragraphs_and_a_list(report):
    abstract = re.search(r'<section class="abstract".*?</section>', report[0], re.DOTALL)[0]
    assert '<p>See <a href="#tbl-miou"' in abstract
    assert re.findall(r"<li>(.*?)</li>", abstract) == ["one", "two"]


def test_equation_is_mathml_with_its_number_and_splits_its_paragraph(report):
    html, _ = report
    equation = re.search(r'<div id="eq-pce" class="equation">.*?</div>', html, re.DOTALL)[0]
    assert "<math" in equation
    assert "(1)" in equation
    assert "is what is labelled" in text_of(html[html.index(equation) + len(equation) :])


def test_synthetic_note_stands_in_every_caption_alternative_text_and_banner(report):
    html, _ = report
    captions = re.findall(r"<figcaption.*?</figcaption>", html, re.DOTALL)
    assert len(captions) == 3
    assert all(text_of(caption).strip().endswith(NOTE) for caption in captions)
    assert f'alt="One field [a]. {NOTE}"' in html
    assert '<p class="banner" role="note">All images here are synthetic.</p>' in html


def test_numbers_that_others_reported_are_not_called_synthetic(tmp_path):
    theirs = table("tbl-theirs")
    theirs.source = "#| data: reported\n" + theirs.source
    text = convert(notebook(tmp_path, "n", theirs, table("tbl-ours")), tmp_path / "f", note=NOTE)
    assert text.count(NOTE) == 1
    assert text.index("tbl-ours") < text.index(NOTE)


def test_header_shows_exactly_what_it_was_given(report):
    assert "<dd>synthetic_1 *not real*</dd>" in report[0]


def test_table_of_pandas_has_one_header_row_and_numbers_flush_right(report):
    html = re.search(r"<table.*?</table>", report[0], re.DOTALL)[0]
    assert len(re.findall(r"<tr", html)) == 2
    assert "dataframe" not in html
    assert re.search(r'<td style="text-align: right;">0.52</td>', html)


def test_code_is_folded_and_parameters_are_those_in_force(report):
    html, _ = report
    assert html.count('<details class="code"><summary>Code</summary>') == 5
    parameters = text_of(html.split("<summary>Parameters</summary>")[1].split("</details>")[0])
    assert "'synthetic'" in parameters
    assert "steps = 3" in parameters
    assert "unset" not in html


def test_setup_and_stderr_are_left_out_and_stdout_is_kept(report):
    html, _ = report
    assert "secret_setup" not in html
    assert "a warning on stderr" not in html
    assert "seven" in html
    assert "\x1b" not in html


def test_list_needs_no_blank_line_before_it(report):
    assert re.search(r"<li>a list without", report[0])


def test_html_loads_nothing_from_elsewhere(report):
    html, _ = report
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert f'"Content-Security-Policy" content="{policy}"' in unescape(html.split("</head>")[0])
    assert not re.search(r"<(script|link|iframe|object|embed|base)\b", html)
    assert all(
        src.startswith("data:image/webp;base64") for src in re.findall(r'src="([^"]*)"', html)
    )


def test_synthetic_note_stands_on_every_page_of_the_pdf(report):
    _, pdf = report
    assert pdf.read_bytes().startswith(b"%PDF")
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext (poppler-utils) is not installed")
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True)
    pages = done.stdout.split("\f")[:-1]
    assert len(pages) >= 2
    assert all(NOTE in page.split("\n")[0] for page in pages)
    assert "plt.show" not in done.stdout


def test_unresolved_reference_is_named_with_its_notebook(tmp_path):
    match = "unresolved cross-reference @fig-nowhere.*10_bad"
    fails(tmp_path, "# Title\n\nSee @fig-nowhere.", match=match)


def test_link_within_the_report_that_leads_nowhere_is_refused(tmp_path):
    fails(tmp_path, "# Title\n\nSee [this](#nowhere).", match="nowhere")


def test_repeated_label_is_refused(tmp_path):
    match = "label #fig-a stands twice.*10_bad"
    fails(tmp_path, "# Title", figure("fig-a"), figure("fig-a"), match=match)


def test_citation_without_an_entry_is_refused(tmp_path):
    fails(
        tmp_path, "# Title\n\nSee @nobody1900.", match="no entry for citation @nobody1900.*10_bad"
    )


def test_table_in_prose_needs_a_caption(tmp_path):
    match = "table 'ab12' needs a caption"
    fails(tmp_path, "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |", match=match)


@pytest.mark.parametrize(
    "prose",
    [
        "![x](https://example.org/x.png)",
        '<img src="https://example.org/x.png">',
        "<script></script>",
        '<iframe srcdoc="<p>x</p>"></iframe>',
        '<meta http-equiv="refresh" content="0; url=https://example.org">',
    ],
)
def test_external_resource_is_refused(tmp_path, prose):
    fails(tmp_path, f"# Title\n\n{prose}", match=r"external image|raw html")


NAMES = (
    "[oak]{onclick='alert(1)'}", "[oak](javascript:alert)", "![oak](/etc/hostname)",
    "![oak](figures/../../secret.png)", '`oak`{onmouseover="x"}', "# oak {onclick=x}",
)  # fmt: skip


def said(text):
    return code("#| echo: false\nMarkdown(text)", shows("text/markdown", text))


@pytest.mark.parametrize("name", NAMES)
def test_a_class_name_that_would_run_or_show_something_is_refused(tmp_path, name):
    fails(tmp_path, "# Title", said(name), match=r"attribute 'on|external image|not on the web")


def test_text_from_outside_is_shown_as_it_is_and_the_summary_of_code_too(tmp_path):
    cells = [said(f"Most is {plain_text(name)}.") for name in NAMES]
    cells.append(said('``` {.cell-code summary="<b>x"}\n1\n```'))
    made = build([notebook(tmp_path, "n", "# T", *cells)], tmp_path / "out", HEADER, title="T")
    shown = text_of(made[0].read_text()).translate(str.maketrans("’‘“”", "''\"\""))
    assert all(f"Most is {name}." in shown for name in NAMES)
    assert "<summary>bx</summary>" in made[0].read_text()


def test_a_picture_in_a_table_is_refused(tmp_path):
    bad = table("tbl-bad")
    html = bad.outputs[0].data["text/html"].replace("pce", "<img src='/etc/hostname'>")
    bad.outputs[0].data["text/html"] = html
    fails(tmp_path, "# Title", bad, match="external image '/etc/hostname'")


def test_figure_without_a_caption_is_named_with_its_cell(tmp_path):
    bare = code("plt.show()", shows("image/png", base64.b64encode(png()).decode()))
    match = r"notebook '10_bad', cell 2 \('plt.show\(\)'\).*figure.*fig-cap"
    fails(tmp_path, "# Title", bare, error=NotebookError, match=match)


def test_markdown_table_without_a_caption_is_named_with_its_cell(tmp_path):
    bare = code("frame", shows("text/markdown", "| a | b |\n|--:|---|\n| 1 | 2 |"))
    fails(tmp_path, bare, error=NotebookError, match="'10_bad', cell 1.*1 tables.*tbl-cap")


def test_label_has_to_tell_what_it_names(tmp_path):
    fails(tmp_path, figure("tbl-a"), error=NotebookError, match="label: fig-")


def test_error_among_the_outputs_is_refused(tmp_path):
    raised = v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    cell = code("#| output: true\nf()", raised)
    fails(tmp_path, cell, error=NotebookError, match="raised ValueError: no")


def test_failed_build_leaves_the_older_report_untouched(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("report.html", "report.pdf"):
        (out / name).write_text("older")
    fails(tmp_path, "# Title\n\nSee @tbl-nowhere.", match="tbl-nowhere")
    assert [path.read_text() for path in sorted(out.iterdir())] == ["older", "older"]


def test_bare_objects_and_widgets_are_left_out_and_other_text_is_kept(tmp_path):
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Slider(1)"}
    cell = code(
        "ax",
        v4.new_output("execute_result", {"text/plain": "<Axes: >"}),
        v4.new_output("display_data", widget),
        v4.new_output("execute_result", {"text/plain": "0.52"}),
    )
    text = convert(notebook(tmp_path, "n", cell), tmp_path / "figures")
    assert "``` {.output}\n0.52\n```" in text
    assert "Axes" not in text
    assert "Slider" not in text


def test_figures_keep_their_printed_size():
    assert png_inches(png(width=120, dpi=60)) == pytest.approx((2, 2 / 3), abs=0.01)


def test_every_reference_can_be_cited():
    entries = (Path(__file__).parents[1] / "report" / "references.bib").read_text()
    keys = re.findall(r"^@\w+\{(\w+),$", entries, re.MULTILINE)
    assert len(keys) == len(set(keys)) >= 20
    for field in ("title", "author", "year"):
        assert len(re.findall(rf"^  {field} +=", entries, re.MULTILINE)) == len(keys)


def test_only_cores_are_shared_between_notebooks(monkeypatch):
    monkeypatch.setattr(make.os, "cpu_count", lambda: 2)
    assert [make._at_once(profile, "cpu") for profile in ("quick", "published")] == [2, 2]
    gpu = devices.Compute(torch.device("meta"), "fp32")
    monkeypatch.setattr(devices, "compute", lambda device: gpu)
    assert [make._at_once(profile, "auto") for profile in ("quick", "published")] == [1, 2]
