"""The learner `fine_tuned`: starts as `frozen_linear`, moves little, comes back from its file."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy import ndimage

from fewlabels import devices
from fewlabels.learners import LEARNERS, features, frozen, tuned
from fewlabels.training.networks import normalise, to_bytes
from fewlabels.types import IGNORE, NoLabelsError

CPU = devices.compute("cpu", "fp32")
FIRST, TUNED = LEARNERS["frozen_linear"], LEARNERS["fine_tuned"]


@pytest.fixture
def image() -> np.ndarray:
    """An image u8[96 160 4], left half smooth and right half rough."""
    rng = np.random.default_rng(0)
    rough = 128 + 40 * rng.normal(size=(96, 160, 4))
    rough[:, :80] = 128 + 5 * ndimage.gaussian_filter(rough[:, :80] - 128, (3, 3, 0))
    return np.clip(rough, 0, 255).astype(np.uint8)


@pytest.fixture
def drawn(image) -> np.ndarray:
    """Labels of classes 0 and 2 of three, none of class 1."""
    labels = np.full(image.shape[:2], IGNORE, np.uint8)
    at = np.random.default_rng(1).permutation(labels.size)[:40]
    labels.flat[at] = np.where(at % 160 < 80, 0, 2)
    return labels


def started(image: np.ndarray, drawn: np.ndarray):
    bank = FIRST.describe([image], ("red", "green", "blue", "nir"))
    x, y, units = features.labelled(bank, [image], [drawn], CPU)
    first = FIRST.fitted(bank, x, y, units, 3, CPU)
    return first, tuned.Hypercolumns(first, x)


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_bytes_come_back_from_the_scale_of_networks(bands):
    every = torch.arange(256, dtype=torch.uint8).repeat(2, bands, 1)[..., None]
    assert torch.equal(to_bytes(normalise(every)), every)


def test_training_starts_from_the_map_of_the_linear_head(image, drawn):
    first, model = started(image, drawn)
    logits = model(normalise(torch.from_numpy(image.transpose(2, 0, 1)[None].copy())))
    shares = logits.detach()[0].softmax(dim=0).numpy()
    assert np.abs(shares - first.probabilities(image)).max() < 1e-4
    assert shares[1].max() == 0  # no label, no map


def test_batch_statistics_stay_and_all_other_weights_move(image, drawn):
    before = {name: part.clone() for name, part in frozen.encoder("lite0").net.state_dict().items()}
    made = TUNED.fit([image], [drawn], 3, compute=CPU, steps=2, batch=2, crop=64)
    for name, value in made.encoder.net.state_dict().items():
        statistic = "running" in name or "num_batches" in name
        assert torch.equal(value, before[name]) == statistic, name
    after = frozen.encoder("lite0").net.state_dict()  # what other learners share stays as it was
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_no_step_is_the_linear_head_and_steps_lower_the_loss(image, drawn):
    first = FIRST.fit([image], [drawn], 3, compute=CPU)
    rate = {"compute": CPU, "batch": 2, "crop": 64}
    still = TUNED.fit([image], [drawn], 3, steps=1, lr=1e-12, **rate)
    assert np.abs(still.probabilities(image) - first.probabilities(image)).max() < 1e-4
    mixed = np.where(np.indices(drawn.shape).sum(axis=0) % 3 == 0, drawn[:, ::-1], drawn)
    moved = TUNED.fit([image], [mixed], 3, steps=12, lr=1e-3, **rate)
    losses = [row["loss"] for row in moved.history]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert np.abs(moved.probabilities(image) - first.probabilities(image)).max() > 0.01


def test_it_comes_back_from_its_file_and_damage_is_refused(image, drawn, tmp_path):
    made = TUNED.fit([image], [drawn], 3, compute=CPU, steps=2, batch=2, crop=64)
    file = tmp_path / TUNED.FILE
    made.write(file)
    back = TUNED.read(file, 3, 4, CPU)
    assert np.array_equal(back.probabilities(image), made.probabilities(image))
    with pytest.raises(ValueError, match="classes"):
        TUNED.read(file, 2, 4, CPU)
    kept = load_file(file)
    name = "encoder.stem.0.weight"
    kept[name] = np.full_like(kept[name], np.nan)
    with safe_open(file, framework="numpy") as source:
        told = source.metadata()
    save_file(kept, file, told)
    with pytest.raises(ValueError, match="not finite"):
        TUNED.read(file, 3, 4, CPU)
    del kept[name]
    save_file(kept, file, told)
    with pytest.raises(ValueError, match="missing"):
        TUNED.read(file, 3, 4, CPU)


def test_labels_of_one_class_are_refused(image, drawn):
    with pytest.raises(NoLabelsError, match="two"):
        TUNED.fit([image], [np.where(drawn == 2, np.uint8(IGNORE), drawn)], 3, compute=CPU)


def test_the_first_head_sees_no_more_labels_than_it_uses(image, monkeypatch):
    """Whole masks are labels, too: features of all their pixels would not fit the memory."""
    monkeypatch.setitem(tuned.heads.MOST, "linear", 10)
    labels = [np.full((8, 9), 1, np.uint8), np.full((5, 5), IGNORE, np.uint8)]
    labels[0][:2], labels[1][0, :3] = 0, 2
    some = tuned._some(labels, seed=0)
    kept = np.concatenate([part[part != IGNORE] for part in some])
    assert np.bincount(kept).tolist() == [10, 10, 3]
    assert all(
        (part == given)[part != IGNORE].all() for part, given in zip(some, labels, strict=True)
    )
