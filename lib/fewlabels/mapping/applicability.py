"""Where a map applies: how unlike each pixel is to those that trained, and how far they lie.

The area of applicability is where the dissimilarity (`learners.dissimilarity`) is at most as large
as between held-out labels and what trained without them, outliers aside.

In the mean over sites a map errs more outside it, between the labels and on ground without any
(study W, `results.applied`). On one scene it need not, most of all on another than that of the
labels: there pixels may look like training pixels and be of another class.

Sources: Meyer and Pebesma 2021, https://doi.org/10.1111/2041-210X.13650; on distances on the ground
Meyer and Pebesma 2022, https://doi.org/10.1038/s41467-022-29838-9
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int
from rasterio.crs import CRS
from rasterio.windows import Window
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy.spatial import cKDTree
from tqdm.auto import tqdm

from fewlabels.learners import Predictor, dissimilarity, features
from fewlabels.learners import bank as banks
from fewlabels.learners.dissimilarity import Space
from fewlabels.learners.features import FeaturePredictor
from fewlabels.mapping import labelled_pixels, maps, score, tiles
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.labelled_pixels import LabelledPixels
from fewlabels.mapping.model_folder import About, ModelError
from fewlabels.mapping.recipe import Ground
from fewlabels.mapping.scene import Ranges, Read, Scene, to_bytes
from fewlabels.mapping.stream import UNKNOWN, Plan

FILE = "training_pixels.safetensors"
BANDS = ("dissimilarity to the training pixels", "1 where the map applies, 0 where it does not")
MOST = 2000  # training pixels that are kept, over the classes
FARTHER = 2  # times: the median distance of the map from that of the held-out labels
AT_ONCE = 2**15  # pixels that are compared at once
SAMPLE, ROWS = 10_000, 256  # pixels whose distance on the ground is looked at; rows at once
TENSORS, NUMBERS = ("x", "middle", "scale", "at"), ("mean", "threshold", "apart")


@dataclass(frozen=True)
class Reference(Space):
    """The training pixels of a model, and where its map applies.

    Attributes:
        at: their coordinates in the system of the scene that trained.
        threshold: the largest dissimilarity at which the map applies.
        apart: median distance of a held-out pixel from what trained without it, in metres (in
            pixels where the system is not known).
        crs: WKT of that system; empty where it is not known.
    """

    at: Float[np.ndarray, "n 2"]
    threshold: float
    apart: float
    crs: str

    def to_bytes(self) -> bytes:
        """Write it as safetensors, features in half precision."""
        rows = {name: np.ascontiguousarray(getattr(self, name)) for name in TENSORS}
        rows["x"] = rows["x"].astype(np.float16)
        about = {name: getattr(self, name) for name in (*NUMBERS, "crs")}
        return save(rows, metadata={"about": json.dumps(about)})


def reference(
    ground: Ground, scene: Scene, pixels: LabelledPixels, predictor: FeaturePredictor
) -> Reference | None:
    """Describe the training pixels of a learner: at most 2,000, as many of each class.

    Returns:
        None where no labels can be held out, or all training pixels look the same.
    """
    rows = _drawn(pixels, len(ground.classes), ground.recipe.seed)
    columns = features.columns_of(pixels.bank, predictor.bank)
    found = dissimilarity.space(pixels.x[rows][:, columns], predictor.head)
    starts = np.array([(piece.rows.start, piece.columns.start) for piece in ground.pieces])
    at = pixels.at[rows] + starts[pixels.piece[rows]]
    units = tiles.inventory(ground.pieces, len(ground.classes))
    unlike, apart = [], []
    for group in score.folds(units, ground.recipe.folds, ground.recipe.seed):
        labels = [score.remaining(piece, group, ground.recipe.gap) for piece in ground.pieces]
        trains = labelled_pixels.among(pixels, labels)[rows]
        held = np.isin(pixels.units[rows], list(group))
        if trains.any() and held.any():
            unlike.append(dissimilarity.nearest(found.x[held], found.x[trains]))
            apart.append(cKDTree(at[trains]).query(at[held])[0])
    if not unlike or found.mean == 0:
        return None
    across, down = scene.transform @ (at[:, 1] + 0.5, at[:, 0] + 0.5)
    return Reference(
        found.x, found.middle, found.scale, found.mean, np.stack([across, down], axis=1),
        dissimilarity.whisker(np.concatenate(unlike) / found.mean),
        float(np.median(np.concatenate(apart))) * scene.pixel,
        scene.crs.to_wkt() if scene.crs else "",
    )  # fmt: skip


def read(folder: Path, predictor: Predictor) -> Reference:
    """Read what training kept of a predictor.

    Raises:
        ModelError: the folder has no such file, or it is damaged.
    """
    file = folder / FILE
    if not (file.is_file() and isinstance(predictor, FeaturePredictor)):
        raise ModelError(
            f"the model '{folder}' keeps no training pixels, so it is not known where its map "
            "applies: it is a network, was trained before they were kept, or no labels could be "
            "held out (--folds 0); train it again, or leave --applicability out"
        )
    try:
        with safe_open(file, framework="numpy") as source:
            about = json.loads(source.metadata()["about"])
            x, middle, scale, at = map(source.get_tensor, TENSORS)
        depth = len(predictor.bank.names)
        numbers = [about[name] for name in NUMBERS]
        shapes = [part.shape for part in (x, middle, scale, at)]
        if shapes != [(len(x), depth), (depth,), (depth,), (len(x), 2)] or not len(x):
            raise ValueError("it is of other features")
        if not all(np.isfinite(part).all() for part in (x, middle, scale, at, numbers)):
            raise ValueError("a number is not finite")
        if about["mean"] <= 0:
            raise ValueError("the training pixels do not differ")
        return Reference(x.astype(np.float32), middle, scale, at=at, **about)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"'{file}' cannot be read ({error}); train the model again") from error


def write(
    scene: Scene, about: About, how: Plan, predictor: FeaturePredictor, known: Reference, file: Path
) -> list[str]:
    """Write BANDS of a scene, unless they are there, and say what they show; raises as
    `maps.write`.
    """
    plan = Plan(how.height, how.width, how.window, 0, UNKNOWN if how.halo is None else how.halo)
    if not file.exists():
        bar = tqdm(total=len(plan.down) * len(plan.across), unit="window", desc="applicability")
        with scenes.reading(scene) as source, bar:
            made = strips(plan, source, predictor, about.ranges, known, bar.update)
            maps.write(file, scene, made, bands=BANDS, kind="float32")
    inside = every = 0
    step, some = max(1, round(math.sqrt(scene.height * scene.width / SAMPLE))), []
    with scenes.dataset(file, "map") as source:
        for top in range(0, scene.height, step * ROWS):
            window = Window(0, top, scene.width, min(step * ROWS, scene.height - top))
            values = source.read(2, window=window)
            inside, every = inside + np.nansum(values), every + np.isfinite(values).sum()
            some.append(np.argwhere(np.isfinite(values[::step, ::step])) * step + (top, 0))
    return said(known, scene, float(inside / max(1, every)), np.concatenate(some))


def strips(
    plan: Plan,
    source: Read,
    predictor: FeaturePredictor,
    ranges: Ranges,
    known: Reference,
    tick: Callable[[], object],
) -> Iterator[Float32[np.ndarray, "2 _ w"]]:
    """Compute BANDS of a scene strip by strip; NaN where it has no valid pixel."""
    for rows in plan.down:
        made = np.full((2, rows.stop - rows.start, plan.width), np.nan, np.float32)
        for columns in plan.across:
            down, across = plan.seen(rows, columns)
            values, valid = source(down, across)
            corner = rows.start - down.start, columns.start - across.start
            wide = columns.stop - columns.start
            at = np.argwhere(valid[corner[0] :, corner[1] :][: made.shape[1], :wide])
            if len(at):
                image = to_bytes(values, valid, ranges)
                layers = list(banks.layers(predictor.bank, image, predictor.compute))
                for start in range(0, len(at), AT_ONCE):
                    part = at[start : start + AT_ONCE]
                    x = banks.sampled(layers, part + corner, valid.shape)
                    unlike = known.dissimilarity(x)
                    here = part[:, 0], part[:, 1] + columns.start
                    made[(0, *here)], made[(1, *here)] = unlike, unlike <= known.threshold
            tick()
        yield made


def distance(known: Reference, scene: Scene, at: Int[np.ndarray, "n 2"]) -> float | None:
    """Compute the median distance of pixels (row, column) from the training pixels, in metres (in
    pixels where the system is not known).

    Returns:
        None where the scene has another system than the one that trained.
    """
    own = scene.crs or None
    if (CRS.from_wkt(known.crs) if known.crs else None) != own:
        return None
    columns, rows = ~scene.transform @ tuple(known.at.T)
    found, _ = cKDTree(np.stack([rows, columns], axis=1)).query(at + 0.5)
    return float(np.median(found)) * scene.pixel


def said(known: Reference, scene: Scene, share: float, at: Int[np.ndarray, "n 2"]) -> list[str]:
    """Say where the map applies, and for which ground the held-out score speaks.

    Args:
        share: of the valid pixels, where the map applies.
        at: some of those pixels, all over the scene.
    """
    lines = [
        f"{100 * share:.1f} % of the pixels lie in the area of applicability (dissimilarity to the "
        f"training pixels at most {known.threshold:.3g}); the held-out score does not speak for "
        "the rest, where maps err more in the mean over sites, but not on each (study W)"
    ]
    found = distance(known, scene, at)
    if found is None:
        return [*lines, "how far the map lies from the training pixels is not known: the scenes "
                "have different coordinate reference systems"]  # fmt: skip
    unit = "m" if scene.crs else "pixels"
    lines.append(
        f"median distance on the ground to the nearest training pixel: {found:.3g} {unit} in the "
        f"map, {known.apart:.3g} {unit} for held-out labels"
    )
    if found > FARTHER * known.apart:
        lines.append(
            f"warning: that is {found / max(known.apart, 1e-9):.1f} times as far, so the held-out "
            "score speaks for ground nearer to labels than most of the map, and is likely too high "
            "for it; label more places, or hold out larger blocks (--block)"
        )
    return lines


def _drawn(pixels: LabelledPixels, classes: int, seed: int) -> Int[np.ndarray, " m"]:
    """Choose the training pixels to keep, the same number of each class at most."""
    rng, most = np.random.default_rng(seed), max(1, MOST // classes)
    found = [rng.permutation(np.flatnonzero(pixels.y == value))[:most] for value in range(classes)]
    return np.sort(np.concatenate(found))
