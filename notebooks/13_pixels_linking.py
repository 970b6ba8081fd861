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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/13_pixels_linking.ipynb)

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
# # System D: how many pixels a class, and joins between them {#sec-d}
#
# The study asked, on 2,400 images of ISPRS Potsdam, how many labelled pixels a class an image needs,
# and whether *proximity linking*, lines between labelled pixels of a class that lie close, stands in
# for more of them. It trained the partial focal loss once a condition. Linking was said to make 500
# pixels a class better than 2,100, and a k-d tree to make it affordable.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
import logging
import time

import pandas as pd
from IPython.display import Markdown, display

from fewlabels import datasets, expand, figures, records, sparsify, stats, studies, sweep

figures.style()
logging.basicConfig(level=logging.INFO, format="%(message)s")
study = studies.study("D")
display(Markdown(f"**{study.question}**"))

# %% [markdown]
# ## What was run
#
# Their conditions, and beside them 500 pixels a class without joins: only against that does a
# difference speak of the joins. All conditions of one (fold, pair) share label seed, initial weights,
# crops and steps.

# %%
found = sweep.results("D", profile, data, device=device)
table = records.table(found)
some = next(iter(found.values()))
cells = list(study.cells())
display(Markdown(some.notice))

# %%
#| label: tbl-factors-d
#| tbl-cap: "What varied between the runs of system D, and what all of them shared."
start = studies.start_of("D", profile, data, some.run)
pd.DataFrame(studies.factors("D", profile, data, start)).style.hide(axis="index")

# %%
#| echo: false
Markdown(
    f"Network: {some.run.model}, weights {some.run.weights}. Theirs: {study.departs}. Learning rate and steps were fixed "
    "in advance for all conditions, not tuned for each."
)

# %% [markdown]
# ## The labels
#
# @fig-d-labels shows one training tile, @tbl-d-labels what the conditions hold over all of them. A join
# is right where both ends lie on one object, and wrong where it crosses another.

# %%
tiles = datasets.load(data, fold=0, split="train", grid=some.run.grid)
tile = max(tiles, key=lambda t: (sparsify.counts([t.mask], len(tiles.classes)) > 0).sum())
given, joined, cost = {}, {}, []
for t in tiles:
    given[t.id] = sparsify.draw(t.mask, "per_class", 500, seed=0, tile=t.id)
    began = time.perf_counter()
    joined[t.id] = expand.expand(given[t.id], "link", distance=10)
    cost.append(time.perf_counter() - began)

# %%
#| label: fig-d-labels
#| fig-cap: "One tile: 500 labels a class, and the same joined within 10 pixels, over the faded image."
panels = {"500 a class": given[tile.id], "linked": joined[tile.id]}
panels = {k: figures.overlaid(tile.image, v, tiles.classes) for k, v in panels.items()}
panels |= {"dense mask": figures.painted(tile.mask, tiles.classes)}
figure = figures.pictures(panels, columns=3, side=2.8)
figures.legend(figure, tiles.classes)

# %%
#| label: tbl-d-labels
#| tbl-cap: "Labelled pixels of the conditions on the training tiles of the first fold and pair, and the share of them that agrees with the dense mask."
audit = pd.concat([expand.audit(joined[t.id], t.mask, len(tiles.classes)) for t in tiles])
purity = audit["correct"].sum() / audit["labelled"].sum()
rows = []
for cell in cells:
    facts = next(r.facts["labels"] for (c, _, _), r in found.items() if c == cell)
    trained = facts.get("trained_pixels", facts["pixels"])
    rows.append(
        {
            "condition": cell,
            "drawn, % of pixels": f"{100 * facts['pixels'] / facts['of_pixels']:.1f}",
        }
        | {"after joining, %": f"{100 * trained / facts['of_pixels']:.1f}"}
        | {"correct, %": f"{100 * purity:.1f}" if "linked" in cell else "100"}
    )
pd.DataFrame(rows).style.hide(axis="index")

# %% [markdown]
# ## Scores
#
# @tbl-d gives each condition's mean with its interval over the independent places (over pairs where a
# profile has a single fold), @fig-d every run behind it, @fig-d-curves the way there.

# %%
#| label: tbl-d
#| tbl-cap: "System D: mean and 95 % interval in %, n = runs."
scores = {"mIoU": ("miou", 100, 1), "accuracy": ("accuracy", 100, 1)}
stats.summary(table, scores).loc[cells]

# %%
#| label: fig-d
#| fig-cap: "Every run of system D (grey, shape by fold) and the mean of each condition with its 95 % interval."
figure = figures.compared(table, cells)

# %%
#| label: fig-d-curves
#| fig-cap: "Test mIoU on dense masks by step, mean over the runs of each condition."
curves = {
    cell: [records.watched_curve(r) for (c, _, _), r in found.items() if c == cell]
    for cell in cells
}
figure = figures.curves(curves)

# %% [markdown]
# ## The claims
#
# Declared as contrasts before the runs (@tbl-claims-d), judged as in @sec-e. D2, that regularisation
# closes a gap between training and validation, has no runs yet.

# %%
#| label: tbl-claims-d
#| tbl-cap: "System D: claim, what they reported, what we measured (effect with 95 % interval) and the verdict."
stats.claims_table(table, study.claims).style.hide(axis="index")

# %%
#| echo: false
wide = table.pivot(index=["fold", "pair"], columns="cell", values="miou")
joins = wide["500 a class, linked"] - wide["500 a class"]
effect = stats.interval(joins.to_numpy(), joins.index.get_level_values("fold").to_numpy())
seconds = pd.Series(cost).quantile([0, 0.5, 1])
Markdown(
    f"What the joins alone do, 500 linked less 500 unlinked: {effect.text()} points (n = {effect.units}; not "
    f"a claim of theirs, so not among the verdicts). D4, that linking is affordable: on these {len(cost)} tiles of "
    f"about {tile.mask.size:,} pixels it took a median of {1000 * seconds[0.5]:.0f} ms each on this machine (from "
    f"{1000 * seconds[0]:.0f} to {1000 * seconds[1]:.0f} ms), where they report about 1 s a mask on hardware they do not name."
)

# %% [markdown]
# ## Checks
#
# Every condition has the same units, labels seen never exceed labels drawn, linked and unlinked runs
# drew the same pixels, a join never overwrites a drawn label, and linking takes less than their 1 s.

# %%
assert (table["cell"].value_counts() == len(table) // len(cells)).all()
assert all(r.facts["labels"]["seen"] <= r.facts["labels"]["pixels"] for r in found.values())
for (cell, fold, pair), record in found.items():
    if cell == "500 a class, linked":
        other = found["500 a class", fold, pair]
        assert record.facts["labels"]["sha256"] == other.facts["labels"]["sha256"]
for name, labels in given.items():
    assert (joined[name][labels != 255] == labels[labels != 255]).all()
assert seconds[0.5] < 1

# %% [markdown]
# ## What was not shown
#
# Potsdam itself, their third experiment (2,100 pixels with regularisation), and distances other than
# one. Labels a class and image say more about the image the more classes it holds; on these images a
# rare class has all of its pixels labelled long before 2,100.
