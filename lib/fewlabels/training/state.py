"""Everything that the next training step depends on: held, written down, and taken up again."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fewlabels.devices import Compute
from fewlabels.labels import ledger
from fewlabels.labels.ledger import Ledger
from fewlabels.training import checkpoint, optimisation
from fewlabels.training.checkpoint import CheckpointError, Checkpoints, State
from fewlabels.training.optimisation import Optimisation
from fewlabels.types import Row

History = list[Row]


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        shadow: the average of the weights, where one is kept.
        best: the weights of the best validation so far; empty before the first and where the
            last ones are kept.
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
    """A training before its first step.

    Raises:
        UnknownName: no such optimiser.
    """
    model = compute.placed(model)
    shadow = copy.deepcopy(model) if how.ema else None
    return Progress(model, shadow, optimisation.optimiser(model, how), compute, book)


def save(progress: Progress, where: Checkpoints) -> None:
    """Write `progress` down as the newest checkpoint.

    Raises:
        DiskFullError: no space; the checkpoint before is still there.
    """
    parts: dict[str, Mapping[str, Tensor]] = {
        "model": progress.model.state_dict(),
        "shadow": progress.shadow.state_dict() if progress.shadow is not None else {},
        "best": progress.best,
        "moment": optimisation.moments(progress.optimiser),
        "generator": progress.compute.generators(),
        "seen": _seen(progress.ledger),
    }
    tensors = {f"{part}.{key}": t for part, named in parts.items() for key, t in named.items()}
    checkpoint.write(where, State(progress.step, tensors, progress.history))


def resume(progress: Progress, where: Checkpoints) -> None:
    """Put `progress` where the newest checkpoint left off; where there is none, nothing happens.

    Raises:
        CheckpointError: it is damaged, of another training, or does not fit the model.
    """
    state = checkpoint.latest(where)
    if state is None:
        return
    networks = {"model": progress.model, "shadow": progress.shadow}
    for part, network in networks.items():
        expected = {} if network is None else network.state_dict()
        _check(where, state.step, part, expected, _part(state, part))
        if network is not None:
            network.load_state_dict(_part(state, part))
    like = progress.model.state_dict()
    best = {key: torch.empty_like(like[key]).copy_(t) for key, t in _part(state, "best").items()}
    progress.best.update(best)
    optimisation.set_moments(progress.optimiser, _part(state, "moment"))
    progress.compute.set_generators(_part(state, "generator"))
    if progress.ledger is not None:
        packed = {tile: bits.numpy() for tile, bits in _part(state, "seen").items()}
        ledger.unpack(progress.ledger, packed)
    progress.history.extend(state.history)


def finite(model: nn.Module) -> bool:
    """Whether every weight and every running statistic is a number."""
    floats = (t for t in model.state_dict().values() if t.is_floating_point())
    return all(bool(t.isfinite().all()) for t in floats)


def _part(state: State, part: str) -> dict[str, Tensor]:
    names: Iterator[str] = (name for name in state.tensors if name.startswith(f"{part}."))
    return {name.removeprefix(f"{part}."): state.tensors[name] for name in names}


def _seen(book: Ledger | None) -> dict[str, Tensor]:
    if book is None:
        return {}
    return {tile: torch.from_numpy(bits) for tile, bits in ledger.packed(book).items()}


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
