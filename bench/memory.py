"""Memory of a run by the number of its tiles: everything that is a tile's lies in memory maps.

    python bench/memory.py [SIDE OF A TILE IN PIXELS]

Each number of tiles is a process of its own, which says the peak of its own memory (anonymous
pages; pages of mapped files are the system's to drop).
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
from timing import record

from fewlabels import paths
from fewlabels.data import registry
from fewlabels.data.source import Source
from fewlabels.experiments import run
from fewlabels.studies import Run

TILES = (100, 1_000, 10_000)
CLASSES = 5


def main(side: int = 64) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in TILES:
            asked = [sys.executable, __file__, "child", str(number), str(side), folder]
            said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
            before, peak = map(float, said.split()[-2:])
            rows.append({"tiles": number, "MiB before": before, "peak MiB": peak})
    table = pd.DataFrame(rows).set_index("tiles")
    labels = [number * side * side / 2**20 for number in TILES]
    table["labels alone would be MiB"] = labels
    record("memory", {f"a run of 4 steps, tiles of {side} x {side}": table}, {"side": side})


def child(number: int, side: int, folder: Path) -> None:
    """Make the tiles, run, and print the memory before and at the peak, in MiB."""
    registry.SOURCES["many"] = registry.Declaration(
        "many", lambda root: many(number, side), "Noise, made for a benchmark."
    )
    paths.cache_root = lambda: folder / "cache"
    this = Run(
        data="many", grid=side, crop=64, batch=4, steps=4, watch=1, model="unet:depth=3,width=8"
    )
    registry.load("many", grid=side)
    before, peak, done = anonymous(), [0.0], threading.Event()

    def look() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.02)

    watcher = threading.Thread(target=look)
    watcher.start()
    run.execute(this, root=folder, runs=folder / f"runs-{number}", keep_model=False)
    done.set()
    watcher.join()
    print(before, max(peak[0], anonymous()))


def many(number: int, side: int) -> Source:
    """Tiles of noise in ten sites; the first site, of at most ten tiles, is the test fold."""

    def decode(index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(index)
        mask = np.kron(rng.integers(0, CLASSES, (4, 4)), np.ones((side // 4, side // 4), int))
        return rng.integers(0, 256, (side, side, 3), np.uint8), mask.astype(np.uint8)

    sites = tuple("test" if i < 10 else f"{i % 9}" for i in range(number))
    return Source(
        name="many",
        classes=tuple("abcde"),
        synthetic=False,
        ids=tuple(map(str, range(number))),
        sites=sites,
        folds=(("test",),),
        fingerprint=f"noise {number} {side}",
        decode=decode,
    )


def anonymous() -> float:
    """MiB of this process's memory that no file stands behind."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in x)
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(*map(int, sys.argv[1:]))
