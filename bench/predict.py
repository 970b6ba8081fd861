"""Memory and time of `fewlabels predict` by the size of the scene: what is held is one row of
windows, so the memory grows with the width and not with the height.

    python bench/predict.py [HEIGHTxWIDTH ...]    (20000x20000 is what should stay below 2 GB)

Scene and network are noise. Each prediction is a process of its own, which says its peak resident
memory, libraries included.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window
from timing import record

from fewlabels import models
from fewlabels.geo.bands import Ranges
from fewlabels.own import predict, stored

BANDS, CLASSES, TILE = 4, 8, 256
MODEL = "unet:depth=3,width=8"
WINDOW = 256


def main(*sizes: str) -> None:
    rows = []
    for size in sizes or ("1000x1000", "4000x1000", "1000x4000", "1000x20000"):
        height, width = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            noise(folder / "scene.tif", height, width)
            network(folder / "model")
            asked = [sys.executable, __file__, "child", name]
            said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
            before, peak, seconds = map(float, said.split()[-3:])
        rows.append({"size": size, "MiB before": before, "peak MiB": peak, "seconds": seconds})
    table = pd.DataFrame(rows).set_index("size")
    title = f"{BANDS} bands u16, {CLASSES} classes, windows of {WINDOW}, {MODEL}"
    record("predict", {title: table}, {"window": WINDOW, "model": MODEL})


def child(folder: Path) -> None:
    """Predict, and print MiB before, MiB at the peak, and seconds."""
    before, began = peak(), time.perf_counter()
    predict.predict(folder / "scene.tif", folder / "model", folder / "map.tif")
    print(before, peak(), time.perf_counter() - began)


def peak() -> float:
    """MiB of memory that this process has held at once so far, mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if "VmHWM" in line).split()[1]) / 1024


def noise(file: Path, height: int, width: int) -> None:
    """A scene of noise, written tile row after tile row."""
    rng = np.random.default_rng(0)
    with rasterio.open(
        file, "w", driver="GTiff", dtype="uint16", count=BANDS, height=height, width=width,
        crs="EPSG:32615", transform=from_origin(4e5, 17e5, 10, 10), tiled=True,
        blockxsize=TILE, blockysize=TILE, bigtiff="if_safer",
    ) as target:  # fmt: skip
        for at in range(0, height, TILE):
            rows = min(TILE, height - at)
            values = rng.integers(0, 10_000, (BANDS, rows, width), np.uint16)
            target.write(values, window=Window(0, at, width, rows))


def network(folder: Path) -> None:
    """A model folder with random weights."""
    about = stored.About(
        network=MODEL,
        classes=tuple(f"class {i}" for i in range(CLASSES)),
        colours=((0, 0, 0),) * CLASSES,
        asked=(),
        bands=tuple(f"band {i + 1}" for i in range(BANDS)),
        kind="uint16",
        ranges=Ranges((0.0,) * BANDS, (10_000.0,) * BANDS),
        pixel=10.0,
        system="EPSG:32615",
        window=WINDOW,
        record={},
    )
    stored.write(folder, about, models.build(MODEL, CLASSES, channels=BANDS))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(Path(sys.argv[2]))
    else:
        main(*sys.argv[1:])
