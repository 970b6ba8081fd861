"""Runs in processes of their own that are killed with SIGKILL; used by test_resume.

The processes are forked from a server that has imported the library and done nothing else, so
each starts in milliseconds and has computed nothing before.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

from fewlabels.studies import Run

os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported, so before the server starts
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["fewlabels.experiments.run", "albumentations"])


def child(
    run: Run, runs: Path, cache: Path, every: int, fatal: str | None
) -> multiprocessing.Process:
    """A started process that executes `run`; `fatal`, as STEP:MOMENT, is where it kills itself.

    Moments: `step` (weights moved, nothing noted), `half` (half of the file with the tensors
    is written), `between` (that file is whole, the other not there), `old` (the checkpoint is
    whole, the older one still there), `record` (training is done, half of the record is written).
    """
    process = SERVER.Process(target=_execute, args=(run, runs, cache, every, fatal))
    process.start()
    return process


def _execute(run: Run, runs: Path, cache: Path, every: int, fatal: str | None) -> None:
    import torch

    from fewlabels import paths
    from fewlabels.experiments.run import execute
    from fewlabels.training import loop, state

    torch.set_num_threads(1)
    paths.cache_root = lambda: cache
    if fatal is not None:
        step, moment = fatal.split(":")
        _arm(int(step), moment, loop, state)
    execute(run, runs=runs, device="cpu", checkpoint_every=every, workers=2)


def _arm(step: int, moment: str, train: object, progress: object) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    stepped, written, removed = train._step, Path.write_bytes, progress.shutil.rmtree

    def step_and_die(now, *rest):
        value = stepped(now, *rest)
        if now.step + 1 == step:
            die()
        return value

    def write_and_die(file: Path, content: bytes) -> None:
        written(file, content)
        if file.parent.name.startswith(f".step-{step:08d}"):
            if moment == "half":
                os.truncate(file, file.stat().st_size // 2)
            die()

    def write_half_and_die(file: Path, content: bytes) -> None:
        written(file, content[: len(content) // 2] if file.name == "record.parquet" else content)
        if file.name == "record.parquet":
            die()

    def remove_and_die(folder: Path, **options: object) -> None:
        if Path(folder).name.startswith("step-"):
            die()
        removed(folder, **options)

    places: dict[str, Callable[[], None]] = {
        "step": lambda: setattr(train, "_step", step_and_die),
        "half": lambda: setattr(Path, "write_bytes", write_and_die),
        "between": lambda: setattr(Path, "write_bytes", write_and_die),
        "record": lambda: setattr(Path, "write_bytes", write_half_and_die),
        "old": lambda: setattr(progress.shutil, "rmtree", remove_and_die),
    }
    places[moment]()
