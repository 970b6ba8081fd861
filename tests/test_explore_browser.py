"""Clicking for real: JupyterLab and Chromium on this machine, driven as a person would."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
LIB = Path(__file__).parents[1] / "lib"
PATIENCE = 240_000  # milliseconds that a busy machine may need for one condition
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
CELL = """
import numpy as np
from fewlabels import explore
image = np.tile(np.uint8([30, 70, 110]), (40, 80, 1))
image[:, 40:] = (150, 180, 90)
image += np.random.default_rng(0).integers(0, 40, image.shape, np.uint8)
explore(image, ["water", "grass"], file="clicks.geojson")
"""

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: requirements.lock"
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine's PATH")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of one notebook in a JupyterLab of its own, without anybody's settings."""
    work = tmp_path / "work"
    work.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.strip())])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, work / "click.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    quiet = tmp_path / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    news = {"fetchNews": "false", "checkForUpdates": False}
    (quiet / "notification.jupyterlab-settings").write_text(json.dumps(news))
    homes = {name: str(tmp_path / name.lower()) for name in (
        "HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
        "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
    )}  # fmt: skip
    log = tmp_path / "lab.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
             "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
             f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work}",
             ],
            cwd=work, env=os.environ | homes | {"PYTHONPATH": str(LIB)},
            stdout=sink, stderr=subprocess.STDOUT,
        )  # fmt: skip
    yield f"http://127.0.0.1:{port}/lab/tree/click.ipynb?token={token}"
    server.terminate()
    server.wait(30)


@pytest.fixture
def page(lab: str, tmp_path: Path) -> Iterator["playwright.Page"]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(PATIENCE)
        deadline = PATIENCE // 1000
        for _ in range(4 * deadline):
            try:
                page.goto(lab)
                break
            except playwright.Error as error:
                if "ERR_CONNECTION_REFUSED" not in str(error):
                    raise
                page.wait_for_timeout(250)
        yield page
        browser.close()


def test_every_click_trains_a_map_and_clicks_are_saved(page, tmp_path: Path):
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.locator(".jp-Notebook .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    widget = page.locator(".fewlabels-explore[data-shown=true]")
    widget.wait_for()
    image, found = (widget.locator(f"canvas[data-panel={name}]") for name in ("image", "map"))

    def click(canvas, *pixels: tuple[int, int], **how: object) -> None:
        box = canvas.bounding_box()
        for column, row in pixels:
            at = (column + 0.5) / 80 * box["width"], (row + 0.5) / 40 * box["height"]
            canvas.click(position={"x": at[0], "y": at[1]}, **how)

    def pressed(name: str) -> None:
        widget.get_by_role("button", name=name).first.click()

    def trained(words: str) -> None:
        widget.locator(".message", has_text=f"Trained on {words}").wait_for()
        page.locator(".fewlabels-explore[data-state=trained]").wait_for()

    pressed("water")
    click(image, (5, 5), (20, 30))
    for key in ("ArrowRight", "ArrowDown", "Enter"):  # from where the pointer left the crosshair
        image.press(key)
    widget.locator(".message", has_text="3 clicks (water 3); a map needs two classes").wait_for()
    pressed("grass")
    click(image, (75, 5), (60, 30), (47, 12), (0, 39))
    trained("7 clicks (water 3, grass 4)")
    pressed("Undo")
    trained("6 clicks (water 3, grass 3)")
    colours = [colour_at(found, at) for at in ((0.1, 0.5), (0.9, 0.5))]
    assert colours == ["#0072b2", "#b5e0a0"]
    pressed("Wrong here")
    click(found, (10, 20))
    trained("7 clicks (water 3, grass 4)")
    pressed("Wrong here")
    click(image, (70, 20), modifiers=["Shift"])
    trained("8 clicks (water 4, grass 4)")
    apart = widget.locator("canvas[data-panel=disagreement]")
    assert not apart.is_visible()
    pressed("Disagreement")
    widget.locator(".message", has_text="The learners disagree on").wait_for()
    assert apart.is_visible()
    widget.screenshot(path=tmp_path / "explorer.png")
    widget.get_by_label("Map at every click").uncheck()
    pressed("Undo")
    pressed("Undo")
    page.locator(".fewlabels-explore[data-clicks='6']").wait_for()
    pressed("Save")
    page.locator(".fewlabels-explore[data-state=saved]").wait_for()
    saved = json.loads((tmp_path / "work" / "clicks.geojson").read_text())
    points = [(f["properties"]["class"], *f["geometry"]["coordinates"]) for f in saved["features"]]
    water = [("water", 5.5, 5.5), ("water", 20.5, 30.5), ("water", 21.5, 31.5)]
    grass = [("grass", 75.5, 5.5), ("grass", 60.5, 30.5), ("grass", 47.5, 12.5)]
    assert points == water + grass
    pressed("Map")
    trained("6 clicks")


def colour_at(canvas, at: tuple[float, float]) -> str:
    """What a map shows at a share of its width and height."""
    return canvas.evaluate(
        """(canvas, [x, y]) => {
            const place = [Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1];
            const rgb = [...canvas.getContext("2d").getImageData(...place).data].slice(0, 3);
            return "#" + rgb.map((v) => v.toString(16).padStart(2, "0")).join("");
        }""",
        at,
    )
