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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/11_unet_unetpp.ipynb)

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
# # System B: U-Net or U-Net++ {#sec-b}
#
# The study wrote U-Net [@ronneberger2015unet] and U-Net++ [@zhou2018unetpp] from scratch and
# trained each once with partial cross-entropy on 10 % and on 15 % of the pixels of LandCover.ai.
# U-Net++ came out best with the fewer labels and worst with the more.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%

from IPython.display import Markdown

from fewlabels.report.chapter import claims_table, forest, open_study
from fewlabels.results import figures

chapter = open_study("B", profile, data, device)
found, table, some, conditions = chapter.runs, chapter.table, chapter.first, chapter.conditions
chapter

# %% [markdown]
# ## The claims
#
# @tbl-claims-b and @fig-claims-b show the verdicts; @sec-analysis says when a claim holds. B3
# claims no difference: it holds only if the difference is shown to lie within one point.

# %%
#| label: tbl-claims-b
#| tbl-cap: "System B: the claim, what the study printed, our effect with its 95 % interval, and the verdict."
claims_table(chapter)

# %%
#| label: fig-claims-b
#| fig-cap: "Effects of the claims on a difference, with 95 % interval over folds. The claimed side is right of 0. B3 claims a difference within one point."
figure = forest(chapter)

# %%
#| echo: false
dense = table[table["condition"] == "U-Net, dense"]
constant = table["accuracy"] <= table.filter(like="truth_").max(axis=1)
below = constant[dense.index].sum()
Markdown(
    f"The bound of B6 is not the best that dense masks can give: in {below} of {len(dense)} runs the network "
    "trained on every pixel is no more accurate than a map of the largest class alone. The same is true of "
    f"{constant.sum()} of all {len(table)} runs, which are short and start from scratch."
)

# %% [markdown]
# ## What was run {.appendix}
#
# Their four conditions, and a U-Net trained on every pixel as the measure for 10 %. All conditions
# of one (fold, replicate) share label seed, crops and steps. One group of sites is held out for
# validation; it chooses nothing, and B5 asks what it would have chosen.

# %%
#| label: tbl-factors-b
#| tbl-cap: "What varied between the runs of system B, and what all of them shared."
chapter.factors()

# %%
#| echo: false
Markdown(
    f"Network: {some.run.model} and the same U-Net++, weights {some.run.weights}. The study used {chapter.study.deviations}. "
    "Learning rate and steps were fixed in advance, not tuned for each condition."
)

# %% [markdown]
# ## Scores
#
# @tbl-b has the means, @fig-b every run. Intervals are over sites (over replicates where a profile
# has one fold).

# %%
#| label: tbl-b
#| tbl-cap: "System B: mean and 95 % interval, n = runs. A round shows as many crops as there are training images, like an epoch of the study; its seconds are those of the median step, on devices that other runs may have shared."
scores = {"mIoU in %": ("miou", 100, 1), "accuracy in %": ("accuracy", 100, 1)}
scores |= {"boundary IoU in %": ("boundary_iou", 100, 1), "s a round": ("round_seconds", 1, 1)}
steps = [r.facts["data"]["train_tiles"] / r.run.batch for r in found.values()]
table["round_seconds"] = table["step_seconds"] * steps
chapter.scores(scores)

# %%
#| label: fig-b
#| fig-cap: "Every run of system B (grey, shape by fold) and the mean of each condition (bar) with its 95 % interval."
figure = figures.compared(table, conditions)

# %% [markdown]
# ## Validation and test
#
# @tbl-b-validation compares validation and test scores. Training saw neither kind of site, so a
# difference is one between sites.

# %%
#| label: tbl-b-validation
#| tbl-cap: "Last weights on the validation sites and on the test sites, dense masks: mean mIoU and 95 % interval in %, n = runs."
both = {"validation": ("val_dense_miou", 100, 1), "test": ("miou", 100, 1)}
chapter.scores(both)

# %% [markdown]
# ## Training curves {.appendix}
#
# @fig-b-curves has loss and score by step.

# %%
#| label: fig-b-curves
#| fig-cap: "Training loss (running mean over a tenth of the steps; heights of different losses do not compare) and test mIoU; means over the runs of each condition."
figure = figures.curves(chapter.curves())

# %% [markdown]
# ## Checks {.appendix}
#
# Every condition has the same units, both networks of a unit saw the same labels, no run saw more
# than it declared, and validation, training and test sites are apart.

# %%
assert chapter.balanced()
assert chapter.within_budget()
assert chapter.splits_apart()
for share in ("10 %", "15 %"):
    assert chapter.same_labels(f"U-Net++, {share}", f"U-Net, {share}")

# %% [markdown]
# ## What was not shown
#
# Their images, widths and learning rate (one for both networks, here as there). Except at profile
# `home` training is far shorter than theirs, and a short training from scratch says how fast a
# network learns more than how well.
