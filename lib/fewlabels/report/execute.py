"""How a notebook is executed: alone in a child process, and either finished or an error.

Beside every executed copy `NN.ipynb` lie `NN.json`, the child's very last act and the only proof
of success (a notebook's own metadata says "completed" even after its kernel was killed), and
`NN.log`, what the kernel printed. A notebook that raised is kept as `NN.failed.ipynb`.
"""

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import jupytext
import nbformat

from fewlabels.environment import THREADS
from fewlabels.report.cells import check_parameters, first_line, last_started
from fewlabels.report.kept import skip
from fewlabels.types import NotebookError, unknown

log = logging.getLogger(__name__)

Parameters = Mapping[str, object]
CHILD = Path(__file__).with_name("child.py")
PROGRESS = "study "  # lines that `sweep` logs, one a finished run


def execute_all(
    notebooks: Sequence[Path],
    out: Path,
    parameters: Parameters,
    *,
    own: Mapping[str, Parameters] | None = None,
    key: Callable[[Path], str | None] | None = None,
    timeout: float | None = None,
    at_once: int = 1,
    last: Collection[str] = (),
    kept: Path | None = None,
) -> list[Path]:
    """Execute notebooks in this order; the executed copies in `out`, in the same order.

    Args:
        parameters: given to every notebook, so every notebook has to declare all of them.
        own: more parameters for single notebooks, by the stem of their file name.
        key: what the result of a notebook depends on besides its source and its parameters, such
            as a hash of the library and of the data; called just before the notebook's turn.
            None (from the call or instead of it): always execute.
        timeout: seconds that each notebook may take.
        at_once: how many are executed at the same time, each with its share of the cores; those
            that need the same run wait for the one that trains it, see `claims`.
        last: those that rest on what the others record, by stem: begun when these are finished.
        kept: where outputs are kept of cells that need images, where there are no images: these
            cells are not executed, see `kept`.

    Raises:
        NotebookError: a parameter that a notebook does not declare (before any is executed), or a
            notebook that raised, died or took too long; those under way are finished first, no
            other is started.
    """
    given = {notebook: dict(parameters) for notebook in notebooks}
    stems = {notebook.stem: notebook for notebook in notebooks}
    for stem, more in (own or {}).items():
        if stem not in stems:
            raise unknown("notebook", stem, stems)
        given[stems[stem]].update(more)
    for notebook, values in given.items():
        check_parameters(notebook, jupytext.read(notebook), values)

    def turn(place: int, notebook: Path) -> Path:
        log.info("[%d/%d] %s", place, len(notebooks), notebook.stem)
        target = out / f"{notebook.stem}.ipynb"
        result_key = key(notebook) if key else None
        return execute(
            notebook, target, given[notebook],
            key=result_key, timeout=timeout, environment=_share_of_cores(at_once), kept=kept,
        )  # fmt: skip

    pool = ThreadPoolExecutor(at_once)
    try:
        turns = {}
        for late in (False, True):
            for place, notebook in enumerate(notebooks, 1):
                if (notebook.stem in last) == late:
                    turns[notebook] = pool.submit(turn, place, notebook)
            ended, _ = wait(turns.values(), return_when=FIRST_EXCEPTION)
            for each in ended:
                each.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return [turns[notebook].result() for notebook in notebooks]


def execute(
    source: Path,
    target: Path,
    parameters: Parameters,
    *,
    key: str | None = None,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
    kept: Path | None = None,
) -> Path:
    """Execute one notebook (py:percent or ipynb) in its own folder; `target`, the executed copy.

    It is not executed again where `target` stands from the same source, parameters and key.

    Args:
        environment: variables of its process where they are not set in this one.
        kept: as for `execute_all`.

    Raises:
        NotebookError: see `execute_all`. No `target` is left then.
    """
    values = {name: _plain(value) for name, value in parameters.items()}
    notebook = jupytext.read(source)
    check_parameters(source, notebook, values)
    identity = _identity(source, values, key) if key is not None else None
    if identity is not None and is_fresh(target, identity):
        log.info("%s: unchanged, not executed again", source.stem)
        return target
    if kept is not None:
        skip(notebook, source, kept)
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in (target, target.with_suffix(".json"), _failed(target), _partial(target)):
        stale.unlink(missing_ok=True)
    log.info("%s: started, its output goes to %s", source.stem, target.with_suffix(".log"))
    nbformat.write(notebook, _partial(target))
    begun = time.monotonic()
    reason = _run_child(source, target, values, identity, timeout, environment or {})
    if reason is not None:
        raise _failure(source, target, reason)
    log.info("%s: finished in %.1f s", source.stem, time.monotonic() - begun)
    return target


def is_fresh(target: Path, identity: str) -> bool:
    """Whether an executed copy is complete, untouched and of this identity."""
    try:
        result = json.loads(target.with_suffix(".json").read_text())
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
    except (FileNotFoundError, ValueError):
        return False
    if not isinstance(result, dict):
        return False
    return result.get("identity") == identity and result.get("sha256") == digest


def _identity(source: Path, values: Parameters, key: str) -> str:
    described = json.dumps([key, source.stem, dict(values)], sort_keys=True)
    return hashlib.sha256(source.read_bytes() + described.encode()).hexdigest()


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.stem}.partial.ipynb")


def _failed(target: Path) -> Path:
    return target.with_name(f"{target.stem}.failed.ipynb")


def _share_of_cores(at_once: int) -> dict[str, str]:
    """What keeps processes that compute at the same time off each other's cores."""
    share = max(1, (os.cpu_count() or 1) // at_once)
    return dict.fromkeys(THREADS, str(share)) if at_once > 1 else {}


def _run_child(
    source: Path,
    target: Path,
    values: Parameters,
    identity: str | None,
    timeout: float | None,
    environment: Mapping[str, str],
) -> str | None:
    """Why the child did not finish the notebook, or None where it did."""
    request = {
        "partial": str(_partial(target).resolve()),
        "target": str(target.resolve()),
        "parameters": dict(values),
        "identity": identity,
    }
    output = target.with_suffix(".log")
    with output.open("wb") as sink:
        child = subprocess.Popen(
            [sys.executable, "-P", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=source.resolve().parent,
            env={**environment, **os.environ, "TQDM_DISABLE": "1"},
        )
        child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
        if not _ended(child, output, timeout):
            return f"took longer than {timeout:g} s"
    if child.returncode == 0 and target.with_suffix(".json").exists():
        return None
    lines = target.with_suffix(".log").read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
    return f"its process ended with exit code {child.returncode}: {last}"


def _ended(child: subprocess.Popen, output: Path, timeout: float | None) -> bool:
    """Wait for a child and pass on the progress that its notebook logs; False: it was stopped."""
    begun, passed = time.monotonic(), 0
    while True:
        try:
            child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            running = True
        else:
            running = False
        whole = output.read_text(errors="replace").split("\n")[:-1]
        for line in whole[passed:]:
            if line.startswith(PROGRESS):
                log.info("  %s", line)
        passed = len(whole)
        if not running:
            return True
        if timeout is not None and time.monotonic() - begun > timeout:
            child.kill()
            child.wait()
            return False


def _failure(source: Path, target: Path, reason: str) -> NotebookError:
    """The error that names the cell, with the half-executed copy put where it can be read."""
    half = _partial(target) if _partial(target).exists() else target
    os.replace(half, _failed(target))
    where = f"read {_failed(target)} and {target.with_suffix('.log')}"
    try:
        running = last_started(nbformat.read(_failed(target), as_version=4))
    except ValueError:  # killed while it was being written
        running = None
    if running is None:
        return NotebookError(f"notebook '{source.name}' {reason}; {where}")
    number, cell = running
    raised = [output for output in cell.outputs if output.output_type == "error"]
    if raised:
        reason = f"{raised[0].ename}: {raised[0].evalue}"
    return NotebookError(
        f"notebook '{source.name}', cell {number} ('{first_line(cell)}'): {reason}; {where}"
    )
