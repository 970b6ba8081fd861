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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/02_sparsify.ipynb)

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
# # Sparse labels {#sec-labels}
#
# Which pixels does a draw take, and is a draw what the protocol says: made once, the same everywhere,
# nested in its budget? Every pixel has a rank, a pure function of (seed, tile) from a counter-based
# generator [@salmon2011philox]; a draw keeps the lowest ranks.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"
seed = 0

# %%
import pandas as pd
from IPython.display import Markdown, display

from fewlabels import datasets, figures, sparsify
from fewlabels.studies import scale
from fewlabels.types import IGNORE

figures.style()
grid = scale("E", profile, data).fixed.get("grid", datasets.GRID)
tiles = datasets.load(data, fold=0, split="train", grid=grid)
display(Markdown(tiles.notice))

# %% [markdown]
# ## The samplers side by side
#
# @fig-samplers spends the same number of pixels three ways. *Random* follows the shares of the
# classes, *stratified* splits the total evenly over the classes present and *per class* gives each
# class the same number, so its total follows from the number of classes. Where every class of a tile
# can fill its share, the last two are the same draw; where one cannot, only *stratified* passes the
# rest on.


# %%
def present(tile):
    """How many classes a tile holds, and pixels of the rarest."""
    count = sparsify.counts([tile.mask], len(tiles.classes))
    return (count > 0).sum(), count[count > 0].min()


tile = max(tiles, key=present)
classes = int(present(tile)[0])
budget = int(0.01 * (tile.mask != IGNORE).sum()) // classes * classes
amounts = {"random": budget, "stratified": budget, "per_class": budget // classes}
draws = {
    how: sparsify.draw(tile.mask, how, n, seed=seed, tile=tile.id) for how, n in amounts.items()
}

# %%
#| label: fig-samplers
#| fig-cap: "One tile under three samplers at one budget, about 1 % of its pixels; labelled pixels are drawn enlarged over the faded image."
panels = {"image": tile.image} | {
    how: figures.dotted(tile.image, d, tiles.classes) for how, d in draws.items()
}
figure = figures.pictures(panels, columns=2, side=3.4)
figures.legend(figure, tiles.classes)

# %% [markdown]
# ## Who gets labels
#
# Over all training tiles at 1 %, @tbl-shares compares the classes' shares of the labels with their
# shares of the pixels. Random labels must agree with the masks up to chance; that they do is a check
# that colours were decoded rightly.

# %%
#| label: tbl-shares
#| tbl-cap: "Share of each class among the pixels and among the labels of two samplers at 1 %, in %, over all training tiles of fold 0."
counts = {"pixels": sparsify.counts((t.mask for t in tiles), len(tiles.classes))}
for how in ("random", "stratified"):
    labels = [sparsify.draw(t.mask, how, 0.01, seed=seed, tile=t.id) for t in tiles]
    counts[how] = sparsify.counts(labels, len(tiles.classes))
shares = pd.DataFrame({k: 100 * v / v.sum() for k, v in counts.items()}, index=tiles.classes)
shares.style.format("{:.2f}")

# %%
#| echo: false
ratio = (shares["stratified"] / shares["pixels"]).sort_values()
Markdown(
    f"Stratified labels give {ratio.index[-1]} {ratio.iloc[-1]:.1f} times its share of the pixels and "
    f"{ratio.index[0]} {ratio.iloc[0]:.2f} times. A network trained on them sees other class "
    "frequencies than it is tested on; nothing corrects that unless the loss does."
)

# %% [markdown]
# ## Checks
#
# A smaller draw is contained in a larger one for every sampler, the same call gives the same labels,
# a label is never wrong, and random shares are within sampling error of the pixels' shares.

# %%
for how, pair in {"random": (0.001, 0.01), "stratified": (20, 500), "per_class": (3, 40)}.items():
    few, many, again = (
        sparsify.draw(tile.mask, how, n, seed=seed, tile=tile.id) for n in (*pair, pair[1])
    )
    inside = few != IGNORE
    assert (many[inside] == few[inside]).all()
    assert inside.sum() < (many != IGNORE).sum()
    assert (again == many).all()
    assert (many[many != IGNORE] == tile.mask[many != IGNORE]).all()
n, p = counts["random"].sum(), shares["pixels"] / 100
assert ((shares["random"] / 100 - p).abs() <= 5 * (p * (1 - p) / n) ** 0.5 + 1e-4).all()

# %% [markdown]
# ## What was not shown
#
# Scribbles, boxes, blocks and single clicks are not drawn yet, nothing is expanded, and the cost of a
# label is counted in pixels, not in an annotator's seconds.
