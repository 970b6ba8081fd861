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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/21_frozen_head.ipynb)

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
# # Labels and losses with a frozen head {#sec-head}
#
# Does it matter which pixels are labelled, with which loss, and how many? The five studies asked it of
# networks, on one data set each, and most verdicts are *cannot tell*: a network takes minutes, and two
# seeds of the same network differ by more than the effects. A linear head on frozen features takes
# seconds. Here it is trained by the same losses on the same draws of labels, on sites of four folds, and
# maps the sites of the fifth. A site is the independent unit.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
import pandas as pd
from IPython.display import Markdown

from fewlabels import studies
from fewlabels.experiments import sweep
from fewlabels.results import figures, frozen_arm, statistics
from fewlabels.results.statistics.decisions import SCALE
from fewlabels.studies.frozen_arm import CLAIMS, DATA, HEAD, NETWORK, TESTED, claims, family

figures.style()
rows = frozen_arm.scored()
judged = frozen_arm.claims(rows)

# %% [markdown]
# ## What was run
#
# The same rows are read whatever data set and profile this report is of; nothing is trained here. The
# head sees the bands, texture, and EfficientNet-Lite0's features of a pixel; only its own weights are
# trained, by L-BFGS on all labelled pixels at once. The penalty of the weights was chosen on development
# sites, which are not scored (`studies/frozen_arm.py`). @tbl-head-runs counts the fits.

# %%
#| label: tbl-head-runs
#| tbl-cap: "Test sites, label draws (replicates) and trained heads of each data set."
heads = rows[(rows["learner"] == HEAD) & rows["data"].isin(DATA)]
fits = heads.drop_duplicates(["data", "fold", "replicate", "condition"]).groupby("data").size()
counted = heads.groupby("data").agg(sites=("site", "nunique"), replicates=("replicate", "nunique"))
counted.assign(heads=fits)

# %% [markdown]
# ## The claims, asked of a head and of networks
#
# @tbl-head-claims has every claim that does not need a network. Data sets count alike, and the interval
# speaks of other sites of such kinds. A claim *holds* where the interval is on its side and p, by Holm
# within its study, is below 0.05. It does *not hold* where the interval is on the other side, or where
# the difference is shown to be within one point. Where two data sets contradict each other, the verdict
# is given for each.

# %%
#| label: tbl-head-claims
#| tbl-cap: "Claims on labels and losses: effect with a frozen head over all data sets (points of mIoU, or share of the dense score) with 95 % interval over sites, verdict, and what to do by the posterior."
shown = frozen_arm.table(judged, rows)
shown.style.hide(axis="index")

# %% [markdown]
# The same claims were asked of a network: `fine_tuned` trains on from such a head, with the encoder, by
# the loss of the claim, on the same labels. It was run on fewer sites and draws. @tbl-head-arms has its
# effects, and the verdicts of the five studies' kind of network, trained for 250 steps on Dubai.

# %%
#| label: tbl-head-arms
#| tbl-cap: "The same claims by three kinds of learners: verdict on the head, effect and verdict on the fine-tuned network with its sites and data sets, verdict on the networks of 250 steps on Dubai."
tuned = frozen_arm.claims(rows, learner=NETWORK)
asked_of = rows[rows["learner"] == NETWORK]
networks = {}
for name in TESTED:
    table = sweep.table(name, sweep.recorded(name, "published", "dubai"))
    verdicts = statistics.verdicts(table, studies.study(name).claims)
    networks |= dict(zip(verdicts["claim"], verdicts["verdict"], strict=True))
arms = pd.DataFrame({"claim": judged["claim"], "frozen head": judged["verdict"]})
beside = frozen_arm.table(tuned, rows, NETWORK)
beside["data sets"] = [len(effect) - 1 for effect in tuned["effect"]]
beside["claim"] = tuned["claim"]
beside = beside.rename(columns={"verdict": "fine-tuned network"}).drop(columns="what to do")
arms = arms.merge(beside.astype(object), on="claim", how="left").fillna("-")
arms["networks, Dubai"] = arms["claim"].map(networks)
arms.style.hide(axis="index").format(precision=0)

# %%
#| echo: false
apart = {"holds", "does not hold"}
kinds = ("frozen head", "fine-tuned network", "networks, Dubai")
decided = [f"{arms[kind].isin(apart).sum()} ({kind})" for kind in kinds]
against = arms.loc[[apart <= set(row) for row in arms[[*kinds]].to_numpy()], "claim"]
Markdown(
    f"Of {len(arms)} claims are decided: {', '.join(decided)}. "
    + (
        f"They contradict each other on {', '.join(against)}."
        if len(against)
        else "Where two of them decide, they agree."
    )
)

# %% [markdown]
# @fig-head-forest has the differences of each data set apart.

# %%
#| label: fig-head-forest
#| fig-cap: "Effect of each claim on a difference of mIoU, by data set and over all of them (black), with 95 % interval over sites. The claim is on the right of 0."
asked, effects = claims(), dict(judged[["claim", "effect"]].to_numpy())
figure = figures.forest({c: e for c, e in effects.items() if asked[c].measure == "difference"})

# %% [markdown]
# What to do rests on a model: a difference is the effect, plus a data set's, a site's and a run's deviation,
# and the deviations have half-t priors (`results/statistics/decisions.py`). @tbl-head-prior repeats the
# advice with priors of half and of double the width.

# %%
#| label: tbl-head-prior
#| tbl-cap: "What to do by the width of the priors of the deviations, in points of mIoU; claims on a difference."
widths = {
    f"{100 * SCALE * k:g} points": frozen_arm.claims(rows, scale=SCALE * k) for k in (0.5, 1, 2)
}
advice = {name: frozen_arm.table(each, rows)["what to do"] for name, each in widths.items()}
told = pd.DataFrame({"claim": judged["claim"], **advice}).query("`1.5 points` != '-'")
told.style.hide(axis="index")

# %%
#| echo: false
swayed = told.loc[told.iloc[:, 1:].nunique(axis=1) > 1, "claim"]
Markdown(
    "The width of the priors changes the advice on "
    + (", ".join(swayed) if len(swayed) else "none of them")
    + "."
)

# %% [markdown]
# ## Pooled in other ways {.appendix}
#
# The verdicts take data sets as fixed and sites as random. @tbl-head-pooled has two other views, which
# decide nothing. Hartung and Knapp's interval speaks of other data sets; over so few it is wide. Nadeau
# and Bengio's is over folds and allows for the training sites that folds share. The p is of the
# hypothesis that all data sets have one effect.

# %%
#| label: tbl-head-pooled
#| tbl-cap: "The effects of claims on a difference, pooled in three ways, in points of mIoU with 95 % intervals: a frozen head, then the fine-tuned network."
pooled = [
    frozen_arm.sensitivity(rows, claims(), who).assign(asked=arm)
    for arm, who in frozen_arm.ARMS.items()
]
pd.concat(pooled).set_index(["asked", "claim"])

# %% [markdown]
# ## A frozen head beside a network
#
# On Dubai both were trained on the same draws of labels and tested on the same folds. @tbl-head-networks
# pairs them by fold and replicate. The networks are those of the budget study, 250 steps from ImageNet
# weights; with more steps they score higher, so this compares two recipes and not what networks can do.

# %%
#| label: tbl-head-networks
#| tbl-cap: "Dubai: mIoU in % of the head and of published networks by labelled pixels an image; differences in points, paired, with 95 % interval over folds, n = runs."
budget = sweep.table("budget", sweep.recorded("budget", "published", "dubai"))
beside = frozen_arm.beside_networks(frozen_arm.by_fold(rows, "dubai"), budget)
beside.style.hide(axis="index")

# %% [markdown]
# ## Learners on new ground
#
# The learners of `fewlabels train`, fitted to random labels of some sites, map others. @tbl-head-learners
# has what is recorded of them, with claims X1 to X4 that were declared before: a linear head on
# frozen features beats the forest of single pixels at each budget.

# %%
#| label: tbl-head-learners
#| tbl-cap: "Claims on learners across sites: gain over the single-pixel forest in points of mIoU over all data sets, with 95 % interval over sites."
asked = {name: claim for name, claim in CLAIMS.items() if family(name) == "learners"}
frozen_arm.table(frozen_arm.claims(rows, asked), rows).style.hide(axis="index")

# %% [markdown]
# ## Training the encoder, too
#
# `fine_tuned` starts from a linear head and trains head and encoder together, by the recipe that was
# found on development sites (@sec-w). It has the labels of the frozen head and is scored on the same
# pixels. Claims T1 to T4 (@tbl-head-tuned) were declared before their runs; so were T5 to T8 on four
# times the steps, which were withdrawn before any run.

# %%
#| label: tbl-head-tuned
#| tbl-cap: "Claims on training the encoder across sites: gain over the frozen head with the same labels in points of mIoU, with 95 % interval over sites."
asked = {name: claim for name, claim in CLAIMS.items() if family(name) == "networks"}
frozen_arm.table(frozen_arm.claims(rows, asked), rows).style.hide(axis="index")

# %% [markdown]
# ## What was not shown
#
# - A verdict of the head is on the head. A network may answer otherwise, above all where it overfits.
# - A dense mask trains the head by a random part of its pixels. A head of so few weights cannot use more,
#   so its dense score is no bound for networks.
# - Labels were drawn by a program from masks that have errors of their own.
# - Most places of India and of the coast have one or two tiles, so patches dealt at random (L1) leak
#   little there.
# - The fine-tuned network has one draw of labels, on the data sets of @tbl-head-arms. The sites of a fold
#   share one network and its noise, so its verdicts are too sure: @tbl-head-pooled has intervals over folds.
# - Each tile is scored on at most 2,000 pixels, the same for all conditions.

# %%
#| echo: false
assert set(judged["verdict"].str.split(": ").str[-1]) <= {"holds", "does not hold", "cannot tell"}
assert (heads.groupby(["data", "condition"])["site"].nunique().groupby("data").nunique() == 1).all()
