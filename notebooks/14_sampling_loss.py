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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/14_sampling_loss.ipynb)

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
# # System E: which pixels, which loss {#sec-e}
#
# The study asked, on the Dubai aerial images [@humansintheloop2020dubai], whether labels on 1 % of
# the pixels should be drawn at random or evenly over the classes, and whether the focal loss beats
# partial cross-entropy. It trained DeepLabV3-ResNet-50 [@chen2017deeplabv3] with COCO weights once
# a condition.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%

import numpy as np
from IPython.display import Markdown

from fewlabels import studies
from fewlabels.data import registry
from fewlabels.experiments import sweep
from fewlabels.report.chapter import claims_table, forest, open_study
from fewlabels.results import figures, records
from fewlabels.scoring import baseline, metrics
from fewlabels.types import RecordError, UnknownName

chapter = open_study("E", profile, data, device)
table, some, conditions = chapter.table, chapter.first, chapter.conditions
chapter

# %% [markdown]
# ## The claims
#
# @tbl-claims-e and @fig-claims-e show the verdicts; @sec-analysis says when a claim holds. The dense score of E4 is that
# of a network trained on every pixel for as many steps, not the best that dense masks can give.

# %%
#| label: tbl-claims-e
#| tbl-cap: "System E: the claim, what the study printed, our effect with its 95 % interval, and the verdicts on our networks and on a frozen head (@sec-head; a dash: it cannot answer)."
claims_table(chapter)

# %%
#| label: fig-claims-e
#| fig-cap: "Effects of the claims on a difference: networks, with 95 % interval over folds, and, where asked, a frozen head over the sites of several data sets. The claimed side is right of 0."
figure = forest(chapter)

# %% [markdown]
# ## What was run {.appendix}
#
# All conditions of one (fold, replicate) share label seed, initial weights, crops and steps, so
# their differences are paired. The score is that of the last weights.

# %%
#| label: tbl-factors
#| tbl-cap: "What varied between the runs of system E, and what all of them shared."
chapter.factors()

# %%
#| echo: false
origin = some.facts["weights"]
first = studies.scale("E", profile, data).starts[0]
is_first = (some.run.model, some.run.weights) == (first.model, first.weights)
stand_in = "" if is_first else f", standing in for {first.model} with weights {first.weights}"
Markdown(
    f"Network: {some.run.model}, weights: {origin['weights']} ({origin['origin']}){stand_in}. The study used {chapter.study.deviations}. "
    "Learning rate and steps were fixed in advance for all conditions."
)

# %% [markdown]
# ### The learning rate
#
# A condition that needs another learning rate than the shared one would lose for that alone. So
# each is trained at three rates, on the first fold and replicate, and judged as somebody with few
# labels has to: by the sparse labels of sites that neither train nor test. One run a rate chooses,
# and compares nothing.

# %%
#| echo: false
try:
    tried = records.table(sweep.results("rates", profile, data, device=device))
except (RecordError, UnknownName):  # not recorded yet, or not a part of this profile
    said = ["That has not been done for this report."]
else:
    tried[["condition", "rate"]] = tried["condition"].str.rpartition(", ")[[0, 2]]
    by_rate = tried.astype({"rate": float}).pivot(
        index="condition", columns="rate", values="val_sparse_miou"
    )
    by_rate = by_rate.loc[conditions]
    best, shared = by_rate.idxmax(axis=1), some.run.lr
    said = [
        f"Of the {len(conditions)} conditions, {(best == shared).sum()} did best at the shared rate, {shared:g}, "
        f"and {(best == by_rate.columns.max()).sum()} at the largest one tried. A claim that compares those is "
        f"about the rate {shared:g} alone. Validation mIoU in % on sparse labels:\n"
    ]
    for condition, row in by_rate.iterrows():
        said.append(
            f"- {condition}: " + ", ".join(f"{100 * v:.1f} at {r:g}" for r, v in row.items())
        )
Markdown("\n".join(said))

# %% [markdown]
# ## Scores
#
# @tbl-e has the means, @fig-e every run. Intervals are over sites (over replicates where a profile
# has one fold).

# %%
#| label: tbl-e
#| tbl-cap: "System E at 1 % of the pixels: mean and 95 % interval in %, n = runs. Best, which the study reported, is the highest score on the watched test curve; no honest user could choose it."
scores = {"mIoU": ("miou", 100, 1), "best": ("best_miou", 100, 1)}
scores |= {"accuracy": ("accuracy", 100, 1), "steps to 95 %": ("steps_to_95", 1, 0)}
chapter.scores(scores)

# %%
#| label: fig-e
#| fig-cap: "Every run of system E (grey, shape by fold) and the mean of each condition (bar) with its 95 % interval (blue; black: the dense bound)."
figure = figures.compared(table, conditions, bound=conditions[-1])

# %% [markdown]
# How far does a pixel's colour alone get? A linear classifier of single pixels is fitted to *dense*
# masks of the same training tiles and scored on the same test tiles as the first runs.

# %%
#| needs: images
fold = some.run.fold
train, test = (
    registry.load(data, fold=fold, split=s, grid=some.run.grid) for s in ("train", "test")
)
linear = metrics.scores(baseline.colour_alone(train, test, len(train.classes))).miou
Markdown(f"Colour alone reaches {100 * linear:.1f} % mIoU on fold {fold}.")

# %%
#| echo: false
fold = some.run.fold
there = table[table["fold"] == fold].groupby("condition")["miou"].mean()
Markdown(
    f"The network reaches, on the same tiles, {100 * there[conditions[-1]]:.1f} % with dense masks and {100 * there[conditions[0]]:.1f} % with random labels "
    f"and cross-entropy (n = {table['replicate'].nunique()})."
)

# %% [markdown]
# @fig-e-classes shows which classes differ.

# %%
#| label: fig-e-classes
#| fig-cap: "IoU of each class, mean over the runs of a condition in which the class is in the test truth."
classes = some.facts["data"]["classes"]
by_class = table.groupby("condition")[[f"iou_{c}" for c in classes]].mean().loc[conditions].T
figure = figures.bars(100 * by_class, classes, label="IoU in %")

# %% [markdown]
# ## Training curves {.appendix}
#
# @fig-e-curves has loss and score by step.

# %%
#| label: fig-e-curves
#| fig-cap: "Training loss (running mean over a tenth of the steps; heights of different losses do not compare) and test mIoU; means over the runs of each condition."
figure = figures.curves(chapter.curves())

# %% [markdown]
# ## Checks {.appendix}
#
# Every condition has the same units, labels seen never exceed labels drawn, all sparse conditions
# have the same budget, the best score is never below the reported last one, and on synthetic scenes
# the network beats colour alone by more than 15 points (5 at profile quick, which has few steps).

# %%
assert chapter.balanced()
assert chapter.within_budget()
sparse = table[table["condition"] != conditions[-1]]
assert sparse.groupby(["fold", "replicate"])["pixels"].nunique().eq(1).all()
assert (table["best_miou"] >= table["miou"] - 1e-9).all()
assert np.isfinite(table["miou"]).all()

# %%
#| needs: images
if data == "synthetic" and profile != "smoke":
    assert there[conditions[-1]] - linear > (0.05 if profile == "quick" else 0.15)

# %% [markdown]
# ## What was not shown
#
# Other label budgets, networks and learning rates, at which a condition may do better. Class
# weights, which the study used, are off except at profile `home`. Nothing is selected, so
# validation plays no part.
