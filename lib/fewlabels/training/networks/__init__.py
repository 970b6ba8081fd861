"""Segmentation networks by name: images in [0, 255] go through `normalise`, then the network.

    unet[:<options>]                             ours, see `unet.unet`
    unetpp[:<options>]                           ours, see `unetpp.unetpp`
    smp:<Architecture>:<encoder>[:<depth>]       segmentation_models.pytorch's
    deeplabv3_resnet50                           torchvision's

`<options>` is text such as `depth=4,se,spatial_dropout=0.1` (grammar: `names`). `<depth>`, 3 to 5,
says how often the encoder halves the image; the decoder is cut to fit. Every network returns logits
f32[b k h w] of the size of its input. Ours take any size; the libraries' need sides that are
multiples of `STRIDE` (smp's PAN at least 128 pixels).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fewlabels.training.networks import libraries, names, pretrained, unet, unetpp
from fewlabels.training.networks.names import OptionError
from fewlabels.training.networks.pretrained import Provenance
from fewlabels.types import WeightsError, unknown

__all__ = [
    "FAMILIES",
    "MODEL_NAMES",
    "STRIDE",
    "OptionError",
    "build",
    "build_with_provenance",
    "normalise",
]

STRIDE = 32
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def build(
    name: str, classes: int, *, channels: int = 3, weights: str = "none", seed: int = 0, **options
) -> nn.Module:
    """A network with `classes` outputs, in float32 on the CPU.

    Args:
        name: see `MODEL_NAMES`; for ours it may hold options.
        channels: bands of the input; pretrained kernels are fitted to it, see `pretrained`.
        weights: what the encoder starts from, see `pretrained`; the head is always new.
        seed: of everything that starts at random.
        **options: for ours those that the name does not give already, for smp's those of its
            constructor.

    Raises:
        UnknownName: no such model, architecture, encoder or option.
        OptionError: a value that an option cannot have, or an option given twice.
        WeightsError: the weights are not there or do not fit; never random weights instead.
    """
    return build_with_provenance(
        name, classes, channels=channels, weights=weights, seed=seed, **options
    )[0]


def build_with_provenance(
    name: str, classes: int, *, channels: int = 3, weights: str = "none", seed: int = 0, **options
) -> tuple[nn.Module, Provenance]:
    """`build`, and where the weights came from, for the record."""
    family, *parts = name.split(":")
    if family not in FAMILIES or len(parts) not in FAMILIES[family][1]:
        raise unknown("model", name, MODEL_NAMES)
    names.at_least(name, 1, classes=classes, channels=channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FAMILIES[family][0](parts, classes, channels, weights, **options)


def normalise(images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Bytes to floats with ImageNet's mean and deviation (RGB), or (x - 127.5) / 58 otherwise."""
    x = images.float() / 255
    if images.shape[1] != 3:
        return (x - 0.5) / 0.2275
    mean = torch.tensor(_MEAN, device=x.device).view(1, 3, 1, 1)
    std = torch.tensor(_STD, device=x.device).view(1, 3, 1, 1)
    return (x - mean) / std


Family = Callable[..., tuple[nn.Module, Provenance]]


def _from_scratch(function: Callable[..., nn.Module]) -> Family:
    """A function of ours as a family: its options from the name and the arguments, no weights."""
    name = function.__name__

    def network(
        parts: list[str], classes: int, channels: int, weights: str, **given
    ) -> tuple[nn.Module, Provenance]:
        if weights != "none":
            raise WeightsError(
                f"weights '{weights}': there are none for '{name}', which starts at random; "
                "use `none`"
            )
        options = names.options(name, parts[0] if parts else "", given, function)
        return function(channels, classes, **options), pretrained.RANDOM

    return network


FAMILIES: dict[str, tuple[Family, tuple[int, ...]]] = {
    "unet": (_from_scratch(unet.unet), (0, 1)),
    "unetpp": (_from_scratch(unetpp.unetpp), (0, 1)),
    "smp": (libraries.smp_network, (2, 3)),
    "deeplabv3_resnet50": (libraries.deeplabv3, (0,)),
}
MODEL_NAMES = (
    "unet[:<options>]",
    "unetpp[:<options>]",
    "smp:<Architecture>:<encoder>[:<depth>]",
    "deeplabv3_resnet50",
)
