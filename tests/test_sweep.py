"""The parts of a sweep, without processes: claims, parcels, and which workers there are."""

import dataclasses
import errno
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from fewlabels import files
from fewlabels.experiments import distribute, run, versioning, workers
from fewlabels.experiments.plan import Plan
from fewlabels.experiments.workers import Local, SweepError, WorkerError
from fewlabels.files import claim, lock, locked
from fewlabels.results import records
from fewlabels.studies import Run
from fewlabels.types import DiskFullError, RecordError

TINY = Run(
    grid=64, crop=32, batch=2, steps=3, watch=1, model="unet:depth=2,width=4", precision="fp32"
)


KEY = "0" * 12


def fulfilled(folder: Path, **changes: object) -> workers.Files:
    """What a worker sends back for TINY; nothing stays in its folder."""
    asked = {"this": TINY, "key": versioning.key(TINY), "code": versioning.code_version()}
    asked |= {"root": None, "device": "cpu", "keep_model": True}
    here = SimpleNamespace(local_directory=folder, address="tcp://here")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(workers.distributed, "get_worker", lambda: here)
        try:
            return workers.fulfilled(**asked | changes)
        finally:
            assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> workers.Files:
    return fulfilled(tmp_path_factory.mktemp("scratch"))


def unpacked(sent: workers.Files, runs: Path, this: Run = TINY) -> records.Record:
    return workers.unpacked(sent, this, versioning.key(TINY), runs)


def claimed(runs: Path, key: str) -> object:
    return lock(claim(runs / key), wait=False)


def test_a_run_is_claimed_once_and_again_when_it_is_released(tmp_path: Path):
    held = claimed(tmp_path, "k")
    assert claimed(tmp_path, "k") is None
    assert claimed(tmp_path, "other") is not None
    held.release()
    assert claimed(tmp_path, "k") is not None


def test_who_needs_a_claim_waits_for_it(tmp_path: Path):
    first, order = claimed(tmp_path, "k"), []

    def second() -> None:
        with locked(tmp_path / "k"):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    order.append("first")
    first.release()
    waiting.join()
    assert order == ["first", "second"]


def test_a_claim_ends_with_its_process(tmp_path: Path):
    code = (
        "import os, pathlib; from fewlabels.files import claim, lock; "
        f"held = lock(claim(pathlib.Path({str(tmp_path)!r}, 'k')), wait=False); "
        "os._exit(held is None)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert (tmp_path / ".claims" / "k.lock").exists()
    assert claimed(tmp_path, "k") is not None


def test_what_a_worker_sends_becomes_the_record_that_this_process_would_make(sent, tmp_path: Path):
    here = run.execute(TINY, runs=tmp_path / "here", device="cpu")
    there = unpacked(sent, tmp_path / "there")
    assert (there.key, there.run) == (here.key, here.run)
    assert (there.confusion == here.confusion).all()
    one, other = (tmp_path / side / here.key / "model.safetensors" for side in ("here", "there"))
    assert one.read_bytes() == other.read_bytes()


def test_a_record_that_is_there_stays(sent, tmp_path: Path):
    key = unpacked(sent, tmp_path).key
    before = (tmp_path / key).stat().st_ino
    unpacked(sent, tmp_path)
    assert (tmp_path / key).stat().st_ino == before
    assert {p.name for p in tmp_path.iterdir()} == {key}


def test_the_files_of_another_run_are_refused(sent, tmp_path: Path):
    with pytest.raises(RecordError, match="another run"):
        unpacked(sent, tmp_path, dataclasses.replace(TINY, seed=1))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"key": KEY, "code": "other"}, "its code version is .*, not other.*same commit"),
        ({"key": KEY}, "its data 'synthetic' or its factors of a run are not the same"),
    ],
)
def test_a_worker_that_would_make_another_record_says_what_differs(
    changes: Mapping[str, str], match: str, tmp_path: Path
):
    with pytest.raises(WorkerError, match=match) as raised:
        fulfilled(tmp_path, **changes)
    assert raised.value.worker == "tcp://here"


class Workers:
    """A client of idle workers that notes which runs they are given."""

    def __init__(self, *addresses: str):
        self.there, self.given = addresses, {}

    def processing(self) -> dict[str, tuple]:
        return dict.fromkeys(self.there, ())

    def submit(self, _: object, this: Run, *__: object, workers: object, **___: object) -> object:
        self.given[this.seed] = workers
        return Mock(status="pending")


def sweep_on(folder: Path, *addresses: str, runs: int) -> distribute._Sweep:
    """A sweep of so many runs, which differ in the seed."""
    declared = {("x", 0, seed): dataclasses.replace(TINY, seed=seed) for seed in range(runs)}
    plan = Plan("E", "smoke", "synthetic", None, folder, declared, {})
    return distribute._Sweep(plan, Workers(*addresses), "cpu", list(declared))


def test_dask_has_one_run_a_worker(tmp_path: Path):
    now = sweep_on(tmp_path, "a", "b", runs=3)
    assert list(distribute._hand_out(now)) == list(distribute._hand_out(now)) == []
    assert now.client.given == {0: None, 1: None}  # any worker
    assert now.waiting == [("x", 0, 2)]


def test_a_worker_that_lacked_something_is_passed_over_while_there_are_others(tmp_path: Path):
    now = sweep_on(tmp_path, "a", "b", runs=3)
    now.refused["x", 0, 2] = {"a": WorkerError("no data")}
    assert list(distribute._hand_out(now)) == []
    assert now.client.given == {0: ["b"]}
    now.refused["x", 0, 1] = {"b": DiskFullError("full")}  # what they lack may be of a run alone
    now.flying.clear()
    assert list(distribute._hand_out(now)) == []
    assert now.client.given == {0: ["b"], 1: ["a"]}


def test_a_run_whose_able_workers_are_gone_waits_for_others(tmp_path: Path):
    now = sweep_on(tmp_path, "a", "b", runs=2)
    now.refused["x", 0, 1] = {"a": WorkerError("no data")}
    assert list(distribute._hand_out(now)) == []
    assert now.client.given == {0: ["b"]}
    now.client.there = ("a", "c")
    assert list(distribute._hand_out(now)) == []
    assert now.client.given == {0: ["c"]}
    assert now.waiting == [("x", 0, 1)]


def test_a_run_that_every_worker_lacks_something_for_fails_alone(tmp_path: Path):
    now = sweep_on(tmp_path, "a", runs=2)
    now.refused["x", 0, 0] = {"a": WorkerError("no data")}
    ((unit, error),) = distribute._hand_out(now)
    assert (unit, str(error)) == (("x", 0, 0), "no data")
    assert now.client.given == {1: None}


def test_local_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers.torch, "get_num_threads", lambda: 9)
    assert workers.local("cpu", runs=100) == Local(2, 4, "cpu, 4 threads")
    assert workers.local("cpu", runs=100, workers=3) == Local(3, 3, "cpu, 3 threads")
    assert workers.local("cpu", runs=1, workers=3) == Local(1, 9, "cpu, 9 threads")
    with pytest.raises(SweepError, match="0 workers"):
        workers.local("cpu", runs=1, workers=0)


def test_nobody_without_the_key_reaches_the_scheduler_of_this_machine():
    with workers._started(Local(0, 1, "cpu")) as here:
        address = here.scheduler_address
        assert address.startswith("tls://127.0.0.1:")
        for other in (address, address.replace("tls", "tcp")):
            with pytest.raises((OSError, TypeError)):
                workers.distributed.Client(other, timeout=2)


def test_each_local_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    here = Local(2, 4, "a GPU")
    seen = [workers._environment(here, number) for number in range(2)]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in seen] == ["2", "5"]
    assert {e["OMP_NUM_THREADS"] for e in seen} == {"4"}


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch):
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

    monkeypatch.setattr(files.FileLock, "acquire", full)
    with pytest.raises(DiskFullError, match="no space left"):
        claimed(tmp_path, "k")


def test_a_sweep_of_a_recorded_study_starts_no_worker(sent, tmp_path: Path, monkeypatch):
    unit, record = ("random", 0, 0), unpacked(sent, tmp_path)
    made = Plan("E", "smoke", "synthetic", None, tmp_path, {unit: TINY}, {unit: record})
    monkeypatch.setattr(workers, "connected", None)
    assert distribute.train(made, "tcp://nowhere") == {unit: record}
