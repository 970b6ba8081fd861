"""Rules for notebooks that a reader would notice broken; that they run is what smoke shows."""

import ast
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from fewlabels.report.cells import options
from fewlabels.report.make import NOTEBOOKS

FOLDER = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))


@pytest.fixture(params=SOURCES, ids=[s.stem for s in SOURCES])
def notebook(request: pytest.FixtureRequest):
    return jupytext.read(request.param)


def code(notebook) -> list:
    return [c for c in notebook.cells if c.cell_type == "code"]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


@pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
def test_pairs_are_in_step(source: Path):
    """NN.ipynb is a copy of NN.py without outputs, for Colab: `make sync` writes it."""
    twin = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    both = [
        [(c.cell_type, c.source, c.metadata.get("tags")) for c in each.cells]
        for each in (jupytext.read(source), twin)
    ]
    assert both[0] == both[1]
    assert not any(c.get("outputs") or c.get("execution_count") for c in twin.cells)


def names(source: str) -> tuple[set[str], set[str]]:
    """Names that a cell reads before it sets them, and those that it sets for later cells."""
    read, written = set(), set()
    for statement in ast.parse(source).body:
        nodes = [n for n in ast.walk(statement) if isinstance(n, ast.Name)]
        scopes = [n for n in ast.walk(statement) if isinstance(n, ast.comprehension | ast.For)]
        own = {n.id for scope in scopes for n in ast.walk(scope.target) if isinstance(n, ast.Name)}
        own |= {n.arg for n in ast.walk(statement) if isinstance(n, ast.arg)}
        read |= {n.id for n in nodes if isinstance(n.ctx, ast.Load)} - own - written
        written |= {n.id for n in nodes if isinstance(n.ctx, ast.Store)} - own
        written |= {statement.name} if isinstance(statement, ast.FunctionDef) else set()
        if isinstance(statement, ast.Import | ast.ImportFrom):
            written |= {(a.asname or a.name).partition(".")[0] for a in statement.names}
    return read, written


def test_what_uses_images_says_so(notebook):
    """Else the published report could not be rebuilt where the images are not."""
    of_images = set()
    for cell in code(notebook):
        read, written = names(cell.source)
        if options(cell.source)[0].get("needs") == "images":
            of_images |= written
        else:
            assert not read & of_images, cell.source
            of_images -= written


def test_all_are_in_the_report():
    assert [s.stem for s in SOURCES] == list(NOTEBOOKS)


def test_badge_and_set_up_come_first(notebook):
    assert "colab-badge" in notebook.cells[0].source
    assert tags(notebook.cells[0]) == tags(notebook.cells[1]) == ["setup"]
    install = notebook.cells[1].source
    assert "requirements-colab.txt" in install
    assert not re.search(r"\b(torch|numpy|pandas)\b(?!.*left alone)", install.split("\n", 2)[2])


def test_set_up_is_the_same_in_all():
    assert len({jupytext.read(s).cells[1].source for s in SOURCES}) == 1


def test_parameters_are_plain_literals(notebook):
    (cell,) = [c for c in code(notebook) if "parameters" in tags(c)]
    lines = cell.source.splitlines()
    assert {"data", "profile", "device"} <= {line.split(" = ")[0] for line in lines}
    assert all(re.fullmatch(r'\w+ = ("[^"]*"|[\d.e-]+)', line) for line in lines)


def test_notebooks_stay_thin(notebook):
    cells = [c for c in code(notebook) if "setup" not in tags(c)]
    lines = [len([x for x in c.source.splitlines() if not x.startswith("#|")]) for c in cells]
    assert max(lines) <= 25
    assert sum(lines) <= 140
    text = "\n".join(c.source for c in cells)
    assert not re.search(r"^ *class ", text, re.M)
    assert ".backward()" not in text or "losses" in text


def test_every_notebook_checks_itself_and_says_what_it_did_not_show(notebook):
    assert any("assert " in c.source for c in code(notebook))
    heads = [
        line for c in notebook.cells if c.cell_type == "markdown" for line in c.source.splitlines()
    ]
    assert "## What was not shown" in [h for h in heads if h.startswith("## ")][-1]


def test_figures_and_tables_have_label_and_caption(notebook):
    for cell in code(notebook):
        options = dict(re.findall(r"^#\| ([\w-]+): (.*)$", cell.source, flags=re.M))
        kind = options.get("label", "").split("-")[0]
        if kind in ("fig", "tbl"):
            assert len(options[f"{kind}-cap"]) > 20


def test_colab_gets_what_the_project_pins():
    root = FOLDER.parent
    lock = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (root / "requirements.lock").read_text(), re.M))
    colab = (root / "requirements-colab.txt").read_text()
    for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", colab, re.M):
        assert lock[name] == version
    assert not re.search(r"^(torch|torchvision|numpy|pandas)\b", colab, re.M)


def test_the_lock_holds_no_addresses_and_everything_asked_for():
    root = FOLDER.parent
    lock = (root / "requirements.lock").read_text()
    assert not re.search(r"://|^--|file:", lock, re.M)
    wanted = re.findall(r"^([a-zA-Z][\w.-]*)", (root / "requirements.in").read_text(), re.M)
    pinned = {n.lower().replace("_", "-") for n in re.findall(r"^([\w.-]+)==", lock, re.M)}
    assert {w.lower().replace("_", "-") for w in wanted} <= pinned
    entries = re.findall(r"^[\w.-]+==[^\n]*\n(?: +--hash=sha256:[0-9a-f]{64}[ \\]*\n)+", lock, re.M)
    assert len(entries) == len(re.findall("==", re.sub(r";[^\n]*", "", lock)))  # each has hashes
