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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/01_data.ipynb)

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
# # The images and their splits {#sec-data}
#
# Which images are these, and what do their masks hold? A score means something only if no tested
# ground was trained on, so every split is by *site*.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from fewlabels.data import registry
from fewlabels.labels import sampling
from fewlabels.results import figures
from fewlabels.studies import scale
from fewlabels.types import IGNORE

figures.style()
grid = scale("E", profile, data).fixed.get("grid", registry.GRID)

# %%
#| needs: images
load = partial(registry.load, data, grid=grid)
tiles = load(split="all")
display(Markdown(tiles.notice))

# %% [markdown]
# ## Tiles and sites
#
# Each fold tests on one group of sites and trains on all others (@tbl-folds). Sites that share
# ground are in one group, so groups differ in size. A data set with a published split keeps it: it
# has one test group, and part of its training sites is held out for validation.

# %%
#| needs: images
#| label: tbl-folds
#| tbl-cap: "The leak-free groups: one a fold, or the sides of a published split; their sites, tiles and pixels that carry a class, on the training grid."
groups = {f"fold {fold}": load(fold=fold, split="test") for fold in range(len(tiles.folds))}
if len(groups) == 1:
    sides = {"training": "fit", "validation": "val", "test": "test"}
    groups = {name: load(split=split) for name, split in sides.items()}
rows = []
for name, group in groups.items():
    sites = sorted(set(group.sites))
    some = ", ".join(sites) if len(sites) < 6 else f"{len(sites)}: {sites[0]} to {sites[-1]}"
    pixels = sum(int((t.mask != IGNORE).sum()) for t in group)
    rows.append({"group": name, "sites": some, "tiles": len(group), "pixels": f"{pixels:,}"})
pd.DataFrame(rows).style.hide(axis="index")

# %% [markdown]
# ## What the masks hold
#
# @fig-tiles shows one tile of each group with its mask, @fig-shares the share of each class. A rare
# class counts little in the accuracy and as much as any other in the mean IoU.

# %%
#| needs: images
#| label: fig-tiles
#| fig-cap: "The middle tile of each group, in the data's order (top), and its mask (bottom)."
side = min(min(t.mask.shape) for t in tiles)
shown = {name: group[len(group) // 2] for name, group in groups.items()}
panels = {f"{n}: {t.site}": t.image[:side, :side] for n, t in shown.items()}
panels |= {
    f"mask of {t.site}": figures.painted(t.mask[:side, :side], tiles.classes)
    for t in shown.values()
}
figure = figures.pictures(panels, columns=len(shown), side=2.1)
figures.legend(figure, tiles.classes, void=True)

# %%
#| needs: images
#| label: fig-shares
#| fig-cap: "Share of each class among the pixels that carry one, by group."
shares = {}
for name, group in groups.items():
    count = sampling.counts((t.mask for t in group), len(tiles.classes))
    shares[name] = 100 * count / count.sum()
shares = pd.DataFrame(shares, index=tiles.classes)
figure = figures.bars(shares, tiles.classes, label="% of the pixels with a class")

# %%
#| needs: images
#| echo: false
total = sampling.counts((t.mask for t in tiles), len(tiles.classes))
share = pd.Series(100 * total / total.sum(), tiles.classes).sort_values()
void = 100 * np.mean(np.concatenate([(t.mask == IGNORE).ravel() for t in tiles]))
Markdown(
    f"The commonest class is {share.index[-1]} with {share.iloc[-1]:.1f} % of the pixels, the rarest "
    f"{share.index[0]} with {share.iloc[0]:.2f} %; {void:.2f} % of all pixels are void and never counted. "
    f"A map that is {share.index[-1]} everywhere has an accuracy of {share.iloc[-1]:.1f} % and, over "
    f"{len(share)} classes, a mean IoU of {share.iloc[-1] / len(share):.1f} %."
)

# %% [markdown]
# ## Checks {.appendix}
#
# No site is in two groups, every site is in one, and training and test of a fold share none.

# %%
#| needs: images
every = [p for group in groups.values() for p in set(group.sites)]
assert len(every) == len(set(every))
assert set(every) == set(tiles.sites)
for fold in range(len(tiles.folds)):
    train, test = (load(fold=fold, split=s) for s in ("train", "test"))
    assert not set(train.sites) & set(test.sites)
    assert len(train) + len(test) == len(tiles)

# %% [markdown]
# ## What was not shown
#
# How much a split by patch flatters the scores; `notebooks/16_protocol` measures it. Masks are
# taken for truth, but two annotators of the same ground need not agree.
