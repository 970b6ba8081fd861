"""How weights move: optimisers, learning rates, the average of weights.

Every rate is a pure function of the step and of the validation scores so far, so a resumed training
has nothing else to restore.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from fewlabels.types import unknown


@dataclass(frozen=True)
class Optimisation:
    """How the weights move, and when they stop.

    Attributes:
        optimiser: `adamw` (decoupled weight decay) or `adam` (decay as an L2 penalty).
        schedule: `constant`; `one_cycle` (up to `lr` over the first 30 % of the steps, then down
            to almost 0); `cosine` (half a cosine from `lr` down to almost 0); `plateau`
            (constant, times `plateau_factor` whenever more than `plateau_patience` validations
            in a row brought no better score).
        lr: the highest learning rate.
        clip: gradients are scaled down to this norm, taken over all weights; None never.
        warm_up: steps before the schedule starts, over which the rate rises in equal parts to
            the schedule's first.
        ema: decay of the running average of the weights, which is then scored and kept; 0 keeps
            none.
        patience: training ends after so many validations in a row without a better score; 0 never.
        keep: `last` weights, or `best`: those of the first validation with the highest score.
    """

    optimiser: str = "adamw"
    schedule: str = "one_cycle"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    clip: float | None = None
    warm_up: int = 0
    ema: float = 0.0
    patience: int = 0
    keep: str = "last"
    plateau_patience: int = 5
    plateau_factor: float = 0.1


class Rate(NamedTuple):
    """The settings of an optimiser for one step: `one_cycle` moves the momentum too."""

    lr: float
    beta1: float


OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES: Mapping[str, Callable[[torch.optim.Optimizer, float, int], LRScheduler]] = {
    "constant": lambda optimiser, lr, steps: ConstantLR(optimiser, 1.0),
    "plateau": lambda optimiser, lr, steps: ConstantLR(optimiser, 1.0),
    # one more than is used: at the last step the rate is small, not yet the end of the cycle
    "one_cycle": lambda optimiser, lr, steps: OneCycleLR(optimiser, lr, total_steps=steps + 1),
    "cosine": lambda optimiser, lr, steps: CosineAnnealingLR(optimiser, T_max=steps),
}
KEEPS = ("last", "best")


def optimiser(model: nn.Module, how: Optimisation) -> torch.optim.Optimizer:
    """Make the optimiser of all weights of `model`; raise UnknownName where there is none."""
    if how.optimiser not in OPTIMISERS:
        raise unknown("optimiser", how.optimiser, OPTIMISERS)
    kind = OPTIMISERS[how.optimiser]
    return kind(model.parameters(), lr=how.lr, weight_decay=how.weight_decay)


def rates(how: Optimisation, steps: int) -> list[Rate]:
    """Compute the rate of each of `steps` steps, before any reduction on a plateau.

    PyTorch's own schedulers make them, on an optimiser of one weight that never moves.

    Raises:
        UnknownName: no such schedule.
        ValueError: the warm-up leaves no step.
    """
    if how.schedule not in SCHEDULES:
        raise unknown("schedule", how.schedule, SCHEDULES)
    if not 0 <= how.warm_up < max(1, steps):
        raise ValueError(f"a warm-up of {how.warm_up} steps does not fit into {steps} steps")
    idle = optimiser(nn.Linear(1, 1, bias=False), how)
    schedule = SCHEDULES[how.schedule](idle, how.lr, steps - how.warm_up)
    found = []
    for _ in range(steps - how.warm_up):
        group = idle.param_groups[0]
        found.append(Rate(group["lr"], group["betas"][0]))
        idle.step()
        schedule.step()
    first, parts = found[0], how.warm_up + 1
    return [Rate(first.lr * n / parts, first.beta1) for n in range(1, parts)] + found


def reduced(how: Optimisation, scores: Sequence[float]) -> float:
    """Compute the factor of `plateau` on the rate after these validation scores, oldest first.

    As PyTorch's ReduceLROnPlateau with mode "max" and threshold 0; 1 for other schedules.
    """
    if how.schedule != "plateau":
        return 1.0
    factor, best, waited = 1.0, float("-inf"), 0
    for score in scores:
        best, waited = (score, 0) if score > best else (best, waited + 1)
        if waited > how.plateau_patience:
            factor, waited = factor * how.plateau_factor, 0
    return factor


def since_best(scores: Sequence[float]) -> int:
    """Count the scores after the first of the highest; 0 where there is none."""
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def set_rate(optimiser: torch.optim.Optimizer, rate: Rate) -> None:
    """Give every weight this rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate.lr
        group["betas"] = (rate.beta1, group["betas"][1])


@torch.no_grad()
def average(shadow: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move `shadow` towards `model`: shadow = d * shadow + (1 - d) * model, buffers included.

    d = min(decay, step / (step + 9)) with step 1 for the first, so that the random weights of the
    start do not weigh on a short training. Integers (a counter) are copied.
    """
    share = 1 - min(decay, step / (step + 9))
    for mean, now in zip(shadow.state_dict().values(), model.state_dict().values(), strict=True):
        mean.lerp_(now, share) if mean.is_floating_point() else mean.copy_(now)


def moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's tensors as INDEX.NAME, the index that of the weight they belong to."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{name}": value for i, named in state.items() for name, value in named.items()}


def set_moments(optimiser: torch.optim.Optimizer, stored: Mapping[str, Tensor]) -> None:
    """Restore what `moments` returned.

    A moment gets the memory layout of its weight: the order in which values are computed, and so
    their last bit, may depend on it.
    """
    weights = [w for group in optimiser.param_groups for w in group["params"]]
    for key, value in stored.items():
        index, name = key.split(".", 1)
        weight = weights[int(index)]
        if value.shape == weight.shape:
            value = torch.empty_like(weight.detach(), dtype=value.dtype).copy_(value)
        optimiser.state[weight][name] = value
