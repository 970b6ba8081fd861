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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/05_your_own_images.ipynb)

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
# # Your own images {#sec-own}
#
# Which map do your own scene and a few labels give, how good is it, and where would another label
# help most? In the parameters cell, name a GeoTIFF, a file of labelled points, lines or polygons,
# and the column that holds the class; without them an example is mapped. `fewlabels train` and
# `fewlabels predict` do the same.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"
scene = ""
labels = ""
column = "class"
out = ""
clicks = 12
seed = 0

# %%
import tempfile
from pathlib import Path

import geopandas
import pandas as pd
import rasterio
from IPython import get_ipython
from IPython.display import Markdown, display

from fewlabels import paths
from fewlabels.experiments import sweep
from fewlabels.mapping import examples, fit, score_summary, survey
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe
from fewlabels.mapping.widget import static_view
from fewlabels.mapping.widget.notebook import explore
from fewlabels.results import figures

get_ipython().run_line_magic("matplotlib", "inline")
figures.style()
folder = Path(out) if out else Path(tempfile.mkdtemp())
own = examples.Example(Path(scene), Path(labels), column, "Scene and labels are your own.")
packaged = (examples.DUBAI, folder / "example", paths.data_root())
given = own if scene else examples.example(*packaged)
display(Markdown(given.notice))

# %% [markdown]
# ## The scene and its labels
#
# Labels outside the scene, conflicting labels and unknown classes are skipped and reported.
# @fig-own-labels shows the others, @tbl-own-labels counts them.

# %%
# Profile smoke only shows that the chain works.
quick = {"method": "pixel_forest", "trees": 5, "folds": 2} if profile == "smoke" else {}
how = Recipe(seed=seed, **quick)
seen = survey.survey(given.scene, survey.Labels(given.labels, given.column), how)
found, ground = seen.found, seen.scene

# %%
#| label: fig-own-labels
#| fig-cap: "The scene in its red, green and blue bands (or the first three), and the labels on it."
static_view.labelled(ground, seen.given)

# %%
#| label: tbl-own-labels
#| tbl-cap: "Labelled pixels of each class, and the number of units (drawn shapes or blocks of ground) that hold them. A unit is held out as a whole."
pd.DataFrame({"pixels": found["pixels"], "units": found["units"]}).rename_axis("class")

# %%
#| echo: false
from fewlabels.report.cells import plain_text

share = sum(found["pixels"].values()) / (ground.height * ground.width)
kept = ", ".join(f"{number} {kind}" for kind, number in found["used"].items())
warned = "".join(f"\n- {plain_text(line)}" for line in found["warnings"])
Markdown(
    f"The scene has {ground.height} x {ground.width} pixels of {len(ground.bands)} bands ({ground.kind}, {plain_text(ground.system)}). "
    f"Of {found['found']} labels {kept} are used; they cover {100 * share:.2f} % of the pixels, and "
    f"{found['held out together']} are held out together. "
    + (f"Warnings:\n{warned}" if warned else "No warnings.")
)

# %% [markdown]
# ## Training and its score
#
# Four learners that take seconds are scored on the same held-out units: forests of single pixels,
# of texture and of frozen features, and a linear head on frozen features (@tbl-own-scores). Of
# those within a point of the highest score, the one whose map costs least is trained again on all
# labels.

# %%
about = fit.fit(
    given.scene, survey.Labels(given.labels, given.column), folder / "model", how, device=device
)
record = about.record

# %%
#| label: tbl-own-scores
#| tbl-cap: "Scores in % over held-out labelled pixels, each unit predicted by a model that did not train on it, with 95 % bootstrap intervals over units. Classes of a single unit are not scored."
score_summary.table(record)

# %%
#| echo: false
Markdown(
    "\n\n".join(map(plain_text, score_summary.lines(record)[-2 - len(record["differences"]) :]))
    + f"\n\nAll of this took {record['cost']['all_seconds']:.0f} s on {record['environment']['device']}."
)

# %% [markdown]
# ## The map
#
# @fig-own-map shows the most probable class of each pixel and its probability, both also written
# beside the model as GeoTIFF. A scene may have any size.

# %%
made = predict(
    given.scene, folder / "model", folder / "map.tif", clicks=clicks, polygons=True, device=device
)

# %%
#| label: fig-own-map
#| fig-cap: "The scene, the class map, and the model's probability of the class, which is not calibrated."
static_view.mapped(ground, folder / "map.tif", folder / "map_confidence.tif", about.classes)

# %%
#| echo: false
Markdown(
    f"Of the {100 * made.valid:.1f} % of the pixels that have a class: "
    + ", ".join(f"{plain_text(name)} {100 * part:.1f} %" for name, part in made.share.items())
)

# %% [markdown]
# ## Where to click next
#
# On up to half of the pixels of @fig-own-next the kept learner and the next best one are sure of
# different classes. The others are drawn from the 5 % on which the probabilities of the two most
# probable classes differ least. All are also written as a layer for QGIS, with the reason and an
# empty column for the class.

# %%
#| echo: false
clicked = {"clicks": sweep.recorded("clicks", "published", "dubai")}
claim = sweep.claims(clicked).iloc[0]
Markdown(f"{claim['claim']} Study clicks: {claim['ours']}, n = {claim['n']}, {claim['verdict']}.")

# %%
#| label: fig-own-next
#| fig-cap: "Where to click next, disagreements first, then from the smallest margin on. Inside: the class of the map; ring: the second most probable class."
asked = geopandas.read_file(folder / "map_next.gpkg", layer="pixels")
static_view.asked(ground, asked, about.classes)

# %%
#| label: tbl-own-next
#| tbl-cap: "The first of them: margin is the probability of the first class minus that of the second."
asked[["rank", "row", "column", "margin", "why"]].head().style.format(
    {"margin": "{:.3f}"}, escape="html"
).hide(axis="index")

# %% [markdown]
# ## Click for yourself
#
# In JupyterLab the next cell is an image to click on; in the report it is a picture. Choose a class
# and click: from the second class on, every click gives a new map and its confidence. They come
# from a linear head on frozen features, fitted to all clicks. With "Wrong here" (or Shift) a click
# gives the pixel its second most probable class. "Disagreement" shows where that head and a forest
# of single pixels are sure of different classes: one is wrong there, so click there. The clicks are
# saved as GeoJSON, which `fewlabels train` takes as labels.

# %%
#| label: fig-own-explore
#| fig-cap: "The image to click on, as it stands before the first click."
explore(given.scene, about.classes, file=folder / "clicks.geojson")

# %% [markdown]
# ## Checks {.appendix}
#
# The map has the scene's grid, every scored pixel is a labelled one, the method that is
# kept scores within a point of the highest, and the points name classes of the model.

# %%
with rasterio.open(folder / "map.tif") as written:
    assert written.shape == (ground.height, ground.width)
    assert written.transform == ground.transform
scored = [scores for scores in record["tried"].values() if scores["scored"]]
assert all(scores["pixels"] <= sum(found["pixels"].values()) for scores in scored)
assert not scored or record["scores"]["miou"] >= max(s["miou"] for s in scored) - 0.01
assert set(asked["first"]) | set(asked["second"]) <= set(about.classes)
undecided = asked[asked["why"].str.startswith("undecided")]
assert undecided["margin"].is_monotonic_increasing

# %% [markdown]
# ## What was not shown
#
# How good the map is where nobody labelled: people label where they are sure, so the score is too
# high for the rest. The intervals hold for the units of one scene; with fewer than 15 units they
# are too narrow. The score of the best of several learners is slightly too high. On synthetic
# scenes no number says anything about real ground.
