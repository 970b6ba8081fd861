"""The parts of a sweep, without processes: claims, parcels, and which workers there are."""

import dataclasses
import errno
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from fewlabels.experiments import locks, run, versioning
from fewlabels.experiments.plan import Plan
from fewlabels.experiments.remote import distribute, parcel, workers
from fewlabels.experiments.remote.parcel import Order, Parcel, WorkerError
from fewlabels.experiments.remote.workers import Local, SweepError
from fewlabels.studies import Run
from fewlabels.types import DiskFullError, RecordError

TINY = Run(
    grid=64, crop=32, batch=2, steps=3, watch=1, model="unet:depth=2,width=4", precision="fp32"
)


def ordered(**changes: object) -> Order:
    right = Order(
        TINY, versioning.key(TINY), "data", versioning.code_version(), None, "cpu", keep_model=True
    )
    return dataclasses.replace(right, **changes)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Parcel:
    scratch = tmp_path_factory.mktemp("scratch")
    made = parcel.fulfilled(ordered(), scratch)
    assert list(scratch.iterdir()) == []
    return made


def test_a_run_is_claimed_once_and_again_when_it_is_released(tmp_path: Path):
    held = locks.claimed(tmp_path, "k")
    assert locks.claimed(tmp_path, "k") is None
    assert locks.claimed(tmp_path, "other") is not None
    held.release()
    assert locks.claimed(tmp_path, "k") is not None


def test_who_needs_a_claim_waits_for_it(tmp_path: Path):
    first, order = locks.claimed(tmp_path, "k"), []

    def second() -> None:
        with locks.held(tmp_path, "k"):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    order.append("first")
    first.release()
    waiting.join()
    assert order == ["first", "second"]


def test_a_claim_ends_with_its_process(tmp_path: Path):
    code = (
        "import os, pathlib; from fewlabels.experiments import locks; "
        f"held = locks.claimed(pathlib.Path({str(tmp_path)!r}), 'k'); os._exit(held is None)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert (tmp_path / locks.FOLDER / "k.lock").exists()
    assert locks.claimed(tmp_path, "k") is not None


def test_what_a_worker_sends_becomes_the_record_that_this_process_would_make(sent, tmp_path: Path):
    here = run.execute(TINY, runs=tmp_path / "here", device="cpu")
    there = parcel.unpacked(sent, tmp_path / "there")
    assert (there.key, there.run) == (here.key, here.run)
    assert (there.confusion == here.confusion).all()
    for pattern in (f"{here.key}/model.safetensors", "draws/*"):
        (one,), (other,) = ((tmp_path / side).glob(pattern) for side in ("here", "there"))
        assert (one.name, one.read_bytes()) == (other.name, other.read_bytes())


def test_a_record_that_is_there_stays(sent, tmp_path: Path):
    parcel.unpacked(sent, tmp_path)
    before = (tmp_path / sent.order.key).stat().st_ino
    parcel.unpacked(sent, tmp_path)
    assert (tmp_path / sent.order.key).stat().st_ino == before
    assert {p.name for p in tmp_path.iterdir()} == {sent.order.key, "draws"}


def test_a_parcel_of_another_run_is_refused(sent, tmp_path: Path):
    other = dataclasses.replace(sent.order, run=dataclasses.replace(TINY, seed=1))
    with pytest.raises(RecordError, match="another run"):
        parcel.unpacked(dataclasses.replace(sent, order=other), tmp_path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"key": "0" * 12, "code": "other"}, "its code version is .*, not other.*same commit"),
        ({"key": "0" * 12, "fingerprint": "other"}, "hash of the data 'synthetic' is .* not other"),
    ],
)
def test_a_worker_that_would_make_another_record_says_what_differs(
    changes: Mapping[str, str], match: str, tmp_path: Path
):
    with pytest.raises(WorkerError, match=match):
        parcel.fulfilled(ordered(**changes), tmp_path)
    assert list(tmp_path.iterdir()) == []


def scheduler_with(*offered: Mapping[str, float]) -> SimpleNamespace:
    info = {"workers": {str(i): {"resources": each} for i, each in enumerate(offered)}}
    return SimpleNamespace(scheduler_info=lambda: info)


def test_only_workers_that_offer_a_device_are_counted():
    assert workers.usable(scheduler_with({"device": 1.0}, {}, {"device": 2.0})) == {"0", "2"}
    assert workers.usable(scheduler_with()) == set()  # there may be some soon
    with pytest.raises(SweepError, match=r"none of the 2 workers.*--resources device=1"):
        workers.usable(scheduler_with({}, {"gpu": 1.0}))


def going(*waiting: str) -> distribute._Going:
    plan = Plan("E", "smoke", "synthetic", None, Path(), {}, {})
    return distribute._Going(plan, None, lambda _: ordered(), [(cell, 0, 0) for cell in waiting])


def test_workers_that_lacked_something_take_a_run_only_where_all_did():
    there, error, now = {"a", "b", "c"}, WorkerError("no data"), going()
    assert now.able(there) == there
    distribute._passed_over(now, ("x", 0, 0), "a", error)
    assert now.able(there) == {"b", "c"}
    distribute._passed_over(now, ("x", 0, 0), "b", DiskFullError("full"))
    assert now.able(there) == {"c"}
    distribute._passed_over(now, ("y", 0, 0), "c", error)
    assert now.able(there) == {"a", "c"}  # what they lack may be of x and of y alone
    assert [cell for cell, *_ in now.waiting] == ["y", "x", "x"]


def test_a_run_that_no_worker_can_take_fails_and_a_full_disk_everywhere_is_named(monkeypatch):
    now = going("x", "y")
    monkeypatch.setattr(distribute, "_there", lambda _: {"a"})
    monkeypatch.setattr(distribute, "_taken", lambda *_: None)
    now.refused["x", 0, 0] = {"a": WorkerError("no data")}
    (unit, error, _), *rest = distribute._handed_out(now)
    assert (unit, str(error), rest) == (("x", 0, 0), "no data", [])
    assert now.able({"a"}) == {"a"}  # which may take y
    now.full["a"] = DiskFullError("full")
    (unit, error, _), *_ = distribute._handed_out(now)
    assert (unit, str(error)) == (("y", 0, 0), "full")


def test_local_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers.torch, "get_num_threads", lambda: 9)
    assert workers.local("cpu", runs=100) == Local(2, 4, "cpu, 4 threads")
    assert workers.local("cpu", runs=100, workers=3) == Local(3, 3, "cpu, 3 threads")
    assert workers.local("cpu", runs=1, workers=3) == Local(1, 9, "cpu, 9 threads")
    with pytest.raises(SweepError, match="0 workers"):
        workers.local("cpu", runs=1, workers=0)


def test_each_local_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    here = Local(2, 4, "a GPU")
    seen = [workers._environment(here, number) for number in range(2)]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in seen] == ["2", "5"]
    assert {e["OMP_NUM_THREADS"] for e in seen} == {"4"}


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "CONNECT", 0.2)
    for where in ("tcp://127.0.0.1:1", "nonsense://x"):
        with (
            pytest.raises(SweepError, match=f"no dask scheduler answers at '{where}'"),
            workers.connected(where),
        ):
            pass


def test_a_full_disk_takes_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(locks.FileLock, "acquire", full)
    with pytest.raises(DiskFullError, match="no space left"):
        locks.claimed(tmp_path, "k")


def test_a_sweep_of_a_recorded_study_starts_no_worker(sent, tmp_path: Path, monkeypatch):
    unit, record = ("random", 0, 0), parcel.unpacked(sent, tmp_path)
    made = Plan("E", "smoke", "synthetic", None, tmp_path, {unit: TINY}, {unit: record})
    monkeypatch.setattr(workers, "connected", None)
    assert distribute.train(made, "tcp://nowhere") == {unit: record}
