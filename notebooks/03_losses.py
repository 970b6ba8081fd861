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
# With dense masks it minimises the mean cross-entropy over all $N$ pixels,
# $\frac{1}{N} \sum_i \ell_i$ with $\ell_i = -\log p_{i,y_i}$, where $p_i$ is the softmax of the logits
# $z_i \in \mathbb{R}^k$ and $y_i$ the class. With labels on a set $V$ alone, $\ell_i$ is unknown
# elsewhere. If $V$ is drawn at random, it holds each pixel with probability $|V| / N$, so the sum
# over $V$ has the expectation $\frac{|V|}{N} \sum_i \ell_i$. Divided by $|V|$ it estimates the dense
# mean without bias: partial cross-entropy [@tang2018normalized],
#
# $$\mathcal{L}_{\mathrm{PCE}} = -\frac{1}{|V|} \sum_{i \in V} \log \frac{e^{z_{i,y_i}}}{\sum_{c} e^{z_{i,c}}}, \qquad \frac{\partial \mathcal{L}_{\mathrm{PCE}}}{\partial z_{i,c}} = \frac{p_{i,c} - [c = y_i]}{|V|} \text{ for } i \in V, \text{ else } 0.$$ {#eq-pce}
#
# With class weights $w$ the denominator is $\sum_{i \in V} w_{y_i}$. The partial focal loss
# [@lin2017focal] weighs each pixel by how badly it is predicted,
#
# $$\mathcal{L}_{\mathrm{focal}} = -\frac{1}{|V|} \sum_{i \in V} (1 - p_{i,y_i})^\gamma \log p_{i,y_i} ,$$ {#eq-focal}
#
# and the Tversky loss [@salehi2017tversky] is a ratio of sums over $V$, averaged over the classes $c$
# that have labels (Dice at $\alpha = \beta = \frac12$; raised to $1 / \gamma$ it is focal Tversky
# [@abraham2019tversky]),
#
# $$1 - \frac{\mathrm{TP}_c}{\mathrm{TP}_c + \alpha \mathrm{FP}_c + \beta \mathrm{FN}_c}, \quad \mathrm{TP}_c = \sum_{i \in V, y_i = c} p_{i,c}, \; \mathrm{FP}_c = \sum_{i \in V, y_i \neq c} p_{i,c}, \; \mathrm{FN}_c = \sum_{i \in V, y_i = c} (1 - p_{i,c}).$$ {#eq-tversky}

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"
seed = 0

# %%
#| needs: images
import math
from functools import partial

import numpy as np
import pandas as pd
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display

from fewlabels import IGNORE, load
from fewlabels.labels import sampling
from fewlabels.training import losses

tiles = load(data, fold=0, split="train", grid=256)
display(Markdown(tiles.notice))
batch, k = [tiles[i] for i in range(min(4, len(tiles)))], len(tiles.classes)
h, w = np.min([t.mask.shape for t in batch], axis=0)


def draw(amount, seed=seed):
    drawn = (sampling.draw(t.mask, "random", amount, seed=seed, tile=t.id)[:h, :w] for t in batch)
    return torch.from_numpy(np.stack([*drawn])).long()


# %% [markdown]
# ## The formula, pixel by pixel {.appendix}
#
# A loop over the labelled pixels of a small window computes @eq-pce and its derivative. The library
# has to agree.

# %%
#| needs: images
generator = torch.Generator().manual_seed(seed)
window = torch.randn(1, k, 24, 24, generator=generator, requires_grad=True)
labels = draw(0.05)[:1, :24, :24]
there = (labels[0] != IGNORE).nonzero().tolist()
by_hand, slope = 0.0, torch.zeros(1, k, 24, 24)
for y, x in there:
    z, c = window[0, :, y, x].tolist(), int(labels[0, y, x])
    total = sum(math.exp(v) for v in z)
    by_hand += (math.log(total) - z[c]) / len(there)
    slope[0, :, y, x] = torch.tensor([math.exp(v) / total for v in z]) / len(there)
    slope[0, c, y, x] -= 1 / len(there)
ours = losses.partial_cross_entropy(window, labels)
ours.backward()
assert math.isclose(by_hand, ours.item(), rel_tol=1e-5)
assert torch.allclose(window.grad, slope, atol=1e-6)

# %%
#| needs: images
#| echo: false
Markdown(
    f"By hand {by_hand:.6f} nats over {len(there)} labelled pixels, by the library {ours.item():.6f} nats; "
    f"the derivatives differ by at most {(window.grad - slope).abs().max().item():.1g}."
)

# %% [markdown]
# ## What must not change with the number of labels
#
# The logits are those of a small model with random weights: one matrix from a pixel's colour to its
# classes. @tbl-values evaluates the library's losses on a batch of tiles at four label densities.


# %%
#| needs: images
colours = torch.from_numpy(np.stack([t.image[:h, :w] for t in batch])).permute(0, 3, 1, 2) / 255
pixels = F.pad(colours, (0, 0, 0, 0, 0, 1), value=1.0)  # the last channel is the bias
start = torch.randn(k, pixels.shape[1], 1, 1, generator=generator)


def evaluate(loss, labels):
    """Value of the loss and its gradient with respect to the matrix."""
    matrix = start.clone().requires_grad_()
    value = loss(F.conv2d(pixels, matrix), labels)
    value.backward()
    return value.item(), matrix.grad.flatten()


# %%
#| needs: images
#| label: tbl-values
#| tbl-cap: "The library's losses (cross-entropy and focal in nats) at four label densities of one batch, same logits; n is the number of labelled pixels."
drawn = {f"{100 * d:g} %": draw(d) for d in (1.0, 0.1, 0.01, 0.001)}
values = pd.DataFrame(
    {
        name: {"n": int((labels != IGNORE).sum())}
        | {loss: evaluate(f, labels)[0] for loss, f in losses.LOSSES.items()}
        for name, labels in drawn.items()
    }
).T.astype({"n": int})
values.style.format("{:.4f}", subset=values.columns[1:])

# %% [markdown]
# ## Public pitfalls
#
# @tbl-pitfalls compares losses from public code with the library's losses of the same name. It
# divides the lengths of their gradients, which gives the factor on the learning rate of plain
# gradient descent. Adam and its kin divide by the gradient's size, so a constant factor reaches
# them only through weight decay as a penalty, gradient clipping or the epsilon of the denominator.
#
# - *Mean over all pixels*: `SoftCrossEntropyLoss(ignore_index=255)` sets ignored pixels to 0 and
#   averages over all; so does `.mean()` of a focal loss map.
# - *One-vs-rest*: `FocalLoss("multiclass")` averages over labelled pixels, but of k sigmoids, each
#   for one class against the rest, not of a softmax.
# - *Weights without their sum*: a class weighs one over its share, and the weighted sum is divided
#   by $|V|$.


# %%
#| needs: images
def focal_map(logits, labels):
    ce = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    return ((1 - (-ce).exp()) ** 2 * ce).mean()


counts = sampling.counts((t.mask[:h, :w] for t in batch), k)
weights = torch.tensor(counts.sum() / np.maximum(counts, 1), dtype=torch.float32)


def unsummed(logits, labels):
    summed = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
    return summed / (labels != IGNORE).sum()


weighted = partial(losses.partial_cross_entropy, class_weights=weights)


# %%
#| needs: images
#| label: tbl-pitfalls
#| tbl-cap: "Length of each pitfall's gradient divided by that of the library's loss, at four label densities. 1 is right."
options = {"mode": "multiclass", "ignore_index": IGNORE}
soft = smp.losses.SoftCrossEntropyLoss(ignore_index=IGNORE, smooth_factor=0.0)
pitfalls = {
    "PCE, mean over all pixels": (soft, losses.partial_cross_entropy),
    "focal, mean over all pixels": (focal_map, losses.partial_focal),
    "focal, one-vs-rest": (smp.losses.FocalLoss(**options), losses.partial_focal),
    "weights without their sum": (unsummed, weighted),
}
rows = []
for labels in drawn.values():
    found = {p: [evaluate(loss, labels)[1] for loss in pair] for p, pair in pitfalls.items()}
    rows.append({p: (bad.norm() / good.norm()).item() for p, (bad, good) in found.items()})
factors = pd.DataFrame(rows, index=list(drawn))
factors.style.format("{:.4g}")

# %%
#| needs: images
#| echo: false
first, last = factors.index[0], factors.index[-1]
Markdown(
    f"With segmentation-models-pytorch {smp.__version__} and PyTorch {torch.__version__.partition('+')[0]}: "
    f"at {last} of the labels the mean over all pixels turns a learning rate of 1e-3 into "
    f"{1e-3 * factors.loc[last, 'PCE, mean over all pixels']:.1e}; compared at one learning rate, fewer labels would "
    f"seem to train worse for that reason alone. The weights without their sum multiply it by "
    f"{factors.loc[last, 'weights without their sum']:.1f} and the one-vs-rest focal loss by "
    f"{factors.loc[last, 'focal, one-vs-rest']:.2f} (at {first}: {factors.loc[first, 'weights without their sum']:.1f} and "
    f"{factors.loc[first, 'focal, one-vs-rest']:.2f})."
)

# %% [markdown]
# Another learning rate makes up for a constant factor, but not for the others. The one-vs-rest
# gradient has another direction, and its loss changes with a constant added to all logits, which
# changes no prediction. The factor of unsummed weights changes with the classes in the batch. So
# does that of `DiceLoss("multiclass")`, which gives a class without labels the loss 0 and keeps it
# in the mean.

# %%
#| needs: images
ovr, softmax = pitfalls["focal, one-vs-rest"]
cosine = F.cosine_similarity(*(evaluate(f, drawn["1 %"])[1] for f in (ovr, softmax)), dim=0).item()
logits = F.conv2d(pixels, start)
shifted = {
    f: (f(logits + 3, drawn["1 %"]) / f(logits, drawn["1 %"])).item() for f in (ovr, softmax)
}
alone = [(logits[i, None], y[None]) for i, y in enumerate(drawn["1 %"])]
step = [(unsummed(*tile) / weighted(*tile)).item() for tile in alone]
dice = smp.losses.DiceLoss(**options)
dices = [(dice(*tile) / losses.partial_dice(*tile)).item() for tile in alone]

# %%
#| needs: images
#| echo: false
Markdown(
    f"At 1 % of the labels the cosine between the two focal gradients is {cosine:.2f}, and adding 3 to all logits "
    f"multiplies the one-vs-rest loss by {shifted[ovr]:.2f} and the softmax one by {shifted[softmax]:.2f}. Tile by tile, the "
    f"factor of unsummed weights runs from {min(step):.1f} to {max(step):.1f}, that of Dice from {min(dices):.2f} to {max(dices):.2f}."
)

# %% [markdown]
# ## Labels drawn anew
#
# The last pitfall precedes the loss: a sampler called at every access shows the network other
# pixels each epoch, so the stated budget is wrong (@tbl-redrawn).

# %%
#| needs: images
#| label: tbl-redrawn
#| tbl-cap: "Distinct labelled pixels after 40 epochs with a new draw each, in % of the pixels that carry a class, and how many times the stated budget that is."
rows = []
for density in (1.0, 0.1, 0.01, 0.001):
    seen = torch.stack([draw(density, s) != IGNORE for s in range(40)]).any(0).sum().item()
    rows.append({"stated, %": 100 * density, "seen, %": 100 * seen / values["n"].iloc[0]})
redrawn = pd.DataFrame(rows).assign(times=lambda t: t["seen, %"] / t["stated, %"])
redrawn.style.format("{:.4g}").hide(axis="index")

# %% [markdown]
# ## Checks {.appendix}
#
# The library's pixel losses keep their scale within sampling error, the pitfalls change scale or
# direction, redrawn labels are as many as probability theory expects, and a batch without labels
# gives zero, not NaN.

# %%
#| needs: images
off = (values.iloc[:, 1:3] / values.iloc[0, 1:3] - 1).abs().max(axis=1)
assert (off < 6 / values["n"] ** 0.5).all()
density = values["n"] / drawn["100 %"].numel()
assert np.allclose(factors.iloc[:, :2], density.to_numpy()[:, None], rtol=0.01)
assert factors["weights without their sum"].min() > 1.5
assert max(step) / min(step) > 1.05
assert max(dices) < 1 + 1e-5
assert cosine < 0.99
assert abs(shifted[softmax] - 1) < 1e-3 < abs(shifted[ovr] - 1)
assert np.allclose(redrawn["seen, %"] / 100, 1 - (1 - redrawn["stated, %"] / 100) ** 40, rtol=0.05)
moved = logits.clone().requires_grad_()
for loss in losses.LOSSES.values():
    empty = loss(moved, torch.full_like(drawn["1 %"], IGNORE))
    assert (empty.item(), empty.requires_grad) == (0, True)

# %% [markdown]
# ## What was not shown
#
# The gradients are those of one small model at random weights; how the losses train is measured in
# @sec-e, region losses in @sec-c. PCE estimates the dense loss for labels drawn at random; for
# stratified labels it estimates the loss under other class shares. A focal loss's alpha that is one
# number multiplies the whole loss and balances no classes. Other versions of the libraries may
# differ.
