"""The only training loop of the project. It counts in steps and knows no data set and no method:
model, batches and loss are arguments.

Whatever the next step depends on is in a checkpoint (`progress`), so a training that was killed
goes on to the same weights; on a CPU, with as many threads, to the bit.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from fewlabels.devices import Compute
from fewlabels.training import checkpoint, optimisation
from fewlabels.training.batches import Batch, Batches
from fewlabels.training.checkpoint import Checkpoints
from fewlabels.training.networks import normalise
from fewlabels.training.optimisation import Optimisation
from fewlabels.training.state import History, Progress, begun, finite, resume, save
from fewlabels.types import FewLabelsError, Row, unknown

Loss = Callable[[Float[Tensor, "b k h w"], Int[Tensor, "b h w"]], Float[Tensor, ""]]
Watch = Callable[[int, nn.Module], Row]


class TrainingError(FewLabelsError):
    """A training that cannot go on."""


@dataclass(frozen=True)
class Judge:
    """The validation of a training: what may end it, lower its rate and choose its weights.

    Attributes:
        score: called as score(steps done, model); what it returns joins that step's row.
        by: the column of it that decides; higher is better.
    """

    score: Watch
    by: str

    def scores(self, history: History) -> list[float]:
        """What decided so far, oldest first."""
        return [row[self.by] for row in history if self.by in row]


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
    judge: Judge | None = None,
    checkpoints: Checkpoints | None = None,
    workers: int = 1,
) -> History:
    """Train `model` in place, one step a batch; the history has one row a step.

    Args:
        loss: of logits and labels; computed outside autocast, on float32 logits.
        seed: of what is random inside the model (dropout).
        watch: called as watch(steps done, model) after each of the steps `watch_at`; what it
            returns joins that step's row. It decides nothing: training never reads it.
        judge: the validation, after the same steps; `Optimisation` says what it decides.
        checkpoints: where this training is written down, and goes on if it was cut off.
        workers: threads that make batches ahead; the batches do not depend on it.

    Returns:
        Rows of `step` (1 is the first), `loss`, `lr`, what `watch` and `judge` returned, and
        `seconds` (training time so far, without the watching); fewer rows than batches where
        the training ended early. `model` is left with the weights that `how` keeps.

    Raises:
        TrainingError: the loss or a weight is not finite (names step, learning rate, tiles, those
            of the step before, and the last checkpoint, which stays; after the last step only the
            step), or `how` needs a judge and there is none.
        ValueError: a warm-up that does not fit, see `optimisation.rates`.
        CheckpointError: the checkpoint is damaged, or of another training or model.
        UnknownName: no such optimiser, schedule or rule of what is kept.
    """
    _check(how, judge, watch_at)
    rates = optimisation.rates(how, len(batches))
    now = begun(model, how, compute, batches.ledger)
    with torch.random.fork_rng(devices=[]):
        compute.seed(seed)
        if checkpoints is not None:
            resume(now, checkpoints)
        began = time.perf_counter() - (now.history[-1]["seconds"] if now.history else 0.0)
        bar = tqdm(initial=now.step, total=len(batches), unit="step")
        with bar, closing(batches.ahead(now.step, workers)) as coming:
            before = None
            while now.step < len(batches) and not _ended(now, how, judge):
                batch, rate = next(coming), _rate(now, how, judge, rates)
                value = _step(now, batch, loss, how, rate)
                row = {"step": now.step + 1, "loss": value, "lr": rate.lr}
                if not math.isfinite(value):
                    what = f"the loss is {value}"
                    raise _broken(what, row, batches, (batch, before), checkpoints)
                paused = time.perf_counter()
                if row["step"] in watch_at:
                    row |= _scored(now, row["step"], how, watch, judge)
                now.history.append(row | {"seconds": paused - began})
                if checkpoints is not None and now.step % checkpoints.every == 0:
                    if not finite(now.model):
                        what = "a weight is not finite"
                        raise _broken(what, row, batches, (batch, before), checkpoints)
                    save(now, checkpoints)
                began += time.perf_counter() - paused
                before = batch
                bar.update()
    _leave(now)
    return now.history


def _step(
    now: Progress, batch: Batch, loss: Loss, how: Optimisation, rate: optimisation.Rate
) -> float:
    """The loss of one batch; the weights move only where it is finite."""
    compute, optimiser = now.compute, now.optimiser
    images = compute.laid_out(normalise(batch.images.to(compute.device, non_blocking=True)))
    labels = batch.labels.to(compute.device, non_blocking=True)
    optimisation.set_rate(optimiser, rate)
    optimiser.zero_grad(set_to_none=True)
    with compute.autocast():
        logits = now.model.train()(images)
    value = loss(logits.float(), labels)
    if math.isfinite(found := float(value.detach())):
        value.backward()
        if how.clip is not None:
            nn.utils.clip_grad_norm_(now.model.parameters(), how.clip)
        optimiser.step()
        if now.shadow is not None:
            optimisation.average(now.shadow, now.model, how.ema, now.step + 1)
        compute.settle()
    return found


def _rate(
    now: Progress, how: Optimisation, judge: Judge | None, rates: list[optimisation.Rate]
) -> optimisation.Rate:
    rate = rates[now.step]
    scores = judge.scores(now.history) if judge is not None else []
    return rate._replace(lr=rate.lr * optimisation.reduced(how, scores))


def _scored(
    now: Progress, step: int, how: Optimisation, watch: Watch | None, judge: Judge | None
) -> Row:
    """What watch and judge say of the weights as they are; the best so far are put aside."""
    found = dict(watch(step, now.shown)) if watch is not None else {}
    if judge is not None:
        found |= judge.score(step, now.shown)
        better = all(found[judge.by] > score for score in judge.scores(now.history))
        if how.keep == "best" and better:
            now.best.update({k: v.detach().clone() for k, v in now.shown.state_dict().items()})
    return found


def _ended(now: Progress, how: Optimisation, judge: Judge | None) -> bool:
    if judge is None or not how.patience:
        return False
    return optimisation.since_best(judge.scores(now.history)) >= how.patience


def _leave(now: Progress) -> None:
    """Put the weights that are kept into the model."""
    if now.best or now.shadow is not None:
        now.model.load_state_dict(now.best or now.shown.state_dict())
    if not finite(now.model):
        raise TrainingError(
            f"a weight is not finite after the last step, {now.step}; lower the learning rate, or "
            "clip gradients"
        )


def _broken(
    what: str,
    row: Mapping[str, float],
    batches: Batches,
    of: tuple[Batch, Batch | None],
    where: Checkpoints | None,
) -> TrainingError:
    """Of a step with its batch and the one before, which moved the weights last."""
    there = where is not None and checkpoint.latest(where) is not None
    earlier = f"; of the step before {', '.join(of[1].ids)}" if of[1] is not None else ""
    kept = f"; the last good checkpoint stays in '{where.folder}'" if there else ""
    return TrainingError(
        f"{what} at step {row['step']} of {len(batches)} (learning rate {row['lr']:.3g}, tiles "
        f"{', '.join(of[0].ids)}{earlier}); lower the learning rate or look at those tiles{kept}"
    )


def _check(how: Optimisation, judge: Judge | None, watch_at: frozenset[int]) -> None:
    if how.keep not in optimisation.KEEPS:
        raise unknown("rule of which weights are kept", how.keep, optimisation.KEEPS)
    needs = {
        "early stopping": how.patience > 0,
        "keeping the best weights": how.keep == "best",
        "the plateau schedule": how.schedule == "plateau",
    }
    wanting = " and ".join(name for name, needed in needs.items() if needed)
    if wanting and (judge is None or not watch_at):
        raise TrainingError(
            f"{wanting}: there is no validation score to go by; set `validation` to sparse or "
            "dense and `watch` to 1 or more"
        )
