"""The house as the README draws it: the folder is the layer, no circles, two walls, no printing."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

LIB = Path(__file__).parents[1] / "lib" / "fewlabels"
LAYERS = (
    {"types", "paths", "files", "devices", "environment"},
    {"data", "labels", "studies"},
    {"training"},
    {"scoring"},
    {"learners", "results"},
    {"experiments"},
    {"mapping", "report"},
    {"cli"},
)
LINES, COUNT = 26392, 171
MODULES = {
    ".".join(f.relative_to(LIB).with_suffix("").parts).removesuffix(".__init__"): f
    for f in sorted(LIB.rglob("*.py"))
    if f != LIB / "__init__.py"
}


def room(module: str) -> str:
    return module.split(".")[0]


def layer(module: str) -> int:
    return next(i for i, rooms in enumerate(LAYERS) if room(module) in rooms)


def imports(module: str) -> set[str]:
    """The modules of fewlabels that a module imports anywhere, by their dotted names."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fewlabels":
            base = node.module.removeprefix("fewlabels").lstrip(".")
            paths = [f"{base}.{alias.name}".lstrip(".") for alias in node.names]
            found |= {path if path in MODULES else base for path in paths}
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("fewlabels") for alias in node.names)
    return found - {module}


def test_every_folder_has_a_layer_and_nothing_else_lies_beside_the_packages():
    rooms = {room(module) for module in MODULES}
    assert rooms == set().union(*LAYERS)
    loose = {f.stem for f in LIB.glob("*.py")} - {"__init__"}
    assert loose == LAYERS[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str):
    loose = layer(module) == 0
    for other in imports(module):
        known = room(other) == room(module) or layer(other) < layer(module)
        assert known or (loose and layer(other) == 0), f"{module} imports {other}"


def test_there_is_no_circle():
    graph = {module: imports(module) for module in MODULES}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_readable(module: str):
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text)), "say what question the module answers"


@pytest.mark.parametrize("module", MODULES)
def test_the_library_does_not_print_or_swallow(module: str):
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and room(module) != "cli":
            assert node.func.id != "print"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert getattr(node.type, "id", "") not in ("Exception", "BaseException")


def test_training_has_no_field_for_a_dense_mask():
    """The label wall: of the tiles only `training.batches.LabelledTile` reaches training."""
    for module in MODULES:
        if room(module) == "training":
            names = {
                node.attr
                for node in ast.walk(ast.parse(MODULES[module].read_text()))
                if isinstance(node, ast.Attribute)
            }
            assert "mask" not in names, module


def test_results_and_the_report_never_load_torch():
    """The compute wall, with what of the experiments the notebooks of studies import."""
    walled = [m for m in MODULES if room(m) in ("results", "report", "studies")]
    shown = ["agreement", "plan", "sweep"]
    code = "".join(f"import fewlabels.{m}\n" for m in walled)
    code += "".join(f"import fewlabels.experiments.{m}\n" for m in shown)
    code += "import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_there_is_one_training_loop():
    """A linear head is no loop: L-BFGS is handed its loss, and steps until it is flat."""
    steps = [module for module, file in MODULES.items() if ".backward()" in file.read_text()]
    assert steps == ["learners.heads", "training.loop"]
    heads = MODULES["learners.heads"].read_text()
    assert heads.count(".backward()") == heads.count("solver.step(") == 1


@pytest.mark.parametrize("package", sorted({m for m in MODULES if (LIB / m).is_dir()}))
def test_a_package_says_what_it_is_for_and_lists_its_names(package: str):
    text = MODULES[package].read_text()
    assert len(ast.get_docstring(ast.parse(text)).splitlines()) <= 6


def test_every_public_name_of_the_library_can_be_had():
    code = "import fewlabels; [getattr(fewlabels, name) for name in fewlabels.__all__]"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


SPINE = (
    "types", "studies.run", "data.dataset", "labels.sampling.drawing", "training.batches",
    "training.losses.cross_entropy", "training.networks.unet", "training.loop", "training.state",
    "scoring.inference", "scoring.metrics", "experiments.run", "results.records.record",
)  # fmt: skip
"""The reading list of the README."""


def test_the_spine_is_read_in_an_hour_and_the_readme_lists_it():
    assert sum(len(MODULES[module].read_text().splitlines()) for module in SPINE) <= 2500
    text = (LIB.parents[1] / "README.md").read_text()
    for module in SPINE:
        assert f"(lib/fewlabels/{module.replace('.', '/')}.py)" in text
    assert len(text.splitlines()) <= 130


def test_the_library_does_not_grow():
    """The aim is 14,000 lines in 105 modules; until it is met neither number may rise."""
    lines = sum(len(file.read_text().splitlines()) for file in MODULES.values())
    assert lines <= LINES
    assert len(MODULES) <= COUNT
