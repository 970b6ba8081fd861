"""A model folder: what another machine needs to predict, and what the model came from.

    FOLDER/model.safetensors    weights of a network or a linear head, or
    FOLDER/model.skops          a forest
    FOLDER/model.json           learner, classes, colours, bands, ranges, training record, licence

Nothing in it has to be unpickled, and no path of the machine that wrote it is in it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fewlabels.devices import Compute
from fewlabels.files import whole_folder
from fewlabels.learners import LEARNERS, Predictor
from fewlabels.mapping.scene import Ranges
from fewlabels.types import FewLabelsError

FORMAT = 2
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


def write(folder: Path, about: About, predictor: Predictor) -> None:
    """Write the model folder, whole or not at all.

    Raises:
        ModelError: there is something of that name.
        DiskFullError, PlaceError: it cannot be written.
    """
    if folder.exists():
        raise ModelError(f"'{folder}' is there already; name another folder or delete it")
    with whole_folder(folder) as scratch:
        predictor.write(scratch / LEARNERS[about.learner].FILE)
        text = json.dumps({"format": FORMAT} | asdict(about), indent=1)
        (scratch / "model.json").write_text(text + "\n")


def about(folder: Path) -> About:
    """What a model folder says of its model.

    Raises:
        ModelError: it is missing, damaged or of another format.
    """
    try:
        text = json.loads((folder / "model.json").read_text())
        if text.pop("format") != FORMAT:
            raise ModelError(f"the model '{folder}' is of a format other than {FORMAT}")
        ends = {name: tuple(map(float, values)) for name, values in text.pop("ranges").items()}
        tuples = {name: tuple(text.pop(name)) for name in ("classes", "asked", "bands")}
        colours = tuple(tuple(colour) for colour in text.pop("colours"))
        found = About(ranges=Ranges(**ends), colours=colours, **tuples, **text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"'{folder}' cannot be read as a model folder ({error!r}); `fewlabels train` writes one"
        ) from error
    if len(found.bands) != len(found.ranges.low) or len(found.classes) != len(found.colours):
        raise ModelError(f"the model '{folder}' is damaged: bands, ranges, classes, colours differ")
    return found


def predictor(folder: Path, about: About, compute: Compute) -> Predictor:
    """The predictor of a model folder.

    Raises:
        ModelError: its file is missing, damaged or does not fit.
    """
    if about.learner not in LEARNERS:
        raise ModelError(f"the model '{folder}' is of an unknown learner '{about.learner}'")
    learner = LEARNERS[about.learner]
    file = folder / learner.FILE
    options = {"model": about.network} if about.network else {}
    try:
        return learner.read(file, len(about.classes), len(about.bands), compute, **options)
    except (OSError, RuntimeError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(
            f"'{file}' cannot be read or does not fit the model ({error}); train it again"
        ) from error
