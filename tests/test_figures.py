import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fewlabels import figures
from fewlabels.datasets import dubai, synthetic
from fewlabels.types import IGNORE

mpl.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("classes", [dubai.CLASSES, synthetic.CLASSES, tuple("abcdefgh")])
def test_every_class_has_a_colour_of_its_own(classes: tuple[str, ...]):
    found = figures.colours(classes)
    assert len(set(found)) == len(classes)
    assert figures.VOID not in found


def test_a_class_has_the_same_colour_in_every_data_set():
    for name in set(dubai.CLASSES) & set(synthetic.CLASSES):
        one = figures.colours(dubai.CLASSES)[dubai.CLASSES.index(name)]
        two = figures.colours(synthetic.CLASSES)[synthetic.CLASSES.index(name)]
        assert one == two


@pytest.mark.parametrize("classes", [dubai.CLASSES, synthetic.CLASSES])
def test_colours_stay_apart_for_red_green_blind_readers(classes: tuple[str, ...]):
    """Distance in CIE Lab after simulating deuteranopia (Viénot 1999), at least 15 units."""
    from skimage.color import rgb2lab

    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
    )
    flat = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    rgb = np.array([mpl.colors.to_rgb(c) for c in figures.colours(classes)])
    seen = np.clip((np.linalg.inv(to_lms) @ flat @ to_lms @ (rgb**2.2).T).T, 0, 1) ** (1 / 2.2)
    lab = rgb2lab(seen[None])[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert apart[~np.eye(len(classes), dtype=bool)].min() > 15


def test_painting_and_dots_show_what_is_there():
    labels = np.full((4, 5), IGNORE, np.uint8)
    labels[1, 2] = 1
    names = ("water", "road")
    painted = figures.painted(labels, names)
    assert painted[1, 2] == pytest.approx(mpl.colors.to_rgb(figures.CLASS_COLOURS["road"]))
    assert painted[0, 0] == pytest.approx(mpl.colors.to_rgb(figures.VOID))
    dotted = figures.dotted(np.zeros((4, 5, 3), np.uint8), labels, names)
    assert dotted.shape == (12, 15, 3)
    assert dotted[4, 7] == pytest.approx(mpl.colors.to_rgb(figures.CLASS_COLOURS["road"]))


def test_figures_have_labelled_axes():
    table = pd.DataFrame(
        {"cell": list("aabb"), "fold": [0, 1, 0, 1], "pair": 0, "miou": [0.1, 0.2, 0.3, 0.4]}
    )
    history = pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5], "miou": [np.nan, 0.3], "lr": 1e-3})
    drawn = [
        figures.compared(table, ["a", "b"], bound="b"),
        figures.curve(history),
        figures.curves({"a": [history.dropna()]}),
        figures.bars(pd.DataFrame({"IoU": [1.0, 2.0]}), ("water", "road"), label="IoU in %"),
    ]
    for figure in drawn:
        assert all(axis.get_xlabel() for axis in figure.axes)
