"""Where a training stands, on disk: whole or not there, and nothing that has to be unpickled.

    FOLDER/step-00000040/state.safetensors   weights, moments, averages, generators, labels seen
    FOLDER/step-00000040/state.json          step, whose it is, hash of the other file, history

A checkpoint is written beside the one before, which goes only when the new one is complete. So at
every moment there is a whole one to go on from, whatever kills the writer.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fewlabels.files import whole_folder
from fewlabels.types import FewLabelsError, Row

FORMAT = 1


class CheckpointError(FewLabelsError):
    """A checkpoint that is damaged, or of another training."""


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often a training is written down.

    Attributes:
        owner: what tells this training from any other; a checkpoint of another is refused.
        every: steps between two checkpoints.
    """

    folder: Path
    owner: str
    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"a checkpoint every {self.every} steps: it must be 1 or more")


@dataclass(frozen=True)
class State:
    """One moment of a training.

    Attributes:
        step: steps done.
        tensors: everything that is numbers, by name.
        history: the rows of the steps done.
    """

    step: int
    tensors: Mapping[str, Tensor]
    history: list[Row]


def write(where: Checkpoints, state: State) -> Path:
    """Write one checkpoint, then remove the older ones.

    Raises:
        DiskFullError: no space; the one before is still there.
    """
    target = where.folder / f"step-{state.step:08d}"
    with whole_folder(target) as folder:
        file = folder / "state.safetensors"
        tensors = {k: v.detach().cpu().contiguous() for k, v in state.tensors.items()}
        file.write_bytes(save(tensors))  # whose own error does not say that a disk is full
        facts = {"format": FORMAT, "owner": where.owner, "step": state.step}
        facts |= {"sha256": _sha256(file), "history": state.history}
        (folder / "state.json").write_text(json.dumps(facts))
    for other in where.folder.iterdir():
        if other != target:  # older ones, and what a killed writer left half-written
            shutil.rmtree(other, ignore_errors=True)
    return target


def latest(where: Checkpoints) -> State | None:
    """The newest checkpoint, or None where there is none.

    Raises:
        CheckpointError: it is damaged, of another format or of another training.
    """
    steps = sorted(where.folder.glob("step-*"))
    if not steps:
        return None
    folder = steps[-1]
    try:
        facts = json.loads((folder / "state.json").read_text())
        if facts["format"] != FORMAT or facts["owner"] != where.owner:
            raise CheckpointError(
                f"the checkpoint '{folder}' is of format {facts['format']} and of training "
                f"'{facts['owner']}', not of format {FORMAT} and '{where.owner}'; delete "
                f"'{where.folder}' to start anew"
            )
        if _sha256(folder / "state.safetensors") != facts["sha256"]:
            raise CheckpointError(_damaged(folder, "state.safetensors is not what was written"))
        return State(facts["step"], load_file(folder / "state.safetensors"), facts["history"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(_damaged(folder, str(error))) from error


def clear(where: Checkpoints) -> None:
    """Remove every checkpoint of a training that is done."""
    shutil.rmtree(where.folder, ignore_errors=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _damaged(folder: Path, what: str) -> str:
    return f"the checkpoint '{folder}' cannot be read: {what}; delete that folder and run again"
