"""Everything that the next training step depends on: held in memory, stored, and resumed.

    FOLDER/step-00000040/state.safetensors   weights, moments, averages, generators, labels seen
    FOLDER/step-00000040/state.json          step, owner, hash of the other file, history

A checkpoint is written beside the one before, which is removed only when the new one is complete:
whatever kills the writer, there is a whole one to resume from. Nothing has to be unpickled.
"""

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from fewlabels.devices import Compute
from fewlabels.files import whole_folder
from fewlabels.labels import ledger
from fewlabels.labels.ledger import Ledger
from fewlabels.training import optimisation
from fewlabels.training.optimisation import Optimisation
from fewlabels.types import FewLabelsError, Row

FORMAT = 1
History = list[Row]


class CheckpointError(FewLabelsError):
    """A checkpoint that is damaged, or of another training."""


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often a training is stored.

    Attributes:
        owner: tells this training from any other; a checkpoint of another is refused.
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
    """One stored moment of a training: steps done, all tensors by name, a row for each step."""

    step: int
    tensors: Mapping[str, Tensor]
    history: History


@dataclass(frozen=True)
class Progress:
    """A training under way.

    Attributes:
        shadow: the average of the weights, where one is kept.
        best: the weights of the best validation so far; empty before the first, and where the
            last weights are kept.
        history: one row for each step done.
    """

    model: nn.Module
    shadow: nn.Module | None
    optimiser: torch.optim.Optimizer
    compute: Compute
    ledger: Ledger | None
    best: dict[str, Tensor] = field(default_factory=dict)
    history: History = field(default_factory=list)

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.history)

    @property
    def shown(self) -> nn.Module:
        """The network that is scored and kept."""
        return self.model if self.shadow is None else self.shadow


def begun(model: nn.Module, how: Optimisation, compute: Compute, book: Ledger | None) -> Progress:
    """Make the state before the first step; raise UnknownName for an unknown optimiser."""
    model = compute.placed(model)
    shadow = copy.deepcopy(model) if how.ema else None
    return Progress(model, shadow, optimisation.optimiser(model, how), compute, book)


def save(progress: Progress, where: Checkpoints) -> None:
    """Store `progress` as the newest checkpoint.

    Raises:
        DiskFullError: no space; the checkpoint before is still there.
    """
    book = progress.ledger
    seen = {} if book is None else ledger.packed(book)
    parts: dict[str, Mapping[str, Tensor]] = {
        "model": progress.model.state_dict(),
        "shadow": progress.shadow.state_dict() if progress.shadow is not None else {},
        "best": progress.best,
        "moment": optimisation.moments(progress.optimiser),
        "generator": progress.compute.generators(),
        "seen": {tile: torch.from_numpy(bits) for tile, bits in seen.items()},
    }
    tensors = {f"{part}.{key}": t for part, named in parts.items() for key, t in named.items()}
    write(where, State(progress.step, tensors, progress.history))


def resume(progress: Progress, where: Checkpoints) -> None:
    """Set `progress` to the newest checkpoint; where there is none, nothing happens.

    Raises:
        CheckpointError: it is damaged, of another training, or does not fit the model.
    """
    state = latest(where)
    if state is None:
        return
    for part, network in {"model": progress.model, "shadow": progress.shadow}.items():
        stored = _part(state, part)
        _check(where, state.step, part, {} if network is None else network.state_dict(), stored)
        if network is not None:
            network.load_state_dict(stored)
    like = progress.model.state_dict()
    for key, value in _part(state, "best").items():
        progress.best[key] = torch.empty_like(like[key]).copy_(value)
    optimisation.set_moments(progress.optimiser, _part(state, "moment"))
    progress.compute.set_generators(_part(state, "generator"))
    if progress.ledger is not None:
        seen = {tile: bits.numpy() for tile, bits in _part(state, "seen").items()}
        ledger.unpack(progress.ledger, seen)
    progress.history.extend(state.history)


def finite(model: nn.Module) -> bool:
    """Say whether every weight and every running statistic is a number."""
    floats = (t for t in model.state_dict().values() if t.is_floating_point())
    return all(bool(t.isfinite().all()) for t in floats)


def write(where: Checkpoints, state: State) -> None:
    """Write one checkpoint, then remove the older ones.

    Raises:
        DiskFullError: no space; the one before is still there.
    """
    target = where.folder / f"step-{state.step:08d}"
    with whole_folder(target) as folder:
        file = folder / "state.safetensors"
        tensors = {k: v.detach().cpu().contiguous() for k, v in state.tensors.items()}
        file.write_bytes(to_bytes(tensors))  # whose own error does not say that a disk is full
        facts = {"format": FORMAT, "owner": where.owner, "step": state.step}
        facts |= {"sha256": _sha256(file), "history": state.history}
        (folder / "state.json").write_text(json.dumps(facts))
    for other in where.folder.iterdir():
        if other != target:  # older ones, and what a killed writer left half-written
            shutil.rmtree(other, ignore_errors=True)


def latest(where: Checkpoints) -> State | None:
    """Read the newest checkpoint, or return None where there is none.

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
            raise ValueError("state.safetensors is not what was written")
        return State(facts["step"], load_file(folder / "state.safetensors"), facts["history"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"the checkpoint '{folder}' cannot be read: {error}; delete that folder and run again"
        ) from error


def clear(where: Checkpoints) -> None:
    """Remove every checkpoint of a training that is done."""
    shutil.rmtree(where.folder, ignore_errors=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _part(state: State, part: str) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.tensors.items()
        if name.startswith(prefix)
    }


def _check(
    where: Checkpoints,
    step: int,
    part: str,
    expected: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
) -> None:
    """Refuse weights of another network, by their names and shapes."""
    want = {name: tuple(t.shape) for name, t in expected.items()}
    have = {name: tuple(t.shape) for name, t in found.items()}
    if want != have:
        odd = next(n for n in [*want, *have] if want.get(n) != have.get(n))
        raise CheckpointError(
            f"the checkpoint in '{where.folder}' (step {step}) is of another model: {part} weight "
            f"'{odd}' is {have.get(odd, 'not there')} and should be {want.get(odd, 'not there')}; "
            "delete that folder to start anew"
        )
