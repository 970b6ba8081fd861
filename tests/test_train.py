import math

import numpy as np
import pytest
import torch
from torch import nn

from fewlabels import devices, evaluate, losses, sparsify, train
from fewlabels.augment import augmentation
from fewlabels.loaders import Batches, LabelledTile
from fewlabels.train import Optimisation, TrainingError, fit
from fewlabels.types import IGNORE, Tile, UnknownName

CPU = devices.compute("cpu", "fp32")


def halves() -> Tile:
    """Left half dark and class 0, right half bright and class 1: learnable by a 1 x 1 kernel."""
    mask = np.zeros((32, 64), np.uint8)
    mask[:, 32:] = 1
    image = np.where(mask[..., None] == 1, 200, 50).astype(np.uint8).repeat(3, axis=2)
    return Tile("t", "p", image, mask)


def batches(steps: int, seed: int = 0, tile: Tile | None = None) -> Batches:
    tile = tile or halves()
    labels = sparsify.draw(tile.mask, "random", 40, seed=0, tile=tile.id)
    labelled = LabelledTile(tile.id, tile.image, labels)
    return Batches([labelled], 32, 2, steps, seed, augmentation("none"))


def pixelwise(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(3, 2, 1))


def trained(steps: int = 60, **options):
    model = pixelwise()
    how = Optimisation(**{"lr": 0.05, **options})
    return model, fit(model, batches(steps), losses.partial_cross_entropy, how, CPU, seed=0)


def test_it_learns_what_can_be_learned():
    model, history = trained()
    assert history[-1]["loss"] < 0.1 < history[0]["loss"]
    assert (evaluate.predict(model, halves().image, CPU) == halves().mask).all()


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_history_has_one_row_a_step_with_the_rate_that_was_used(optimiser: str, schedule: str):
    _, history = trained(20, optimiser=optimiser, schedule=schedule)
    assert [row["step"] for row in history] == list(range(1, 21))
    rates = [row["lr"] for row in history]
    assert max(rates) == pytest.approx(0.05, rel=0.01)
    assert rates[-1] == pytest.approx(0.05) if schedule == "constant" else rates[-1] < 0.005
    seconds = [row["seconds"] for row in history]
    assert seconds == sorted(seconds)


def test_the_same_training_twice_is_the_same_to_the_bit():
    models, rows = [], []
    for noise in (1, 2):
        torch.manual_seed(noise)  # the global generator must not matter
        model = pixelwise(dropout=0.3)
        loss = losses.partial_cross_entropy
        rows.append(fit(model, batches(10), loss, Optimisation(), CPU, seed=3))
        models.append(model.state_dict())
    assert all(torch.equal(models[0][k], models[1][k]) for k in models[0])
    assert [r["loss"] for r in rows[0]] == [r["loss"] for r in rows[1]]


def test_watching_changes_nothing():
    model, history = trained(12)
    watched = pixelwise()
    seen = []

    def watch(step: int, net: nn.Module) -> dict[str, float]:
        seen.append(step)
        evaluate.predict(net, halves().image, CPU)
        return {"miou": 0.5}

    rows = fit(watched, batches(12), losses.partial_cross_entropy, Optimisation(lr=0.05), CPU,
               seed=0, watch=watch, watch_at=frozenset({4, 12}))  # fmt: skip
    assert seen == [4, 12]
    assert [r["step"] for r in rows if "miou" in r] == [4, 12]
    assert [r["loss"] for r in rows] == [r["loss"] for r in history]
    state = model.state_dict()
    assert all(torch.equal(state[k], v) for k, v in watched.state_dict().items())


def test_a_loss_that_is_not_finite_stops_before_the_weights_move():
    model = pixelwise()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    calls = []

    def broken(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return logits.sum() * math.nan

    with pytest.raises(TrainingError, match=r"nan at step 1 of 5 .*learning rate.*tiles t, t"):
        fit(model, batches(5), broken, Optimisation(), CPU, seed=0)
    assert len(calls) == 1
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_unknown_optimisers_and_schedules_are_refused():
    with pytest.raises(UnknownName, match="known: adam, adamw"):
        trained(1, optimiser="sgd")
    with pytest.raises(UnknownName, match="known: constant, one_cycle"):
        trained(1, schedule="step")


@pytest.mark.parametrize("shape", [(20, 33), (64, 64), (31, 7)])
def test_whole_images_of_any_size_are_predicted(shape: tuple[int, int]):
    """The padding is cut off again: a 1 x 1 network must give the same inside any image."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (*shape, 3)).astype(np.uint8)
    model = pixelwise().eval()
    direct = model(train.normalise(torch.from_numpy(image.transpose(2, 0, 1))[None]))
    assert (evaluate.predict(model, image, CPU) == direct[0].argmax(0).numpy()).all()


def test_one_confusion_matrix_a_tile_and_void_left_out():
    model, _ = trained()
    tile = halves()
    void = Tile("v", "p", tile.image, np.where(tile.mask == 1, IGNORE, 0).astype(np.uint8))
    found = evaluate.confusions(model, [tile, void], 2, CPU)
    assert found.tolist() == [[[1024, 0], [0, 1024]], [[1024, 0], [0, 0]]]


def test_devices_that_are_not_there_are_named():
    with pytest.raises(UnknownName, match="known: auto, cpu, cuda, mps"):
        devices.compute("tpu")
    with pytest.raises(UnknownName, match="known: auto, bf16, fp32"):
        devices.compute("cpu", "fp16")
    if not torch.cuda.is_available():
        with pytest.raises(
            devices.DeviceError, match="'cuda' is not on this machine; there are: cpu"
        ):
            devices.compute("cuda")
