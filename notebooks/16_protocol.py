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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/16_protocol.ipynb)

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
# # What the protocol is worth {#sec-protocol}
#
# Three rules of this study have a price: test sites are kept apart, labels are drawn once, and
# where labels are few, few of them choose the weights. What would the usual ways have shown? Each
# is compared with the rule that it breaks, all else equal.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
import pandas as pd
from IPython.display import Markdown

from fewlabels.report.chapter import claims_table, forest, open_studies
from fewlabels.results import figures

chapters = open_studies(("leak", "redrawing", "selection"), profile, data, device)
Markdown(next(iter(chapters.values())).first.notice)

# %% [markdown]
# ## The claims
#
# They are ours: @tbl-claims-protocol, @fig-claims-protocol.

# %%
#| label: tbl-claims-protocol
#| tbl-cap: "What the usual ways flatter: the claim, our effect with its 95 % interval, and the verdicts on our networks and on a frozen head (a dash: it was not asked)."
claims_table(*chapters.values())

# %%
#| label: fig-claims-protocol
#| fig-cap: "Effects of the claims on a difference: networks, with 95 % interval over folds, and, where asked, a frozen head over the sites of several data sets. The claimed side is right of 0."
figure = forest(*chapters.values())

# %% [markdown]
# ## The three comparisons
#
# A random split of the patches puts patches of one mosaic on both sides. Both splits test every
# image once, so they differ only in what trained the network. Labels drawn anew in every round keep
# the stated budget and show many times as many pixels. Weights are chosen on sites that neither
# train nor test.
#
# @tbl-protocol has the means, @fig-protocol every run.

# %%
#| label: tbl-protocol
#| tbl-cap: "The usual ways and ours: mean mIoU and 95 % interval over sites in %, n = runs; labels drawn and labels that training has seen, pixels a run."
shown = []
for each in chapters.values():
    mine = each.scores({"mIoU in %": ("miou", 100, 1)})
    pixels = each.table.groupby("condition")[["pixels", "seen"]].mean().loc[mine.index]
    mine[["labels stated", "labels seen"]] = pixels.map("{:,.0f}".format)
    shown.append(mine.assign(comparison=each.study.title))
pd.concat(shown).reset_index(names="condition").set_index(["comparison", "condition"])

# %%
#| label: fig-protocol
#| fig-cap: "Every run (grey, shape by group of test tiles) and the mean of each condition with its 95 % interval (blue)."
every = pd.concat([each.table for each in chapters.values()])
figure = figures.compared(every, list(dict.fromkeys(every["condition"])))

# %% [markdown]
# ## Checks {.appendix}
#
# With sites apart no site is on both sides, with patches at random some are. A draw made once is
# never exceeded, one made anew each round is. In selection no test site decides.

# %%
for name, each in chapters.items():
    for (condition, _, _), record in each.runs.items():
        labels, facts = record.facts["labels"], record.facts["data"]
        shared = set(facts["train_sites"]) & set(facts["test_sites"])
        assert bool(shared) == (condition == "patches at random")
        if not record.run.redrawn:
            assert labels["seen"] <= labels["pixels"]
        elif profile != "smoke":
            assert labels["seen"] > labels["pixels"]
        if name == "selection":
            assert not set(facts["validation_sites"]) & set(facts["test_sites"])

# %% [markdown]
# ## What was not shown
#
# One data set, one network, one budget a comparison. A leak is as large as its mosaic is uniform;
# scattered images may have none. Trainings are short: a label drawn once is shown only a few times,
# so new labels may add little. Where early stopping decides how long to train, choosing on few
# labels may cost more than among the last weights of one schedule.
