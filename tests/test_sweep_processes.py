"""Sweeps as they run: schedulers, workers and sweeps are processes here, and are killed."""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from fewlabels import cli, studies
from fewlabels.experiments import versioning
from fewlabels.results import records
from fewlabels.studies import Scale, Start

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

PROCESSES = multiprocessing.get_context("forkserver")  # that imports once for all of them
PROCESSES.set_forkserver_preload(
    ["fewlabels.cli", "fewlabels.experiments.distribute", "distributed"]
)
START = Start("unet:depth=2,width=4", "none")
CONDITIONS = {
    "random": {},
    "stratified": {"sampler": "stratified"},
    "dense": {"sampler": "all"},
}
TOO_MUCH = {"more than there is": {"amount": 10**6}}
PRIVATE = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
WAIT = 240  # seconds until a test gives up waiting for a process


def study(conditions: Mapping[str, Mapping], steps: int) -> studies.Study:
    fixed = {"grid": 64, "crop": 32, "batch": 2, "steps": steps, "watch": 1, "precision": "fp32"}
    scale = Scale((START,), (0,), 1, fixed)
    declared = studies.STUDIES["E"]
    return replace(declared, varies={}, bounds=conditions, scales={("smoke", "synthetic"): scale})


def serve_scheduler(port: int) -> None:
    async def serve() -> None:
        async with distributed.Scheduler(**PRIVATE, port=port) as served:
            await served.finished()

    asyncio.run(serve())


def serve_worker(address: str, scratch: Path) -> None:
    async def serve() -> None:
        async with distributed.Worker(
            address, nthreads=1, local_directory=scratch, **PRIVATE
        ) as served:
            await served.finished()

    torch.set_num_threads(1)
    asyncio.run(serve())


def serve_worker_of_another_commit(address: str, scratch: Path) -> None:
    """It makes records of other names, and says so as fast as runs are handed to it."""
    versioning.code_version = lambda: "0" * 64
    serve_worker(address, scratch)


def sweep_on(conditions: Mapping[str, Mapping], steps: int, arguments: list[str]) -> None:
    studies.STUDIES = {"E": study(conditions, steps)}
    command = ["sweep", "E", "--profile", "smoke", "--device", "cpu", *arguments]
    sys.exit(cli.main(command))


def as_its_own(
    environment: Mapping[str, str], log: Path, target: Callable[..., None], given: tuple
) -> None:
    """A process of a test: its own session, as a terminal gives one, and its words in a file."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    target(*given)


class Outside:
    """The world outside a sweep: starts processes, and ends what is left of them."""

    def __init__(self, folder: Path, cache: Path):
        self.folder, self.cache, self.started = folder, cache, []

    def start(self, name: str, target: Callable[..., None], *given: object) -> PROCESSES.Process:
        environment = {"CACHE_ROOT": str(self.cache), "TQDM_DISABLE": "1"}
        log = self.folder / f"{name}.log"
        process = PROCESSES.Process(target=as_its_own, args=(environment, log, target, given))
        process.start()
        self.started.append(process)
        return process

    def scheduler(self, port: int | None = None) -> tuple[str, PROCESSES.Process]:
        port = port or free_port()
        process = self.start("scheduler", serve_scheduler, port)
        return f"tcp://127.0.0.1:{port}", process

    def worker(self, address: str, name: str) -> PROCESSES.Process:
        return self.start(name, serve_worker, address, self.folder / name)

    def worker_of_another_commit(self, address: str, name: str) -> PROCESSES.Process:
        return self.start(name, serve_worker_of_another_commit, address, self.folder / name)

    def sweep(
        self, name: str, runs: Path, *more: str, conditions: Mapping = CONDITIONS, steps: int = 3
    ) -> PROCESSES.Process:
        return self.start(name, sweep_on, conditions, steps, ["--runs", str(runs), *more])

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.join()


@pytest.fixture
def outside(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    made = Outside(tmp_path, tmp_path_factory.getbasetemp() / "shared" / "cache")
    yield made
    made.end()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with two workers that no test kills."""
    cache = tmp_path_factory.getbasetemp() / "shared" / "cache"
    made = Outside(tmp_path_factory.mktemp("outside"), cache)
    address, _ = made.scheduler()
    for name in ("one", "two"):
        made.worker(address, name)
    yield address
    made.end()


def free_port() -> int:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(what: Callable[[], object]) -> object:
    """What `what` returns as soon as that is true."""
    end = time.monotonic() + WAIT
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; one that has ended may wait for its exit code to be read."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def exit_code(process: PROCESSES.Process) -> int:
    process.join(WAIT)
    assert process.exitcode is not None, "the process has not ended"
    return process.exitcode


def in_a_run(folder: Path) -> bool:
    """Whether a worker with its scratch in `folder` is training now."""
    return any(re.match(r"[0-9a-f]{12}-", p.name) for p in folder.rglob("*"))


def recorded(runs: Path) -> dict[str, int]:
    """When each record was written, by its key; every one of them can be read."""
    return {r.key: (runs / r.key).stat().st_ctime_ns for r in records.read_all(runs)}


def left(runs: Path) -> list[str]:
    """What stands in a folder of runs besides records and locks: scratch."""
    hidden = (p for p in runs.rglob("*") if any(part[0] == "." for part in p.parts[-2:]))
    return sorted(p.name for p in hidden if ".claims" not in p.parts)


def test_a_run_whose_worker_is_killed_is_trained_by_another(outside: Outside, tmp_path: Path):
    address, _ = outside.scheduler()
    victim = outside.worker(address, "victim")
    swept = outside.sweep("swept", tmp_path / "runs", "--scheduler", address, steps=100)
    until(lambda: in_a_run(tmp_path / "victim"))
    victim.kill()
    assert exit_code(victim) == -signal.SIGKILL
    outside.worker(address, "another")
    assert exit_code(swept) == 0, outside.said("swept")
    assert len(recorded(tmp_path / "runs")) == len(CONDITIONS)
    assert left(tmp_path / "runs") == []


def test_after_the_loss_of_the_scheduler_the_next_sweep_goes_on(outside: Outside, tmp_path: Path):
    address, scheduler = outside.scheduler()
    outside.worker(address, "first")
    given = (tmp_path / "runs", "--scheduler", address)
    lost = outside.sweep("lost", *given, steps=100)
    until(lambda: (tmp_path / "runs").exists() and recorded(tmp_path / "runs"))
    scheduler.kill()
    assert exit_code(lost) == 1
    assert f"SweepError: the scheduler at '{address}' is gone" in outside.said("lost")
    before = recorded(tmp_path / "runs")
    assert 1 <= len(before) < len(CONDITIONS)
    assert left(tmp_path / "runs") == []

    outside.scheduler(int(address.split(":")[-1]))
    outside.worker(address, "second")
    assert exit_code(outside.sweep("again", *given, steps=100)) == 0, outside.said("again")
    after = recorded(tmp_path / "runs")
    assert len(after) == len(CONDITIONS)
    assert {key: after[key] for key in before} == before


def test_two_sweeps_at_once_train_each_run_once(outside: Outside, address: str, tmp_path: Path):
    names = ("this", "that")
    both = [outside.sweep(name, tmp_path / "runs", "--scheduler", address) for name in names]
    assert [exit_code(swept) for swept in both] == [0, 0]
    said = "".join(map(outside.said, names))
    finished = re.findall(r"run \d of 3: (.*), fold 0, replicate 0: mIoU ", said)
    assert sorted(finished) == sorted([*CONDITIONS, *CONDITIONS])
    theirs = re.findall(r"(.*), fold 0, replicate 0 is recorded by another sweep", said)
    assert sorted(theirs) == sorted(CONDITIONS)
    assert len(recorded(tmp_path / "runs")) == len(CONDITIONS)
    assert left(tmp_path / "runs") == []


def test_a_run_that_raises_is_named_and_the_others_finish(
    outside: Outside, address: str, tmp_path: Path
):
    conditions = TOO_MUCH | CONDITIONS
    swept = outside.sweep("swept", tmp_path / "runs", "--scheduler", address, conditions=conditions)
    assert exit_code(swept) == 1
    said = outside.said("swept")
    assert re.search(r"estimated time on 2 workers \(cpu, \d+ threads each\)", said)
    assert "SweepError: study E: 1 of 4 runs failed, 3 are recorded" in said
    assert re.search(r"more than there is, fold 0, replicate 0: BudgetError: .* on worker ", said)
    assert len(recorded(tmp_path / "runs")) == len(CONDITIONS)


def test_a_worker_that_lacks_something_is_passed_over(outside: Outside, tmp_path: Path):
    """It is there first, so that the first run goes to it; the other one comes when it has."""
    address, _ = outside.scheduler()
    outside.worker_of_another_commit(address, "bad")
    outside.worker(address, "good")
    given = (tmp_path / "runs", "--scheduler", address)
    swept = outside.sweep("swept", *given, conditions=TOO_MUCH | CONDITIONS)
    assert exit_code(swept) == 1
    said = outside.said("swept")
    assert "1 of 4 runs failed, 3 are recorded" in said, said
    assert re.search(r"replicate 0: WorkerError: .* code version .* another worker gets it", said)
    assert len(recorded(tmp_path / "runs")) == len(CONDITIONS)


def test_what_every_worker_lacks_is_the_failure_of_the_run(outside: Outside, tmp_path: Path):
    address, _ = outside.scheduler()
    for name in ("bad", "worse"):
        outside.worker_of_another_commit(address, name)
    swept = outside.sweep("swept", tmp_path / "runs", "--scheduler", address)
    assert exit_code(swept) == 1
    assert "3 of 3 runs failed, 0 are recorded" in outside.said("swept")


def test_a_full_disk_stops_the_sweep_and_the_next_one_goes_on(
    address: str, outside: Outside, tmp_path: Path
):
    """A disk of 32 kB has no room for three runs; what is recorded by then is not trained again."""
    (runs := tmp_path / "runs").mkdir()
    swept = outside.start("swept", sweep_on_a_small_disk, address, runs)
    code, said = exit_code(swept), outside.said("swept")
    if "no disk of its own" in said:
        pytest.skip("this system lets no process mount a disk of its own")
    first, then = said.split("MORE ROOM")
    assert re.search(r"DiskFullError: no space left .* nothing half", first)
    assert "ended with 1, left []" in first
    assert "ended with 0, left []" in then
    assert f"recorded {len(CONDITIONS)}" in then
    assert code == 0


def sweep_on_a_small_disk(address: str, runs: Path) -> None:
    """Two sweeps onto a disk that only this process sees, made larger between them."""
    mounted(runs, "32k")
    for title, size in {"SMALL": "32k", "MORE ROOM": "64m"}.items():
        print(title)
        mounted(runs, size, anew=False)
        with pytest.raises(SystemExit) as ended:
            sweep_on(CONDITIONS, 3, ["--runs", str(runs), "--scheduler", address])
        print(f"ended with {ended.value.code}, left {left(runs)}")
    print(f"recorded {len(recorded(runs))}")
    sys.exit(0)


def mounted(folder: Path, size: str, *, anew: bool = True) -> None:
    """A disk in memory at a folder, for this process alone; Linux's unshare(2) and mount(2)."""
    new_namespaces, remount = 0x10000000 | 0x00020000, 32  # CLONE_NEWUSER, CLONE_NEWNS; MS_REMOUNT
    system, user, group = ctypes.CDLL(None), os.getuid(), os.getgid()
    if anew:
        if sys.platform != "linux" or system.unshare(new_namespaces):
            sys.exit("no disk of its own")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    options = f"size={size}".encode()
    if system.mount(b"tmpfs", bytes(folder), b"tmpfs", 0 if anew else remount, options):
        sys.exit("no disk of its own")


def test_workers_of_this_machine_are_replaced_when_killed_and_gone_after_ctrl_c(
    outside: Outside, tmp_path: Path
):
    runs, scratch = tmp_path / "runs", tmp_path / "dask"
    swept = outside.start(
        "swept", local_sweep, scratch, dict(CONDITIONS) | {"long": {"steps": 10**6}}, runs
    )
    until(lambda: scratch.exists() and in_a_run(scratch))
    processes = psutil.Process(swept.pid).children(recursive=True)
    victim = next(p for p in processes if p.parent().pid != swept.pid)
    victim.kill()
    until(lambda: runs.exists() and len(recorded(runs)) == len(CONDITIONS))
    until(lambda: in_a_run(scratch))  # the long one, which would go on for an hour
    processes += psutil.Process(swept.pid).children(recursive=True)
    os.killpg(swept.pid, signal.SIGINT)
    assert exit_code(swept) == 130
    assert "stopped; what is recorded stays" in outside.said("swept")
    until(lambda: not any(map(lives, processes)))
    assert len(recorded(runs)) == len(CONDITIONS)
    assert left(runs) == []


def local_sweep(scratch: Path, conditions: Mapping[str, Mapping], runs: Path) -> None:
    """A sweep with a worker of its own, which is forked so that its replacement starts at once."""
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    dask.config.set({"temporary-directory": str(scratch)} | method)
    multiprocessing.set_forkserver_preload(["fewlabels.experiments.distribute"])
    sweep_on(conditions, 3, ["--workers", "1", "--runs", str(runs)])
