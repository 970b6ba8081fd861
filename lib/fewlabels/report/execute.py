"""Execute notebooks by papermill, each in a kernel of its own, and either finished or an error.

An executed copy `NN.ipynb` is put in place only when all of its cells have. Beside it lies
`NN.log`, what the kernel printed. A notebook that raised is kept as `NN.failed.ipynb`.
"""

import logging
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TextIO

import jupytext
import nbformat
import papermill
import zmq
from jupyter_client import AsyncKernelManager
from jupyter_core.utils import run_sync
from traitlets.config import Config

from fewlabels.environment import THREADS
from fewlabels.report.cells import check_parameters, first_line, numbered, put_back, skip
from fewlabels.types import NotebookError, unknown

log = logging.getLogger(__name__)

Parameters = Mapping[str, object]
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
    logging.getLogger("papermill").setLevel(logging.WARNING)  # what is done is said here
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
        for kernel in list(running):
            run_sync(kernel.provisioner.kill)()
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
    running: set[AsyncKernelManager],
) -> Path:
    """Execute one notebook in the folder of its source; its kernel is in `running` meanwhile."""
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
    # ipykernel warns of sockets that are not encrypted
    encryption = Config(transport_encryption="auto" if zmq.has("curve") else "disabled")
    kernel = AsyncKernelManager(kernel_name="python3", config=Config(KernelManager=encryption))
    kernel.client = cache(kernel.client)  # papermill leaves it open
    environment = {**threads, **os.environ, "TQDM_DISABLE": "1"}
    run_sync(kernel.start_kernel)(cwd=source.resolve().parent, env=environment)
    running.add(kernel)
    try:
        with output.open("w") as sink:
            papermill.execute_notebook(
                partial, partial, parameters=dict(values), kernel_name="python3",
                language="python", progress_bar=False, km=kernel,
                stdout_file=_Progress(sink), stderr_file=_Progress(sink),
            )  # fmt: skip
    except (papermill.PapermillExecutionError, RuntimeError) as error:
        os.replace(partial, failed)
        raise _failure(source, failed, error, output) from error
    finally:
        running.discard(kernel)
        kernel.client().stop_channels()
        run_sync(kernel.shutdown_kernel)(now=True)
    if kept is not None:
        put_back(partial, kept, source.stem)
    os.replace(partial, target)
    log.info("%s: finished in %.1f s", source.stem, time.monotonic() - begun)
    return target


@dataclass(frozen=True)
class _Progress:
    """A file that also logs the progress of a study that is written to it."""

    file: TextIO

    def write(self, text: str) -> None:
        """Write text; papermill gives it in whole lines, nearly always."""
        self.file.write(text)
        for line in text.splitlines():
            if line.startswith(PROGRESS):
                log.info("  %s", line)

    def flush(self) -> None:
        """Let others read what was written."""
        self.file.flush()


def _failure(source: Path, failed: Path, error: Exception, output: Path) -> NotebookError:
    reason, where = f"{error}", f"read {failed} and {output}"
    if isinstance(error, papermill.PapermillExecutionError):
        reason = f"{error.ename}: {error.evalue}"
    begun = [
        (number, cell)
        for number, cell in numbered(nbformat.read(failed, as_version=4))
        if cell.cell_type == "code" and cell.metadata.get("papermill", {}).get("start_time")
    ]
    if not begun:
        return NotebookError(f"notebook '{source.name}': {reason}; {where}")
    number, cell = begun[-1]
    return NotebookError(
        f"notebook '{source.name}', cell {number} ('{first_line(cell)}'): {reason}; {where}"
    )
