"""A model folder: what another machine needs to predict, and what the model came from.

    FOLDER/model.safetensors    weights of a network or a linear head, or
    FOLDER/model.skops          a forest
    FOLDER/second.*             likewise, of the second-best learner, where several were scored
    FOLDER/model.json           learner, classes, colours, bands, ranges, training record, licence
    FOLDER/training_pixels.safetensors    features of some training pixels, see `applicability`

Nothing in it has to be unpickled, and no path of the machine that wrote it is in it.
"""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

from fewlabels.devices import Compute
from fewlabels.files import whole_folder
from fewlabels.learners import LEARNERS, Predictor
from fewlabels.mapping.scene import Ranges
from fewlabels.types import IGNORE, FewLabelsError

FORMAT = 3  # before, files of linear heads for three classes and more were scrambled
MOST = 2**24  # bytes of model.json
SIDE = 2**14  # pixels of a window
UNSTATED = (
    "Not stated. The weights follow from the scene, the labels and the weights that training "
    "started from; whatever licences those have apply. The code that made them is under MIT."
)


class ModelError(FewLabelsError):
    """A model folder that is missing, damaged or of another format."""


@dataclass(frozen=True)
class About:
    """What a model folder says of its model.

    Attributes:
        learner: its name in `LEARNERS`.
        network: see `networks.build`; empty for other learners.
        colours: RGB of each class.
        asked: the bands of a scene to use, counted from 1; all but alpha bands if empty.
        bands: names of those, in the order in which the model gets them.
        kind: number format of the scene that it was trained on.
        pixel: side of its pixels in the unit of its coordinates (root of a pixel's area).
        system: its coordinate reference system.
        window: side in pixels of what the model is given at once, unless asked otherwise.
        record: what it was trained on and how, and its scores.
        licence: under which terms the model may be used, as who trained it said.
        second: name of the second learner, if any.
    """

    learner: str
    network: str
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    asked: tuple[int, ...]
    bands: tuple[str, ...]
    kind: str
    ranges: Ranges
    pixel: float
    system: str
    window: int
    record: Mapping[str, object]
    licence: str = UNSTATED
    second: str = ""


def free(folder: Path) -> None:
    """Raise ModelError if there is something of that name."""
    if folder.exists():
        raise ModelError(f"'{folder}' is there already; name another folder or delete it")


def write(
    folder: Path,
    about: About,
    predictor: Predictor,
    second: Predictor | None = None,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write the model folder, whole or not at all.

    Args:
        beside: further files, by their names.

    Raises:
        ModelError: there is something of that name.
        DiskFullError, PlaceError: it cannot be written.
    """
    free(folder)
    with whole_folder(folder) as scratch:
        predictor.write(file(scratch, about))
        if second is not None:
            second.write(file(scratch, about, second=True))
        text = json.dumps({"format": FORMAT} | asdict(about), indent=1)
        (scratch / "model.json").write_text(text + "\n")
        for name, content in beside.items():
            (scratch / name).write_bytes(content)


def about(folder: Path) -> About:
    """What a model folder says of its model.

    Raises:
        ModelError: it is missing, damaged or of another format.
    """
    try:
        text = json.loads(_bounded(folder / "model.json", MOST).read_text())
        if text.pop("format") != FORMAT:
            raise ModelError(
                f"the model '{folder}' is of a format other than {FORMAT}; train it again"
            )
        found = _typed(text, About, "model.json")
    except (OSError, ValueError, KeyError, TypeError, AttributeError,
            ArithmeticError, RecursionError) as error:  # fmt: skip
        raise ModelError(
            f"'{folder}' cannot be read as a model folder ({error!r}); `fewlabels train` writes one"
        ) from error
    ends = found.ranges
    rules = {
        "2 to 255 classes of different names": 2 <= len(set(found.classes)) == len(found.classes)
        <= IGNORE,
        "a colour of 0 to 255 for each class": len(found.classes) == len(found.colours)
        and all(0 <= part <= 255 for colour in found.colours for part in colour),
        "a range for each band, with low not above high": len(found.bands)
        == len(ends.low) == len(ends.high) > 0
        and all(low <= high for low, high in zip(ends.low, ends.high, strict=True)),
        "a number from 1 on for each band that was asked for": len(found.asked)
        in (0, len(found.bands))
        and all(number > 0 for number in found.asked),
        "pixels with a side above 0": found.pixel > 0,
        f"windows of 1 to {SIDE} pixels": 1 <= found.window <= SIDE,
    }  # fmt: skip
    for rule, kept in rules.items():
        if not kept:
            raise ModelError(f"the model '{folder}' is damaged: it does not have {rule}")
    return found


def file(folder: Path, about: About, *, second: bool = False) -> Path:
    """Where a model folder keeps its learner, or its second one.

    Raises:
        ModelError: the learner is unknown.
    """
    name = about.second if second else about.learner
    if name not in LEARNERS:
        raise ModelError(f"the model '{folder}' is of an unknown learner '{name}'")
    kept = folder / LEARNERS[name].FILE
    return kept.with_stem("second") if second else kept


def predictor(folder: Path, about: About, compute: Compute, *, second: bool = False) -> Predictor:
    """The predictor of a model folder, or its second one.

    Raises:
        ModelError: its file is missing, damaged or does not fit.
    """
    kept = file(folder, about, second=second)
    learner = LEARNERS[about.second if second else about.learner]
    options = {"model": about.network} if about.network and not second else {}
    try:
        _bounded(kept, math.inf)
        return learner.read(kept, len(about.classes), len(about.bands), compute, **options)
    except (OSError, RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise ModelError(
            f"'{kept}' cannot be read or does not fit the model ({error}); train it again"
        ) from error


def _bounded(file: Path, most: float) -> Path:
    """Return a file that is regular (a pipe would be waited for) and of at most so many bytes."""
    if not file.is_file() or file.stat().st_size > most:
        raise ValueError(f"'{file}' is not there, no regular file or longer than {most:,} bytes")
    return file


def _typed(value: object, kind: object, where: str) -> Any:
    """Convert a value of JSON to the type that a dataclass declares for it.

    Raises:
        ValueError: it is of another type, or a number that is not finite; says where.
    """
    parts, inner = get_args(kind), functools.partial(_typed, where=where)
    if is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        return kind(**{n: _typed(v, hints[n], f"{where}: {n}") for n, v in value.items()})
    if get_origin(kind) is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[-1] is ... else parts
        return tuple(inner(v, k) for v, k in zip(value, kinds, strict=True))
    if get_origin(kind) is Mapping and isinstance(value, dict):
        return {name: inner(part, parts[1]) for name, part in value.items()}
    if kind is object:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind in (int, str) and type(value) is kind:
        return value
    raise ValueError(f"{where} is {value!r:.40}")
