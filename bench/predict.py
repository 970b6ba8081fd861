"""Memory and time of `fewlabels predict` by the size of the scene.

One row of windows is held, so memory grows with the width and not with the height.

    python bench/predict.py [HEIGHTxWIDTH ...] [--keep FOLDER]

20000x20000 is what should stay below 2 GB. In the background, with its progress in a file;
it resumes if it is started again:

    nohup python bench/predict.py 20000x20000 --keep FOLDER > predict.log 2>&1 &

Scene and network are noise. Each prediction is a process of its own; its peak resident memory is
counted, libraries included. If it was interrupted, the peak is the highest and the seconds are the
sum of all starts. Delete a folder of another state of the code first.
"""

import argparse
import json
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

from fewlabels import devices
from fewlabels.learners.network import NetworkPredictor
from fewlabels.mapping import model_folder, predict, scene
from fewlabels.mapping.scene import Ranges
from fewlabels.training import networks

BANDS, CLASSES, TILE = 4, 8, 256
MODEL = "unet:depth=3,width=8"
WINDOW = 256
SIZES = ("1000x1000", "10000x2000", "20000x2000", "1000x20000")
POLL = 1.0  # seconds between two looks at the memory of a prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("sizes", nargs="*", default=SIZES)
    parser.add_argument("--keep", type=Path, help="folder that is not deleted at the end")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = wanted.keep or Path(name)
        table = pd.DataFrame([measured(folder / size, size) for size in wanted.sizes])
    title = f"{BANDS} bands u16, {CLASSES} classes, windows of {WINDOW}, {MODEL}"
    facts = {"window": WINDOW, "model": MODEL, "GDAL cache MiB": scene.CACHE / 2**20}
    record("predict", {title: table.set_index("size")}, facts)


def measured(folder: Path, size: str) -> dict[str, object]:
    """MiB of memory and seconds of one prediction, started or gone on with."""
    file = folder / "measured.json"
    found = json.loads(file.read_text()) if file.exists() else {"peak MiB": 0.0, "seconds": 0.0}
    if not (folder / "model").exists():
        folder.mkdir(parents=True, exist_ok=True)
        noise(folder / "scene.tif", *map(int, size.split("x")))
        network(folder / "model")
    if not (folder / "map.tif").exists():
        before, began = found["seconds"], time.perf_counter()
        child = subprocess.Popen([sys.executable, __file__, "child", str(folder)])
        while child.poll() is None:
            found["peak MiB"] = max(found["peak MiB"], peak(child.pid))
            found["seconds"] = before + time.perf_counter() - began
            file.write_text(json.dumps(found))
            time.sleep(POLL)
        if child.returncode:
            raise SystemExit(child.returncode)
        found["peak MiB"] = max(found["peak MiB"], float((folder / "peak").read_text()))
        found["libraries MiB"] = float((folder / "libraries").read_text())
        file.write_text(json.dumps(found))
    return {"size": size} | found


def child(folder: Path) -> None:
    """Predict, and write down the memory before and at the peak."""
    (folder / "libraries").write_text(str(peak()))
    predict.predict(folder / "scene.tif", folder / "model", folder / "map.tif", clicks=50)
    (folder / "peak").write_text(str(peak()))


def peak(process: int | str = "self") -> float:
    """MiB of memory that a process has held at once so far, mapped files included; 0 of one that
    has ended.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if "VmHWM" in line), 0.0)


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
    about = model_folder.About(
        learner="network",
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
    model = networks.build(MODEL, CLASSES, channels=BANDS)
    model_folder.write(folder, about, NetworkPredictor(model, devices.compute("cpu")))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(Path(sys.argv[2]))
    else:
        main()
