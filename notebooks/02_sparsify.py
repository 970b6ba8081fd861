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
# # Which pixels carry a label {#sec-labels}
#
# Which pixels does each sampler label, what does it cost a person, and how far can a few labels be
# expanded before they turn wrong? A counter-based generator [@salmon2011philox] ranks all pixels
# from (seed, tile), and a draw keeps the lowest ranks. So a draw is the same everywhere, and a
# smaller one lies inside a larger one.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"
seed = 0
seconds = 120

# %%
import pandas as pd
from IPython.display import Markdown, display

from fewlabels.data import registry
from fewlabels.experiments import audits
from fewlabels.labels import expansion, sampling
from fewlabels.results import figures
from fewlabels.studies import scale
from fewlabels.types import IGNORE

figures.style()
grid = scale("E", profile, data).fixed.get("grid", registry.GRID)

# %%
#| needs: images
tiles = registry.load(data, fold=0, split="all", grid=grid)
display(Markdown(tiles.notice))

# %% [markdown]
# ## What a budget looks like
#
# @fig-labels-budgets shows what a network sees, from 1 % of the pixels down to ten clicks. The tile
# is the one with the most classes.


# %%
#| needs: images
def present(tile):
    """How many classes a tile holds, and pixels of the rarest."""
    count = sampling.counts([tile.mask], len(tiles.classes))
    return (count > 0).sum(), count[count > 0].min()


tile = max(tiles, key=present)
budgets = {"1 % at random": ("random", 0.01), "0.1 % at random": ("random", 0.001)}
budgets |= {"10 clicks": ("points", 10), "10 strokes": ("scribbles", 10)}
few = {
    name: sampling.draw(tile.mask, how, n, seed=seed, tile=tile.id)
    for name, (how, n) in budgets.items()
}

# %%
#| needs: images
#| label: fig-labels-budgets
#| fig-cap: "One tile, its dense mask and four budgets. Single pixels are enlarged; the fewer, the larger."
panels = {"image": tile.image, "dense mask": figures.painted(tile.mask, tiles.classes)}
panels |= {name: figures.dotted(tile.image, d, tiles.classes) for name, d in few.items()}
figure = figures.pictures(panels, columns=3, side=2.8)
figures.legend(figure, tiles.classes, void=(tile.mask == IGNORE).any())

# %% [markdown]
# ## Every sampler at one cost
#
# @fig-samplers gives every sampler at most the same annotator time; @tbl-labels-cost says what that
# time buys. The timings are published ones of people who label everyday photographs
# [@bearman2016point; @papadopoulos2017extreme; @lin2014coco]; aerial images may take longer, and we
# measured none. The dense mask is charged an outline for each object, a block its share of that.

# %%
#| needs: images
spent = {
    how: sampling.draw_for(tile.mask, how, seconds, seed=seed, tile=tile.id)
    for how in sampling.SAMPLERS
}
clicks = ("random", "stratified", "per_class", "grid", "points", "objects", "centres")

# %%
#| needs: images
#| label: fig-samplers
#| fig-cap: "One tile under every sampler at no more than the same annotator time (except the dense mask, `all`). Clicks are enlarged."
panels = {
    how: (figures.dotted if how in clicks else figures.overlaid)(tile.image, d, tiles.classes)
    for how, (d, _) in spent.items()
}
figure = figures.pictures(panels, columns=4, side=2.2)
figures.legend(figure, tiles.classes)

# %%
#| needs: images
#| label: tbl-labels-cost
#| tbl-cap: "The draws of @fig-samplers, and how many of the tile's classes have a label."
rows = [
    {"sampler": how, "marks": f"{c.marks:,}", "labelled pixels": f"{c.pixels:,}"}
    | {"% of pixels": f"{100 * c.pixels / tile.mask.size:.2f}", "seconds": f"{c.seconds:.0f}"}
    | {"classes": (sampling.counts([d], len(tiles.classes)) > 0).sum()}
    for how, (d, c) in spent.items()
]
pd.DataFrame(rows).style.hide(axis="index")

# %%
#| needs: images
#| echo: false
pixels = {how: c.pixels for how, (_, c) in spent.items()}
drawn = sorted((h for h in pixels if h not in (*clicks, "all")), key=pixels.get, reverse=True)
Markdown(
    f"In {seconds} s clicks label at most {max(pixels[h] for h in clicks)} pixels; "
    + ", ".join(f"{how} {pixels[how]:,}" for how in drawn)
    + f". The dense mask takes {spent['all'][1].seconds / 60:.0f} minutes. Pixels that lie together say "
    "much the same thing, so neither seconds nor pixels alone compare samplers; only training tells."
)

# %% [markdown]
# ## Who gets labels {.appendix}
#
# @tbl-label-shares compares each class's share of the labels with its share of the pixels. Random
# and grid labels must agree with the masks up to chance, which checks the samplers.

# %%
#| needs: images
#| label: tbl-label-shares
#| tbl-cap: "Share of each class among the pixels and among the labels of four samplers at 1 %, in %, over all tiles."
counts = {"pixels": sampling.counts((t.mask for t in tiles), len(tiles.classes))}
for how in ("random", "grid", "stratified", "scribbles"):
    labels = [sampling.draw(t.mask, how, 0.01, seed=seed, tile=t.id) for t in tiles]
    counts[how] = sampling.counts(labels, len(tiles.classes))
shares = pd.DataFrame({k: 100 * v / v.sum() for k, v in counts.items()}, index=tiles.classes)
shares.style.format("{:.2f}")

# %%
#| needs: images
#| echo: false
ratio = (shares["stratified"] / shares["pixels"]).sort_values()
Markdown(
    f"Stratified labels give {ratio.index[-1]} {ratio.iloc[-1]:.1f} times its share of the pixels and "
    f"{ratio.index[0]} {ratio.iloc[0]:.2f} times. A network trained on them sees other class "
    "frequencies than it is tested on; nothing corrects that unless the loss does."
)

# %% [markdown]
# ## Expanding labels
#
# An *expansion* gives unlabelled pixels the class of a labelled one by a rule: *link* joins nearby
# labels of one class (system D's proximity linking), *disc* takes the nearest label, *geodesic* the
# nearest along paths that avoid edges [@criminisi2008geos], *slic* [@achanta2012slic] and
# *felzenszwalb* [@felzenszwalb2004] fill segments of the image. True labels stay; where a rule does
# not decide, a pixel stays unlabelled. @fig-expansions shows each rule at its middle reach.

# %%
#| needs: images
#| label: fig-expansions
#| fig-cap: "1 % random labels expanded by each rule (top), and the wrong labels in dark (bottom)."
drawn = sampling.draw(tile.mask, "random", 0.01, seed=seed, tile=tile.id)
reaches = {method: r[len(r) // 2] for method, r in audits.REACHES.items()}
made = {}
for method, reach in reaches.items():
    option = {expansion.METHODS[method].reach: reach} if reach else {}
    made[method] = expansion.expand(drawn, method, image=tile.image, **option)
panels = {m: figures.overlaid(tile.image, d, tiles.classes) for m, d in made.items()}
wrong = {m: (d != tile.mask) & (d != IGNORE) & (tile.mask != IGNORE) for m, d in made.items()}
panels |= {f"{m}: wrong": figures.highlighted(w) for m, w in wrong.items()}
figure = figures.pictures(panels, columns=len(made), side=1.6)
figures.legend(figure, tiles.classes)

# %% [markdown]
# ## The audit
#
# @fig-audit has two shares of each rule, @tbl-audit has them by class: the *coverage*, correctly
# labelled pixels of all pixels that carry a class, and the *purity*, correct pixels of those that
# the rule labels. The audit covers one tile a site of at most twelve sites, in the published report
# all tiles.

# %%
#| needs: images
table = (
    audits.recorded(data)
    if profile == "published"
    else audits.audited(audits.one_a_site(tiles), tiles.classes, seed=seed)
)

# %%
#| needs: images
#| label: fig-audit
#| fig-cap: "Coverage and purity of every rule at two budgets of random labels, pooled over tiles. A mark is a reach (pixels; slic: pixels a segment; felzenszwalb: its scale), in the order of @tbl-audit."
figure = figures.tradeoff(audits.shares(table, by=()))

# %%
#| needs: images
#| label: tbl-audit
#| tbl-cap: "Coverage / purity in % of each class, pooled over tiles, at 1 % random labels."
by_class = 100 * audits.shares(table).xs(0.01, level="budget")
text = by_class.apply(lambda r: f"{r['coverage']:.0f} / {r['purity']:.0f}", axis=1)
wide = text.unstack("class", sort=False)
wide.rename(index="{:g}".format, level="reach").reset_index().style.hide(axis="index")

# %% [markdown]
# @tbl-added counts the correct and wrong labels that each rule adds.

# %%
#| needs: images
#| label: tbl-added
#| tbl-cap: "Labels added for every given one: correct and wrong (mean over tiles, 95 % interval over sites), and the share that is right. Each rule has the reach with the largest surplus of correct over wrong labels."
gains = audits.added(table)
top = gains.loc[gains.groupby(["budget", "method"], sort=False)["net"].idxmax()]
shown = top[["correct", "wrong"]].map(lambda i: i.text(1))
shown["% right"] = (100 * top["right"]).map("{:.1f}".format)
shown = shown.rename(index="{:g}".format, level="reach")
shown.rename(index=lambda b: f"{100 * b:g} %", level="budget").reset_index().style.hide(
    axis="index"
)

# %%
#| needs: images
#| echo: false
lines, n, sites = [], table["tile"].nunique(), table["site"].nunique()
for budget in audits.BUDGETS:
    net = gains.xs(budget, level="budget")["net"]
    lines.append(
        f"At {100 * budget:g} % of the pixels {net.idxmax()[0]} (reach {net.idxmax()[1]:g}) has the largest "
        f"surplus of correct over wrong labels, {net.max():.1f} for every given one."
    )
    right = gains[gains["right"] >= 0.95].xs(budget, level="budget")["correct"]
    if len(most := right.map(lambda i: i.mean)):
        lines.append(
            f"Of the rules whose labels are right at least 95 times in 100, {most.idxmax()[0]} "
            f"(reach {most.idxmax()[1]:g}) adds most, {most.max():.1f}."
        )
Markdown(" ".join(lines) + f" n = {n} tiles of {sites} sites.")

# %% [markdown]
# ## Checks {.appendix}
#
# A smaller draw lies inside a larger one, the same call gives the same labels, a drawn label is
# never wrong, no draw exceeds its time, shares are within sampling error, and an expansion keeps
# the given labels.

# %%
#| needs: images
pairs = {how: (0.001, 0.01) for how in sampling.SAMPLERS if how not in ("all", "per_class")}
for how, pair in (pairs | {"per_class": (3, 40)}).items():
    less, more, again = (
        sampling.draw(tile.mask, how, n, seed=seed, tile=tile.id) for n in (*pair, pair[1])
    )
    inside = less != IGNORE
    assert (more[inside] == less[inside]).all()
    assert (again == more).all()
    assert (more[more != IGNORE] == tile.mask[more != IGNORE]).all()
assert all(c.seconds <= seconds for how, (_, c) in spent.items() if how != "all" and c.marks > 1)
n, p = counts["random"].sum(), shares["pixels"] / 100
assert ((shares["random"] / 100 - p).abs() <= 5 * (p * (1 - p) / n) ** 0.5 + 1e-4).all()
assert all((d[drawn != IGNORE] == drawn[drawn != IGNORE]).all() for d in made.values())

# %% [markdown]
# ## What was not shown
#
# The annotator is a program that never errs; people err most at borders and draw other strokes. The
# times are of other people and other images. An audit says how many labels are right, not whether a
# network trains better on them. Reaches (in pixels of this grid) and other options were not tuned.
