"""Images, masks and labels as pictures: the same class has the same colour everywhere.

Colours are Okabe and Ito's, which readers with a common colour-vision deficiency can tell apart,
with greys and one light green. A class that is not listed gets the next free colour.

Source: https://jfly.uni-koeln.de/color/
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.colors import hsv_to_rgb, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fewlabels.types import IGNORE

CLASS_COLOURS = {
    "water": "#0072B2",
    "road": "#4D4D4D",
    "building": "#D55E00",
    "vegetation": "#009E73",
    "tree": "#009E73",
    "grass": "#B5E0A0",
    "field": "#F0E442",
    "land": "#E69F00",
    "soil": "#E69F00",
    "pool": "#56B4E9",
    "bedrock": "#4D4D4D",
    "sand": "#F0E442",
    "big rock": "#0072B2",
    "background": "#B5E0A0",
    "woodland": "#009E73",
    "urban": "#D55E00",
    "agriculture": "#F0E442",
    "rangeland": "#B5E0A0",
    "forest": "#009E73",
    "barren": "#E69F00",
    "impervious surface": "#4D4D4D",
    "low vegetation": "#B5E0A0",
    "car": "#F0E442",
    "clutter": "#CC79A7",
}
SPARE = ("#CC79A7", "#000000", "#F0E442", "#56B4E9", "#999999", "#0072B2", "#D55E00", "#009E73")
VOID = "#DDDDDD"


def colours(classes: Sequence[str]) -> list[str]:
    """Choose a colour for each class, in order, no two of them equal.

    Of classes that share a listed colour the first one has it, and the others have free ones.
    """
    listed = [CLASS_COLOURS.get(c) for c in classes]
    taken, found = {VOID, *listed}, []
    free = (c for c in chain(SPARE, _more()) if c not in taken and c not in found)
    for colour in listed:
        found.append(colour if colour and colour not in found else next(free))
    return found


def _more() -> Iterator[str]:
    """Yield ever more colours, each hue far from those before it."""
    for n in count():
        hue, dark = n * 0.618034 % 1, n // 12 % 3
        yield to_hex(hsv_to_rgb((hue, 0.8 - 0.2 * dark, 0.9 - 0.2 * dark)))


def painted(
    mask: UInt8[np.ndarray, "h w"], classes: Sequence[str], void: str = VOID
) -> Float[np.ndarray, "h w 3"]:
    """Paint a mask or labels as an RGB image in [0, 1]."""
    table = np.tile(np.array(to_rgb(void)), (IGNORE + 1, 1))
    table[: len(classes)] = [to_rgb(c) for c in colours(classes)]
    return table[mask]


def highlighted(where: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Paint dark where true, on light grey."""
    return np.where(where[..., None], 0.15, 0.93) * np.ones(3)


def pictures(
    panels: Mapping[str, np.ndarray], *, columns: int | None = None, side: float = 2.6
) -> Figure:
    """Show images side by side, each under its title, at one scale. One band is shown as grey."""
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    h, w = next(iter(panels.values())).shape[:2]
    figure, axes = plt.subplots(
        rows, columns, squeeze=False, figsize=(side * columns, side * rows * h / w + 0.35 * rows)
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, picture) in zip(axes.flat, panels.items(), strict=False):
        axis.imshow(np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture)
        axis.set_title(title)
    return figure


def dotted(
    image: UInt8[np.ndarray, "h w c"], labels: UInt8[np.ndarray, "h w"], classes: Sequence[str]
) -> Float[np.ndarray, "H W 3"]:
    """Draw sparse labels as squares over the faded image.

    To be visible, a label is drawn wider than its pixel: two fifths of the mean distance between
    labels, at least the pixel itself and at most a 25th of the image's side. Later squares cover
    earlier ones.
    """
    big = 3
    canvas = np.kron(faded(image), np.ones((big, big, 1)))
    at = np.argwhere(labels != IGNORE)
    side = min(0.4 * np.sqrt(labels.size / max(1, len(at))), max(labels.shape) / 25)
    reach = round(big * max(0.0, side - 1) / 2)
    paint = np.array([to_rgb(c) for c in colours(classes)])
    for y, x in at:
        rows = slice(max(0, big * y - reach), big * (y + 1) + reach)
        canvas[rows, max(0, big * x - reach) : big * (x + 1) + reach] = paint[labels[y, x]]
    return canvas


def overlaid(
    image: UInt8[np.ndarray, "h w c"], labels: UInt8[np.ndarray, "h w"], classes: Sequence[str]
) -> Float[np.ndarray, "h w 3"]:
    """Draw labels pixel by pixel over the faded image."""
    known = (labels != IGNORE)[..., None]
    return np.where(known, painted(labels, classes), faded(image))


def legend(figure: Figure, classes: Sequence[str], *, void: bool = False) -> None:
    """Put the classes' colours below a figure, in as many rows as its width needs."""
    handles = [Patch(color=c, label=n) for c, n in zip(colours(classes), classes, strict=True)]
    if void:
        handles.append(Patch(color=VOID, label="no class"))
    entry = 0.5 + 0.07 * max(len(handle.get_label()) for handle in handles)  # inches
    fitting = max(1, int(figure.get_figwidth() / entry))
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=min(fitting, len(handles)),
        frameon=False, fontsize=9,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name is no formula


def faded(image: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w 3"]:
    """Turn an image to light grey, so that what is drawn on it stands out."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) / 255
    return 0.4 * grey + 0.55
