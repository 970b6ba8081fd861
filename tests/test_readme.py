"""What the README tells people to type is what the command line takes."""

import re
import shlex
from pathlib import Path

import pytest

from fewlabels.cli import arguments

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
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
