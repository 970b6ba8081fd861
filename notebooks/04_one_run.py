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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/fewlabels/fewlabels/blob/main/notebooks/04_one_run.ipynb)

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
# # One run, from labels to a scored map {#sec-one-run}
#
# What happens in one training, and what does its record hold? Change any factor in the parameters
# cell and run the notebook again, or set it by `papermill -p`.

# %% tags=["parameters"]
data = "synthetic"
profile = "quick"
device = "auto"
fold = 0
model = "smp:Unet:resnet18:3"
weights = "none"
sampler = "random"
budget = 0.01
loss = "partial_cross_entropy"
steps = 300
grid = 256
crop = 128
watch = 6
lr = 0.005
seed = 0

# %%
import pandas as pd
from IPython.display import Markdown, display

from fewlabels import devices, paths, studies
from fewlabels.experiments import prepare, run
from fewlabels.report.cells import plain_text
from fewlabels.results import figures, records
from fewlabels.scoring import inference
from fewlabels.types import IGNORE

figures.style()
this = studies.Run(
    data=data, fold=fold, grid=grid, model=model, weights=weights, sampler=sampler, amount=budget,
    draw=seed, loss=loss, steps=steps, crop=crop, watch=watch, lr=lr, seed=seed,
)  # fmt: skip

# %% [markdown]
# ## The labels
#
# The tiles of the training sites are loaded and their labels drawn once (@fig-draw).

# %%
ready = prepare.prepare(this)
display(Markdown(ready.train.notice))
shown = max(ready.labelled, key=lambda t: len(set(t.labels.ravel().tolist())))
given = pd.Series(ready.counts, ready.train.classes)

# %%
#| label: fig-draw
#| fig-cap: "A training tile and what training sees of its mask. Labelled pixels are enlarged."
figure = figures.pictures(
    {
        "image": shown.image,
        "labels": figures.dotted(shown.image, shown.labels, ready.train.classes),
    },
    side=3.4,
)
figures.legend(figure, ready.train.classes)

# %%
#| echo: false
of = sum(t.labels.size for t in ready.labelled)
rarest, commonest = map(plain_text, (given.idxmin(), given.idxmax()))
Markdown(
    f"{given.sum():,} labelled pixels on {len(ready.labelled)} training tiles ({100 * given.sum() / of:.2f} % of "
    f"their pixels), from {given.min():,} ({rarest}) to {given.max():,} ({commonest})."
)

# %% [markdown]
# ## Training
#
# The run is trained unless its record exists. @fig-curve shows the loss on sparse labels, and the
# score on the dense masks of the test sites, which decides nothing.

# %%
record = run.execute(this, device=device)

# %%
#| label: fig-curve
#| fig-cap: "Training loss on the labelled pixels and test mIoU on dense masks, by step. One run."
figure = figures.curves({"this run": [record.history]})

# %% [markdown]
# ## The map
#
# The last weights predict whole test images. @fig-map shows the tile of median accuracy, @fig-iou
# the IoU of each class over all test tiles.

# %%
compute = devices.compute(device, this.precision)
trained = compute.placed(run.trained(record))
right = [m.trace() / m.sum() for m in record.confusion]
middle = ready.test[sorted(range(len(right)), key=right.__getitem__)[len(right) // 2]]
predicted = inference.predict(trained, middle.image, compute)

# %%
#| label: fig-map
#| fig-cap: "Test tile of median accuracy: image, dense mask, prediction, and where they differ (dark). Void is left out."
classes = ready.test.classes
wrong = (predicted != middle.mask) & (middle.mask != IGNORE)
panels = {
    "image": middle.image,
    "dense mask": figures.painted(middle.mask, classes),
    "prediction": figures.painted(predicted, classes),
    "wrong": figures.highlighted(wrong),
}
figure = figures.pictures(panels, side=2.4)
figures.legend(figure, classes, void=True)

# %%
#| label: fig-iou
#| fig-cap: "IoU of each class on the dense masks of all test tiles, last weights. One run."
score = record.scores
figure = figures.bars(pd.DataFrame({"IoU": 100 * score.iou}), classes, label="IoU in %")

# %%
#| echo: false
cost = record.facts["cost"]
Markdown(
    f"mIoU {100 * score.miou:.1f} %, accuracy {100 * score.accuracy:.1f} %, over {len(record.tiles)} test tiles of "
    f"fold {fold}; trained in {cost['train_seconds']:.0f} s on {record.facts['environment']['device']}. "
    "One run compares nothing; @sec-e compares conditions."
)

# %% [markdown]
# ## The record
#
# All of this follows from four files in one folder, the scores from confusion matrices without a
# network. @tbl-record identifies the run.

# %%
#| label: tbl-record
#| tbl-cap: "What the record of this run says (an extract)."
facts = record.facts
extract = {
    "key": record.key,
    "labelled pixels": facts["labels"]["pixels"],
    "of which seen": facts["labels"]["seen"],
    "labels' SHA-256": facts["labels"]["sha256"][:16],
    "weights": f"{facts['weights']['weights']} ({facts['weights']['origin']})",
    "parameters": facts["parameters"],
    "precision": facts["environment"]["precision"],
    "torch": facts["environment"]["packages"]["torch"],
    "commit": facts["environment"]["commit"],
}
pd.DataFrame({"value": [str(v) for v in extract.values()]}, index=list(extract))

# %% [markdown]
# ## Checks {.appendix}
#
# The recorded scores follow from the matrices, training saw no more labels than were drawn, and the
# prediction above is the one that was scored.

# %%
assert abs(facts["scores"]["miou"] - score.miou) < 1e-12
assert facts["labels"]["seen"] <= facts["labels"]["pixels"] == given.sum()
at = record.tiles.index(middle.id)
assert (~wrong & (middle.mask != IGNORE)).sum() == record.confusion[at].trace()
assert records.read(paths.runs_root(), record.key).run == record.run

# %% [markdown]
# ## What was not shown
#
# Another draw, seed or site gives another number; one run does not say how far apart they are.
