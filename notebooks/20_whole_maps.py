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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/20_whole_maps.ipynb)

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
# # Whole maps: labels and map on the same scene {#sec-w}
#
# A mapper labels some pixels of their own scene and wants the rest of it. Which learner makes most of
# 30, 100, 300 or 1,000 labels? The five studies did not ask: their networks meet new ground. Study W
# labels pixels of a site, maps the whole site, and scores the pixels that are not labelled. The site is
# the independent unit. The claims and the development sites were committed before the runs
# (`studies/w.py`); no development site is in a result.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
import pandas as pd
from IPython.display import Markdown

from fewlabels import paths
from fewlabels.data.sources.grouped import COAST, CZECH, INFRARED
from fewlabels.results import applied, figures, site_scores, whole_maps
from fewlabels.studies import w
from fewlabels.studies.w import (
    APPLIES,
    BUDGETS,
    CLAIMS,
    LEARNERS,
    NETWORKS,
    Condition,
)

figures.style()
table = whole_maps.scored()
sites = whole_maps.by_site(table)
shown = [name for name in LEARNERS if name in set(table["learner"])]
names = {layout.name: layout.classes for layout in (CZECH, INFRARED, COAST)}

# %% [markdown]
# ## What was run
#
# The same rows are read whatever data set and profile this report is of; nothing is trained here. The
# learners are those of `fewlabels train`: a forest of single pixels, which most tools offer, a forest
# of texture features, and a linear head on frozen features of EfficientNet-Lite0, whose weights were
# learned on photographs. A learner sees the images of one site and the labels drawn on it, nothing
# else. @tbl-w-runs counts the fits.

# %%
#| label: tbl-w-runs
#| tbl-cap: "Sites, label draws a site (replicates) and fitted learners of each data set."
counted = table.groupby("data").agg(
    sites=("site", "nunique"), replicates=("replicate", "nunique"), fits=("learner", "size")
)
counted

# %%
#| echo: false
seconds = table.groupby("learner")["seconds"].median()
Markdown(
    "At least 20,000 pixels a site are scored, the same for every learner. A fit and its map of those pixels took "
    + ", ".join(f"{seconds[name]:.1f} s ({name})" for name in shown)
    + f" in the median on {table['device'].iloc[0]}, beside other work."
)

# %% [markdown]
# ## Scores by the number of labels
#
# @fig-w-budget shows the mean over sites. A class that a site does not have is not in that site's mean.

# %%
#| label: fig-w-budget
#| fig-cap: "mIoU over the unlabelled pixels of a site by the number of its random labels: mean over sites with 95 % interval."
figure = site_scores.drawn(sites, shown)

# %%
#| label: tbl-w-scores
#| tbl-cap: "The same in numbers: mIoU in % with 95 % interval over sites, random labels."
curves = pd.concat([site_scores.curve(sites, name) for name in shown])
curves["mIoU"] = [
    f"{100 * row.mean:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"
    for row in curves.itertuples()
]
curves.pivot(index=["data", "learner"], columns="budget", values="mIoU").fillna("-")

# %% [markdown]
# ## How many labels are saved
#
# How many times fewer labels does a learner need for the score that the forest of single pixels has
# with 1,000? @tbl-w-saving reads it off the curves, on the logarithm of the number of labels.

# %%
#| label: tbl-w-saving
#| tbl-cap: "Times fewer labels than the 1,000 of the forest of single pixels, with 95 % bootstrap interval over sites. At most 33 can be seen: 1,000 against 30."
rows = {
    name: {
        d: f"{s.mean:.1f} [{s.low:.1f}, {s.high:.1f}]"
        for d, s in site_scores.saving(sites, name).items()
    }
    for name in shown
    if name != "pixel_forest"
}
pd.DataFrame(rows).T.rename_axis("learner").fillna("-")

# %% [markdown]
# ## The claims
#
# A claim holds where the interval over all data sets lies above 0 (for *not worse*: above -1 point) in
# each of its tests. Data sets count alike. Where their effects differ in sign, the verdict is given for
# each data set. The last column is what to do: take the first where it is improbable (below 5 %) that it
# is worse by more than a point. @tbl-answer sums it up.

# %%
#| label: tbl-w-claims
#| tbl-cap: "Each test: difference of mIoU in points, over data sets and in each, with 95 % interval over sites, and the verdict over data sets."
judged = whole_maps.claims(table)
judged.style.hide(axis="index")

# %%
#| echo: false
Markdown(
    "\n".join(
        f"- {key}: {claim.text} **{whole_maps.claim_verdict(judged, key)}**"
        for key, claim in CLAIMS.items()
    )
)

# %% [markdown]
# ## Far from every label
#
# Pixels beside a label are easy. @tbl-w-far scores only those that lie more than 16 pixels from every
# label.

# %%
#| label: tbl-w-far
#| tbl-cap: "Gain of the linear head on frozen features over the forest of single pixels in points of mIoU, over all scored pixels and over those far from every label, with 95 % interval over sites."
gains = {}
for budget in BUDGETS:
    pair = Condition("frozen_linear", budget), Condition("pixel_forest", budget)
    near, beyond = (
        whole_maps.effect(table, *pair, metric)["all"] for metric in ("miou", "miou_far")
    )
    gains[budget] = {"all pixels": near.text(), "far from labels": beyond.text()}
pd.DataFrame(gains).T.rename_axis("labels")

# %% [markdown]
# ## Which classes gain
#
# @tbl-w-classes splits the gain of the linear head over the forest of single pixels by class.

# %%
#| label: tbl-w-classes
#| tbl-cap: "Gain of the linear head on frozen features over the forest of single pixels with 100 random labels, by class: points of IoU with 95 % interval over the sites that have the class."
gains = site_scores.class_gains(
    table, Condition("frozen_linear", 100), Condition("pixel_forest", 100)
)
gains["class"] = [names[d][n] for d, n in zip(gains["data"], gains["class"], strict=True)]
gains.set_index(["data", "class"])

# %% [markdown]
# ## Where it fails
#
# @tbl-w-worst has the sites of the lowest scores, and the largest error on each.

# %%
#| label: tbl-w-worst
#| tbl-cap: "Linear head on frozen features with 100 random labels: the three sites of each data set with the lowest score."
site_scores.worst(table, Condition("frozen_linear", 100), names).style.hide(axis="index").format(
    {"mIoU, %": "{:.1f}"}
)

# %% [markdown]
# ## Is the confidence of a map to be trusted?
#
# A calibrated map is right on 80 % of the pixels of which it is 80 % sure. @tbl-w-calibration has the
# expected calibration error: the mean distance between the two over bins of confidence [@guo2017calibration].

# %%
#| label: tbl-w-calibration
#| tbl-cap: "Expected calibration error in points of percent by learner and number of random labels: mean over sites with 95 % interval; data sets count alike; 0 is best."
errors = whole_maps.by_site(table, "calibration")
calibrated = {
    name: {
        f"{n:,} labels": whole_maps.pooled(errors[str(Condition(name, n))])["all"].text()
        for n in BUDGETS
    }
    for name in shown
}
pd.DataFrame(calibrated).T.rename_axis("learner")

# %% [markdown]
# ## Scribbles or clicks
#
# A scribble labels many pixels, but they lie side by side and look alike. @tbl-w-scribbles compares 5
# or 20 scribbles in each class with clicks that are spread evenly over the classes and take as long: by
# published times a scribble takes 10.9 s, the first click of a class in an image 2.4 s, and each more
# 0.9 s (W11). A program drew both.

# %%
#| label: tbl-w-scribbles
#| tbl-cap: "mIoU in % and difference in points on the same sites, with 95 % interval; data sets count alike."
site_scores.beside(table, CLAIMS["W11"].pairs).style.hide(axis="index")

# %% [markdown]
# ## Bands and the size of pixels
#
# The same learners ran on poorer images: Sentinel-2 without its near infrared band (W12; the same labels),
# and orthophotos shrunk to half (W13; labels and scores of the shrunk masks). @tbl-w-images
# says how many points the head gains over the forest of single pixels on each.

# %%
#| label: tbl-w-images
#| tbl-cap: "Gain of the linear head on frozen features over the forest of single pixels in points of mIoU, by images and number of random labels, with 95 % interval over sites."
site_scores.by_images(table).style.hide(axis="index")

# %% [markdown]
# ## Networks, and training the encoder too
#
# Networks take minutes, so they ran on a part of the sites: the first of two data sets in an order that
# was drawn before. `network` is a U-Net with a ResNet-18 from random weights, as the tool trains it.
# `fine_tuned` starts from the linear head and trains head and encoder together for 100 steps at a small
# rate. With *taught* labels it also trains on the classes of pixels of which the head is sure. Claims W3,
# W4, W4b and W7 compare them site by site; @tbl-w-networks has the scores on the same sites.

# %%
#| label: tbl-w-networks
#| tbl-cap: "Trained networks and the linear head with the same labels on the same sites: mIoU in % and difference in points, with 95 % interval; data sets count alike."
pairs = [(each, Condition("frozen_linear", each.budget)) for each in w.TRAINED]
site_scores.beside(table, pairs).style.hide(axis="index")

# %%
#| echo: false
time = table[table["learner"].isin(NETWORKS)].groupby("learner")["seconds"].median()
Markdown(
    "A run took "
    + " and ".join(f"{seconds:.0f} s ({name})" for name, seconds in time.items())
    + " in the median, on one thread beside other work."
)

# %% [markdown]
# ## Where a map applies
#
# `fewlabels predict --applicability` says where pixels look like training pixels (the area of
# applicability of Meyer and Pebesma 2021, https://doi.org/10.1111/2041-210X.13650). Does the map err
# more outside? Here the labels lie on half of a site, and the map of the linear head is scored on three
# grounds: between the labels, on the other half of the site, and on another site. @fig-w-applies has one
# point a site, @tbl-w-applies the mean difference. The last column asks the same of the map's confidence:
# as many pixels of least probability take the place of those outside.

# %%
#| label: fig-w-applies
#| fig-cap: "Wrong pixels in % outside the area of applicability by those inside, 100 random labels on half of a site. Above the line a map errs more outside. A site is shown where 50 scored pixels or more lie on each side."
applies = applied.scored()
figure = applied.drawn(applies)

# %%
#| label: tbl-w-applies
#| tbl-cap: "Wrong pixels outside the area of applicability minus inside, in points of percent: in each data set and over them, with 95 % interval over sites."
tests = applied.tests(applies)
tests.style.hide(axis="index")

# %%
#| echo: false
first = tests.groupby("ground", sort=False).first()
outside = applies.groupby("ground", sort=False)["share"].median()
Markdown(
    "With 100 labels a map errs by "
    + ", ".join(f"{row['all']} ({name}, {row['sites']} sites)" for name, row in first.iterrows())
    + " points more outside the area than inside. It errs more outside on "
    + ", ".join(f"{row['above 0, %']} % ({name})" for name, row in first.iterrows())
    + " of those sites: the area is right on average, and one site can be an exception, most of all on "
    "another site. In the median over maps, "
    + ", ".join(f"{100 * outside[name]:.1f} % ({name})" for name in first.index)
    + " of the pixels lie outside. The map's own confidence separates by "
    + ", ".join(f"{row['unsure pixels']} ({name})" for name, row in first.iterrows())
    + " points: look at it, too."
)

# %% [markdown]
# ## How the recipe of fine_tuned was found {.appendix}
#
# @tbl-w-recipe lists all that was tried for `fine_tuned`, on development sites, before its settings were
# fixed.

# %%
#| label: tbl-w-recipe
#| tbl-cap: "Development: mIoU in % of one run each, and of the linear head that it started from. Without texture the head starts lower than that."
pd.read_csv(paths.published_root() / "development" / "fine_tuned.csv").style.hide(
    axis="index"
).format({"miou": "{:.1f}", "frozen_linear": "{:.1f}", "lr": "{:g}"})

# %% [markdown]
# ## What was not shown
#
# - Three data sets are three kinds of images, and their dense masks have errors of their own. The
#   development of the learners looked at other sites of two of them; `usgs_coast` was never looked at.
# - A program drew the labels from dense masks: people click on pixels that are easy to see.
# - Corrections (W10) need so many confident errors apart from each other: sites with fewer are in
#   neither mean. Where masks are coarse, a confident error may be one of the mask.
# - Unsure labels (W14) are the second half of their budget; the first is random. They lie more than 16
#   pixels apart, which random ones need not, and a program that makes no error gave them their class.
# - Networks have one label draw a site. Scribbles were drawn inside objects by a program, and nobody timed
#   either kind of label on such images.
# - The area of applicability was tried with one learner and one draw of labels on half of a site; a site
#   with fewer than 50 scored pixels on one side is in no difference.
# - The share of a site's pixels that is scored is a sample; for the rarest classes its error adds to
#   the intervals.

# %%
#| echo: false
assert set(applies["ground"]) == set(APPLIES)
assert (tests["verdict"] == "holds").all()
assert first["above 0, %"].idxmin() == "another site"
assert judged["verdict"].str.contains("holds|does not hold|cannot tell").all()
