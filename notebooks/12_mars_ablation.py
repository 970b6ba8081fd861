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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/12_mars_ablation.ipynb)

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
# # System C: what helps on partly labelled terrain {#sec-c}
#
# The study extended a U-Net [@ronneberger2015unet] for five classes of Martian terrain step by
# step, each step run once. Its *background* is what the annotators did not label. The largest step
# was to leave that class out of the loss, which makes the loss a partial cross-entropy.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from fewlabels import IGNORE
from fewlabels.data import dataset, registry
from fewlabels.report.chapter import claims_table, forest, open_study
from fewlabels.results import consistency, figures, statistics
from fewlabels.training import augmentation
from fewlabels.types import DataError

chapter = open_study("C", profile, data, device)
table, conditions = chapter.table, chapter.conditions
runs = {condition: chapter.of(condition) for condition in conditions}
some = runs["plain"][0]
classes = [c for c in some.facts["data"]["classes"] if np.isfinite(table[f"iou_{c}"]).any()]
chapter

# %% [markdown]
# ## The claims
#
# @tbl-claims-c and @fig-claims-c show the verdicts; @sec-analysis says when a claim holds. C1 and
# C5 have to beat every rival: their effect is the lead over the closest one, with an interval
# widened for the number of rivals. C3 holds if inception gains less than one point.

# %%
#| label: tbl-claims-c
#| tbl-cap: "System C: the claim, what the study printed, our effect with its 95 % interval, and the verdict."
claims_table(chapter)

# %%
#| label: fig-claims-c
#| fig-cap: "Effects of the claims on a difference, with 95 % interval over replicates, since the split has one fold. The claimed side is right of 0. Of C3: one point less the gain."
figure = forest(chapter)

# %% [markdown]
# ## What was run {.appendix}
#
# Each of their steps is one change of the plain network, whose loss leaves background out; the
# first two conditions learn background as a class. All are scored on the terrain classes of the
# same test pixels: background predicted there is an error. Labels are as people gave them.

# %%
#| label: tbl-factors-c
#| tbl-cap: "What varied between the runs of system C, and what all of them shared."
chapter.factors()

# %%
#| label: tbl-conditions-c
#| tbl-cap: "The conditions of system C: in which factors each differs from the plain network."
plain = vars(some.run)
changes = {
    condition: ", ".join(f"{k}: {v}" for k, v in vars(these[0].run).items() if v != plain[k])
    for condition, these in runs.items()
}
pd.DataFrame({"condition": changes.keys(), "change": changes.values()}).style.hide(axis="index")

# %%
#| echo: false
Markdown(
    f"The study used {chapter.study.deviations}. Learning rate and steps were fixed in advance, not tuned for "
    "each condition."
)

# %% [markdown]
# ## The classes {.appendix}
#
# @fig-c-classes compares the training labels with the test pixels, background apart. The rarest
# class decides a fourth of a mean over four classes.

# %%
#| label: fig-c-classes
#| fig-cap: "Share of each terrain class among the pixels labelled as terrain."
labels = some.facts["labels"]
shares = {"training": [labels["per_class"][c] for c in classes]}
shares["test"] = [table[f"truth_{c}"].iloc[0] for c in classes]
shares = pd.DataFrame(shares, index=classes)
figure = figures.bars(100 * shares / shares.sum(), classes, label="% of the terrain pixels")

# %%
#| echo: false
rare = runs["rare class augmented"][0]
rarest = classes[int(np.argmin(shares["training"]))]
Markdown(
    f"Background is {100 * labels['per_class']['background'] / labels['of_pixels']:.0f} % of the training "
    f"pixels. The rarest class is {rarest}: {100 * shares['training'][rarest] / shares['training'].sum():.2f} % of the "
    f"terrain labels, {100 * shares['test'][rarest] / shares['test'].sum():.2f} % of the test pixels, on "
    f"{sum(some.confusion[:, some.facts['data']['classes'].index(rarest)].sum(axis=1) > 0)} of {len(some.tiles)} test images. "
    f"Theirs was big rock at 0.13 % of the area. Targeted augmentation brings the "
    f"{rare.facts['labels']['rare_tiles']} training images that hold {', '.join(rare.facts['labels']['rare_classes']) or 'a rare class'} "
    f"{rare.run.rare_times} times a round."
)

# %% [markdown]
# ## The images {.appendix}
#
# The study removed outliers before training and does not say by what rule. Ours was written down
# first (`data.dataset`): clipped, repeated, far from the others in brightness or contrast, or with
# next to no labels (@fig-c-outliers).

# %%
#| needs: images
options = {"split": "train", "grid": some.run.grid}
try:
    tiles = registry.load(some.run.data, **options)
except DataError:  # not at hand: pictures of synthetic scenes, and said to be
    tiles = registry.load("synthetic:background", **options)
odd = dataset.outliers(registry.load(tiles.name.partition(":")[0], **options))
hits = odd[list(dataset.RULES)]
display(Markdown(f"Pictures in this chapter: {tiles.notice}"))

# %%
#| needs: images
#| label: fig-c-outliers
#| fig-cap: "Images that the rule finds, titled by the part that found them; where it finds fewer, those whose contrast is farthest from the median ('none')."
off = (odd["deviation"] - odd["deviation"].median()).abs()
order = odd.assign(hit=hits.any(axis=1), off=off).sort_values(["hit", "off"], ascending=False)
panels = {
    f"{n}: {', '.join(hits.columns[hits.loc[i]]) or 'none'}": tiles[i].image
    for n, i in enumerate(order.index[:8], 1)
}
figure = figures.pictures(panels, columns=4, side=1.8)

# %%
#| needs: images
#| echo: false
counted = ", ".join(f"{rule} {hits[rule].sum()}" for rule in dataset.RULES)
Markdown(
    f"Found: {hits.any(axis=1).sum()} of {len(odd)} training images ({counted}). One condition leaves them "
    "out of training; validation and test stay whole."
)

# %% [markdown]
# ## Augmentation {.appendix}
#
# @fig-c-rare shows targeted augmentation, @fig-c-cutmix CutMix [@yun2019cutmix] on partial labels:
# a box brings the labels that lie in it, and its unlabelled pixels stay unlabelled.

# %%
#| needs: images
#| label: fig-c-rare
#| fig-cap: "Targeted augmentation: the image with most pixels of the rarest class, and three draws of its shift, scale and rotation. Grey: background."
number = tiles.classes.index(rarest) if rarest in tiles.classes else len(tiles.classes) - 2
richest = max(tiles, key=lambda t: (t.mask == number).sum())
move = augmentation.augmentation(rare.run.rare_augmentation, augmentation.Motion(share=1.0))
last = len(tiles.classes) - 1
drawn = {"given": (richest.image, richest.mask)}
drawn |= {f"draw {s}": move(s, richest.image, richest.mask) for s in (1, 2, 3)}
terrain, void = tiles.classes[:last], IGNORE
panels = {
    title: figures.overlaid(image, np.where(mask == last, np.uint8(void), mask), terrain)
    for title, (image, mask) in drawn.items()
}
figure = figures.pictures(panels, side=2.0)
figures.legend(figure, terrain)

# %%
#| needs: images
#| label: fig-c-cutmix
#| fig-cap: "CutMix: three images with their labels (top), and each with a box of another (bottom)."
three = [tiles[len(tiles) * i // 3] for i in range(3)]
h, w = np.min([t.mask.shape for t in three], axis=0)
images = np.stack([t.image[:h, :w].transpose(2, 0, 1) for t in three])
masks = np.stack([np.where(t.mask == last, np.uint8(void), t.mask)[:h, :w] for t in three])
mixed = augmentation.cutmix(images, masks, 1.0, np.random.default_rng(2))
panels = {
    f"{title} {n + 1}": figures.overlaid(image.transpose(1, 2, 0), mask, terrain)
    for title, pair in (("given", (images, masks)), ("mixed", mixed))
    for n, (image, mask) in enumerate(zip(*pair, strict=True))
}
figure = figures.pictures(panels, columns=3, side=2.0)
figures.legend(figure, terrain)

# %% [markdown]
# ## Scores
#
# @tbl-c has the means, @fig-c every run. The published split has one fold: intervals are over
# replicates on these test images and say nothing of other sites.

# %%
#| label: tbl-c
#| tbl-cap: "System C: mean and 95 % interval in %, n = runs. The rarest class is that with the fewest labels."
scores = {"mIoU": ("miou", 100, 1), "accuracy": ("accuracy", 100, 1)}
scores |= {"IoU of the rarest class": ("rarest_iou", 100, 1)}
chapter.scores(scores)

# %%
#| label: fig-c
#| fig-cap: "Every run of system C (grey) and the mean of each condition (bar) with its 95 % interval."
figure = figures.compared(table, conditions)

# %% [markdown]
# ## Training, validation and test
#
# @tbl-c-gap shows over-fitting. Training and test are scored on the terrain classes, validation on
# the classes of the loss, as the study did: with background where that is a class. Their plain
# network scored about 70 % on validation and 45 % on the test.

# %%
#| label: tbl-c-gap
#| tbl-cap: "Last weights on training, validation and test images: mean mIoU and 95 % interval in %; the gap is training less test."
columns = {"training": "train_miou", "validation": "val_dense_miou", "test": "miou", "gap": "gap"}
chapter.scores({k: (v, 100, 1) for k, v in columns.items()})

# %% [markdown]
# ## By class
#
# The study recorded scores by class of its final network. @tbl-c-class has them for the plain
# network and for squeeze-and-excitation with dropout, both with background left out.

# %%
#| label: tbl-c-class
#| tbl-cap: "Scores by class on the test images: mean over runs and 95 % interval in %. A class that was never predicted has no precision."
pd.concat(
    {
        condition: statistics.by_class(table[table["condition"] == condition], classes)
        for condition in conditions[2:4]
    },
    names=["condition", "class"],
)

# %%
#| echo: false
reported = {f.rule: f for f in consistency.reported() if f.of == "C"}
mean, above = reported["macro-mean"], reported["precision-recall"]
Markdown(
    f"Their table contradicts itself: they print a mean IoU of {mean.found}, and their four classes average "
    f"{mean.expected}. And {above.found} of their classes have a recall above their precision. If only pixels of "
    "the four classes are scored, each false positive is another class's false negative, so this cannot "
    "be: other pixels must have counted."
)

# %% [markdown]
# ## Training curves {.appendix}
#
# @fig-c-curves has loss and score by step of the four conditions that C1 compares.

# %%
#| label: fig-c-curves
#| fig-cap: "Training loss (running mean over a tenth of the steps; with background it is of one class more) and test mIoU over the terrain classes; means over the runs of each condition."
figure = figures.curves({c: chapter.curves()[c] for c in conditions[:4]})

# %% [markdown]
# ## Checks {.appendix}
#
# Every condition has the same units and, but for the outliers, the same labels; no run saw more than it
# declared; background is never scored; the splits share no site.

# %%
assert chapter.balanced()
assert chapter.within_budget()
assert chapter.splits_apart()
assert all(chapter.same_labels(c, "plain") for c in conditions if c != "outliers left out")
for record in chapter.runs.values():
    background = record.facts["data"]["classes"].index("background")
    assert record.confusion[:, background].sum() == 0

# %% [markdown]
# ## What was not shown
#
# Their images, widths and early stopping, residual blocks, ASPP, and several changes together.
# Training is from scratch and, except at profile `home`, short, so over-fitting has had little
# time. A handful of pixels decides the IoU of a class that is rare on few test images.
