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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/03_losses.ipynb)

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
# # Losses over labelled pixels {#sec-losses}
#
# What does a network minimise when most pixels have no label, and what must the sum be divided by?
# With logits $z_i \in \mathbb{R}^k$ at pixel $i$, the set $V$ of labelled pixels and their classes
# $y_i$, partial cross-entropy [@tang2018normalized] is the mean over the labelled pixels alone,
#
# $$\mathcal{L}_{\mathrm{PCE}} = -\frac{1}{|V|} \sum_{i \in V} \log \frac{e^{z_{i,y_i}}}{\sum_{c} e^{z_{i,c}}}$$ {#eq-pce}
#
# and partial focal loss [@lin2017focal] weighs each pixel by how badly it is predicted, with
# $p_i$ the softmax probability of the true class,
#
# $$\mathcal{L}_{\mathrm{focal}} = -\frac{1}{|V|} \sum_{i \in V} (1 - p_i)^\gamma \log p_i .$$ {#eq-focal}
#
# With class weights $w$ the denominator becomes $\sum_{i \in V} w_{y_i}$, never $|V|$.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"
seed = 0

# %%
import math

import pandas as pd
import torch
from IPython.display import Markdown, display

from fewlabels import datasets, losses, sparsify
from fewlabels.types import IGNORE

tiles = datasets.load(data, fold=0, split="train", grid=256)
display(Markdown(tiles.notice))
tile, k = tiles[0], len(tiles.classes)
mask = torch.from_numpy(tile.mask.copy()).long()[None]
generator = torch.Generator().manual_seed(seed)
logits = torch.randn(1, k, *tile.mask.shape, generator=generator)

# %% [markdown]
# ## The formula, pixel by pixel
#
# @eq-pce as a loop over the labelled pixels of a small window, against the library. The logits are
# random, so the value itself says nothing; that both agree does.

# %%
window, truth = logits[:, :, :24, :24], mask[:, :24, :24]
labels = torch.from_numpy(
    sparsify.draw(truth[0].byte().numpy(), "random", 40, seed=seed, tile=tile.id)
).long()
total = 0.0
for y, x in (labels != IGNORE).nonzero().tolist():
    z = window[0, :, y, x].tolist()
    total += math.log(sum(math.exp(v) for v in z)) - z[int(labels[y, x])]
by_hand = total / 40
ours = losses.partial_cross_entropy(window, labels[None]).item()
assert math.isclose(by_hand, ours, rel_tol=1e-5)

# %%
#| echo: false
Markdown(f"By hand {by_hand:.6f} nats, by the library {ours:.6f} nats.")

# %% [markdown]
# ## The denominator is the method
#
# @tbl-denominator evaluates the losses at four label densities of one tile, on the same logits. A
# mean over labelled pixels keeps its size. The same sum divided by all pixels, as a mean over a
# masked loss map does, shrinks with the density, and with plain gradient descent so does the
# effective learning rate; an adaptive optimiser hides that until weight decay or gradient clipping
# meets the shrunken gradient.

# %%
#| label: tbl-denominator
#| tbl-cap: "Loss in nats at four label densities of one tile, same random logits: divided by the labelled pixels, and by all pixels."
rows = []
for density in (1.0, 0.1, 0.01, 0.001):
    drawn = sparsify.draw(tile.mask, "random", density, seed=seed, tile=tile.id)
    labels = torch.from_numpy(drawn).long()[None]
    summed = torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    rows.append(
        {
            "labels": f"{100 * density:g} %",
            "PCE": losses.partial_cross_entropy(logits, labels).item(),
            "focal": losses.partial_focal(logits, labels).item(),
            "sum / all pixels": summed.item() / labels.numel(),
        }
    )
values = pd.DataFrame(rows).set_index("labels")
values.style.format("{:.4f}")

# %%
#| echo: false
shrink = values["sum / all pixels"].iloc[0] / values["sum / all pixels"].iloc[-1]
spread = values["PCE"].max() / values["PCE"].min()
Markdown(
    f"From {values.index[0]} to {values.index[-1]} of the labels the mean over all pixels falls by a factor of "
    f"{shrink:.0f}; the largest PCE is {spread:.3f} times the smallest, which is sampling."
)

# %% [markdown]
# ## Checks
#
# What the sentences above say: the scale stays within sampling error, gamma = 0 is cross-entropy, the
# gradient is exactly zero where there is no label, and a batch without labels gives zero, not NaN.

# %%
assert spread < 1.25
assert shrink > 500
plain = losses.partial_cross_entropy(logits, labels)
assert torch.equal(losses.partial_focal(logits, labels, gamma=0.0), plain)
moved = logits.clone().requires_grad_()
losses.partial_focal(moved, labels).backward()
assert (moved.grad.abs().sum(dim=1)[labels == IGNORE] == 0).all()
empty = losses.partial_cross_entropy(moved, torch.full_like(labels, IGNORE))
assert empty.item() == 0
assert empty.requires_grad

# %% [markdown]
# ## What was not shown
#
# How the losses train is measured in @sec-e; region losses (Dice, Tversky) are not in it. The focal
# loss's alpha, where it is one number, multiplies the whole loss and is no class balance.
