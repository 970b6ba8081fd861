"""Both sides of a comparison, in one run, turn about, so that a busy machine slows both.

A benchmark is a script: `python bench/NAME.py` prints its tables and writes them, with the
machine, to bench/results/NAME.json. None of them is a test, and no test reads a time.
"""

import json
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from fewlabels import environment

RESULTS = Path(__file__).parent / "results"


class Apart:
    """A side in a process of its own: what one side sets for its process (threads, how memory is
    kept) does not reach the others.

    Args:
        build: makes what is timed, in that process, as build(*args); a function of a module.
    """

    def __init__(self, build: Callable[..., Callable[[], object]], *args: object) -> None:
        spawned = get_context("spawn")
        self._process = ProcessPoolExecutor(
            1, mp_context=spawned, initializer=_build, initargs=(build, *args)
        )

    def __call__(self) -> None:
        self._process.submit(_call_built).result()


def _build(build: Callable[..., Callable[[], object]], *args: object) -> None:
    global _built
    _built = build(*args)


def _call_built() -> None:
    _built()


def alternate(
    sides: Mapping[str, Callable[[], object]], *, repeats: int = 7, warm: int = 1
) -> pd.DataFrame:
    """Seconds of every call: one column a side, one row a repeat.

    Each repeat calls all sides once, every other repeat in reverse order. The first `warm`
    repeats are not kept.
    """
    rows = []
    for repeat in range(warm + repeats):
        order = list(sides) if repeat % 2 == 0 else list(sides)[::-1]
        rows.append({side: seconds(sides[side]) for side in order})
    return pd.DataFrame(rows[warm:], columns=list(sides))


def summary(times: pd.DataFrame, *, against: str) -> pd.DataFrame:
    """Median, fastest and slowest of each side in seconds, and how many times as fast as `against`.

    `times as fast` is the median over repeats of the quotient within a repeat, with the smallest
    and the largest of them.
    """
    quotient = times.rdiv(times[against], axis=0)
    return pd.DataFrame(
        {
            "median s": times.median(),
            "min s": times.min(),
            "max s": times.max(),
            "times as fast": quotient.median(),
            "least": quotient.min(),
            "most": quotient.max(),
            "n": len(times),
        }
    )


def record(name: str, tables: Mapping[str, pd.DataFrame], facts: Mapping[str, object]) -> Path:
    """Print the tables and write them, with the machine, as bench/results/NAME.json."""
    for title, table in tables.items():
        print(f"\n{title}\n{table.to_string(float_format=lambda v: f'{v:.4g}')}")
    content = {
        "name": name,
        "finished": environment.now(),
        "machine": {"processor": _processor(), "system": platform.system()},
        "environment": environment.facts(),
        "facts": dict(facts),
        "tables": {title: json.loads(t.to_json(orient="split")) for title, t in tables.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def seconds(call: Callable[[], object]) -> float:
    """What one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()
