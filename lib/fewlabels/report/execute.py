"""Execute notebooks, each alone in a child process, and either finished or an error.

An executed copy `NN.ipynb` is put in place only when its process has ended well. Beside it lies
`NN.log`, what the kernel printed. A notebook that raised is kept as `NN.failed.ipynb`.
"""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import jupytext
import nbformat

from fewlabels.environment import THREADS
from fewlabels.report.cells import check_parameters, first_line, numbered, put_back, skip
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
    at_once: int = 1,
    last: Collection[str] = (),
    kept: Path | None = None,
) -> list[Path]:
    """Execute notebooks (py:percent) in this order; the executed copies in `out`, in that order.

    Args:
        parameters: given to every notebook, so every notebook has to declare all of them.
        own: more parameters for single notebooks, by the stem of their file name.
        at_once: how many run at the same time, each with its share of the cores.
        last: stems of the notebooks that read what the others record; they start last.
        kept: where outputs of cells that need images are stored, where there are no images: these
            cells are not executed, see `cells`.

    Raises:
        NotebookError: a parameter that a notebook does not declare (before any is executed), or a
            notebook that raised or died; those under way are finished first, no other is started.
        KeyboardInterrupt: those under way are ended, no other is started.
    """
    given = {notebook: dict(parameters) for notebook in notebooks}
    stems = {notebook.stem: notebook for notebook in notebooks}
    for stem, more in (own or {}).items():
        if stem not in stems:
            raise unknown("notebook", stem, stems)
        given[stems[stem]].update(more)
    for notebook, values in given.items():
        check_parameters(notebook, jupytext.read(notebook), values)
    out.mkdir(parents=True, exist_ok=True)
    share = max(1, (os.cpu_count() or 1) // at_once)
    threads = dict.fromkeys(THREADS, str(share)) if at_once > 1 else {}

    stopped, running = threading.Event(), set()

    def turn(number: int, notebook: Path) -> Path | None:
        if stopped.is_set():
            return None
        log.info("[%d/%d] %s", number, len(notebooks), notebook.stem)
        try:
            return _execute(notebook, out, given[notebook], threads, kept, running)
        except (NotebookError, OSError):
            stopped.set()  # before this thread takes the next notebook
            raise

    pool = ThreadPoolExecutor(at_once)
    try:
        turns = {}
        for late in (False, True):
            for number, notebook in enumerate(notebooks, 1):
                if (notebook.stem in last) == late:
                    turns[notebook] = pool.submit(turn, number, notebook)
            ended, _ = wait(turns.values(), return_when=FIRST_EXCEPTION)
            for each in ended:
                each.result()
    except KeyboardInterrupt:
        stopped.set()
        for child in list(running):
            child.stdin.close()  # at which it ends
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [turns[notebook].result() for notebook in notebooks]


def _execute(
    source: Path,
    out: Path,
    values: Parameters,
    threads: Mapping[str, str],
    kept: Path | None,
    running: set[subprocess.Popen],
) -> Path:
    """Execute one notebook in the folder of its source; its process is in `running` meanwhile."""
    target, partial = out / f"{source.stem}.ipynb", out / f".{source.stem}.partial.ipynb"
    failed = out / f"{source.stem}.failed.ipynb"
    for stale in (target, failed):
        stale.unlink(missing_ok=True)
    notebook = jupytext.read(source)
    if kept is not None:
        skip(notebook, source, kept)
    nbformat.write(notebook, partial)
    begun, output = time.monotonic(), target.with_suffix(".log")
    log.info("%s: started, its output goes to %s", source.stem, output)
    with subprocess.Popen(
        [sys.executable, "-P", str(CHILD), str(partial.resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=source.resolve().parent,
        env={**threads, **os.environ, "TQDM_DISABLE": "1"},
    ) as child:
        child.stdin.write(json.dumps(values).encode() + b"\n")
        child.stdin.flush()
        running.add(child)
        final = _follow(child, output)
        running.discard(child)
    if child.returncode:
        os.replace(partial, failed)
        reason = f"its process ended with exit code {child.returncode}: {final}"
        raise _failure(source, failed, reason, output)
    if kept is not None:
        put_back(partial, kept, source.stem)
    os.replace(partial, target)
    log.info("%s: finished in %.1f s", source.stem, time.monotonic() - begun)
    return target


def _follow(child: subprocess.Popen, output: Path) -> str:
    """Write what a child prints to a file, log the progress among it; return its last line."""
    final = "no output"
    with output.open("wb") as sink:
        for line in child.stdout:
            sink.write(line)
            sink.flush()
            text = line.decode(errors="replace").rstrip()
            final = text.strip() or final
            if text.startswith(PROGRESS) and line.endswith(b"\n"):
                log.info("  %s", text)
    return final


def _failure(source: Path, failed: Path, reason: str, output: Path) -> NotebookError:
    """Return the error that names notebook and cell, and where to read more."""
    where = f"read {failed} and {output}"
    try:
        begun = [
            (number, cell)
            for number, cell in numbered(nbformat.read(failed, as_version=4))
            if cell.cell_type == "code" and cell.metadata.get("papermill", {}).get("start_time")
        ]
    except ValueError:  # killed while it was being written
        begun = []
    if not begun:
        return NotebookError(f"notebook '{source.name}' {reason}; {where}")
    number, cell = begun[-1]
    for output in cell.outputs:
        if output.output_type == "error":
            reason = f"{output.ename}: {output.evalue}"
    return NotebookError(
        f"notebook '{source.name}', cell {number} ('{first_line(cell)}'): {reason}; {where}"
    )
