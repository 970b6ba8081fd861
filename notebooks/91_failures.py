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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/91_failures.ipynb)

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
# # Where the networks fail {#sec-failures .appendix}
#
# A mean IoU does not say where a network fails. On which images, in which classes, at outlines or
# in whole areas? Is it right as often as it is sure? How far is it from what two people agree on,
# who mapped the same ground? Everything follows from the recorded counts of each test image.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"

# %%
from IPython.display import Markdown, display

from fewlabels.experiments import agreement, sweep
from fewlabels.results import failures, figures
from fewlabels.scoring import boundaries, metrics

figures.style()
there = [name for name in ("E", "D") if name in sweep.available(profile, data)]
found = {name: sweep.recorded(name, profile, data) for name in there}
some = next(iter(found["E"].values()))
names = failures.classes(found["E"])
display(Markdown(some.notice))

# %% [markdown]
# ## What was read
#
# Images and classes are those of system E. Early records hold no counts of outlines and of
# confidence; where those of E do not, system D's are taken for these.

# %%
full = next(name for name in found if failures.counted(found[name]))
dense = {unit: r for unit, r in found["E"].items() if r.run.sampler == "all"}
sparse = {unit: r for unit, r in found["E"].items() if unit not in dense}
Markdown(
    f"System E: {len(sparse)} runs on sparse labels, {len(dense)} on dense ones. Outlines and confidence: "
    f"system {full}, {len(found[full])} runs. {len({u[1] for u in found['E']})} fold(s) of sites, "
    f"{len({t for r in found['E'].values() for t in r.tiles})} test images."
)

# %% [markdown]
# ## The worst images
#
# @tbl-worst and @fig-worst have the five images with the lowest mIoU over all runs of system E. An
# image's mIoU is the mean over the classes of its mask, so a class of few pixels weighs as much as
# any other.

# %%
#| label: tbl-worst
#| tbl-cap: "The five worst images: mIoU and accuracy in % (mean over the conditions, 95 % interval over label draws and seeds), and the confusion that costs most pixels, as share of that image and of the true class in it."
worst = failures.worst(found["E"])
shown = worst[["image", "fold", "runs"]].assign(
    mIoU=[i.text() for i in worst["miou"]],
    accuracy=[i.text() for i in worst["accuracy"]],
    confusion=worst["truth"] + " taken for " + worst["taken_for"],
)
shown["% of image"] = (100 * worst["of_image"]).map("{:.0f}".format)
shown["% of class"] = (100 * worst["of_truth"]).map("{:.0f}".format)
shown.style.hide(axis="index")

# %%
#| label: fig-worst
#| needs: images
#| fig-cap: "The five worst images and their masks."
tiles = failures.images(data, some.run.grid, worst["image"])
masks = {f"{id}, mask": figures.painted(tile.mask, names) for id, tile in tiles.items()}
shown = {id: tile.image for id, tile in tiles.items()} | masks
figure = figures.pictures(shown, columns=len(tiles), side=1.8)
figures.legend(figure, names, void=True)

# %%
#| echo: false
by_image = failures.by_image(found["E"])
means = by_image.groupby(["fold", "image"])["miou"].mean()
folds = worst["fold"].value_counts()
Markdown(
    f"Over {len(means)} images in {by_image['fold'].nunique()} fold(s) the mean mIoU goes from "
    f"{100 * means.min():.1f} to {100 * means.max():.1f} %; {folds.iloc[0]} of the worst five lie in fold {folds.index[0]}."
)

# %% [markdown]
# ## Class by class
#
# The mean over classes hides that some are mapped well on nearly every image and others on none
# (@fig-classes).

# %%
#| label: fig-classes
#| fig-cap: "IoU of each class on each test image that holds it (dots: mean over the runs of system E, shape: fold), and the mean of the folds with its 95 % interval (of the images where there is one fold)."
of_images = by_image.groupby(["fold", "image"])[[f"iou_{name}" for name in names]].mean()
rows = of_images.set_axis(names, axis=1).melt(
    var_name="condition", value_name="miou", ignore_index=False
)
figure = figures.compared(rows.dropna().reset_index(), names, label="IoU on one image in %")

# %% [markdown]
# @fig-confusion and @tbl-confused show what a class is taken for, by networks trained on sparse
# labels and on every pixel. What both confuse alike is hardly the sparsity's fault. Where they
# differ, so do their labels' class shares, since half of the sparse ones are even over the classes.

# %%
#| label: fig-confusion
#| fig-cap: "What a true class (row) is predicted as, in % of its test pixels: mean over folds of the runs of system E. Left: all conditions with sparse labels. Right: every pixel labelled."
panels = {
    "sparse labels": failures.confused(sparse),
    "every pixel labelled": failures.confused(dense),
}
figure = figures.heat_maps(panels, names)

# %%
#| label: tbl-confused
#| tbl-cap: "The five most frequent errors of networks trained on sparse labels: share of the true class's test pixels in % with its 95 % interval over folds, the same with every pixel labelled, and n = runs."
keys = ["truth", "taken_for"]
wide = panels["sparse labels"].merge(
    panels["every pixel labelled"], on=keys, suffixes=("", " dense")
)
wide = wide[wide["truth"] != wide["taken_for"]]
top = wide.assign(mean=[i.mean for i in wide["share"]]).nlargest(5, "mean")
shown = top[keys].assign(sparse=[i.text(digits=0) for i in top["share"]])
shown["every pixel"] = [i.text(digits=0) for i in top["share dense"]]
shown["n"] = [f"{s}, {d}" for s, d in zip(top["runs"], top["runs dense"], strict=True)]
shown.rename(columns={"taken_for": "taken for"}).style.hide(axis="index")

# %% [markdown]
# ## Outlines and areas
#
# @tbl-outlines compares the F1 of a class's outline with that of its pixels. An outline counts as
# found within 2 % of the image's diagonal. That is wide where streets and houses lie close: there a
# map can follow the outlines and still be wrong about what they enclose, as the two annotations of
# the same ground are.

# %%
#| label: tbl-outlines
#| tbl-cap: "F1 of pixels and of outlines by class, in %, and outlines less pixels in points: mean and 95 % interval over folds. People: one annotation of Dubai's tiles 4 and 8 scored against the other, pixels and outlines (only beside networks tested there)."
lines = failures.outlines(found[full])
views = [view for view in agreement.recorded("dubai") if view.twice()]
texts = {c: [i.text() for i in lines[c]] for c in ("f1", "boundary_f1", "gap")}
shown = lines[["class"]].assign(n=[i.units for i in lines["f1"]], **texts)
for view in views if data == "dubai" else ():
    of = (
        metrics.scores(view.statistics.confusion).f1,
        boundaries.scores(view.statistics.boundaries).f1,
    )
    both = {c: f"{100 * f:.0f}, {100 * b:.0f}" for c, f, b in zip(view.classes, *of, strict=True)}
    shown[f"people, {view.truth}"] = shown["class"].map(both).fillna("-")
shown.rename(columns={"f1": "pixels", "boundary_f1": "outlines"}).style.hide(axis="index")

# %% [markdown]
# ## Confidence
#
# A *confidence* is the probability that a network gives to the class it predicts. Where it is
# calibrated, seven in ten pixels with confidence 0.7 are right [@guo2017calibration].
# @fig-reliability shows 15 bins, with the expected calibration error (ECE), the mean distance from
# the line over the pixels.

# %%
#| label: fig-reliability
#| fig-cap: "Right predictions by confidence on test images, with 95 % intervals over folds (over replicates where there is one fold); grey bars: share of all pixels in a bin; line: calibrated. Title: ECE with 95 % interval. The text below names the study."
conditions = {
    condition: {u: r for u, r in found[full].items() if u[0] == condition}
    for condition in dict.fromkeys(unit[0] for unit in found[full])
}
panels = {
    c: (failures.reliability(r), failures.calibration_error(r)) for c, r in conditions.items()
}
figure = figures.reliability(panels)

# %%
#| echo: false
lines = []
for condition, (table, error) in panels.items():
    cautious = table["right"].map(lambda i: i.mean) > table["confidence"]
    lines.append(
        f"{condition}: ECE {error.text()} % (n = {error.units}), under-confident in bins that hold "
        f"{100 * table['share'][cautious].sum():.0f} % of the pixels"
    )
trained_with = sorted({r.run.loss.replace("_", " ") for r in found[full].values()})
Markdown(
    "; ".join(lines)
    + f". The networks are of study {full}, trained with {', '.join(trained_with)}. The focal loss is known to "
    "lower confidence [@mukhoti2020calibrating]; other losses were not measured."
)

# %% [markdown]
# ## Beside people
#
# Three pairs of Dubai's tiles show partly the same ground and were annotated apart. @tbl-people
# scores one annotation against the other. That is no bound: where both err apart, a perfect map
# agrees with each better than they do with one another.

# %%
#| label: tbl-people
#| tbl-cap: "Two annotations of the same ground in Dubai: agreement in % of the pixels that have a class in both, mIoU over the classes of the tile taken for truth, IoU of each class. Real images, at their own resolution."
#| data: reported
people = agreement.table(agreement.recorded("dubai"))
shares = [c for c in people if people[c].dtype == float]
people.style.hide(axis="index").format(
    {"pixels": "{:,}"} | {c: lambda v: f"{100 * v:.0f}" for c in shares}, na_rep="-"
)

# %% [markdown]
# @tbl-beside compares networks with people on the images of which more than half is annotated
# twice, those of tiles 4 and 8. They are of one fold, on whose tiles no network was trained: the
# interval is over label draws and seeds on this one site and says nothing of others.

# %%
#| label: tbl-beside
#| tbl-cap: "mIoU in % on the same images by the other annotation and by networks, and how many points networks are below people, over the classes that both truths hold: mean and 95 % interval over replicates. Networks only where the report is of these images."
#| data: reported
table = agreement.compared(views, found if data == "dubai" else {})
below = [i.text() if i is not None else "-" for i in table["below"]]
shown = table[["truth", "images", "by"]].assign(
    mIoU=[i.text().removesuffix(" [no interval]") for i in table["miou"]], below=below
)
shown.assign(n=table["runs"]).style.hide(axis="index")

# %%
#| echo: false
networks = table[table["runs"] > 0]
gaps = networks["below"].map(lambda i: i.mean)
Markdown(
    f"Of {len(networks)} comparisons the closest is {networks['by'][gaps.idxmin()]} on {networks['truth'][gaps.idxmin()]}, "
    f"{networks['below'][gaps.idxmin()].text()} points below people (n = {networks['runs'][gaps.idxmin()]}); the farthest "
    f"{networks['by'][gaps.idxmax()]} on {networks['truth'][gaps.idxmax()]}, {networks['below'][gaps.idxmax()].text()}."
    if len(networks)
    else "The networks of this report were not tested on these images, so none stands beside people."
)

# %% [markdown]
# ## Checks
#
# Per image and pooled counts are the same pixels, the shares of a true class add up to one, the bins of
# confidence hold every scored pixel, and both views of a pair of annotations agree on as many pixels.

# %%
for record in found[full].values():
    scored = record.statistics.calibration[:, :, 0].sum()
    truth = record.confusion.sum(axis=(0, 2))
    assert scored == truth.sum() - truth[list(record.ignored)].sum()
for table in (failures.confused(sparse), failures.confused(dense)):
    total = table.assign(mean=[i.mean for i in table["share"]]).groupby("truth")["mean"].sum()
    assert ((total - 1).abs() < 1e-9).all()
assert set(worst["image"]) <= set(by_image["image"])
assert people.groupby(people.index // 2)["accuracy"].agg(lambda a: a.max() - a.min()).max() < 1e-3

# %% [markdown]
# ## What was not shown
#
# Maps of the predictions: the published records hold counts, not weights. Accuracy away from
# outlines: the counts do not hold it. Why an image is hard. The two annotations cover the three
# grounds that tiles share, by trainees of one organisation; other people may agree more, or less.
