"""Model folders that were damaged or made to do harm are refused when they are read."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skops.io
import torch
from safetensors.torch import load_file, save_file
from sklearn.ensemble import RandomForestClassifier

from fewlabels.devices import compute
from fewlabels.learners import LEARNERS, heads, sound
from fewlabels.learners.network import NetworkPredictor
from fewlabels.mapping import model_folder, stream
from fewlabels.mapping.model_folder import About, ModelError
from fewlabels.mapping.scene import Ranges
from fewlabels.training import networks

CPU = compute("cpu", "fp32")
NAME = "unet:depth=2,width=4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an untrained network of two classes and three bands."""
    about = About(
        "network", NAME, ("a", "b"), ((0, 0, 0), (255, 0, 0)), (), ("1", "2", "3"), "uint8",
        Ranges((0, 0, 0), (255, 255, 255)), 30, "EPSG:32615", 32, {},
    )  # fmt: skip
    predictor = NetworkPredictor(networks.build(NAME, 2), CPU)
    model_folder.write(tmp_path / "model", about, predictor)
    return tmp_path / "model"


def rewritten(folder: Path, **fields: object) -> Path:
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    return folder


def loaded(folder: Path) -> None:
    model_folder.predictor(folder, model_folder.about(folder), CPU)


def test_a_field_of_another_type_is_named(folder):
    said = json.loads((folder / "model.json").read_text())
    loaded(folder)
    for name in said.keys() - {"format", "record"}:
        for value in (None, {"a": 1}, [[1]], 10**400, True):
            with pytest.raises(ModelError):
                model_folder.about(rewritten(folder, **{name: value}))
        rewritten(folder, **{name: said[name]})
    (folder / "model.json").write_text("[" * 10**5)
    with pytest.raises(ModelError):
        model_folder.about(folder)


NAN = float("nan")
FIELDS = {
    "ranges": [{"low": [0, 0, NAN], "high": [1, 1, 1]}, {"low": [0, 0, 2], "high": [1, 1, 1]},
               {"low": [0, 0, 0], "high": [1, 1, float("inf")]}, {"low": [0], "high": [1]}],
    "classes": [["a"], ["a", "a"], [str(n) for n in range(256)]],
    "colours": [[[0, 0, 0]], [[0, 0, 0], [0, 0, 256]], [[0, 0, 0], [0, 0]]],
    "window": [0, -32, 10**9, 32.0],
    "pixel": [0, -30, NAN],
    "asked": [[0, 1, 2], [1], [1.0, 2, 3]],
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_out_of_its_range_is_refused(folder, name):
    for value in FIELDS[name]:
        with pytest.raises(ModelError):
            model_folder.about(rewritten(folder, **{name: value}))


@pytest.mark.parametrize("value", [NAN, float("inf"), 3e38])
def test_weights_that_are_no_numbers_are_refused(folder, value):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name, part in weights.items() if part.is_floating_point())
    weights[name].view(-1)[0] = value
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=f"weights '{name}' are not finite"):
        loaded(folder)


def test_weights_of_another_type_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name, part in weights.items() if part.is_floating_point())
    for kind in (torch.int32, torch.float64):
        save_file(weights | {name: weights[name].to(kind)}, folder / "model.safetensors")
        with pytest.raises(ModelError, match=f"weights '{name}' are of type {kind}"):
            loaded(folder)


@pytest.mark.parametrize("network", ["unet:depth=40", "unet:width=100000", "unet:depth=9"])
def test_a_network_larger_than_its_file_is_not_built(folder, network, monkeypatch):
    build = networks.build
    built = lambda *a, **o: torch.empty(1).is_meta and build(*a, **o)  # noqa: E731
    monkeypatch.setattr(networks, "build", built)
    with pytest.raises(ModelError, match=r"another shape|overflow"):
        loaded(rewritten(folder, network=network))


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_pipe_in_a_model_folder_is_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ModelError, match="no regular file"):
        loaded(folder)


@pytest.mark.parametrize("value", [NAN, -0.5, 1.5, float("inf")])
def test_a_score_that_is_no_probability_stops_the_map(value, monkeypatch):
    scores = lambda image: np.full((2, *image.shape[:2]), value, np.float32)  # noqa: E731
    monkeypatch.setattr(NetworkPredictor, "probabilities", lambda _, image: scores(image))
    odd = NetworkPredictor(networks.build(NAME, 2), CPU)
    read = lambda *_: (np.ones((8, 8, 1), np.float32), np.ones((8, 8), bool))  # noqa: E731
    with pytest.raises(ModelError, match="not every score of the model is a probability"):
        list(stream.strips(stream.Plan(8, 8, 8, 0), read, odd, Ranges((0,), (1,)), 2))


@pytest.fixture(scope="module")
def grown() -> RandomForestClassifier:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (200, 3)).astype(np.float32)
    return RandomForestClassifier(2, random_state=0).fit(x, (x[:, 0] > 128).astype(int))


@pytest.fixture
def forest(grown: RandomForestClassifier, tmp_path: Path) -> Path:
    kept(grown, tmp_path / "model.skops")
    return tmp_path / "model.skops"


def kept(forest: RandomForestClassifier, file: Path) -> None:
    about = json.dumps({"bank": {"groups": ["bands"], "channels": 3}})
    skops.io.dump({"forest": forest, "about": about}, file)


def spoilt(forest: Path, change: Callable[[dict], None]) -> Path:
    found = skops.io.load(forest, trusted=heads.TRUSTED)["forest"]
    tree = found.estimators_[0].tree_
    state = tree.__getstate__()
    change(state)
    tree.__setstate__(state)
    kept(found, forest)
    return forest


def not_finite(state: dict) -> None:
    state["values"][-1] = NAN


def no_share(state: dict) -> None:
    state["values"][-1] = 2.5


def no_threshold(state: dict) -> None:
    state["nodes"]["threshold"][0] = NAN


@pytest.mark.parametrize("change", [not_finite, no_share, no_threshold])
def test_a_forest_without_shares_is_refused(forest, change):
    LEARNERS["pixel_forest"].read(forest, 2, 3, CPU)
    with pytest.raises(ValueError, match="hold no shares"):
        LEARNERS["pixel_forest"].read(spoilt(forest, change), 2, 3, CPU)


def test_a_forest_that_is_too_deep_is_refused(forest, monkeypatch):
    monkeypatch.setattr(sound, "DEEPEST", 1)
    with pytest.raises(ValueError, match="deeper than 1 nodes"):
        LEARNERS["pixel_forest"].read(forest, 2, 3, CPU)


@pytest.mark.parametrize("classes", [np.array([0.0, NAN]), np.array([1, 0]), np.array([0, 0])])
def test_a_forest_of_odd_classes_is_refused(forest, classes):
    found = skops.io.load(forest, trusted=heads.TRUSTED)["forest"]
    found.classes_ = classes
    kept(found, forest)
    with pytest.raises(ValueError, match="no numbers in order"):
        LEARNERS["pixel_forest"].read(forest, 2, 3, CPU)


def replaced(forest: Path, change: Callable[[bytes], bytes]) -> Path:
    """The archive with one of its arrays changed."""
    with zipfile.ZipFile(forest) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    name = next(name for name in entries if name.endswith(".npy"))
    with zipfile.ZipFile(forest, "w", zipfile.ZIP_DEFLATED) as new:
        for each, data in entries.items():
            new.writestr(each, change(data) if each == name else data)
    return forest


def lying(_: bytes) -> bytes:
    held = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(held, about)
    return held.getvalue()


def bomb(_: bytes) -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros(10**7))
    return held.getvalue()


@pytest.mark.parametrize(("change", "why"), [(lying, "not of the size"), (bomb, "grows to more")])
def test_an_archive_that_would_fill_the_memory_is_not_read(forest, change, why, monkeypatch):
    monkeypatch.setattr(skops.io, "load", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(ValueError, match=why):
        LEARNERS["pixel_forest"].read(replaced(forest, change), 2, 3, CPU)


def test_a_whole_model_folder_reads_as_it_was_written(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    assert model_folder.about(tmp_path / "copy") == model_folder.about(folder)
    assert model_folder.about(folder).ranges == Ranges((0.0,) * 3, (255.0,) * 3)
