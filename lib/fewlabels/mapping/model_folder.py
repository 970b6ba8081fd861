"""A model folder: everything that another machine needs to predict, and what the model came from.

    FOLDER/model.safetensors    weights, or the nodes of a forest's trees
    FOLDER/model.json           network, classes, colours, bands, ranges, training record, licence

Nothing in it has to be unpickled, and no path of the machine that wrote it is in it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from fewlabels.files import whole_folder
from fewlabels.mapping import forest
from fewlabels.mapping.bands import Ranges
from fewlabels.training import networks
from fewlabels.types import FewLabelsError

FORMAT = 1
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
        network: see `networks.build`; `forest` for a `forest.Forest`.
        colours: RGB of each class.
        asked: the bands of a scene to use, counted from 1; all but alpha bands if empty.
        bands: names of those, in the order in which the network gets them.
        kind: number format of the scene that it was trained on.
        pixel: side of its pixels in the unit of its coordinates (root of a pixel's area).
        system: its coordinate reference system.
        window: side in pixels of what the network is given at once, unless asked otherwise.
        record: what it was trained on and how, and its scores.
        licence: under which terms the model may be used, as who trained it said.
    """

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

    @property
    def of_pixels(self) -> bool:
        """Whether the model looks at single pixels, so that windows need not share any."""
        return self.network == forest.NAME


def write(folder: Path, about: About, network: nn.Module) -> None:
    """Write the model folder, whole or not at all.

    Raises:
        ModelError: there is something of that name.
        DiskFullError: it does not fit.
    """
    if folder.exists():
        raise ModelError(f"'{folder}' is there already; name another folder or delete it")
    with whole_folder(folder) as scratch:
        state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        (scratch / "model.safetensors").write_bytes(save(state))
        text = json.dumps({"format": FORMAT} | asdict(about), indent=1)
        (scratch / "model.json").write_text(text + "\n")


def about(folder: Path) -> About:
    """What a model folder says of its model.

    Raises:
        ModelError: it is not there, damaged or of another format.
    """
    try:
        text = json.loads((folder / "model.json").read_text())
        if text.pop("format") != FORMAT:
            raise ModelError(f"the model '{folder}' is of a format other than {FORMAT}")
        ends = {name: tuple(map(float, values)) for name, values in text.pop("ranges").items()}
        lists: Sequence[str] = ("classes", "asked", "bands")
        tuples = {name: tuple(text.pop(name)) for name in lists}
        colours = tuple(tuple(colour) for colour in text.pop("colours"))
        found = About(ranges=Ranges(**ends), colours=colours, **tuples, **text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"'{folder}' cannot be read as a model folder ({error!r}); it must hold model.json and "
            "model.safetensors, as `fewlabels train` writes them"
        ) from error
    if len(found.bands) != len(found.ranges.low) or len(found.classes) != len(found.colours):
        raise ModelError(f"the model '{folder}' is damaged: bands, ranges, classes, colours differ")
    return found


def network(folder: Path, about: About) -> nn.Module:
    """The network (or forest) of a model folder, on the CPU.

    Raises:
        ModelError: the weights are not there, damaged or do not fit.
        UnknownName: a network that this version does not know.
    """
    bands, classes = len(about.bands), len(about.classes)
    file = folder / "model.safetensors"
    try:
        if about.of_pixels:
            return forest.Forest(**load_file(file)).checked(bands, classes)
        made = networks.build(about.network, classes, channels=bands, weights="none")
        made.load_state_dict(load_file(file), strict=True)
    except (OSError, SafetensorError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"the weights '{file}' cannot be read or do not fit ({error})") from error
    return made
