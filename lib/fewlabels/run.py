"""One run from its declaration to its record."""

import ast
import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fewlabels import (
    augment,
    boundaries,
    calibration,
    datasets,
    devices,
    environment,
    evaluate,
    expand,
    ledger,
    loaders,
    losses,
    metrics,
    models,
    paths,
    prepare,
    records,
    sparsify,
    studies,
    train,
)
from fewlabels.prepare import Prepared
from fewlabels.studies import Run
from fewlabels.types import RecordError

log = logging.getLogger(__name__)

RESULT_MODULES = (
    augment,
    boundaries,
    calibration,
    evaluate,
    expand,
    ledger,
    loaders,
    losses,
    metrics,
    models,
    prepare,
    sparsify,
    train,
)

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


def key(run: Run, root: Path | None = None) -> str:
    """Twelve hex digits that name a run's record: its declaration, its data and the code that
    can change its result.
    """
    data = datasets.load(run.data, root, run.fold, grid=run.grid).fingerprint
    text = f"{studies.digest(run)} {data} {code_version()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def execute(
    run: Run,
    *,
    root: Path | None = None,
    runs: Path | None = None,
    device: str = "auto",
    keep_model: bool = True,
) -> records.Record:
    """The record of `run`: read if there is one, else trained, evaluated and written.

    Args:
        root: of the data, see `datasets.load`.
        runs: folder of the records (default: `paths.runs_root()`).
        keep_model: whether the last weights are stored too, and the draw as `draws`/SHA256.npz.

    Raises:
        FewLabelsError: whatever is wrong with data, labels, weights, device or training.
    """
    runs = runs or paths.runs_root()
    name = key(run, root)
    if not records.exists(runs, name):
        ready = prepare.prepare(run, root)
        _train_and_record(ready, runs, name, devices.compute(device, run.precision), keep_model)
    return recorded(run, runs, name)


def recorded(run: Run, runs: Path, name: str) -> records.Record:
    """The record called `name`.

    Raises:
        RecordError: it is not there, damaged, or of another run than `run`.
    """
    record = records.read(runs, name)
    if record.run != run:
        raise RecordError(f"the record '{runs / name}' is of another run; delete that folder")
    return record


def trained(record: records.Record, runs: Path | None = None) -> nn.Module:
    """The network of a record with its last weights.

    Raises:
        RecordError: the weights were not kept, are damaged or do not fit.
    """
    file = (runs or paths.runs_root()) / record.key / "model.safetensors"
    data = record.facts["data"]
    model = models.build(
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


@cache
def code_version() -> str:
    """SHA-256 over the modules that can change a result, without comments and docstrings."""
    total = hashlib.sha256()
    for file in result_files():
        total.update(_bare(file.read_text()).encode())
    return total.hexdigest()


def result_files() -> list[Path]:
    """The files of RESULT_MODULES; of a package, all of its modules."""
    files = [Path(module.__file__) for module in RESULT_MODULES]
    return [
        part
        for file in files
        for part in (sorted(file.parent.rglob("*.py")) if file.stem == "__init__" else [file])
    ]


def _train_and_record(
    ready: Prepared, runs: Path, name: str, compute: devices.Compute, keep_model: bool
) -> None:
    run, classes = ready.run, len(ready.train.classes)
    weights = _class_weights(ready)
    model, provenance = models.build_with_provenance(
        run.model,
        classes,
        channels=ready.labelled[0].image.shape[-1],
        weights=run.weights,
        seed=run.seed,
    )
    seen = ready.ledger()
    batches = loaders.Batches(
        ready.labelled,
        run.crop,
        run.batch,
        run.steps,
        run.seed,
        augment.augmentation(run.augmentation),
        seen,
    )
    history = train.fit(
        model, batches, _loss(ready, weights, compute), _optimisation(run), compute, seed=run.seed,
        watch=_watcher(ready, compute), watch_at=_evenly(run.steps, run.watch),
    )  # fmt: skip
    began = time.perf_counter()
    found = evaluate.statistics(model, ready.test, classes, compute, left_out=ready.left_out)
    evaluated = time.perf_counter() - began
    facts = {
        "data": prepare.data_facts(ready),
        "labels": prepare.label_facts(ready, seen),
        "class_weights": None if weights is None else [round(w, 6) for w in weights.tolist()],
        "weights": asdict(provenance),
        "parameters": sum(p.numel() for p in model.parameters()),
        "scores": _score_facts(found, ready),
        "cost": {"train_seconds": history[-1]["seconds"], "test_seconds": evaluated},
        "finished": environment.now(),
        "environment": environment.facts()
        | {"device": compute.hardware, "precision": compute.precision, "code": code_version()},
    }  # fmt: skip
    if keep_model:
        ledger.keep(runs / "draws", ready.sha256, ready.drawn)
    state = {k: v.detach().cpu().contiguous().numpy() for k, v in model.state_dict().items()}
    records.write(
        runs, name, run, facts, history, ready.test.ids, found, state if keep_model else None
    )


def _class_weights(ready: Prepared) -> Float[Tensor, " k"] | None:
    """From the labels that the loss sees: a class left out counts as one without labels."""
    counts = ready.counts
    counts[list(ready.left_out)] = 0
    return losses.class_weights(counts, ready.run.class_weights, bound=ready.run.weight_bound)


def _loss(
    ready: Prepared, weights: Float[Tensor, " k"] | None, compute: devices.Compute
) -> train.Loss:
    run = ready.run
    options = {name: getattr(run, factor) for name, factor in OPTIONS.get(run.loss, {}).items()}
    return partial(
        losses.LOSSES[run.loss],
        class_weights=None if weights is None else weights.to(compute.device),
        left_out=ready.left_out,
        **options,
    )


def _optimisation(run: Run) -> train.Optimisation:
    return train.Optimisation(run.optimiser, run.schedule, run.lr, run.weight_decay)


def _watcher(ready: Prepared, compute: devices.Compute) -> train.Watch:
    def watch(step: int, model: nn.Module) -> Mapping[str, float]:
        score = metrics.scores(
            evaluate.confusions(model, ready.test, len(ready.test.classes), compute),
            ready.left_out,
        )
        log.info("step %d of %d: test mIoU %.3f", step, ready.run.steps, score.miou)
        return {"miou": score.miou, "accuracy": score.accuracy}

    return watch


def _evenly(steps: int, times: int) -> frozenset[int]:
    return frozenset(round(steps * (i + 1) / times) for i in range(times)) - {0}


def _score_facts(found: metrics.Statistics, ready: Prepared) -> dict[str, object]:
    score = metrics.scores(found.confusion, ready.left_out)
    outline = boundaries.scores(found.boundaries, ready.left_out)
    means = {
        "miou": score.miou,
        "accuracy": score.accuracy,
        "boundary_iou": outline.mean_iou,
        "boundary_f1": outline.mean_f1,
        "ece": calibration.error(found.calibration),
    }
    iou = dict(zip(ready.train.classes, map(_known, score.iou), strict=True))
    return {name: _known(v) for name, v in means.items()} | {"iou": iou}


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)


def _bare(source: str) -> str:
    """A module's code without docstrings and comments, so that prose never invalidates a run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0].value = ast.Constant("")
    return ast.unparse(tree)
