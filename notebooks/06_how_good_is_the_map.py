# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["setup"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/06_how_good_is_the_map.ipynb)

# %% tags=["setup"]
# On Colab: fetch the project and install what is missing; torch, numpy and pandas are left alone.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("fewlabels") is None:
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    clone = "git clone --depth 1 https://github.com/fewlabels/fewlabels"
    subprocess.run(clone.split(), check=True)
    subprocess.run([*pip, "-r", "fewlabels/requirements-colab.txt"], check=True)
    sys.path.insert(0, "fewlabels/lib")


# %% [markdown]
# # How good is the map {#sec-assess}
#
# How much of a finished map is right, and how many hectares does each class cover? Scores on
# held-out labels hold for labelled ground only, and counted pixels include the map's errors. The
# field's answer is a random sample of the map that a person interprets (Olofsson et al. 2014,
# https://doi.org/10.1016/j.rse.2014.02.015). `fewlabels sample` draws it, `fewlabels assess`
# evaluates it. Here the dense mask of the packaged example answers instead of a person, so the
# estimates can be compared with the truth.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"
points = 300
repeats = 200
seed = 0

# %%
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown, display

from fewlabels import paths
from fewlabels.data.sources import dubai
from fewlabels.mapping import assess_text, class_map, examples, fit, survey
from fewlabels.mapping.assess import assess
from fewlabels.mapping.formats import quiet
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe
from fewlabels.mapping.sample import Design, sample
from fewlabels.results import figures
from fewlabels.scoring.design_based import Sample, accuracy

get_ipython().run_line_magic("matplotlib", "inline")
figures.style()
folder = Path(tempfile.mkdtemp())
given = examples.example(examples.DUBAI, folder / "example", paths.data_root())
display(Markdown(given.notice))

# %% [markdown]
# ## What was run
#
# The quickest learner, a forest of single pixels, maps the scene from its few labels. It is not the
# best one; a map with errors shows more.

# %%
how = Recipe(method="pixel_forest", folds=0, seed=seed)
fit.fit(
    given.scene, survey.Labels(given.labels, given.column), folder / "model", how, device=device
)
made = predict(given.scene, folder / "model", folder / "map.tif", device=device)
# %% [markdown]
# ## The sample
#
# The strata are the classes of the map, so that small classes get enough points
# (@tbl-assess-sample). The interpreter's file hides the map's class, which would sway the answer.
# Its column `truth` is empty; QGIS offers a list of the classes for it.

# %%
#| label: tbl-assess-sample
#| tbl-cap: "Pixels of each class of the map, and the points drawn among them."
drawn = sample(
    folder / "map.tif", folder / "points.gpkg", Design(n=points, seed=seed), labels=given.labels
)
drawn.strata.rename_axis("class of the map")

# %% [markdown]
# The dense mask answers; a person would look at the image, or go there.

# %%
truth = class_map.opened(
    folder / "example" / "truth.tif", [f"{i}={name}" for i, name in enumerate(dubai.CLASSES)]
)
asked = geopandas.read_file(drawn.points, layer="points")
rows, columns = (
    np.floor(axis.to_numpy()).astype(int) for axis in (asked.geometry.y, asked.geometry.x)
)
answers = class_map.values_at(truth.scene, rows, columns)
asked["truth"] = [truth.names.get(value) for value in answers.tolist()]
with quiet():
    asked.to_file(drawn.points, layer="points")

# %% [markdown]
# ## Areas and accuracy
#
# @fig-assess-areas and @tbl-assess-areas compare three areas of each class: estimated from the
# sample, counted on the map, and true.

# %%
record = assess(folder / "map.tif", drawn.points)
pixels = {truth.names[value]: size for value, size in truth.pixels.items()}
true = {name: size / sum(pixels.values()) for name, size in pixels.items()}

# %%
#| label: fig-assess-areas
#| fig-cap: "Left: the error matrix in % of the area, rows the map's class, columns the true class of the interpreted points. Right: area of each class, estimated with its 95 % interval, counted on the map, and true."
figure = figures.assessment(record, true)

# %%
#| label: tbl-assess-areas
#| tbl-cap: "Area of each class in % of the scene: estimated with 95 % interval, counted on the map, and true; and the errors of estimate and count in points."
table = pd.DataFrame(
    {
        name: {
            "estimated": assess_text.percent(row["share"]),
            "counted": 100 * row["mapped_pixels"] / truth.scene.height / truth.scene.width,
            "true": 100 * true[name],
            "estimate - true": 100 * (row["share"]["value"] - true[name]),
        }
        for name, row in record["of_class"].items()
    }
).T
table["counted - true"] = table["counted"] - table["true"]
table.rename_axis("class").style.format("{:.1f}", subset=list(table.columns[1:]))

# %%
#| echo: false
worst = table["counted - true"].astype(float).abs().idxmax()
away = table[["counted - true", "estimate - true"]].astype(float).abs().mean()
held = [r["share"]["low"] <= true[n] <= r["share"]["high"] for n, r in record["of_class"].items()]
rows_of = record["matrix"]["counts"]
unweighted = sum(rows_of[i][i] for i in range(len(rows_of))) / np.sum(rows_of)
Markdown(
    f"Counting pixels misses the area of {worst} by {abs(table.loc[worst, 'counted - true']):.1f} percentage points, "
    f"the estimate from {record['counted']['used']} points by {abs(table.loc[worst, 'estimate - true']):.1f}. "
    f"Over the classes the mean error is {away.iloc[0]:.1f} and {away.iloc[1]:.1f} points. {sum(held)} of {len(held)} intervals of this sample hold the true area. Overall accuracy is {assess_text.percent(record['overall'])}; "
    f"the plain share of points that are right, {100 * unweighted:.1f} %, does not estimate it, since the strata were sampled at different rates."
)

# %% [markdown]
# ## The paragraph for a methods section
#
# `fewlabels assess` writes it with the tables and the figure.

# %%
#| echo: false
from fewlabels.report.cells import plain_text

Markdown("> " + plain_text(assess_text.paragraph(record)))

# %%
#| echo: false
Markdown("\n".join(f"- {plain_text(line)}" for line in record["notes"]))

# %% [markdown]
# ## How often the intervals hold
#
# One sample can be lucky. So the same design is drawn many times, and each interval is compared
# with the truth of the whole scene (@tbl-assess-coverage).

# %%
found = class_map.opened(folder / "map.tif")
names = list(found.names.values())
number = {name: i for i, name in enumerate(names)}
whole = [np.concatenate([v for _, v in class_map.strips(m.scene)]).ravel() for m in (found, truth)]
there = (whole[0] != class_map.NONE) & (whole[1] != class_map.NONE)
mapped, right = (
    np.array([number[m.names[value]] for value in range(len(names))])[values[there]]
    for m, values in zip((found, truth), whole, strict=True)
)
sizes, shares = np.bincount(mapped), np.bincount(right) / len(right)
ground = [np.flatnonzero(mapped == i) for i in range(len(names))]
counts = drawn.strata["points"].loc[names].to_numpy()

# %%
rng, hits = np.random.default_rng(seed), []
for _ in range(repeats):
    at = np.concatenate(
        [rng.choice(own, n, replace=False) for own, n in zip(ground, counts, strict=True)]
    )
    again = accuracy(Sample(mapped[at], mapped[at], right[at], sizes), len(names))
    pairs = zip((again.overall, *again.shares), ((mapped == right).mean(), *shares), strict=True)
    hits.append([each.low <= value <= each.high for each, value in pairs])
coverage = pd.Series(100 * np.mean(hits, axis=0), ["overall accuracy", *names])

# %%
#| label: tbl-assess-coverage
#| tbl-cap: "How often, in % of the repeated samples, the 95 % interval of overall accuracy and of each class's area holds the true value."
coverage.to_frame("% of samples").style.format("{:.1f}")

# %%
#| echo: false
Markdown(
    f"Over {repeats} samples {coverage.mean():.1f} % of the intervals hold the true value (true overall accuracy: {100 * (mapped == right).mean():.1f} %). "
    "No larger sample improves the map's own pixel counts."
)

# %% [markdown]
# ## Checks {.appendix}
#
# Estimates are closer to the true areas than counts, in the mean over classes and for the class
# that counting misses most; its count lies outside the interval of the estimate. About 95 % of the
# repeated intervals hold.

# %%
row = record["of_class"][worst]["share"]
assert away["counted - true"] > away["estimate - true"]
assert abs(table.loc[worst, "counted - true"]) > abs(table.loc[worst, "estimate - true"])
assert not 100 * row["low"] <= table.loc[worst, "counted"] <= 100 * row["high"]
assert 92 < coverage.mean() < 98
assert drawn.strata["points"].sum() == points

# %% [markdown]
# ## What was not shown
#
# A person's answers are not the truth: where interpreters differ, the intervals are too narrow.
# Points need images of the map's date that tell the classes apart. The image has no coordinates, so
# areas are shares, not hectares. A rare class that the map mostly misses needs a stratum of its own
# in which it is likely, or its interval will be wide. One scene with one learner is an
# illustration, not a finding about learners.
