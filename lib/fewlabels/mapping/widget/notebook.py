"""Click labels on an image and see the map that they give, in JupyterLab, Colab or VS Code.

The front end, `explore.js`, draws what the traits hold and sends what a person does. All decisions
are made here, so the widget works, and is tested, without a browser.
"""

import base64
import io
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from fewlabels import devices
from fewlabels.devices import Compute
from fewlabels.mapping.class_text import plain
from fewlabels.mapping.recipe import Recipe
from fewlabels.mapping.stream import Strip
from fewlabels.mapping.widget import annotations, quick_fit, static_view
from fewlabels.mapping.widget.annotations import Click, Clicks
from fewlabels.results import figures
from fewlabels.training.loop import Watch
from fewlabels.types import DataError, FewLabelsError, NoLabelsError, unknown

ACTIONS = ("add", "remove", "undo", "clear", "train", "stop", "save", "load")
HELLO = "Choose a class and click on the image."


class Stopped(FewLabelsError):
    """A training that was stopped; the map is that of the training before."""


def explore(
    source: object,
    classes: Iterable[str],
    *,
    file: str | Path = "clicks.geojson",
    bands: tuple[int, ...] = (),
    colours: tuple[int, int, int] | None = None,
    at: tuple[int, int] | None = None,
    how: Recipe = quick_fit.SHORT,
    device: str = "auto",
) -> "Explorer":
    """An image to click labels on; the last line of a notebook's cell shows it.

    Args:
        source, bands, at: see `trial.view`; of a large scene a part is shown.
        classes: their names, at least two.
        file: where clicks are saved; clicks that it holds already are loaded.
        colours: see `trial.picture`.
        how: recipe of the trainings; the number of steps can be changed in the widget.
        device: see `devices.compute`.

    Raises:
        DataError: as `quick_fit.view`, or fewer than two classes, or one twice or without a name.
    """
    names = (classes,) if isinstance(classes, str) else tuple(map(plain, classes))
    if len(names) < 2 or len(set(names)) < len(names) or None in names:
        raise DataError(f"at least two classes with different names are needed, found {names}")
    seen = quick_fit.view(source, bands=bands, at=at)
    made = Explorer(seen, names, how, devices.compute(device), quick_fit.picture(seen, colours))
    made.file = str(file)
    if Path(file).exists():
        made.load(file)
    return made


class Explorer(anywidget.AnyWidget):
    """The clicks, the map that they gave, and the widget that shows both; made by `explore`.

    All columns and rows are pixels of the whole scene, counted from 0.
    """

    _esm = Path(__file__).with_name("explore.js")
    _css = Path(__file__).with_name("explore.css")

    image = traitlets.Bytes().tag(sync=True)  # PNG of the part shown
    frame = traitlets.Dict().tag(sync=True)  # its column, row, width and height
    legend = traitlets.List().tag(sync=True)  # name and colour of each class
    ramp = traitlets.List(static_view.ramp()).tag(sync=True)
    points = traitlets.List().tag(sync=True)  # column, row and class of each click
    undoable = traitlets.Bool(False).tag(sync=True)
    classes_map = traitlets.Bytes().tag(sync=True)  # one byte a pixel; empty before a training
    confidence = traitlets.Bytes().tag(sync=True)  # the same, in percent
    state = traitlets.Unicode("ready").tag(sync=True)  # training, trained, loaded, saved, failed
    message = traitlets.Unicode(HELLO).tag(sync=True)
    done = traitlets.Float(0.0).tag(sync=True)  # share of a training
    steps = traitlets.Int().tag(sync=True)
    file = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        view: quick_fit.View,
        classes: tuple[str, ...],
        how: Recipe,
        compute: Compute,
        picture: UInt8[np.ndarray, "h w 3"],
    ) -> None:
        scene, (height, width) = view.scene, view.shape
        super().__init__(
            image=_png(picture),
            frame={"x": view.columns.start, "y": view.rows.start, "w": width, "h": height},
            legend=[list(pair) for pair in zip(classes, figures.colours(classes), strict=True)],
            steps=how.steps,
            message=HELLO if view.shape == (scene.height, scene.width) else _part(view),
        )
        self.classes = classes
        self.map: Strip | None = None
        self._view, self._how, self._compute, self._picture = view, how, compute, picture
        self._now: Clicks = ()
        self._before: list[Clicks] = []
        self._ours: set[Path] = set()  # files that hold nothing but what was clicked here
        self._stop, self._busy = threading.Event(), threading.Lock()
        self.on_msg(self._asked)

    @property
    def clicks(self) -> Clicks:
        """The clicks as they are now, oldest first."""
        return self._now

    def add(self, column: int, row: int, name: str) -> None:
        """Give a pixel a class.

        Raises:
            UnknownName: no such class.
            DataError: the scene has no such pixel.
        """
        scene = self._view.scene
        if name not in self.classes:
            raise unknown("class", name, self.classes)
        if not (0 <= column < scene.width and 0 <= row < scene.height):
            raise DataError(
                f"column {column}, row {row} is no pixel: '{scene.file.name}' has {scene.width} "
                f"columns and {scene.height} rows"
            )
        self._set(annotations.added(self._now, Click(column, row, self.classes.index(name))))

    def remove(self, column: int, row: int) -> None:
        """Remove the click on a pixel."""
        self._set(annotations.without(self._now, column, row))

    def clear(self) -> None:
        """Remove all clicks."""
        self._set(())

    def undo(self) -> None:
        """Undo the last change of the clicks."""
        if self._before:
            self._show(self._before.pop())

    def save(self, file: str | Path) -> None:
        """Write the clicks; see `annotations.write`.

        Raises:
            NoLabelsError, DataError: no click is there; the file exists and is not from here.
        """
        if not self._now:
            raise NoLabelsError("there is no click to save")
        target = Path(file)
        if target.exists() and target.resolve() not in self._ours:
            raise DataError(f"'{target}' is there already; load it first, or name another file")
        annotations.write(target, self._now, self.classes, self._view.scene)
        self._ours.add(target.resolve())
        self._tell("saved", f"{_counted(self._now)} saved in '{target}'.")

    def load(self, file: str | Path) -> None:
        """Replace the clicks by those of a file; see `clicked.read`.

        Raises:
            DataError, NoLabelsError: as `clicked.read`.
        """
        found, lost = annotations.read(Path(file), self._view.scene, self.classes)
        self._set(found)
        if not lost:
            self._ours.add(Path(file).resolve())
        more = f" {lost} other labels of it are no clicks here and are skipped." if lost else ""
        self._tell("loaded", f"{_counted(found)} loaded from '{file}'.{more}")

    def train(self, steps: int | None = None) -> Strip:
        """Train on the clicks, show the map and keep it in `map`.

        Raises:
            NoLabelsError: fewer than two classes have a click.
            Stopped: `stop` was called, or another training is under way.
            FewLabelsError: as `trial.mapped`.
        """
        if not self._busy.acquire(blocking=False):
            raise Stopped("another training is under way")
        try:
            taken = self._now
            how = replace(self._how, steps=self.steps if steps is None else steps)
            self.steps = how.steps
            self._stop.clear()
            self.done = 0.0
            self._tell("training", "Training …")
            began = time.perf_counter()
            marks = annotations.as_marks(taken, self.classes)
            watch = self._watched(how.steps, began)
            self.map = quick_fit.mapped(self._view, marks, how, self._compute, watch)
            with self.hold_sync():
                self.classes_map = self.map.classes.tobytes()
                self.confidence = self.map.confidence.tobytes()
            took = f"{how.steps} steps, in {time.perf_counter() - began:.0f} s"
            self._tell("trained", f"Trained on {_counted(taken)}, {took}.")
            return self.map
        finally:
            self._busy.release()
            if self.state == "training":
                self._tell("failed", "The training failed; the map is as it was before.")

    def stop(self) -> None:
        """End the training under way after its next step."""
        self._stop.set()

    def figure(self) -> Figure:
        """The picture, clicks and map as a matplotlib figure."""
        corner = (self._view.rows.start, self._view.columns.start)
        return static_view.still(self._picture, self._now, self.classes, self.map, corner)

    def __repr__(self) -> str:
        return f"Explorer of '{self._view.scene.file.name}': {_counted(self._now)}"

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        """The widget, and the figure for where there is no front end."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        drawn = io.BytesIO()
        self.figure().savefig(drawn, format="png")
        png = base64.b64encode(drawn.getvalue()).decode()
        return data | {"image/png": png}, metadata

    def _asked(self, _, content: Mapping, buffers: object) -> None:
        """Carry out an action that the front end sends with its arguments."""
        action, given = content.get("do"), {k: v for k, v in content.items() if k != "do"}
        if action == "train":
            aside = {"target": self._told, "args": (self.train,), "kwargs": given}
            threading.Thread(**aside, daemon=True).start()
        elif action in ACTIONS:
            self._told(getattr(self, action), **given)

    def _told(self, action: Callable[..., object], **given: object) -> None:
        """Call an action; an error becomes the message."""
        try:
            action(**given)
        except Stopped as error:
            self._tell("ready", f"{error}")
        except (FewLabelsError, OSError) as error:
            self._tell("failed", f"{error}")

    def _watched(self, steps: int, began: float) -> Watch:
        def watch(step: int, network: nn.Module) -> dict[str, float]:
            if self._stop.is_set():
                raise Stopped(f"Stopped at step {step} of {steps}; the map is as it was before.")
            left = (time.perf_counter() - began) * (steps / step - 1)
            self.done = step / steps
            self.message = f"Step {step} of {steps}, about {left:.0f} s left."
            return {}

        return watch

    def _set(self, found: Clicks) -> None:
        if found != self._now:
            self._before.append(self._now)
            self._show(found)

    def _show(self, found: Clicks) -> None:
        self._now = found
        with self.hold_sync():
            self.points = [list(click) for click in found]
            self.undoable = bool(self._before)

    def _tell(self, state: str, message: str) -> None:
        with self.hold_sync():
            self.state, self.message = state, message


def _png(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(picture).save(target, format="png")
    return target.getvalue()


def _counted(found: Clicks) -> str:
    return "1 click" if len(found) == 1 else f"{len(found)} clicks"


def _part(view: quick_fit.View) -> str:
    rows, columns, scene = view.rows, view.columns, view.scene
    return (
        f"{HELLO} Shown are rows {rows.start} to {rows.stop - 1} of {scene.height} and columns "
        f"{columns.start} to {columns.stop - 1} of {scene.width}."
    )
