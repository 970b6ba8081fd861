"""Which notebooks make a report, what they are given, and where it goes."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from fewlabels import environment, paths, studies
from fewlabels.data import registry
from fewlabels.experiments import recommendations, sweep
from fewlabels.report.build import build
from fewlabels.report.execute import execute_all
from fewlabels.report.kept import keep
from fewlabels.report.publish import Shown, publish, shown
from fewlabels.types import DataError

log = logging.getLogger(__name__)

NOTEBOOKS = (
    "00_question",
    "01_data",
    "02_sparsify",
    "03_losses",
    "04_one_run",
    "05_your_own_images",
    "10_backbone_budget",
    "11_unet_unetpp",
    "12_mars_ablation",
    "13_pixels_linking",
    "14_sampling_loss",
    "15_label_budget",
    "16_protocol",
    "90_analysis",
    "91_failures",
)
OF_STUDIES = {
    "10_backbone_budget": ("A",),
    "11_unet_unetpp": ("B",),
    "12_mars_ablation": ("C",),
    "13_pixels_linking": ("D",),
    "14_sampling_loss": ("E",),
    "15_label_budget": ("budget",),
    "16_protocol": ("leak", "redrawing", "selection"),
}
"""The notebooks that show studies, and nothing without one of them."""
OF_ALL = ("90_analysis", "91_failures")  # rest on what the others record
AT_ONCE = 4  # notebooks, or as many as there are cores
TITLE = "Few labels, whole maps"
SUBTITLE = "Semantic segmentation of remote-sensing imagery from sparse labels"
ABSTRACT = (
    "Five small studies asked what a segmentation network can learn when only some pixels carry a "
    "label, each from one run a condition. Their claims are run again here under one protocol: "
    "the same label draws, seeds and steps for all conditions compared, splits by place, scores on "
    "every test pixel that carries a class, intervals over places. Every number of ours follows "
    "from committed records and benchmarks."
)


def make(data: str, profile: str, *, device: str = "auto") -> tuple[Path, Path]:
    """Execute the notebooks that changed and build the report; the paths of its HTML and PDF.

    `published` trains nothing and writes report/index.html and report/report.pdf from the
    committed records; every other profile writes under report/_build.

    Raises:
        FewLabelsError: data that cannot be had, a notebook that raised, a broken reference.
    """
    began = time.monotonic()
    studies.scale("E", profile, data)
    what = shown(data) if profile == "published" else None
    images = _images(data, what)
    stems = _stems(profile, data)
    own = {} if profile == "published" else {"04_one_run": _one_run(profile, data)}
    build_root = paths.project_root() / "report" / "_build"
    executed = execute_all(
        [paths.project_root() / "notebooks" / f"{stem}.py" for stem in stems],
        build_root / f"{data}-{profile}",
        {"data": data, "profile": profile, "device": device},
        own=own,
        key=lambda notebook: _state(images, profile),
        at_once=_at_once(profile, device),
        last=() if profile == "published" else OF_ALL,  # there all is recorded before
        kept=None if images else paths.kept_root(),
    )
    out = build_root / profile if profile in ("smoke", "published") else build_root
    synthetic = data == "synthetic"
    said = [recommendations.opening(what.tables, what.claims)] if what else []
    html, pdf = build(
        executed, out, _header(data, profile, device, images, time.monotonic() - began),
        title=TITLE, subtitle=SUBTITLE,
        abstract="\n\n".join((ABSTRACT, *said)),
        note="Synthetic scenes." if synthetic else "",
        banner=registry.SOURCES["synthetic"].notice if synthetic else "",
    )  # fmt: skip
    if what is None:
        return html, pdf
    if images:
        for notebook in executed:
            keep(notebook, paths.kept_root())
    return publish(html, pdf, dict(zip(stems, executed, strict=True)), what)


def _images(data: str, what: Shown | None) -> str | None:
    """The fingerprint of the images; None where the published report does without, since those of
    some study are not here.

    Args:
        what: the published report shows; None for the other profiles.
    """
    root = paths.data_root()
    if what is None:
        return registry.load(data, registry.fetch(data, root)).fingerprint
    used = {next(iter(t.values())).run.data.partition(":")[0] for t in what.found.values()}
    try:
        return {name: registry.SOURCES[name].find(root).fingerprint for name in used | {data}}[data]
    except DataError as error:
        log.info("%s\ncells that show images are not executed: report/kept has them", error)
        return None


def _stems(profile: str, data: str) -> list[str]:
    """Those whose studies the profile has; of the published report, those that train nothing."""
    there = set(sweep.available(profile, data))
    out = {stem for stem, names in OF_STUDIES.items() if not there & set(names)}
    if profile == "published":
        out |= {"04_one_run", "05_your_own_images"}
    return [stem for stem in NOTEBOOKS if stem not in out]


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
    return {
        "Data": f"{data} (hash {images[:12]})" if images else _without(data),
        "Profile": profile,
        "Device": _hardware(profile, device),
        "Commit": str(facts["commit"]),
        "Versions": f"Python {facts['python']}, {packages}",
        "Lock": str(facts["lock"]),
        "Built": f"{environment.now()}, after {seconds:.0f} s of notebooks (unchanged ones kept)",
    }


def _without(data: str) -> str:
    """What the report says of data that were not there when it was built."""
    kept = [json.loads(file.read_text()) for file in paths.kept_root().glob("*.json")]
    commits = sorted({facts["commit"] for facts in kept})
    return (
        f"{data}, whose images were not at hand: what shows them was made from commit "
        f"{', '.join(commits)}"
    )


def _at_once(profile: str, device: str) -> int:
    """How many notebooks to execute at the same time: cores are shared, a GPU or TPU is not."""
    if profile != "published":
        from fewlabels import devices  # with torch, which reading records does without

        if devices.compute(device).device.type != "cpu":
            return 1
    return min(AT_ONCE, os.cpu_count() or 1)


def _hardware(profile: str, device: str) -> str:
    if profile == "published":
        return "none, nothing was trained; each record names its own"
    from fewlabels import devices  # with torch, which reading records does without

    return devices.compute(device).hardware


def _state(images: str | None, profile: str) -> str:
    """What a notebook's result depends on besides itself: library, lock, data, its records."""
    root = paths.project_root()
    apart = {"report", "cli.py"}
    files = [f for f in (root / "lib").rglob("*.py") if not apart & {f.parent.name, f.name}]
    files += [root / "lib" / "fewlabels" / "lint" / "printed.csv", root / "requirements.lock"]
    files += (paths.bench_root() / "results").glob("*.json")
    if profile == "published":
        files += [f for f in paths.published_root().rglob("*") if f.is_file()]
    if images is None:
        files += paths.kept_root().glob("*.json")
    total = hashlib.sha256((images or "").encode())
    for file in sorted(files):
        total.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return total.hexdigest()
