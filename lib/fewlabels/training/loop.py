"""The only training loop. It counts in steps and knows no data set and no method: model, batches
and loss are arguments.

Everything that the next step depends on is in a checkpoint (`progress`), so a training that was
killed resumes and ends with the same weights; on a CPU, with as many threads, to the bit.
"""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from fewlabels.devices import Compute
from fewlabels.training import optimisation
from fewlabels.training.batches import Batch, Batches
from fewlabels.training.networks import normalise
from fewlabels.training.optimisation import Optimisation
from fewlabels.training.state import (
    Checkpoints,
    History,
    Progress,
    begun,
    finite,
    latest,
    resume,
    save,
)
from fewlabels.types import FewLabelsError, Row, unknown

Loss = Callable[[Float[Tensor, "b k h w"], Int[Tensor, "b h w"]], Float[Tensor, ""]]
Watch = Callable[[int, nn.Module], Row]


class TrainingError(FewLabelsError):
    """A training that cannot go on."""


@dataclass(frozen=True)
class Judge:
    """The validation of a training, which may end it, lower its rate and choose its weights.

    Attributes:
        score: called as score(steps done, model); what it returns joins that step's row.
        by: the column of it that decides; higher is better.
    """

    score: Watch
    by: str

    def scores(self, history: History) -> list[float]:
        """The deciding scores so far, oldest first."""
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
    """Train `model` in place, one step a batch.

    Args:
        loss: of logits and labels; computed outside autocast, on float32 logits.
        seed: of what is random inside the model (dropout).
        watch: called as watch(steps done, model) after each of the steps `watch_at`; what it
            returns joins that step's row. It decides nothing: training never reads it.
        judge: the validation, after the same steps; `Optimisation` says what it decides.
        checkpoints: where this training is stored, and resumed from.
        workers: threads that make batches ahead; the batches do not depend on it.

    Returns:
        A row a step: `step` (from 1), `loss`, `lr`, what `watch` and `judge` returned, and
        `seconds` (training time so far, without the watching); fewer rows than batches where the
        training ended early. `model` is left with the weights that `how` keeps.

    Raises:
        TrainingError: the loss or a weight is not finite (names step, learning rate, tiles and the
            last checkpoint, which stays), or `how` needs a judge and there is none.
        ValueError: a warm-up that does not fit, see `optimisation.rates`.
        CheckpointError: the checkpoint is damaged, or of another training or model.
        UnknownName: no such optimiser, schedule or rule of which weights are kept.
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
            while now.step < len(batches):
                scores = judge.scores(now.history) if judge is not None else []
                if how.patience and optimisation.since_best(scores) >= how.patience:
                    break
                batch, rate = next(coming), rates[now.step]
                rate = rate._replace(lr=rate.lr * optimisation.reduced(how, scores))
                value = _step(now, batch, loss, how, rate)
                row = {"step": now.step + 1, "loss": value, "lr": rate.lr}
                if not math.isfinite(value):
                    raise _broken(f"the loss is {value}", row, batches, batch, before, checkpoints)
                paused = time.perf_counter()
                if row["step"] in watch_at:
                    row |= _scored(now, row["step"], how, watch, judge)
                now.history.append(row | {"seconds": paused - began})
                if checkpoints is not None and now.step % checkpoints.every == 0:
                    if not finite(now.model):
                        what = "a weight is not finite"
                        raise _broken(what, row, batches, batch, before, checkpoints)
                    save(now, checkpoints)
                began += time.perf_counter() - paused
                before = batch
                bar.update()
    if now.best or now.shadow is not None:
        now.model.load_state_dict(now.best or now.shown.state_dict())
    if not finite(now.model):
        raise TrainingError(
            f"a weight is not finite after the last step, {now.step}; lower the learning rate, or "
            "clip gradients"
        )
    return now.history


def _step(
    now: Progress, batch: Batch, loss: Loss, how: Optimisation, rate: optimisation.Rate
) -> float:
    """Take one step and return the batch's loss; the weights move only where it is finite."""
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


def _scored(
    now: Progress, step: int, how: Optimisation, watch: Watch | None, judge: Judge | None
) -> Row:
    """Score the present weights, and copy them where they are the best so far."""
    found = dict(watch(step, now.shown)) if watch is not None else {}
    if judge is not None:
        found |= judge.score(step, now.shown)
        better = all(found[judge.by] > score for score in judge.scores(now.history))
        if how.keep == "best" and better:
            now.best.update({k: v.detach().clone() for k, v in now.shown.state_dict().items()})
    return found


def _broken(
    what: str,
    row: Row,
    batches: Batches,
    batch: Batch,
    before: Batch | None,
    where: Checkpoints | None,
) -> TrainingError:
    """Name the step, its tiles, and those of the step before, which moved the weights last."""
    earlier = f"; of the step before {', '.join(before.ids)}" if before is not None else ""
    there = where is not None and latest(where) is not None
    kept = f"; the last good checkpoint stays in '{where.folder}'" if there else ""
    return TrainingError(
        f"{what} at step {row['step']} of {len(batches)} (learning rate {row['lr']:.3g}, tiles "
        f"{', '.join(batch.ids)}{earlier}); lower the learning rate or look at those tiles{kept}"
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
