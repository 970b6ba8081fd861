"""Training on an XLA device, from the same code; skipped, saying so, without PyTorch/XLA.

Run in an environment made from requirements-xla.txt: PJRT_DEVICE=CPU pytest tests/test_xla.py
"""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fewlabels import devices
from fewlabels.devices import DeviceError
from fewlabels.experiments import run
from fewlabels.studies import Run
from fewlabels.training import loop

pytest.importorskip("torch_xla", reason="PyTorch/XLA is not installed: requirements-xla.txt")

TINY = Run(
    grid=64, crop=32, batch=2, steps=5, watch=1, model="unet:depth=2,width=4", precision="fp32",
    class_weights="inverse", clip=1.0, ema=0.9, lr=5e-3, augmentation="d4+shift_scale_rotate",
    cutmix=0.5, validation="sparse", keep="best",
)  # fmt: skip
DROPOUT = dataclasses.replace(TINY, model="unet:depth=2,width=4,dropout=0.2")


def executed(this: Run, runs: Path, device: str = "xla", **options: object):
    record = run.execute(this, runs=runs, device=device, **options)
    return record, load_file(runs / record.key / "model.safetensors")


def same(one, two) -> bool:
    rows = [record.history.drop(columns="seconds") for record, _ in (one, two)]
    weights = all(torch.equal(one[1][k], v) for k, v in two[1].items())
    return weights and rows[0].equals(rows[1])


def test_losses_and_scores_are_those_of_the_cpu(tmp_path: Path):
    """Weights are not compared: a bias before a normalisation has no gradient but rounding, and
    Adam takes a whole step along it.
    """
    on_xla, on_cpu = executed(TINY, tmp_path / "xla"), executed(TINY, tmp_path / "cpu", "cpu")
    losses = [record.history["loss"].to_numpy() for record, _ in (on_xla, on_cpu)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert on_xla[0].scores.accuracy == pytest.approx(on_cpu[0].scores.accuracy, abs=0.01)
    assert on_xla[0].facts["environment"]["device"].startswith("xla on ")


def test_a_region_loss_trains_in_bfloat16_too(tmp_path: Path):
    half = dataclasses.replace(TINY, loss="partial_dice", steps=2, precision="bf16")
    record, _ = executed(half, tmp_path)
    assert record.facts["environment"]["precision"] == "bf16"
    assert record.history["loss"].notna().all()


def test_a_cut_off_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch):
    whole = executed(DROPOUT, tmp_path / "whole")
    step = loop._step

    def cut_off(now, *rest):
        if now.step == 3:
            raise KeyboardInterrupt
        return step(now, *rest)

    monkeypatch.setattr(loop, "_step", cut_off)
    with pytest.raises(KeyboardInterrupt):
        executed(DROPOUT, tmp_path / "cut", checkpoint_every=2)
    monkeypatch.setattr(loop, "_step", step)
    assert list((tmp_path / "cut").glob(".partial-*/step-00000002"))
    assert same(executed(DROPOUT, tmp_path / "cut", checkpoint_every=2), whole)


def test_a_device_that_xla_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch):
    class Absent:
        @staticmethod
        def device() -> None:
            raise OSError("libtpu not found")

    monkeypatch.setattr(devices, "_xla", lambda: Absent)
    monkeypatch.setenv("PJRT_DEVICE", "TPU")
    with pytest.raises(DeviceError, match="PJRT_DEVICE=TPU: libtpu not found"):
        devices.compute("xla")
