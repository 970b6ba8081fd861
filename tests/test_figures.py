import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from skimage import color

from fewlabels.data import synthetic
from fewlabels.data.sources import ai4mars, dubai, sheets
from fewlabels.results import figures
from fewlabels.results.statistics import Interval
from fewlabels.types import IGNORE

mpl.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


SHEETS = (sheets.LANDCOVERAI, sheets.DEEPGLOBE, sheets.POTSDAM)
DATA = [*(home.CLASSES for home in (dubai, synthetic, ai4mars)), *(of.classes for of in SHEETS)]
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip


LIKE = ("tree", "forest", "woodland", "vegetation", "water")
MANY = tuple(map(str, range(200)))


@pytest.mark.parametrize("classes", [*DATA, tuple("abcdefgh"), tuple("abcdefghi"), LIKE, MANY])
def test_every_class_has_a_colour_of_its_own(classes: tuple[str, ...]):
    found = figures.colours(classes)
    assert len(set(found)) == len(classes)
    assert figures.VOID not in found


@pytest.mark.parametrize("classes", DATA)
def test_no_class_of_a_known_data_set_gets_a_spare_colour(classes: tuple[str, ...]):
    assert set(classes) <= set(figures.CLASS_COLOURS)


def test_like_ground_is_painted_alike_across_data_sets():
    for alike in ({"tree", "woodland", "forest", "vegetation"}, {"building", "urban"},
                  {"road", "impervious surface"}, {"soil", "land", "barren"},
                  {"field", "agriculture"}, {"grass", "rangeland", "low vegetation"}):  # fmt: skip
        assert len({figures.CLASS_COLOURS[name] for name in alike}) == 1


def test_a_class_has_the_same_colour_in_every_data_set():
    found = {
        (c, colour)
        for classes in DATA
        for c, colour in zip(classes, figures.colours(classes), strict=True)
    }
    assert len(found) == len({c for c, _ in found})


@pytest.mark.parametrize("classes", DATA)
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colours_stay_apart_for_colour_blind_readers(classes: tuple[str, ...], deficiency: str):
    """Distance in CIE Lab after simulating a deficiency (Machado 2009), at least 15 units."""
    from skimage.color import rgb2lab

    rgb = np.array([mpl.colors.to_rgb(c) for c in figures.colours(classes)])
    seen = np.clip(rgb**2.2 @ np.array(DEFICIENCIES[deficiency]).T, 0, 1) ** (1 / 2.2)
    lab = rgb2lab(seen[None])[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert apart[~np.eye(len(classes), dtype=bool)].min() > 15


def test_an_image_of_one_band_is_shown_as_grey():
    image = np.array([[[0], [100]], [[200], [255]]], np.uint8)
    figure = figures.pictures({"grey": image})
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    assert (drawn == image).all()
    assert drawn.shape == (2, 2, 3)
    assert figures.dotted(image, np.full((2, 2), IGNORE, np.uint8), ("soil", "sand")).shape == (
        6,
        6,
        3,
    )


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
        {
            "condition": list("aabb"),
            "fold": [0, 1, 0, 1],
            "replicate": 0,
            "miou": [0.1, 0.2, 0.3, 0.4],
        }
    )
    history = pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5], "miou": [np.nan, 0.3], "lr": 1e-3})
    drawn = [
        figures.compared(table, ["a", "b"], bound="b"),
        figures.budget_curve(
            {"a": table.assign(pixels_a_tile=[5.0, 5.0, 50.0, 50.0])}, bound=table
        ),
        figures.curves({"a": [history]}),
        figures.forest({"A1": {"networks": Interval(0.1, 0.0, 0.2, 15, 5)}}),
        figures.bars(pd.DataFrame({"IoU": [1.0, 2.0]}), ("water", "road"), label="IoU in %"),
    ]
    for figure in drawn:
        assert all(axis.get_xlabel() for axis in figure.axes)


def test_a_forest_has_a_row_a_claim_and_a_mark_a_series_in_points():
    one, other = Interval(0.1, 0.0, 0.2, 15, 5), Interval(-0.05, -0.1, 0.0, 9, 9)
    axis = figures.forest({"A1": {"networks": one}, "A2": {"networks": other, "all": one}}).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["A1", "A2"]
    marks = [line for line in axis.lines if line.get_marker() not in ("None", "")]
    assert [line.get_xdata()[0] for line in marks] == pytest.approx([10, -5, 10])
    assert [line.get_color() for line in marks] == [figures.SERIES[0]] * 2 + ["#000000"]


@pytest.mark.parametrize(
    "seen",
    [
        np.eye(3),
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],  # protanopia
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],  # deuteranopia
    ],
)
def test_colours_of_what_is_compared_stay_apart_for_colour_blind_readers(seen):
    """As Vienot, Brettel and Mollon 1999 simulate them; a difference of 10 in CIELAB is plain."""
    rgb = np.array([mpl.colors.to_rgb(colour) for colour in figures.SERIES])
    light = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92) @ np.transpose(
        seen
    )
    light = np.clip(light, 0, 1)
    shown = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    lab = color.rgb2lab(shown)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(lab), 1)]
    assert apart.min() > 10


@pytest.mark.parametrize(("width", "rows"), [(3.5, 3), (12, 1)])
def test_a_legend_stays_within_its_figure(width: float, rows: int):
    figure, _ = plt.subplots(figsize=(width, 3), layout="constrained")
    figures.legend(figure, ("barren", "forest", "herbaceous", "urban", "water"))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert len({round(text.get_window_extent().y0) for text in legend.get_texts()}) == rows
