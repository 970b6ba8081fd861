"""One tiny run through the whole chain, and everything that can be wrong with its record."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from changed import rewrite

from fewlabels import cli, devices, studies
from fewlabels.cli import arguments
from fewlabels.data import registry
from fewlabels.experiments import prepare, run, sweep, versioning
from fewlabels.results import records
from fewlabels.scoring import metrics
from fewlabels.studies import Run, Scale, Start
from fewlabels.training import losses
from fewlabels.types import (
    IGNORE,
    BudgetError,
    DiskFullError,
    RecordError,
    UnknownName,
    WeightsError,
)

TINY = Run(
    grid=64, crop=32, batch=2, steps=3, watch=2, model="smp:Unet:mobilenet_v2", precision="fp32"
)
CPU = devices.compute("cpu", "fp32")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, records.Record]:
    root = tmp_path_factory.mktemp("records")
    return root, run.execute(TINY, runs=root, device="cpu")


def test_the_record_says_what_was_done(finished):
    root, record = finished
    facts = record.facts
    assert record.run == TINY
    assert list(record.history["step"]) == [1, 2, 3]
    assert record.history["miou"].notna().sum() == 2
    assert facts["labels"]["pixels"] == sum(facts["labels"]["per_class"].values())
    assert 0 < facts["labels"]["seen"] <= facts["labels"]["pixels"]
    assert facts["weights"] == {"weights": "none", "origin": "random", "sha256": ""}
    assert set(facts["data"]["train_sites"]).isdisjoint(facts["data"]["test_sites"])
    assert facts["environment"]["precision"] == "fp32"
    assert facts["data"]["synthetic"] is True
    files = sorted(p.name for p in (root / record.key).iterdir())
    assert files == ["model.safetensors", "record.parquet"]


def test_the_record_says_how_well_training_fits_its_own_labels(finished):
    """As many training tiles as are tested; their drawn labels, and nothing else of them."""
    _, record = finished
    training, labels = record.facts["training"], record.facts["labels"]
    assert training["tiles"] == len(record.tiles)
    confusion = np.array(training["confusion"])
    assert confusion.shape == record.confusion.shape[1:]
    assert 0 < confusion.sum() < labels["pixels"]
    row = records.table({("a", 0, 0): record}).iloc[0]
    assert row["train_miou"] == metrics.scores(confusion).miou
    assert row["gap"] == row["train_miou"] - row["miou"]
    rarest = min(labels["per_class"], key=labels["per_class"].get)
    assert row["rarest_iou"] == row[f"iou_{rarest}"]


def test_a_record_that_does_not_say_how_training_fits_has_no_gap(finished):
    _, record = finished
    earlier = dataclasses.replace(
        record, facts={k: v for k, v in record.facts.items() if k != "training"}
    )
    assert "gap" not in records.table({("a", 0, 0): earlier})
    both = records.table({("a", 0, 0): record, ("b", 0, 0): earlier})
    assert both["gap"].isna().tolist() == [False, True]


def test_what_nobody_labelled_trains_as_a_class_but_is_scored_in_no_way(
    ai4mars_root: Path, tmp_path: Path
):
    """Whether it is in the loss or not, all runs are scored on the same pixels and classes."""
    taught = dataclasses.replace(
        TINY, data="ai4mars:background", grid=32, sampler="all", class_weights="inverse"
    )
    ignored = dataclasses.replace(taught, ignored=("background",))
    one, other = (
        run.execute(r, root=ai4mars_root, runs=tmp_path, device="cpu") for r in (taught, ignored)
    )
    assert one.facts["labels"]["per_class"]["background"] > 0
    assert one.facts["labels"]["sha256"] == other.facts["labels"]["sha256"]
    assert one.facts["class_weights"] != other.facts["class_weights"]
    for record in (one, other):
        assert record.confusion.shape == (5, 5, 5)
        assert record.confusion[:, 4].sum() == 0
        assert np.isnan(record.scores.iou[4])
        assert np.array(record.facts["training"]["confusion"])[4].sum() > 0
        row = records.table({("a", 0, 0): record}).iloc[0]
        seen = np.array(record.facts["training"]["confusion"])
        absent = tuple(np.flatnonzero(np.isnan(record.scores.iou)).tolist())
        assert row["train_miou"] == metrics.scores(seen, absent).miou
    assert (one.confusion.sum(axis=2) == other.confusion.sum(axis=2)).all()


def test_a_run_on_grey_images_trains_and_its_network_comes_back(ai4mars_root: Path, tmp_path: Path):
    grey = dataclasses.replace(TINY, data="ai4mars", grid=32)
    record = run.execute(grey, root=ai4mars_root, runs=tmp_path / "runs", device="cpu")
    assert record.facts["data"]["channels"] == 1
    assert record.confusion.shape == (5, 4, 4)
    net = run.trained(record, tmp_path / "runs").eval()
    assert net(torch.zeros(1, 1, 32, 32)).shape == (1, 4, 32, 32)


def test_scores_are_derived_from_the_confusion_of_the_last_weights(finished):
    _, record = finished
    test = registry.load("synthetic", grid=64, split="test")
    assert record.tiles == test.ids
    assert record.confusion.shape == (len(test), len(test.classes), len(test.classes))
    assert record.scores.miou == metrics.scores(record.confusion).miou
    assert record.facts["scores"]["miou"] == pytest.approx(record.scores.miou, abs=1e-12)
    assert record.history["miou"].iloc[-1] == pytest.approx(record.scores.miou, abs=1e-12)


def test_boundary_and_calibration_scores_follow_from_the_record(finished):
    _, record = finished
    stored, classes = record.statistics, record.confusion.shape[-1]
    assert stored.boundaries.shape == (len(record.tiles), classes, 7)
    assert (stored.calibration[..., 0].sum(axis=1) == record.confusion.sum(axis=(1, 2))).all()
    assert (
        stored.calibration[..., 2].sum(axis=1) == record.confusion.trace(axis1=1, axis2=2)
    ).all()
    facts = record.facts["scores"]
    assert 0 <= facts["boundary_iou"] == record.boundary.mean_iou <= 1
    assert 0 <= facts["boundary_f1"] == record.boundary.mean_f1 <= 1
    assert 0 < facts["ece"] == record.ece < 1
    row = records.table({("condition", 0, 0): record}).iloc[0]
    assert (row["boundary_iou"], row["boundary_f1"], row["ece"]) == (
        record.boundary.mean_iou, record.boundary.mean_f1, record.ece,
    )  # fmt: skip


def test_every_point_of_a_curve_follows_from_stored_counts(tmp_path: Path):
    """The test's, and validation's in both modes, with a class that is left out of all of them."""
    fixed = {"validation": "sparse", "ignored": ("road",), "amount": 0.05, "watch": 3}
    this = dataclasses.replace(TINY, model="unet:depth=2,width=4", **fixed)
    record = records.read(tmp_path, run.execute(this, runs=tmp_path, device="cpu").key)
    assert record.curves["step"].tolist() == [1, 2, 3]
    names = {"miou": "confusion"} | {
        f"val_{mode}_miou": f"val_{mode}_confusion" for mode in ("sparse", "dense")
    }
    for column, name in names.items():
        matrices = record.curves[name]
        found = [metrics.scores(matrix, record.ignored).miou for matrix in matrices]
        assert found == record.history[column].tolist()
        assert name not in record.history
    assert (record.curves["confusion"][-1] == record.confusion.sum(axis=0)).all()
    drawn = record.curves["val_sparse_confusion"].sum(axis=(1, 2))
    assert len(set(drawn)) == 1 < drawn[0] < record.curves["val_dense_confusion"][0].sum()


def test_the_best_weights_of_a_run_are_read_from_the_one_that_kept_its_last(tmp_path: Path):
    """Held against runs that were trained to keep them."""
    fixed = {"validation": "sparse", "amount": 0.05, "steps": 4, "watch": 4, "lr": 0.02}
    last = dataclasses.replace(TINY, model="unet:depth=2,width=4", **fixed)
    kept = {
        mode: dataclasses.replace(last, validation=mode, keep="best")
        for mode in ("sparse", "dense")
    }
    record = run.execute(last, runs=tmp_path, device="cpu")
    asked = {mode: ("last", f"val_{mode}_miou") for mode in kept}
    found = records.at_best_step({("last", 2, 1): record, ("other", 2, 1): record}, asked)
    assert set(found) == {("sparse", 2, 1), ("dense", 2, 1)}
    for mode, this in kept.items():
        trained = run.execute(this, runs=tmp_path, device="cpu")
        read = found[mode, 2, 1]
        assert read.facts["kept"] == trained.facts["kept"]
        assert (read.confusion == trained.confusion.sum(axis=0)).all()
        assert (read.scores.miou, read.tiles) == (trained.scores.miou, ("all",))
        assert np.isnan([read.boundary.mean_iou, read.ece]).all()
    assert any(found[mode, 2, 1].facts["kept"]["step"] < 4 for mode in kept)
    bare = dataclasses.replace(record, curves={})
    with pytest.raises(RecordError, match=f"record '{record.key}' does not say .* val_dense_miou"):
        records.at_best_step({("last", 2, 1): bare}, {"dense": ("last", "val_dense_miou")})


def test_a_record_without_boundaries_and_calibration_has_nan_for_them(finished, tmp_path: Path):
    _, record = finished
    facts, history = dict(record.facts), record.history.to_dict("records")
    alone = metrics.Statistics(record.confusion)
    records.write(tmp_path, record.key, record.run, facts, history, record.tiles, alone)
    old = records.read(tmp_path, record.key)
    assert old.scores.miou == record.scores.miou
    assert np.isnan([old.boundary.mean_iou, old.boundary.mean_f1, old.ece]).all()
    row = records.table({("condition", 0, 0): old}).iloc[0]
    assert row[["boundary_iou", "boundary_f1", "ece"]].isna().all()


def test_runs_that_split_the_tiles_in_different_ways_are_scored_on_the_same(finished):
    _, record = finished
    rng = np.random.default_rng(0)

    def run(*tiles: str) -> records.Record:
        counts = metrics.Statistics(rng.integers(1, 9, (len(tiles), 3, 3)))
        return dataclasses.replace(record, tiles=tiles, statistics=counts)

    named = {
        ("apart", 0, 0): run("a1", "a2"), ("apart", 1, 0): run("b1", "b2"),
        ("dealt", 0, 0): run("b2", "a1"), ("dealt", 1, 0): run("a2", "b1"),
        ("apart", 0, 1): run("a1", "a2"), ("dealt", 0, 1): run("b2", "a1"),
    }  # fmt: skip
    found = records.regroup_by_test_tiles(named, "apart")
    assert set(found) == {(c, f, 0) for c in ("apart", "dealt") for f in (0, 1)}
    for fold, tiles in enumerate([("a1", "a2"), ("b1", "b2")]):
        assert found["dealt", fold, 0].tiles == found["apart", fold, 0].tiles == tiles
        assert (found["apart", fold, 0].confusion == named["apart", fold, 0].confusion).all()
    dealt = named["dealt", 0, 0].confusion, named["dealt", 1, 0].confusion
    assert (found["dealt", 0, 0].confusion == np.stack([dealt[0][1], dealt[1][0]])).all()
    assert (found["dealt", 1, 0].confusion == np.stack([dealt[1][1], dealt[0][0]])).all()


def test_a_recorded_run_is_not_trained_again(finished, monkeypatch: pytest.MonkeyPatch):
    root, record = finished
    monkeypatch.setattr(run.loop, "fit", None)
    assert run.execute(TINY, runs=root).key == record.key


def test_the_same_run_twice_is_bit_identical(finished, tmp_path: Path):
    root, record = finished
    again = run.execute(TINY, runs=tmp_path, device="cpu")
    assert again.key == record.key
    assert (again.confusion == record.confusion).all()
    assert again.history.drop(columns="seconds").equals(record.history.drop(columns="seconds"))
    one, two = (run.trained(record, r).state_dict() for r in (root, tmp_path))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_the_key_follows_declaration_data_and_code(finished, monkeypatch: pytest.MonkeyPatch):
    _, record = finished
    assert versioning.key(TINY) == record.key
    assert versioning.key(dataclasses.replace(TINY, seed=1)) != record.key
    monkeypatch.setattr(versioning, "code_version", lambda: "other")
    assert versioning.key(TINY) != record.key


def test_annotation_rounds_go_on_in_one_history_with_the_weights_that_are_declared(tmp_path: Path):
    rounds = {"amount": 6, "rounds": 3, "steps": 6, "watch": 3, "sampler": "random"}
    found = {}
    for weighting in ("none", "inverse"):
        asked = dataclasses.replace(TINY, **rounds, query="margin", class_weights=weighting)
        found[weighting] = run.execute(asked, runs=tmp_path, device="cpu", keep_model=False)
    record = found["inverse"]
    assert record.history["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert record.history["seconds"].is_monotonic_increasing
    assert record.history["step"][record.history["miou"].notna()].tolist() == [2, 4, 6]
    assert record.facts["labels"]["pixels"] == 6 * record.facts["data"]["train_tiles"]
    assert len(set(record.facts["class_weights"])) > 1
    losses_of = [each.history["loss"][:2].tolist() for each in found.values()]
    assert losses_of[0] != losses_of[1]


def test_profiles_of_one_study_never_share_a_record():
    keys = [
        versioning.key(this)
        for profile in ("smoke", "quick")
        for this in studies.runs(
            "clicks", profile, "synthetic", studies.scale("clicks", profile, "synthetic").starts[0]
        ).values()
    ]
    assert len(set(keys)) == len(keys)


def test_the_factors_of_a_run_are_the_arguments_of_its_loss():
    ready = prepare.prepare(dataclasses.replace(TINY, ignored=("water",), class_weights="inverse"))
    water = ready.train.classes.index("water")
    weights = run._class_weights(ready)
    assert weights[water] == 1
    k = len(weights)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, k, 8, 8, generator=generator)
    labels = torch.randint(0, k, (1, 8, 8), generator=generator)
    options = {
        "partial_focal": {"gamma": 2.0, "alpha": None},
        "partial_tversky": {"alpha": 0.1, "beta": 0.8},
        "partial_focal_tversky": {"alpha": 0.1, "beta": 0.8, "gamma": 2.5},
    }
    for name, loss in losses.LOSSES.items():
        factors = {"tversky_alpha": 0.1, "tversky_beta": 0.8, "tversky_gamma": 2.5}
        asked = dataclasses.replace(ready.run, loss=name, **factors)
        made = run._loss(dataclasses.replace(ready, run=asked), CPU)(logits, labels)
        expected = loss(
            logits, labels, class_weights=weights, ignored=(water,), **options.get(name, {})
        )
        assert torch.equal(made, expected)


def test_an_expansion_changes_what_is_trained_and_not_the_budget(tmp_path: Path):
    plain = prepare.prepare(TINY)
    asked = dataclasses.replace(TINY, expansion="disc", reach=3)
    ready = prepare.prepare(asked)
    assert ready.sha256 == plain.sha256
    assert ready.counts.sum() > 3 * plain.counts.sum()
    for tile in ready.labelled:
        given = ready.drawn[tile.id] != IGNORE
        assert (tile.labels[given] == ready.drawn[tile.id][given]).all()
    labels = run.execute(asked, runs=tmp_path, device="cpu", keep_model=False).facts["labels"]
    assert 0 < labels["seen"] <= labels["pixels"] == plain.counts.sum()
    assert labels["trained_pixels"] == ready.counts.sum()


def test_a_class_without_a_label_is_named(caplog):
    prepare.prepare(dataclasses.replace(TINY, amount=1))
    assert "no pixel of class '" in caplog.text


def test_a_run_that_leaves_a_class_out_is_read_back_as_declared(tmp_path: Path):
    asked = dataclasses.replace(
        TINY, loss="partial_dice", class_weights="inverse", weight_bound=3.0, ignored=("water",)
    )
    record = run.execute(asked, runs=tmp_path, device="cpu")
    assert record.run == asked
    assert hash(record.run) == hash(asked)
    weights = dict(zip(record.facts["data"]["classes"], record.facts["class_weights"], strict=True))
    assert weights.pop("water") == 1
    assert max(weights.values()) / min(weights.values()) == pytest.approx(3, rel=1e-4)
    water = record.facts["data"]["classes"].index("water")
    score = metrics.scores(record.confusion, (water,))
    assert record.ignored == (water,)
    assert record.scores.miou == score.miou == record.facts["scores"]["miou"]
    assert record.history["miou"].iloc[-1] == pytest.approx(score.miou, abs=1e-12)
    assert record.facts["scores"]["iou"]["water"] is None
    assert record.confusion[:, water].sum() > 0  # kept, for whoever scores it otherwise
    counted = record.confusion.sum() - record.confusion[:, water].sum()
    assert record.statistics.calibration[..., 0].sum() == counted
    assert np.isnan(record.boundary.iou[water])


def test_the_trained_network_gives_the_recorded_scores(finished):
    root, record = finished
    from fewlabels import devices
    from fewlabels.scoring import inference

    model = run.trained(record, root)
    test = registry.load("synthetic", grid=64, split="test")
    found = inference.confusions(model, test, len(test.classes), devices.compute("cpu", "fp32"))
    assert (found == record.confusion).all()


def test_a_folder_without_a_record_is_named_before_anything_is_trained(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(run.prepare, "prepare", None)
    (tmp_path / versioning.key(TINY)).mkdir()
    with pytest.raises(RecordError, match=r"is there, but holds no record\.parquet; delete it"):
        run.execute(TINY, runs=tmp_path)


def test_a_record_of_another_run_under_this_key_is_refused(finished, tmp_path: Path):
    root, record = finished
    shutil.copytree(root / record.key, tmp_path / record.key)
    rewrite(
        tmp_path / record.key / "record.parquet",
        lambda one: dataclasses.replace(one, run=dataclasses.replace(TINY, seed=99)),
    )
    with pytest.raises(RecordError, match="another run"):
        run.execute(TINY, runs=tmp_path)


def test_a_missing_record_and_missing_weights_are_named(finished, tmp_path: Path):
    _, record = finished
    with pytest.raises(RecordError, match="holds no record 'nowhere'"):
        records.read(tmp_path, "nowhere")
    with pytest.raises(RecordError, match=r"model\.safetensors.*run again"):
        run.trained(record, tmp_path)


def test_a_full_disk_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import errno

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError, match="no space left"):
        run.execute(TINY, runs=tmp_path, device="cpu")
    assert {p.name for p in tmp_path.iterdir()} == {".claims"}  # an empty lock


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"sampler": "clicks"}, UnknownName, "sampler 'clicks'"),
        ({"expansion": "grow"}, UnknownName, "expansion 'grow'"),
        ({"loss": "dice"}, UnknownName, "loss 'dice'"),
        ({"ignored": ("sky",)}, UnknownName, "class to ignore 'sky'; known"),
        ({"class_weights": "sqrt"}, UnknownName, "class weighting 'sqrt'"),
        ({"augmentation": "blur"}, UnknownName, "augmentation 'blur'"),
        ({"model": "resnet"}, UnknownName, "model 'resnet'"),
        ({"optimiser": "sgd"}, UnknownName, "optimiser 'sgd'"),
        ({"data": "mars"}, UnknownName, "data set 'mars'"),
        ({"amount": 0}, BudgetError, "0 pixels"),
        ({"amount": 10**6}, BudgetError, "1000000 pixels, but it holds only"),
        ({"weights": "nowhere"}, WeightsError, "nowhere"),
    ],
)
def test_wrong_factors_are_named_and_nothing_is_recorded(change, error, match, tmp_path: Path):
    with pytest.raises(error, match=match):
        run.execute(dataclasses.replace(TINY, **change), runs=tmp_path)
    assert {p.name for p in tmp_path.iterdir()} <= {".claims"}


@pytest.fixture
def small_study(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = {f.name: getattr(TINY, f.name) for f in dataclasses.fields(Run)}
    kept = {k: fixed[k] for k in ("grid", "crop", "batch", "steps", "precision", "watch")}
    scale = Scale((Start(TINY.model, "none"),), (0,), 2, kept)
    study = dataclasses.replace(studies.STUDIES["E"], scales={("smoke", "synthetic"): scale})
    monkeypatch.setattr(studies, "STUDIES", {"E": study})


@pytest.mark.usefixtures("small_study")
def test_a_study_is_run_recorded_and_tabled(tmp_path: Path):
    with pytest.raises(RecordError, match="0 of 10 runs.*fewlabels run E"):
        sweep.recorded("E", "smoke", "synthetic", runs=tmp_path)
    found = sweep.train(sweep.planned("E", "smoke", "synthetic", runs=tmp_path), "cpu")
    again = sweep.recorded("E", "smoke", "synthetic", runs=tmp_path)
    table = records.table(found)
    assert table.drop(columns="seconds").equals(records.table(again).drop(columns="seconds"))
    assert len(table) == 10
    assert table.groupby("condition")["replicate"].nunique().eq(2).all()
    sparse = table[table["condition"] != "dense, PCE"]
    assert sparse["pixels"].nunique() == 1
    first = found["random, PCE", 0, 0].facts["labels"]["sha256"]
    assert found["random, focal", 0, 0].facts["labels"]["sha256"] == first  # the same draw
    assert found["random, PCE", 0, 1].facts["labels"]["sha256"] != first


@pytest.mark.usefixtures("small_study")
def test_published_records_are_found_by_what_they_declare(tmp_path: Path, monkeypatch):
    study = studies.STUDIES["E"]
    scale = study.scales["smoke", "synthetic"]
    scales = {**study.scales, ("published", "synthetic"): scale}
    monkeypatch.setattr(studies, "STUDIES", {"E": dataclasses.replace(study, scales=scales)})
    made = sweep.train(sweep.planned("E", "published", "synthetic", runs=tmp_path), "cpu")
    assert not list(tmp_path.rglob("*.safetensors"))
    monkeypatch.setattr(versioning, "code_version", lambda: "moved since")
    monkeypatch.setattr(run.loop, "fit", None)
    again = sweep.recorded("E", "published", "synthetic", runs=tmp_path)
    for found in (again, sweep.train(sweep.planned("E", "published", "synthetic", runs=tmp_path))):
        assert {u: r.key for u, r in found.items()} == {u: r.key for u, r in made.items()}
    shutil.rmtree(tmp_path / made["dense, PCE", 0, 1].key)  # a comparison is whole or left out
    left = sweep.recorded("E", "published", "synthetic", runs=tmp_path)
    assert set(left) == {unit for unit in made if unit[2] == 0}
    with monkeypatch.context() as added:  # unless what is missing was declared later
        later = dataclasses.replace(studies.STUDIES["E"], later=("dense, PCE",))
        added.setattr(studies, "STUDIES", {"E": later})
        left = sweep.recorded("E", "published", "synthetic", runs=tmp_path)
        assert set(left) == set(made) - {("dense, PCE", 0, 1)}
    shutil.rmtree(tmp_path / made["dense, PCE", 0, 0].key)
    with pytest.raises(RecordError, match="8 of 10 runs are recorded"):
        sweep.recorded("E", "published", "synthetic", runs=tmp_path)


def test_the_first_start_that_can_be_had_is_taken(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WEIGHTS_ROOT", str(tmp_path))
    wanted, there = Start("smp:Unet:resnet18", "gone"), Start("smp:Unet:resnet18", "none")
    study = studies.STUDIES["E"]
    for starts, expected in (((wanted, there), there), ((there, wanted), there)):
        scales = {("smoke", "synthetic"): studies.Scale(starts, (0,), 1)}
        monkeypatch.setattr(studies, "STUDIES", {"E": dataclasses.replace(study, scales=scales)})
        assert sweep.start_of("E", "smoke", "synthetic") == expected
    scales = {("smoke", "synthetic"): studies.Scale((wanted,), (0,), 1)}
    monkeypatch.setattr(studies, "STUDIES", {"E": dataclasses.replace(study, scales=scales)})
    with pytest.raises(WeightsError, match="gone"):
        sweep.start_of("E", "smoke", "synthetic")


def test_the_command_line_names_errors_without_a_traceback(tmp_path: Path):
    environment = os.environ | {"WEIGHTS_ROOT": str(tmp_path), "DATA_ROOT": str(tmp_path)}
    command = [sys.executable, "-m", "fewlabels.cli", "data", "mars"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("UnknownName: unknown data set 'mars'; known: ")
    assert "Traceback" not in done.stderr


def test_the_command_line_shows_what_data_holds(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["data", "synthetic", "--grid", "64"]) == 0
    assert "40 tiles" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["data", "synthetic", "--grid", "0"],
        ["predict", "m", "s", "o", "--next", "-1"],
        ["predict", "m", "s", "o", "--window", "0"],
    ],
)
def test_numbers_that_cannot_be_are_refused_at_once(command, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        cli.main(command)
    assert stop.value.code == 2
    assert "or more, found" in capsys.readouterr().err


def test_a_data_set_that_is_none_is_named_before_weights_are_sought(capsys, monkeypatch):
    monkeypatch.setattr(
        "fewlabels.training.networks.build", lambda *_, **__: pytest.fail("weights sought")
    )
    assert cli.main(["run", "E", "--data", "mars", "--dry-run"]) == 1
    assert "unknown data set 'mars'" in capsys.readouterr().err


def test_an_error_that_nobody_expects_is_one_line(monkeypatch, capsys):
    def denied(_) -> None:
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr(cli, "COMMANDS", {"data": denied})
    assert cli.main(["data", "synthetic"]) == 1
    assert capsys.readouterr().err == "PermissionError: [Errno 13] Permission denied: 'somewhere'\n"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_with_an_example_that_it_takes(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    example = capsys.readouterr().out.split("example: fewlabels ")[1]
    assert arguments.parser().parse_args(example.split()).command == command
