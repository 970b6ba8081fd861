"""What the files for readers say is so: commands, version, public names."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

import fewlabels
from fewlabels.cli import arguments
from fewlabels.report import api

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"\.venv/bin/fewlabels ([^`#|\n]+)", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_taken(command):
    assert arguments.parser().parse_args(shlex.split(command)).command


def test_the_way_to_a_map_names_scene_and_model_in_order():
    train, predict = (
        arguments.parser().parse_args(shlex.split(next(c for c in COMMANDS if c.startswith(name))))
        for name in ("train", "predict")
    )
    assert train.out == predict.model == Path("try/model")
    assert train.scene == predict.scene == Path("try/scene.tif")


def test_the_last_release_of_the_changelog_is_the_version_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changes = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    assert released[0] == (cited["version"], str(cited["date-released"]))
    assert released == sorted(released, reverse=True)
    assert fewlabels.__version__ == cited["version"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == cited["version"]


def test_the_changelog_keeps_the_usual_form():
    headings = re.findall(r"^#.*$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["# Changelog", "## Unreleased"]
    kinds = {line for line in headings if line.startswith("###")}
    assert kinds <= {f"### {kind}" for kind in ("Added", "Changed", "Fixed", "Removed")}


def test_the_page_of_public_names_is_up_to_date():
    """`make sync` writes it anew."""
    assert api.page() == (ROOT / "report" / "api.md").read_text()
