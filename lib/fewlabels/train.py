"""The only training loop of the project. It counts in steps and knows no data set and no method:
model, batches and loss are arguments.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from tqdm.auto import tqdm

from fewlabels.devices import Compute
from fewlabels.loaders import Batch, Batches
from fewlabels.models import normalise
from fewlabels.types import FewLabelsError, unknown

Loss = Callable[[Float[Tensor, "b k h w"], Int[Tensor, "b h w"]], Float[Tensor, ""]]
Watch = Callable[[int, nn.Module], Mapping[str, float]]


class TrainingError(FewLabelsError):
    """A training that cannot go on."""


@dataclass(frozen=True)
class Optimisation:
    """How the weights move.

    Attributes:
        optimiser: `adamw` (decoupled weight decay) or `adam` (decay as an L2 penalty).
        schedule: `one_cycle` (up to `lr` over the first 30 % of the steps, then down to almost 0)
            or `constant`.
        lr: the highest learning rate.
    """

    optimiser: str = "adamw"
    schedule: str = "one_cycle"
    lr: float = 1e-3
    weight_decay: float = 1e-2


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    how: Optimisation,
    compute: Compute,
    *,
    seed: int,
    watch: Watch | None = None,
    watch_at: frozenset[int] = frozenset(),
) -> list[dict[str, float | int]]:
    """Train `model` in place, one step a batch; the history has one row a step.

    Args:
        loss: of logits and labels; computed outside autocast, on float32 logits.
        seed: of what is random inside the model (dropout).
        watch: called as watch(steps done, model) after each of the steps `watch_at`; what it
            returns joins that step's row. It decides nothing: training never reads it.

    Returns:
        Rows of `step` (1 is the first), `loss`, `lr`, `seconds` (training time so far, without
        the watching) and what `watch` returned.

    Raises:
        TrainingError: the loss is not finite; names step, learning rate and tiles.
        UnknownName: no such optimiser or schedule.
    """
    model = compute.placed(model)
    optimiser = _optimiser(model, how)
    schedule = _schedule(optimiser, how, len(batches))
    history, spent = [], 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        started = time.perf_counter()
        for step, batch in enumerate(tqdm(batches.ahead(), total=len(batches), unit="step"), 1):
            lr = optimiser.param_groups[0]["lr"]
            value = _step(model.train(), batch, loss, optimiser, compute)
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss is {value} at step {step} of {len(batches)} "
                    f"(learning rate {lr:.3g}, tiles {', '.join(batch.ids)}); "
                    "lower the learning rate or look at those tiles"
                )
            schedule.step()
            row = {"step": step, "loss": value, "lr": lr}
            if watch is not None and step in watch_at:
                spent += time.perf_counter() - started
                row |= watch(step, model)
                started = time.perf_counter()
            history.append(row | {"seconds": spent + time.perf_counter() - started})
    return history


def _step(
    model: nn.Module, batch: Batch, loss: Loss, optimiser: torch.optim.Optimizer, compute: Compute
) -> float:
    """The loss of one batch; the weights move only where it is finite."""
    images = compute.laid_out(normalise(batch.images.to(compute.device, non_blocking=True)))
    labels = batch.labels.to(compute.device, non_blocking=True)
    optimiser.zero_grad(set_to_none=True)
    with compute.autocast():
        logits = model(images)
    value = loss(logits.float(), labels)
    if math.isfinite(found := float(value.detach())):
        value.backward()
        optimiser.step()
    return found


def _optimiser(model: nn.Module, how: Optimisation) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if how.optimiser not in kinds:
        raise unknown("optimiser", how.optimiser, kinds)
    return kinds[how.optimiser](model.parameters(), lr=how.lr, weight_decay=how.weight_decay)


def _schedule(optimiser: torch.optim.Optimizer, how: Optimisation, steps: int) -> LRScheduler:
    kinds: dict[str, Callable[[], LRScheduler]] = {
        "constant": lambda: LambdaLR(optimiser, lambda step: 1.0),
        # one more than is used: at the last step the rate is small, not yet the end of the cycle
        "one_cycle": lambda: OneCycleLR(optimiser, max_lr=how.lr, total_steps=steps + 1),
    }
    if how.schedule not in kinds:
        raise unknown("schedule", how.schedule, kinds)
    return kinds[how.schedule]()
