"""Click labels on an image and see the map that they give, in JupyterLab, Colab or VS Code.

The front end, `explore.js`, draws what the traits hold and sends what a person does. All decisions
are made here, so the widget works, and is tested, without a browser.
"""

import base64
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from matplotlib.figure import Figure
from PIL import Image

from fewlabels import devices
from fewlabels.devices import Compute
from fewlabels.mapping.class_text import plain
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.stream import Strip
from fewlabels.mapping.widget import annotations, quick_fit, static_view
from fewlabels.mapping.widget.annotations import Click, Clicks
from fewlabels.mapping.widget.quick_fit import Part, View
from fewlabels.results import figures
from fewlabels.types import DataError, FewLabelsError, NoLabelsError, unknown

ACTIONS = ("add", "wrong", "remove", "undo", "clear", "save", "load")


def explore(
    source: object,
    classes: Iterable[str],
    *,
    file: str | Path = "clicks.geojson",
    bands: tuple[int, ...] = (),
    colours: tuple[int, int, int] | None = None,
    at: tuple[int, int] | None = None,
    device: str = "auto",
) -> "Explorer":
    """An image to click labels on; the last line of a notebook's cell shows it.

    Args:
        source, bands, at: see `quick_fit.view`; of a large scene a part is shown.
        classes: their names, at least two.
        file: where clicks are saved; clicks that it holds already are loaded.
        colours: see `quick_fit.picture`.
        device: see `devices.compute`.

    Raises:
        DataError: as `quick_fit.view`, or fewer than two classes, or one twice or without a name.
    """
    names = (classes,) if isinstance(classes, str) else tuple(map(plain, classes))
    if len(names) < 2 or len(set(names)) < len(names) or None in names:
        raise DataError(f"at least two classes with different names are needed, found {names}")
    seen = quick_fit.view(source, bands=bands, at=at)
    made = Explorer(seen, names, devices.compute(device), quick_fit.picture(seen, colours))
    made.file = str(file)
    if Path(file).exists():
        made.load(file)
    return made


class Explorer(anywidget.AnyWidget):
    """The clicks, the map that they gave, and the widget that shows both; made by `explore`.

    All columns and rows are pixels of the whole scene, counted from 0. What the front end does is
    followed by a training in the background; after a call from Python, `train` maps.
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
    disagreement = traitlets.Bytes().tag(sync=True)  # the same, see `quick_fit.disagreement`
    live = traitlets.Bool(True).tag(sync=True)  # whether every click is followed by a training
    compared = traitlets.Bool(False).tag(sync=True)  # whether a training computes `disagreement`
    state = traitlets.Unicode("ready").tag(sync=True)  # training, trained, loaded, saved, failed
    message = traitlets.Unicode().tag(sync=True)
    file = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, view: View, classes: tuple[str, ...], compute: Compute, picture: np.ndarray
    ) -> None:
        Image.fromarray(picture).save(png := io.BytesIO(), format="png")
        super().__init__(
            image=png.getvalue(),
            frame=view.frame,
            legend=[list(pair) for pair in zip(classes, figures.colours(classes), strict=True)],
            message=_hello(view),
        )
        self.classes = classes
        self.map: Strip | None = None
        self._view, self._compute, self._picture = view, compute, picture
        self._part: Part | None = None
        self._now: Clicks = ()
        self._trained: Clicks = ()  # those that the map comes from
        self._before: list[Clicks] = []
        self._ours: set[Path] = set()  # files that hold nothing but what was clicked here
        self._busy, self._sending = threading.RLock(), threading.RLock()
        self.on_msg(self._asked)
        self.observe(lambda on: on.new and self._aside(self._follow), ["live", "compared"])

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

    def wrong(self, column: int, row: int) -> None:
        """Give a pixel the class that the map says is the second most probable there.

        Raises:
            DataError: there is no map of this pixel.
        """
        x, y = column - self.frame["x"], row - self.frame["y"]
        shown = self.map and 0 <= x < self.frame["w"] and 0 <= y < self.frame["h"]
        second = self.map.second[y, x] if shown else NODATA
        if second == NODATA:
            raise DataError(f"column {column}, row {row}: there is no map yet that could be wrong")
        self.add(column, row, self.classes[second])

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
        self._tell("saved", f"{self._counted(self._now)} saved in '{target}'.")

    def load(self, file: str | Path) -> None:
        """Replace the clicks by those of a file; see `annotations.read`."""
        found, lost = annotations.read(Path(file), self._view.scene, self.classes)
        self._set(found)
        if not lost:
            self._ours.add(Path(file).resolve())
        more = f" {lost} other labels of it are no clicks here and are skipped." if lost else ""
        self._tell("loaded", f"{self._counted(found)} loaded from '{file}'.{more}")

    def train(self) -> Strip:
        """Train on the clicks, show the map and keep it in `map`.

        Raises:
            NoLabelsError: fewer than two classes have a click on a valid pixel.
        """
        with self._busy:
            taken, compared, k = self._now, self.compared, len(self.classes)
            first, began = self._part is None, time.perf_counter()
            self._tell("training", "Computing features, once …" if first else "Training …")
            try:
                part = self._part = self._part or quick_fit.part(self._view, self._compute)
                ours = quick_fit.mapped(part, taken, k)
                self.map, self._trained = quick_fit.decided(part, ours), taken
                took = f"{time.perf_counter() - began:.1f} s{', features included' * first}"
                done = f"Trained on {self._counted(taken)} and mapped in {took}."
                found, sure = self.map.classes.tobytes(), self.map.confidence.tobytes()
                self._put(classes_map=found, confidence=sure, message=done)
                apart = np.empty(0, np.uint8)
                if compared:
                    theirs = quick_fit.mapped(part, taken, k, quick_fit.RIVAL)
                    valid = self.map.classes != NODATA
                    apart = quick_fit.disagreement(ours, theirs, valid)
                    share = 100 * (apart[valid] == 1).mean()
                    done += f" The learners disagree on {share:.1f} % of the pixels."
                self._put(disagreement=apart.tobytes(), state="trained", message=done)
                return self.map
            finally:
                if self.state == "training":
                    self._tell("failed", "The training failed; the map is as it was before.")

    def figure(self) -> Figure:
        """The picture, clicks and map as a matplotlib figure."""
        corner = self.frame["y"], self.frame["x"]
        return static_view.still(self._picture, self._now, self.classes, self.map, corner)

    def __repr__(self) -> str:
        return f"Explorer of '{self._view.scene.file.name}': {self._counted(self._now)}"

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        """The widget, and the figure for where there is no front end."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        self.figure().savefig(drawn := io.BytesIO(), format="png")
        return data | {"image/png": base64.b64encode(drawn.getvalue()).decode()}, metadata

    def _asked(self, _, content: Mapping, buffers: object) -> None:
        """Carry out an action that the front end sends with its arguments."""
        action, given = content.get("do"), {k: v for k, v in content.items() if k != "do"}
        before = self._now
        if action == "train":
            self._aside(self.train)
        elif action in ACTIONS:
            self._told(getattr(self, action), **given)
            if self.live and self._now is not before and action != "load":
                self._aside(self._follow)

    def _follow(self) -> None:
        """Train on the newest clicks, once two classes have one, unless that has been done."""
        with self._busy:
            done = self._now == self._trained and (self.disagreement or not self.compared)
            if not done and len({click.value for click in self._now}) > 1:
                self.train()
            elif not done:
                self._tell("ready", f"{self._counted(self._now)}; a map needs two classes.")

    def _aside(self, action: Callable[[], object]) -> None:
        threading.Thread(target=self._told, args=(action,), daemon=True).start()

    def _told(self, action: Callable[..., object], **given: object) -> None:
        """Call an action; an error becomes the message."""
        try:
            action(**given)
        except (FewLabelsError, OSError) as error:
            self._tell("failed", f"{error}")

    def _set(self, found: Clicks) -> None:
        if found != self._now:
            self._before.append(self._now)
            self._show(found)

    def _show(self, found: Clicks) -> None:
        self._now = found
        self._put(points=[list(click) for click in found], undoable=bool(self._before))

    def _tell(self, state: str, message: str) -> None:
        self._put(state=state, message=message)

    def _put(self, **values: object) -> None:
        """Send several traits to the front end at once, from any thread."""
        with self._sending, self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)

    def _counted(self, found: Clicks) -> str:
        number = Counter(self.classes[click.value] for click in found)
        each = ", ".join(f"{name} {number[name]}" for name in self.classes if number[name])
        return f"{len(found)} click{'s' * (len(found) != 1)}" + (f" ({each})" if each else "")


def _hello(view: View) -> str:
    x, y, w, h = view.frame.values()
    return (
        "Choose a class and click on the image; a map follows from the second class on. Shown are "
        f"rows {y} to {y + h - 1} of {view.scene.height} and columns {x} to {x + w - 1} of "
        f"{view.scene.width}."
    )
