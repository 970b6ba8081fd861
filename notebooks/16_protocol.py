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
# Three rules of this study cost something: test places are kept apart, labels are drawn once, and
# whoever has few labels has few to choose the weights with. What would the usual ways have shown
# instead? Each is measured against the rule that it breaks, all else equal.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
import logging

import pandas as pd
from IPython.display import Markdown, display

from fewlabels import studies
from fewlabels.experiments import sweep
from fewlabels.results import figures, statistics

figures.style()
logging.basicConfig(level=logging.INFO, format="%(message)s")
ours = ("leak", "redrawing", "selection")
names = [name for name in ours if name in sweep.available(profile, data)]
found = {name: sweep.results(name, profile, data, device=device) for name in names}
tables = {name: sweep.table(name, these) for name, these in found.items()}
display(Markdown(next(iter(next(iter(found.values())).values())).notice))

# %% [markdown]
# ## The three comparisons
#
# A random split of the patches puts patches of one mosaic on both sides. There every image is tested
# once, as it is with places apart, so both splits are scored on the very same images and differ only
# in what trained the network. Labels drawn anew in every round keep the budget that is stated and
# show many times as many pixels. Weights are chosen on places that neither train nor test.
#
# @tbl-protocol has the means, @fig-protocol every run.

# %%
#| label: tbl-protocol
#| tbl-cap: "The usual ways and ours: mean mIoU and 95 % interval over places in %, n = runs; labels drawn and labels that training has seen, pixels a run."
shown = []
for name, table in tables.items():
    cells = studies.study(name).compared()
    mine = statistics.summary(table, {"mIoU in %": ("miou", 100, 1)}).loc[cells]
    pixels = table.groupby("cell")[["pixels", "seen"]].mean().loc[cells].map("{:,.0f}".format)
    mine[["labels stated", "labels seen"]] = pixels
    shown.append(mine.assign(comparison=studies.study(name).title))
pd.concat(shown).reset_index(names="condition").set_index(["comparison", "condition"])

# %%
#| label: fig-protocol
#| fig-cap: "Every run (grey, shape by group of test tiles) and the mean of each condition with its 95 % interval (blue)."
every = pd.concat(tables.values())
figure = figures.compared(every, list(dict.fromkeys(every["cell"])))

# %% [markdown]
# ## The claims
#
# They are ours and were declared before the runs (@tbl-claims-protocol).

# %%
#| label: tbl-claims-protocol
#| tbl-cap: "What the usual ways flatter: claim, what we measured (effect with 95 % interval) and the verdict."
claims = [statistics.claims_table(t, studies.study(n).claims) for n, t in tables.items()]
pd.concat(claims).drop(columns="theirs").style.hide(axis="index")

# %% [markdown]
# ## Checks
#
# With places apart no place is on both sides, with patches at random some are; a draw that is made
# once is never exceeded, and one that is made anew each round is; in selection no test place decides.

# %%
for name, these in found.items():
    for (cell, _, _), record in these.items():
        labels, facts = record.facts["labels"], record.facts["data"]
        shared = set(facts["train_places"]) & set(facts["test_places"])
        assert bool(shared) == (cell == "patches at random")
        if not record.run.redrawn:
            assert labels["seen"] <= labels["pixels"]
        elif profile != "smoke":
            assert labels["seen"] > labels["pixels"]
        if name == "selection":
            assert not set(facts["validation_places"]) & set(facts["test_places"])

# %% [markdown]
# ## What was not shown
#
# One data set, one network, one budget a comparison. A leak is as large as its mosaic is uniform: of
# scattered images it may be none. Trainings are short: a label that is drawn once is shown a few times,
# perhaps too seldom to be learned by heart, so that new labels in its place add little. Where early
# stopping decides how long to train, choosing on few labels may cost more than it does among the last
# weights of one schedule.
