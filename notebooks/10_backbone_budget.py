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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/10_backbone_budget.ipynb)

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
# # System A: a deeper encoder or more labels {#sec-a}
#
# The study trained a network with a ResNet-18 and with a ResNet-50 encoder, once each on 20 % and
# on 50 % of the pixels of satellite images of seven land-cover classes. It concluded that the
# deeper encoder is better and gains more from more labels, and that the shallower one is better
# with fewer.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%

from IPython.display import Markdown

from fewlabels.report.chapter import claims_table, forest, open_study, plain
from fewlabels.results import consistency, figures

chapter = open_study("A", profile, data, device)
found, table, some, conditions = chapter.runs, chapter.table, chapter.first, chapter.conditions
chapter

# %% [markdown]
# ## The claims
#
# @tbl-claims-a and @fig-claims-a show the verdicts; @sec-analysis says when a claim holds. A1 has
# to hold at both fractions: its effect is the smaller gain. A4 is the gain of ResNet-50 from the
# larger fraction less that of ResNet-18.

# %%
#| label: tbl-claims-a
#| tbl-cap: "System A: the claim, what the study printed, our effect with its 95 % interval, and the verdict."
claims_table(chapter)

# %%
#| label: fig-claims-a
#| fig-cap: "Effects of the claims on a difference, with 95 % interval over folds. The claimed side is right of 0."
figure = forest(chapter)

# %% [markdown]
# ## What was run {.appendix}
#
# All four conditions of one (fold, replicate) share label seed, crops and steps; the smaller label
# set is part of the larger. The study compared validation losses, we compare mIoU on dense masks.

# %%
#| label: tbl-factors-a
#| tbl-cap: "What varied between the runs of system A, and what all of them shared."
chapter.factors()

# %%
#| echo: false
networks = {condition: r for (condition, _, _), r in found.items()}
lines = [
    f"- {condition}: {r.run.model}, weights {r.run.weights}, {r.facts['parameters']:,} parameters, "
    f"{r.facts['labels']['pixels']:,} labelled pixels"
    for condition, r in networks.items()
]
Markdown(
    "\n".join(
        [
            f"The study used {chapter.study.deviations}. Our networks, of the last fold and replicate:",
            "",
            *lines,
        ]
    )
)

# %% [markdown]
# ## Scores
#
# @tbl-a has the means, @fig-a every run. Intervals are over sites (over replicates where a profile
# has one fold).

# %%
#| label: tbl-a
#| tbl-cap: "System A: mean and 95 % interval, n = runs. Seconds are of the training, on a device that other runs may have shared."
scores = {"mIoU in %": ("miou", 100, 1), "accuracy in %": ("accuracy", 100, 1)}
chapter.scores(scores | {"seconds": ("seconds", 1, 0)})

# %%
#| label: fig-a
#| fig-cap: "Every run of system A (grey, shape by fold) and the mean of each condition (bar) with its 95 % interval."
figure = figures.compared(table, conditions)

# %% [markdown]
# ## Robust to sparsity?
#
# The study called ResNet-50 more robust to sparse labels. @tbl-a-robust compares what both encoders
# gain from 50 % instead of 20 % of the labels; A4 is the difference.

# %%
#| label: tbl-a-robust
#| tbl-cap: "How far the score moves from 20 % to 50 % of the labels: the closer to 0, the more robust."
printed = consistency.printed().query("system == 'A'").set_index("condition")["value"].astype(float)
rows = []
for encoder in ("ResNet-18", "ResNet-50"):
    many, few = f"{encoder}, 50 %", f"{encoder}, 20 %"
    moved = chapter.difference(many, few)
    theirs = f"{printed[many] - printed[few]:+.3f}"
    row = {"encoder": encoder, "theirs, validation loss": theirs}
    rows.append(row | {"ours, mIoU in points": moved.text(), "n": moved.units})
plain(rows)

# %% [markdown]
# ## Training curves {.appendix}
#
# @fig-a-curves has loss and score by step.

# %%
#| label: fig-a-curves
#| fig-cap: "Training loss (running mean over a tenth of the steps; heights of different losses do not compare) and test mIoU; means over the runs of each condition."
figure = figures.curves(chapter.curves())

# %% [markdown]
# ## Checks {.appendix}
#
# Every condition has the same units, both encoders of a unit saw the same labels, and no run saw
# more than it declared.

# %%
assert chapter.balanced()
assert chapter.within_budget()
for share in ("20 %", "50 %"):
    assert chapter.same_labels(f"ResNet-50, {share}", f"ResNet-18, {share}")

# %% [markdown]
# ## What was not shown
#
# Their images and their weights. Where the two encoders start from weights of different origin, A1
# compares those as well. One learning rate served all conditions.
