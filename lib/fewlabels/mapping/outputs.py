"""The files that a prediction leaves, made from its strips.

They are made in the folder of the strips; `predict` gives them their names.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fewlabels.files import whole_file
from fewlabels.mapping import class_map, class_text, gis, maps, smoothing
from fewlabels.mapping.model_folder import About
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.stream import Strip

ENDS = {
    "confidence": "_confidence.tif", "classes": ".tif", "polygons": ".gpkg",
    "probabilities": "_probabilities.tif", "applicability": "_applicability.tif", "style": ".qml",
    "areas": "_areas.csv", "item": ".json",
}  # fmt: skip
RASTERS = ("confidence", "classes", "probabilities", "applicability")
NOTES = "notes.json"  # written last
Strips = Callable[[], Iterator[Strip]]


@dataclass(frozen=True)
class Finish:
    """What is done to a map, and what is written beside it; nothing unless it is asked for.

    Attributes:
        smooth: average the probabilities within superpixels, see `smoothing`.
        sieve: hectares that an area has at least, see `smoothing.sieved`; 0 for any.
        probabilities: write NAME_probabilities.tif, percent of each class.
        polygons: write NAME.gpkg, the areas of the classes.
        clicks: how many pixels and blocks to name for labels in NAME_next.gpkg, see
            `query.chosen`; 0 for no file.
        applicability: write NAME_applicability.tif, see `applicability`.
        gis: write NAME.qml, NAME_areas.csv and NAME.json, see `gis`.
    """

    smooth: bool = False
    sieve: float = 0.0
    probabilities: bool = False
    polygons: bool = False
    clicks: int = 0
    applicability: bool = False
    gis: bool = False

    def targets(self, out: Path) -> dict[str, Path]:
        """The files that are written, by what they are, but for the clicks."""
        asked = {
            "confidence": True, "classes": True, "polygons": self.polygons,
            "probabilities": self.probabilities, "applicability": self.applicability,
            **dict.fromkeys(("style", "areas", "item"), self.gis),
        }  # fmt: skip
        found = {what: out.with_name(f"{out.stem}{ENDS[what]}") for what in ENDS if asked[what]}
        return found | {"classes": out}


PLAIN = Finish()


def places(folder: Path, targets: Iterable[str]) -> list[Path]:
    """Where the files of a prediction are made, in this order."""
    return [folder / f"{what}.{ENDS[what].rpartition('.')[2]}" for what in targets]


def make(
    scene: Scene,
    about: About,
    kept: Strips,
    folder: Path,
    finish: Finish,
    targets: dict[str, Path],
    where: Callable[[Path], list[str]],
) -> None:
    """Make the files of a prediction in `folder`; maps that are there already are kept.

    Args:
        kept: reads all strips of the scene.
        targets: see `Finish.targets`.
        where: writes where the map applies, and says it.
    """
    names = codes(about)
    made = dict(zip(targets, places(folder, targets), strict=True))
    notes = [*_classes(scene, about, kept, made["classes"], finish)]
    if not made["confidence"].exists():
        maps.write(made["confidence"], scene, (s.confidence for s in kept()), unit="percent")
    if finish.probabilities and not made["probabilities"].exists():
        strips = (strip.probabilities for strip in kept())
        maps.write(made["probabilities"], scene, strips, bands=about.classes, unit="percent")
    if finish.applicability:
        notes += where(made["applicability"])
    if finish.polygons and not made["polygons"].exists():
        gis.write_polygons(made["polygons"], made["classes"], names)
    if finish.gis:
        made["style"].write_text(gis.qml(names, about.colours))
        gis.areas(class_map.opened(made["classes"])).to_csv(made["areas"], index=False)
        rasters = {what: made[what] for what in RASTERS if what in made}
        files = {what: file.name for what, file in targets.items() if what != "item"}
        made["item"].write_text(gis.item(rasters, files, about))
        notes.append(gis.COUNTED)
    with whole_file(folder / NOTES) as scratch:
        scratch.write_text(json.dumps(notes))


def codes(about: About) -> Mapping[int, str]:
    """The classes of a model by their values in a map."""
    stored = about.record.get("codes")
    there = isinstance(stored, list) and len(stored) == len(about.classes)
    found = class_text.codes(stored if there else about.classes)
    return dict(zip(found, about.classes, strict=True))


def _classes(scene: Scene, about: About, kept: Strips, file: Path, finish: Finish) -> Iterator[str]:
    look = {"classes": about.classes, "palette": about.colours, "codes": tuple(codes(about))}
    if finish.smooth:
        every = sum(int((strip.classes != maps.NODATA).sum()) for strip in kept())
        changed = sum(int(strip.changed.sum()) for strip in kept())
        yield f"smoothing changed the class of {100 * changed / max(1, every):.2f} % of the pixels"
    if not finish.sieve:
        if not file.exists():
            maps.write(file, scene, (strip.classes for strip in kept()), **look)
        return
    plain = file.with_name("plain.tif")
    if not plain.exists():
        maps.write(plain, scene, (strip.classes for strip in kept()))
    found = smoothing.sieved(plain, scene, finish.sieve)
    if not file.exists():
        rows = range(0, scene.height, maps.TILE)
        maps.write(file, scene, (found[at : at + maps.TILE] for at in rows), **look)
    changed = every = at = 0
    for strip in kept():
        every += int((strip.classes != maps.NODATA).sum())
        changed += int((found[at : at + len(strip.classes)] != strip.classes).sum())
        at += len(strip.classes)
    yield (
        f"areas below {finish.sieve:g} ha ({smoothing.pixels(scene, finish.sieve)} pixels) took "
        f"the class around them: {100 * changed / max(1, every):.2f} % of the pixels; the "
        "confidence is still that of the class before"
    )
