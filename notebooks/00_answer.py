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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/00_answer.ipynb)

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
# # What to do with the labels you have {#sec-answer}
#
# You have an image and some labelled pixels, and want a map. @fig-answer shows what three learners make
# of them, each in seconds on a laptop: the forest of single pixels that most tools offer, a forest on
# texture, and a linear head on the frozen features of a small network. Labels and map are of the same
# scene; the score is over the pixels without a label.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
from IPython.display import Markdown

from fewlabels.report import chapter
from fewlabels.results import figures, recommend, whole_maps

figures.style()
table = whole_maps.scored()

# %%
#| label: fig-answer
#| fig-cap: "mIoU of the map by the number of random labels on the scene: mean over real sites with 95 % interval. The arrow is what the head saves against the 1,000 labels of the forest of single pixels."
figure = recommend.drawn(table)

# %%
#| echo: false
said = chapter.five()
Markdown("\n".join(f"- {sentence}" for sentence in said))

# %% [markdown]
# `fewlabels train` scores the same learners on labels of your own that it holds out, and keeps the best.
# `fewlabels recommend` answers for your number of labels, @tbl-answer for some.

# %%
#| label: tbl-answer
#| tbl-cap: "What to take: gain in mIoU over the forest of single pixels with 95 % credible interval, the probability that it is above a point, and how many more labels that forest needs for the same score, with the minutes of as many clicks at 0.9 s each."
recommend.advice(table).style.hide(axis="index")

# %% [markdown]
# ## What was not shown
#
# The labels were drawn at random by a program from dense masks, which have errors of their own. Three
# data sets are three kinds of images: Czech orthophotos, photographs of a coast, Sentinel-2. Networks
# with more labels or more minutes are not in the figure; the chapters have what was measured of them.
# A score over labelled pixels of your own scene says more about your map than any of this.

# %%
#| echo: false
assert len(said) == 5
assert table["site"].nunique() > 150
