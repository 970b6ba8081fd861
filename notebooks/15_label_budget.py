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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/15_label_budget.ipynb)

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
# # How many labels, which, and from which weights {#sec-budget}
#
# Each of the five studies looked at one or two budgets. Here the number of labelled pixels an image
# runs from a handful to all of them, and everything else stays as it is. Two questions go with it:
# does it help to spread the labels evenly over the classes, and what are pretrained weights worth?
# Questions and claims are ours, declared before the runs.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from fewlabels.report.chapter import claims_table, forest, open_studies
from fewlabels.results import figures, statistics

chapters = open_studies(("budget", "balance", "pretraining"), profile, data, device)
tables = {name: each.table for name, each in chapters.items()}
chapter = chapters["budget"]
chapter

# %% [markdown]
# ## The claims
#
# @tbl-claims-budget and @fig-claims-budget show the verdicts; @sec-analysis says when a claim holds.

# %%
#| label: tbl-claims-budget
#| tbl-cap: "Our own questions: the claim, our effect with its 95 % interval, and the verdicts on our networks and on a frozen head (@sec-head; a dash: it cannot answer)."
claims_table(*chapters.values())

# %%
#| label: fig-claims-budget
#| fig-cap: "Effects of the claims on a difference: networks, with 95 % interval over folds, and, where asked, a frozen head over the sites of several data sets. The claimed side is right of 0."
figure = forest(*chapters.values())

# %% [markdown]
# ## What was run {.appendix}
#
# Draws are nested: the pixels of a smaller budget are among those of a larger one. All conditions
# of one (fold, replicate) share the draw, the initial weights, the number of steps, and the crops
# that hold a label. At the smallest budgets many hold none and are placed anew.

# %%
#| label: tbl-factors-budget
#| tbl-cap: "What all runs of the budget curve shared."
chapter.factors("units", "fixed")

# %% [markdown]
# ## The curve
#
# @fig-budget shows the scores, @tbl-budget the means and their quotient with the dense score, with
# Fieller's interval [@fieller1954].

# %%
#| label: fig-budget
#| fig-cap: "Test mIoU on dense masks by labelled pixels an image: mean and 95 % interval over sites, single runs as faint dots. The band is the interval of networks trained on every pixel for as many steps. Conditions are compared in pairs, which intervals side by side do not show."
curve = tables["budget"]
series = {"random": curve[~curve["condition"].isin(["dense", "1 %"])]}
if "balance" in tables:
    even = tables["balance"]
    even = even[even["condition"].str.startswith("stratified")]
    series["even over the classes"] = even[
        even["condition"] != "stratified, 1 %"
    ]  # as 1,000 px here
if "pretraining" in tables:
    weights = tables["pretraining"]
    series["random, from scratch"] = weights[weights["condition"].str.startswith("from scratch")]
figure = figures.budget_curve(series, bound=curve[curve["condition"] == "dense"])

# %%
#| label: tbl-budget
#| tbl-cap: "Labelled pixels an image, their share of all that carry a class, mIoU, and its share of the dense score, both with 95 % interval over sites, n = runs."
statistics.budget_table(curve, "dense").style.hide(axis="index")

# %%
#| echo: false
shares = statistics.shares_of_bound(curve, "dense")
means = curve.groupby("condition")["pixels_a_tile"].mean().drop("dense").sort_values()
below = [condition for condition in means.index if shares[condition].mean < 0.95]
above = means.index[means.index.get_loc(below[-1]) + 1 :] if below else means.index
Markdown(
    (
        f"The mean stays at or above 95 % of the dense score from {means[above[0]]:,.0f} pixels an image on "
        f"({shares[above[0]].text(digits=0)} %, n = {shares[above[0]].units} units on {shares[above[0]].blocks} site(s)). "
        if len(above)
        else f"No budget up to {means.max():,.0f} pixels an image reaches 95 % of the dense score. "
    )
    + "The dense score is that of a network trained on every pixel for as many steps, not the best that "
    "dense masks can give."
)

# %% [markdown]
# ## Which pixels, and from which weights
#
# @tbl-arms has both comparisons. Nothing is pretrained on synthetic scenes, so there the second is
# missing.

# %%
#| label: tbl-arms
#| tbl-cap: "Random labels against labels even over the classes, and pretrained weights against random ones: mean mIoU and 95 % interval in %, n = runs."
arms = {name: table for name, table in tables.items() if name != "budget"}
shown = [statistics.summary(t, {"mIoU in %": ("miou", 100, 1)}) for t in arms.values()]
pd.concat(shown) if shown else pd.DataFrame({"condition": ["no whole comparison is recorded yet"]})

# %% [markdown]
# A mean over the classes hides each of them: @tbl-budget-classes has them apart, and
# @tbl-budget-sites what labels even over the classes gain on each group of test sites. Neither was
# declared before the runs, so no verdict rests on them.

# %%
#| label: tbl-budget-classes
#| tbl-cap: "IoU of each class in %: mean over runs and 95 % interval over sites."
classes = chapter.first.facts["data"]["classes"]
both = pd.concat([tables.get("balance", curve), curve[curve["condition"] == "dense"]])
of_classes = {
    condition: statistics.by_class(rows, classes)["IoU"]
    for condition, rows in both.groupby("condition", sort=False)
}
pd.DataFrame(of_classes).T.rename_axis("condition").reset_index().style.hide(axis="index")

# %%
#| label: tbl-budget-sites
#| tbl-cap: "What labels even over the classes gain over random ones, in points of mIoU: mean over the replicates on each fold."
wide = both.pivot_table(index="fold", columns="condition", values="miou", sort=False)
even_conditions = [c for c in wide if c.startswith("stratified")]
gain = {
    c.split(", ")[1]: 100 * (wide[c] - wide[c.replace("stratified", "random")])
    for c in even_conditions
}
by_fold = pd.DataFrame(gain).T.rename(columns="fold {}".format).rename_axis("labels an image")
by_fold.reset_index().style.hide(axis="index").format(precision=1)

# %% [markdown]
# ## Checks {.appendix}
#
# Labels grow with the budget in every unit, labels seen never exceed labels drawn, and every
# condition has the same steps.

# %%
by_size = curve.groupby("condition")["pixels_a_tile"].mean().sort_values().index
grown = curve.pivot(index=["fold", "replicate"], columns="condition", values="pixels")[by_size]
assert (np.diff(grown.to_numpy(), axis=1) > 0).all()
for each in chapters.values():
    assert each.within_budget()
    assert len({r.run.steps for r in each.runs.values()}) == 1

# %% [markdown]
# ## What was not shown
#
# Other networks, learning rates and numbers of steps: a handful of labels might do better with
# fewer steps, and all of them with more. Labels are drawn at random from dense masks; a person
# would rather click inside objects than at their borders.
