"""Make a report: which notebooks it has, what they are given, and where it goes."""

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from fewlabels import environment, paths, studies
from fewlabels.data import registry
from fewlabels.experiments import sweep
from fewlabels.report.build import build
from fewlabels.report.cells import keep
from fewlabels.report.execute import execute_all
from fewlabels.report.publish import Shown, publish, shown
from fewlabels.types import DataError

log = logging.getLogger(__name__)

NOTEBOOKS: Mapping[str, tuple[str, ...]] = {
    "00_answer": (),
    "00_question": (),
    "01_data": (),
    "02_sparsify": (),
    "03_losses": (),
    "04_one_run": (),
    "05_your_own_images": (),
    "06_how_good_is_the_map": (),
    "10_backbone_budget": ("A",),
    "11_unet_unetpp": ("B",),
    "12_mars_ablation": ("C",),
    "13_pixels_linking": ("D",),
    "14_sampling_loss": ("E",),
    "15_label_budget": ("budget",),
    "16_protocol": ("leak", "redrawing", "selection"),
    "20_whole_maps": (),
    "21_frozen_head": (),
    "90_analysis": (),
    "91_failures": (),
}
"""In the order of the report; of those that show studies, one is shown if any of these has runs."""
TRAINING = ("04_one_run", "05_your_own_images", "06_how_good_is_the_map")
"""Not a part of the published report."""
OF_ALL = ("90_analysis", "91_failures")  # read what the others record
AT_ONCE = 4  # notebooks, or as many as there are cores
TITLE = "Few labels, whole maps"
SUBTITLE = "Semantic segmentation of remote-sensing imagery from sparse labels"
ABSTRACT = (
    "Real scenes, sparse labels, one protocol: splits are by site, all conditions of a comparison "
    "share labels and seeds, scores are on dense masks, intervals are over sites, and every number "
    "follows from committed records."
)


def make(
    data: str, profile: str, *, device: str = "auto", readme: Path | None = None
) -> tuple[Path, Path]:
    """Execute the notebooks, build the report, and return its HTML and PDF.

    `published` trains nothing and writes report/index.html and report/report.pdf from the
    committed records; every other profile writes under report/_build.

    Args:
        readme: the file whose figure and findings `published` renews; the project's if None.

    Raises:
        FewLabelsError: data that cannot be had, a notebook that raised, a broken reference.
    """
    began, root = time.monotonic(), paths.project_root()
    studies.scale("E", profile, data)
    what = shown(data) if profile == "published" else None
    images = _images(data, what)
    stems = _stems(profile, data)
    built = root / "report" / "_build"
    executed = execute_all(
        [root / "notebooks" / f"{stem}.py" for stem in stems],
        built / f"{data}-{profile}",
        {"data": data, "profile": profile, "device": device},
        own={} if what is not None else {"04_one_run": _one_run(profile, data)},
        at_once=_at_once(profile, device),
        last=OF_ALL if what is None else (),  # there all is recorded before
        kept=None if images else paths.kept_root(),
    )
    synthetic = data == "synthetic"
    html, pdf = build(
        executed,
        built / profile if profile in ("smoke", "published") else built,
        _header(data, profile, device, images, time.monotonic() - began),
        title=TITLE,
        subtitle=SUBTITLE,
        abstract=ABSTRACT,
        note="Synthetic scenes." if synthetic else "",
        banner=registry.SOURCES["synthetic"].notice if synthetic else "",
    )
    if what is None:
        return html, pdf
    if images:
        for notebook in executed:
            keep(notebook, paths.kept_root())
    by_stem = dict(zip(stems, executed, strict=True))
    return publish(html, pdf, by_stem, data, what, root / "report", readme or root / "README.md")


def _images(data: str, what: Shown | None) -> str | None:
    """Return the fingerprint of the images; None where the published report does without.

    Args:
        what: the published report shows; None for the other profiles.
    """
    root = paths.data_root()
    if what is None:
        return registry.load(data, registry.fetch(data, root)).fingerprint
    used = {next(iter(t.values())).run.data.partition(":")[0] for t in what.values()}
    try:
        return {name: registry.SOURCES[name].find(root).fingerprint for name in used | {data}}[data]
    except DataError as error:
        log.info("%s\ncells that show images are not executed: report/kept has them", error)
        return None


def _stems(profile: str, data: str) -> list[str]:
    there = set(sweep.available(profile, data))
    shown = [stem for stem, names in NOTEBOOKS.items() if not names or there & set(names)]
    return [stem for stem in shown if profile != "published" or stem not in TRAINING]


def _one_run(profile: str, data: str) -> dict[str, object]:
    scale, start = studies.scale("E", profile, data), sweep.start_of("E", profile, data)
    factors = asdict(studies.Run()) | dict(scale.fixed)
    own = {"model": start.model, "weights": start.weights}
    return own | {name: factors[name] for name in ("steps", "grid", "crop", "watch", "lr")}


def _header(
    data: str, profile: str, device: str, images: str | None, seconds: float
) -> Mapping[str, str]:
    facts = environment.facts()
    packages = ", ".join(f"{k} {v}" for k, v in facts["packages"].items())
    trained = f"{seconds:.0f} s of notebooks"
    return {
        "Data": f"{data} (hash {images[:12]})" if images else _without(data),
        "Profile": profile,
        "Device": "none, nothing was trained; each record names its own"
        if profile == "published"
        else _compute(device).hardware,
        "Commit": str(facts["commit"]),
        "Versions": f"Python {facts['python']}, {packages}",
        "Lock": str(facts["lock"]),
        "Built": f"{environment.now()}, after {trained}",
    }


def _without(data: str) -> str:
    """Say of which commits the stored outputs are, where the images are not here."""
    stored = [json.loads(file.read_text()) for file in paths.kept_root().glob("*.json")]
    commits = ", ".join(sorted({facts["commit"] for facts in stored}))
    return f"{data}, without its images: what shows them was made from commit {commits}"


def _at_once(profile: str, device: str) -> int:
    """Return how many notebooks run at the same time: cores are shared, a GPU or TPU is not."""
    alone = profile != "published" and _compute(device).device.type != "cpu"
    return 1 if alone else min(AT_ONCE, os.cpu_count() or 1)


def _compute(device: str) -> object:
    from fewlabels import devices  # with torch, which reading records does without

    return devices.compute(device)
