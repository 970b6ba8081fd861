"""A run that is killed, with SIGKILL and at any moment, ends as the run that was not."""

import dataclasses
import errno
import json
import random
import shutil
import signal
import time
from pathlib import Path

import killed
import pytest
import torch
from changed import rewrite
from safetensors.torch import load_file

from fewlabels.experiments import run, versioning
from fewlabels.results import records
from fewlabels.studies import Run
from fewlabels.training import state
from fewlabels.training.state import CheckpointError, Checkpoints, State
from fewlabels.types import DiskFullError, RecordError

# everything that keeps a state of its own is on: dropout, moments, average, plateau, best weights
FULL = Run(
    grid=64, crop=32, batch=2, steps=12, watch=6, model="unet:depth=2,width=4,dropout=0.2",
    precision="fp32", schedule="plateau", plateau_patience=0, plateau_factor=0.5, clip=1.0,
    warm_up=2, ema=0.9, validation="sparse", keep="best", patience=20, lr=5e-3,
    augmentation="d4+shift_scale_rotate", cutmix=0.5, rare_below=0.1, rare_times=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one that all tests share, see conftest: tiles are decoded once."""
    return tmp_path_factory.getbasetemp() / "shared" / "cache"


def finish(runs: Path, cache: Path, fatal: str | None = None, this: Run = FULL) -> int:
    """The exit code of a process that executes the run, with a checkpoint every two steps."""
    process = killed.child(this, runs, cache, 2, fatal)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def outcome(runs: Path, this: Run = FULL) -> tuple[bytes, str, list[bytes], dict, dict]:
    """What has to be the same: all of a record but times."""
    (record,) = records.read_all(runs)
    assert record.run == this
    assert not list(runs.glob(".partial-*"))
    model = (runs / record.key / "model.safetensors").read_bytes()
    counts = [a.tobytes() for a in (*vars(record.statistics).values(), *record.curves.values())]
    history = record.history.drop(columns="seconds").to_csv(float_format="%.17g")
    facts = record.facts
    return model, history, counts, facts["labels"], facts["kept"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple:
    runs = tmp_path_factory.mktemp("whole")
    assert finish(runs, cache) == 0
    return outcome(runs)


@pytest.mark.parametrize(
    "fatal", ["1:step", "7:step", "12:step", "2:half", "6:half", "8:between", "4:old", "12:record"]
)
def test_a_killed_run_ends_as_the_one_that_was_not(fatal: str, whole, cache: Path, tmp_path: Path):
    assert finish(tmp_path, cache, fatal) == -signal.SIGKILL
    assert not records.read_all(tmp_path)
    step, moment = int(fatal.split(":")[0]), fatal.split(":")[1]
    kept = sorted(p.name for p in tmp_path.glob(".partial-*/step-*"))
    last = (step - 1) // 2 * 2 if moment == "step" else step - 2
    expected = {"old": {last, step}, "record": {step}}.get(moment, {last})
    assert kept == [f"step-{n:08d}" for n in sorted(expected - {0})]
    assert finish(tmp_path, cache) == 0
    assert outcome(tmp_path) == whole


def test_a_run_killed_again_and_again_at_random_ends_the_same(whole, cache: Path, tmp_path: Path):
    """Every process is killed at a random moment after it has written one more checkpoint."""
    rng, kills = random.Random(0), 0
    while True:
        before = newest(tmp_path)
        process = killed.child(FULL, tmp_path, cache, 2, None)
        while process.is_alive() and newest(tmp_path) <= before:
            time.sleep(0.002)
        process.join(rng.uniform(0, 0.06))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        kills += 1
    assert kills >= 1
    assert outcome(tmp_path) == whole


def newest(runs: Path) -> int:
    return max((int(p.name[5:]) for p in runs.glob(".partial-*/step-*")), default=0)


def test_checkpoints_and_workers_change_nothing(whole, tmp_path: Path):
    """The processes above had a checkpoint every two steps and two workers; this has none."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run.execute(FULL, runs=tmp_path, device="cpu")
    torch.set_num_threads(threads)
    assert outcome(tmp_path) == whole


@pytest.fixture(scope="module")
def cut_off(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of checkpoints of a run that was killed after four steps."""
    runs = tmp_path_factory.mktemp("cut_off")
    assert finish(runs, cache, "5:step") == -signal.SIGKILL
    (folder,) = runs.glob(".partial-*")
    return folder


@pytest.fixture
def interrupted(cut_off: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(cut_off, tmp_path / cut_off.name))


def resumed(folder: Path, this: Run = FULL) -> None:
    run.execute(this, runs=folder.parent, device="cpu", checkpoint_every=2)


def test_a_checkpoint_is_two_files_that_nothing_has_to_unpickle(interrupted: Path):
    (step,) = interrupted.iterdir()
    assert sorted(p.name for p in step.iterdir()) == ["state.json", "state.safetensors"]
    facts = json.loads((step / "state.json").read_text())
    assert (facts["step"], len(facts["history"])) == (4, 4)
    parts = {name.split(".")[0] for name in load_file(step / "state.safetensors")}
    assert parts == {"model", "shadow", "best", "moment", "generator", "seen"}


@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        ("state.json", lambda b: b[:9], "step-00000004. cannot be read.*delete that folder"),
        ("state.safetensors", lambda b: b[:99], "not what was written"),
        ("state.safetensors", lambda b: b[:-1] + bytes([b[-1] ^ 1]), "not what was written"),
        ("state.json", lambda b: b.replace(b'"owner": "', b'"owner": "x'), "of training 'x"),
        ("state.json", lambda b: b.replace(b'"format": 1', b'"format": 9'), "of format 9"),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_named(file, change, match, interrupted: Path):
    (step,) = interrupted.iterdir()
    (step / file).write_bytes(change((step / file).read_bytes()))
    with pytest.raises(CheckpointError, match=match):
        resumed(interrupted)


def test_a_checkpoint_of_another_model_is_named(interrupted: Path):
    other = dataclasses.replace(FULL, model="unet:depth=2,width=8,dropout=0.2")
    (step,) = interrupted.iterdir()
    key = versioning.key(other)
    facts = (step / "state.json").read_text().replace(versioning.key(FULL), key)
    (step / "state.json").write_text(facts)
    moved = interrupted.rename(interrupted.with_name(f".partial-{key}"))
    with pytest.raises(CheckpointError, match=r"another model: model weight .* is .* should be"):
        resumed(moved, other)


def test_a_record_of_other_code_is_refused(tmp_path: Path):
    small = dataclasses.replace(FULL, steps=1, watch=1, warm_up=0)
    record = run.execute(small, runs=tmp_path, device="cpu")
    older = record.facts | {"environment": record.facts["environment"] | {"code": "older"}}
    file = tmp_path / record.key / "record.parquet"
    rewrite(file, lambda one: dataclasses.replace(one, facts=older))
    with pytest.raises(RecordError, match="another version of the code; delete"):
        run.execute(small, runs=tmp_path, device="cpu")


def test_what_a_killed_writer_left_is_never_read_as_a_record(tmp_path: Path):
    (tmp_path / ".0123.half").mkdir()
    (tmp_path / ".0123.half" / "record.parquet").write_bytes(b"PAR1")
    assert records.read_all(tmp_path) == []


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch):
    where = Checkpoints(tmp_path / "c", "me", 1)
    state.write(where, State(1, {"a": torch.ones(2)}, [{"step": 1}]))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError):
        state.write(where, State(2, {"a": torch.zeros(2)}, [{"step": 1}, {"step": 2}]))
    assert state.latest(where).step == 1
    with pytest.raises(ValueError, match="every 0 steps"):
        Checkpoints(tmp_path, "me", 0)
