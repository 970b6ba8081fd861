import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fewlabels import devices
from fewlabels.labels import sampling
from fewlabels.scoring import inference
from fewlabels.training import loop, losses
from fewlabels.training.augmentation import augmentation
from fewlabels.training.batches import Batches, LabelledTile
from fewlabels.training.loop import Judge, Optimisation, TrainingError, fit
from fewlabels.training.state import Checkpoints, latest
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
    labels = sampling.draw(tile.mask, "random", 40, seed=0, tile=tile.id)
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
    assert (inference.predict(model, halves().image, CPU) == halves().mask).all()


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
        inference.predict(net, halves().image, CPU)
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


@pytest.mark.parametrize(("bad", "kept"), [(1, None), (6, 4)])
def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(bad: int, kept, tmp_path: Path):
    calls, where = [], Checkpoints(tmp_path / "kept", "me", 2)

    def sometimes(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        scale = math.inf if len(calls) == bad else 1.0
        return losses.partial_cross_entropy(logits, labels) * scale

    how = Optimisation(lr=0.05)
    with pytest.raises(TrainingError, match=f"inf at step {bad} of 8") as error:
        fit(pixelwise(), batches(8), sometimes, how, CPU, seed=0, checkpoints=where)
    assert (f"the last good checkpoint stays in '{where.folder}'" in str(error.value)) == bool(kept)
    state = latest(where)
    assert (state and state.step) == kept
    again = pixelwise()
    history = fit(again, batches(8), sometimes, how, CPU, seed=0, checkpoints=where)
    whole, expected = trained(8)
    assert [row["loss"] for row in history] == [row["loss"] for row in expected]
    assert all(torch.equal(again.state_dict()[k], v) for k, v in whole.state_dict().items())


def test_a_gradient_that_is_not_finite_is_found_with_the_tiles_of_its_step():
    model, calls = pixelwise(), []

    def overflowing(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * (math.inf if len(calls) == 3 else 1.0)

    model[1].weight.register_hook(overflowing)
    match = r"nan at step 4 of 8 .*tiles t, t; of the step before t, t\)"
    with pytest.raises(TrainingError, match=match):
        fit(model, batches(8), losses.partial_cross_entropy, Optimisation(), CPU, seed=0)


def test_a_weight_that_is_not_finite_is_never_written_down(tmp_path: Path, monkeypatch):
    step = torch.optim.AdamW.step

    def overflowing(optimiser: torch.optim.Optimizer) -> None:
        step(optimiser)
        weight = optimiser.param_groups[0]["params"][0]
        moments = optimiser.state[weight]
        if moments and moments["step"] == 4:
            weight.data.fill_(math.inf)

    monkeypatch.setattr(torch.optim.AdamW, "step", overflowing)
    where = Checkpoints(tmp_path / "kept", "me", 2)
    with pytest.raises(TrainingError, match=r"not finite at step 4 of 8 .*checkpoint stays in"):
        fit(pixelwise(), batches(8), losses.partial_cross_entropy, Optimisation(), CPU, seed=0,
            checkpoints=where)  # fmt: skip
    assert latest(where).step == 2


def test_unknown_optimisers_and_schedules_are_refused():
    with pytest.raises(UnknownName, match="known: adam, adamw"):
        trained(1, optimiser="sgd")
    with pytest.raises(UnknownName, match="known: constant, cosine, one_cycle, plateau"):
        trained(1, schedule="step")


@pytest.mark.parametrize("shape", [(20, 33), (64, 64), (31, 7)])
def test_whole_images_of_any_size_are_predicted(shape: tuple[int, int]):
    """The padding is cut off again: a 1 x 1 network must give the same inside any image."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (*shape, 3)).astype(np.uint8)
    model = pixelwise().eval()
    direct = model(loop.normalise(torch.from_numpy(image.transpose(2, 0, 1))[None]))
    assert (inference.predict(model, image, CPU) == direct[0].argmax(0).numpy()).all()


def test_one_confusion_matrix_a_tile_and_void_left_out():
    model, _ = trained()
    tile = halves()
    void = Tile("v", "p", tile.image, np.where(tile.mask == 1, IGNORE, 0).astype(np.uint8))
    found = inference.confusions(model, [tile, void], 2, CPU)
    assert found.tolist() == [[[1024, 0], [0, 1024]], [[1024, 0], [0, 0]]]


def judged(scores: list[float], steps: int = 8, **options: object):
    """Trained with a validation after each step that gives these scores, then the last again."""
    model, kept = pixelwise(), []

    def score(step: int, net: nn.Module) -> dict[str, float]:
        kept.append({k: v.clone() for k, v in net.state_dict().items()})
        return {"val": scores[min(step, len(scores)) - 1]}

    history = fit(
        model, batches(steps), losses.partial_cross_entropy,
        Optimisation(**{"schedule": "constant", "lr": 0.01, **options}), CPU, seed=0,
        watch_at=frozenset(range(1, steps + 1)), judge=Judge(score, "val"),
    )  # fmt: skip
    return model.state_dict(), history, kept


def test_training_ends_after_so_many_validations_without_a_better_score():
    _, history, _ = judged([0.1, 0.5, 0.5, 0.4, 0.9], patience=2)
    assert [row["val"] for row in history] == [0.1, 0.5, 0.5, 0.4]
    assert len(judged([0.1, 0.5, 0.5, 0.4, 0.9], patience=3)[1]) == 8
    assert len(judged([0.1, 0.5, 0.5, 0.4, 0.9])[1]) == 8


@pytest.mark.parametrize(("keep", "step"), [("best", 2), ("last", 8)])
def test_the_first_best_weights_are_kept_or_the_last(keep: str, step: int):
    state, _, kept = judged([0.1, 0.5, 0.5, 0.4], keep=keep)
    assert all(torch.equal(state[k], v) for k, v in kept[step - 1].items())
    assert any(not torch.equal(kept[1][k], v) for k, v in kept[7].items())


def test_the_rate_falls_on_a_plateau():
    _, history, _ = judged(
        [0.1, 0.5, 0.5, 0.4, 0.6], schedule="plateau", plateau_patience=1, plateau_factor=0.5
    )
    assert [row["lr"] for row in history] == pytest.approx([0.01] * 4 + [0.005] * 3 + [0.0025])


def test_the_average_is_what_is_scored_and_kept():
    averaged, rows, scored = judged([0.1], ema=0.5, steps=3)
    _, plain, raw = judged([0.1], steps=3)
    assert [r["loss"] for r in rows] == [r["loss"] for r in plain]  # training itself is the same
    expected = pixelwise().state_dict()
    for step, weights in enumerate(raw, start=1):
        share = max(0.5, 9 / (step + 9))
        expected = {k: (1 - share) * expected[k] + share * weights[k] for k in weights}
        assert all(torch.allclose(scored[step - 1][k], v, rtol=1e-6) for k, v in expected.items())
    assert all(torch.equal(averaged[k], v) for k, v in scored[-1].items())


@pytest.mark.parametrize("clip", [None, 1e-3, 1e9])
def test_gradients_are_scaled_to_the_norm_over_all_weights(clip: float | None, monkeypatch):
    norms, step = [], torch.optim.AdamW.step

    def noted(optimiser: torch.optim.Optimizer) -> None:
        grads = [w.grad for group in optimiser.param_groups for w in group["params"]]
        if grads[0] is not None:  # the one on which the schedule was made has none
            norms.append(math.sqrt(sum(g.square().sum() for g in grads)))
        step(optimiser)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    trained(3, clip=clip, schedule="constant")
    if clip == 1e-3:
        assert norms == pytest.approx([1e-3] * 3, rel=1e-3)
    else:
        assert min(norms) > 1e-2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"patience": 1}, "^early stopping: there is no validation score"),
        ({"keep": "best", "schedule": "plateau"}, "best weights and the plateau schedule: there"),
    ],
)
def test_what_needs_a_validation_says_so_without_one(options: dict, match: str):
    with pytest.raises(TrainingError, match=match):
        trained(1, **options)
    with pytest.raises(UnknownName, match="weights are kept 'first'; known: best, last"):
        trained(1, keep="first")


def test_a_weight_that_is_not_finite_stops_at_the_end(monkeypatch: pytest.MonkeyPatch):
    def overflowing(optimiser: torch.optim.Optimizer) -> None:
        optimiser.param_groups[0]["params"][0].data.fill_(math.inf)

    monkeypatch.setattr(torch.optim.AdamW, "step", overflowing)
    with pytest.raises(TrainingError, match="a weight is not finite after the last step, 1; lower"):
        trained(1)
