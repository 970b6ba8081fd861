"""The house as the README draws it: layers, no printing, nothing hidden at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(__file__).parents[1] / "lib" / "fewlabels"
LAYERS = (
    {"types", "paths", "factors", "design", "studies", "files"},
    {"datasets", "sparsify", "expand", "ledger", "losses", "metrics", "boundaries", "calibration",
     "models", "augment", "devices", "environment", "checkpoint", "optimise",
     "geo"},
    {"loaders", "records", "stats", "figures", "evaluate", "baseline", "audits", "progress",
     "validate", "lint", "agreement", "failures",
     "diagrams", "timed", "verified", "compared"},
    {"train", "prepare"},
    {"run", "verify", "version", "source_hash", "plan", "sweep", "claims", "parcel", "source_hash", "workers", "distribute",
     "report", "own", "annotate", "answers", "arguments", "cli"},
)  # fmt: skip
MODULES = sorted(LIB.rglob("*.py"))
NAMES = [str(m.relative_to(LIB)) for m in MODULES]


def imported(module: Path) -> set[str]:
    """First-level names of fewlabels that a module imports, its own package left out."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "fewlabels":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fewlabels."):
            found.add(node.module.split(".")[1])
    return found - {room(module)}


def room(module: Path) -> str:
    return module.relative_to(LIB).parts[0].removesuffix(".py")


def layer(name: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_imports_point_down(module: Path):
    if module == LIB / "__init__.py":
        assert imported(module) == set()
        return
    here = layer(room(module))
    for name in imported(module):
        same = here == layer(name)
        allowed = here in (0, 2, 4) and same  # these layers know their own; layer 1 does not
        assert layer(name) < here or allowed, f"{room(module)} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_modules_stay_readable(module: Path):
    text = module.read_text()
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text)), "say what question the module answers"


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_the_library_does_not_print_or_swallow(module: Path):
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and room(module) != "cli":
            assert node.func.id != "print"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert getattr(node.type, "id", "") not in ("Exception", "BaseException")


@pytest.mark.parametrize(
    "module",
    ["records", "stats", "figures", "metrics", "boundaries", "calibration", "studies", "lint"],
)
def test_below_the_compute_wall_there_is_no_torch(module: str):
    code = f"import sys, fewlabels.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_records_are_read_and_reported_without_torch():
    """Those modules that the notebooks of studies import, and what builds the published report."""
    shown = (
        "agreement answers baseline diagrams failures figures lint plan records stats sweep timed"
    )
    modules = [*shown.split(), "datasets.outliers", "own.told", "report.make"]
    imports = ", ".join(f"fewlabels.{name}" for name in modules)
    code = f"import sys, {imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_there_is_one_training_loop():
    steps = [n for m, n in zip(MODULES, NAMES, strict=True) if ".backward()" in m.read_text()]
    assert steps == ["train.py"]
