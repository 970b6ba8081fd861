"""One run from its declaration to its record."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fewlabels import devices, environment, paths
from fewlabels.experiments import prepare, versioning
from fewlabels.experiments.prepare import Prepared
from fewlabels.files import locked
from fewlabels.labels import ledger
from fewlabels.results import records
from fewlabels.scoring import boundaries, calibration, inference, metrics, validation
from fewlabels.studies import Run
from fewlabels.training import loop, losses, networks, optimisation, state
from fewlabels.types import RecordError, Row, Tile

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 100  # steps, unless something else is asked for
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "partial_focal": {"gamma": "gamma", "alpha": "alpha"},
    "partial_tversky": {"alpha": "tversky_alpha", "beta": "tversky_beta"},
    "partial_focal_tversky": {
        "alpha": "tversky_alpha",
        "beta": "tversky_beta",
        "gamma": "tversky_gamma",
    },
}
"""Which factor of a run is which argument of its loss."""


@dataclass(frozen=True)
class Operation:
    """How a run is carried out: nothing here changes its result, but for the device."""

    compute: devices.Compute
    keep_model: bool = True
    checkpoints: state.Checkpoints | None = None
    workers: int = 1


def execute(
    run: Run,
    *,
    root: Path | None = None,
    runs: Path | None = None,
    device: str = "auto",
    keep_model: bool = True,
    checkpoint_every: int | None = CHECKPOINT_EVERY,
    workers: int = 1,
) -> records.Record:
    """The record of `run`: read if there is one, else trained, evaluated and written.

    Args:
        root: of the data, see `data.load`.
        runs: folder of the records (default: `paths.runs_root()`).
        keep_model: whether the weights are stored too.
        checkpoint_every: steps between two checkpoints, kept in .partial-KEY beside it until the
            record is written; a run that was killed goes on there and ends as if it had not been
            (only times differ). None keeps none, and so does a run of several annotation rounds.
        workers: threads that make batches; the record does not depend on it.

    Raises:
        FewLabelsError: whatever is wrong with data, labels, weights, device or training.
    """
    runs = runs or paths.runs_root()
    name = versioning.key(run, root)
    every = checkpoint_every if run.rounds == 1 else None
    scratch = records.beside(runs) / f".partial-{name}"
    partial_run = None if every is None else state.Checkpoints(scratch, name, every)
    if not records.exists(runs, name):
        compute, ready = devices.compute(device, run.precision), prepare.prepare(run, root)
        how = Operation(compute, keep_model, partial_run, workers)
        with locked(records.beside(runs) / name):
            if not records.exists(runs, name):  # else another process has trained it meanwhile
                _train_and_record(ready, runs, name, how)
    record = versioning.recorded(run, runs, name)
    if partial_run:
        state.clear(partial_run)
    return record


def trained(record: records.Record, runs: Path | None = None) -> nn.Module:
    """The network of a record with the weights that were kept.

    Raises:
        RecordError: the weights were not kept, are damaged or do not fit.
    """
    file = (runs or paths.runs_root()) / record.key / "model.safetensors"
    data = record.facts["data"]
    model = networks.build(
        record.run.model, len(data["classes"]), channels=data.get("channels", 3), weights="none"
    )
    try:
        model.load_state_dict(load_file(file), strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RecordError(
            f"the weights of run '{record.key}' cannot be read from '{file}' ({error}); "
            "delete that run's folder and run again"
        ) from error
    return model


def _train_and_record(ready: Prepared, runs: Path, name: str, operation: Operation) -> None:
    run, classes, compute = ready.run, len(ready.train.classes), operation.compute
    model, provenance = networks.build_with_provenance(
        run.model, classes, channels=ready.labelled[0].image.shape[-1], weights=run.weights,
        seed=run.seed,
    )  # fmt: skip
    seen = ready.ledger()
    ready, history = _trained(ready, model, seen, operation)
    weights = _class_weights(ready)
    began = time.perf_counter()
    found = inference.statistics(model, ready.test, classes, compute, ignored=ready.ignored)
    evaluated = time.perf_counter() - began
    trained_on = _trained_on(ready)
    fitted = inference.confusions(model, trained_on, classes, compute).sum(axis=0)
    facts = {
        "data": prepare.data_facts(ready),
        "labels": prepare.label_facts(ready, seen),
        "class_weights": None if weights is None else [round(w, 6) for w in weights.tolist()],
        "weights": asdict(provenance),
        "parameters": sum(p.numel() for p in model.parameters()),
        "scores": _score_facts(found, ready),
        "training": {"tiles": len(trained_on), "confusion": fitted.tolist()},
        "kept": _kept_facts(run, history),
        "cost": {
            "train_seconds": history[-1]["seconds"],
            "test_seconds": evaluated,
            "peak_mib": compute.peak_mib,
        },
        "finished": environment.now(),
        "environment": environment.facts()
        | {
            "device": compute.hardware,
            "precision": compute.precision,
            "code": versioning.code_version(),
        },
    }  # fmt: skip
    state = {k: v.detach().cpu().contiguous().numpy() for k, v in model.state_dict().items()}
    stored = state if operation.keep_model else None
    records.write(runs, name, run, facts, history, ready.test.ids, found, stored)


def _trained(
    ready: Prepared, model: nn.Module, seen: ledger.Ledger, how: Operation
) -> tuple[Prepared, loop.History]:
    """Train `model` in place; returns the labels of the last annotation round, and all steps."""
    run, compute, history = ready.run, how.compute, []
    watched = _evenly(run.steps, run.watch)
    for number in range(1, run.rounds + 1):
        if number > 1:
            undecided = partial(inference.probabilities, model, compute=compute)
            ready = prepare.next_round(ready, number, undecided)
        done, batches = len(history), prepare.batches(ready, seen, number)
        seconds = history[-1]["seconds"] if history else 0.0
        rows = loop.fit(
            model, batches, _loss(ready, compute), _optimisation(run), compute, seed=batches.seed,
            watch=_watcher(ready, compute, done),
            watch_at=frozenset({step - done for step in watched} & {*range(1, len(batches) + 1)}),
            judge=_judge(ready, compute), checkpoints=how.checkpoints, workers=how.workers,
        )  # fmt: skip
        history += [
            row | {"step": row["step"] + done, "seconds": row["seconds"] + seconds} for row in rows
        ]
    return ready, history


def _trained_on(ready: Prepared) -> list[Tile]:
    """As many training tiles as are tested, evenly spaced, with the labels drawn for their masks:
    what training itself scores is known to it, and no more.
    """
    tiles = ready.train
    chosen = np.linspace(0, len(tiles) - 1, min(len(tiles), len(ready.test))).astype(int)
    return [replace(tiles[i], mask=ready.drawn[tiles[i].id]) for i in chosen.tolist()]


def _class_weights(ready: Prepared) -> Float[Tensor, " k"] | None:
    """From the labels that the loss sees: an ignored class counts as one without labels."""
    counts = ready.counts
    counts[list(ready.ignored)] = 0
    return losses.class_weights(counts, ready.run.class_weights, bound=ready.run.weight_bound)


def _loss(ready: Prepared, compute: devices.Compute) -> loop.Loss:
    run, weights = ready.run, _class_weights(ready)
    options = {name: getattr(run, factor) for name, factor in OPTIONS.get(run.loss, {}).items()}
    return partial(
        losses.LOSSES[run.loss],
        class_weights=None if weights is None else weights.to(compute.device),
        ignored=ready.ignored,
        **options,
    )


def _optimisation(run: Run) -> optimisation.Optimisation:
    """The factors of the run that bear the name of a field of `Optimisation`."""
    names = (f.name for f in fields(optimisation.Optimisation))
    return optimisation.Optimisation(**{name: getattr(run, name) for name in names})


def _watcher(ready: Prepared, compute: devices.Compute, done: int) -> loop.Watch:
    """Scores the test tiles, after `done` steps of earlier rounds."""

    def watch(step: int, model: nn.Module) -> Row:
        classes = len(ready.test.classes)
        found = inference.watched(model, ready.test, classes, compute, ignored=ready.ignored)
        log.info("step %d of %d: test mIoU %.3f", done + step, ready.run.steps, found["miou"])
        return found

    return watch


def _judge(ready: Prepared, compute: devices.Compute) -> loop.Judge | None:
    mode, tiles = ready.run.validation, ready.validation
    if tiles is None:
        return None
    loss, drawn = _loss(ready, compute), ready.validation_drawn

    def score(step: int, model: nn.Module) -> Row:
        return validation.validate(
            model, tiles, drawn, len(tiles.classes), loss, mode, compute, ignored=ready.ignored
        )

    return loop.Judge(score, _judged_by(ready.run))


def _judged_by(run: Run) -> str:
    return f"val_{run.validation}_miou"


def _kept_facts(run: Run, history: loop.History) -> dict[str, object]:
    """Which weights the record is of: the rule, the step, and what chose it."""
    if run.keep == "last":
        return {"rule": "last", "step": len(history)}
    by = _judged_by(run)
    row = max((row for row in history if by in row), key=lambda row: row[by])
    return {"rule": "best", "step": row["step"], "by": by, by: row[by]}


def _evenly(steps: int, times: int) -> frozenset[int]:
    return frozenset(round(steps * (i + 1) / times) for i in range(times)) - {0}


def _score_facts(found: metrics.Statistics, ready: Prepared) -> dict[str, object]:
    score = metrics.scores(found.confusion, ready.ignored)
    outline = boundaries.scores(found.boundaries, ready.ignored)
    means = {
        "miou": score.miou,
        "accuracy": score.accuracy,
        "boundary_iou": outline.mean_iou,
        "boundary_f1": outline.mean_f1,
        "ece": calibration.error(found.calibration),
    }
    iou = dict(zip(ready.train.classes, map(metrics.known, score.iou), strict=True))
    return {name: metrics.known(v) for name, v in means.items()} | {"iou": iou}
