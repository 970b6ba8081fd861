"""Build a network from its name, and scale its input.

    unet[:<options>]                             ours, see `unet.unet`
    unetpp[:<options>]                           ours, see `unetpp.unetpp`
    smp:<Architecture>:<encoder>[:<depth>]       of segmentation_models.pytorch
    deeplabv3_resnet50                           of torchvision

`<options>` is text such as `depth=4,se,spatial_dropout=0.1` (grammar: `names`). `<depth>`, 3 to 5,
says how often the encoder halves the image; the decoder is cut to fit. Ours take images of any
size; the libraries' need sides that are multiples of `STRIDE` (smp's PAN at least 128 pixels).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fewlabels.training.networks import libraries, names, pretrained, unet, unetpp
from fewlabels.training.networks.pretrained import Provenance
from fewlabels.types import WeightsError, unknown

STRIDE = 32
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def build(
    name: str, classes: int, *, channels: int = 3, weights: str = "none", seed: int = 0, **options
) -> nn.Module:
    """Build a network with `classes` outputs, in float32 on the CPU.

    Args:
        name: see above; for ours it may hold options.
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
    """Build a network, and say where its weights came from, for the record."""
    family, *parts = name.split(":")
    if family not in FAMILIES or len(parts) not in FAMILIES[family][1]:
        raise unknown("model", name, (spelling for spelling, _, _ in FAMILIES.values()))
    names.at_least(name, 1, classes=classes, channels=channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FAMILIES[family][2](parts, classes, channels, weights, **options)


def normalise(images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Scale bytes by ImageNet's mean and deviation (RGB), or to (x - 127.5) / 58 otherwise."""
    mean, std = _scale(images)
    return (images.float() / 255 - mean) / std


def to_bytes(images: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b c h w"]:
    """Undo `normalise`."""
    mean, std = _scale(images)
    return ((images * std + mean) * 255).round().to(torch.uint8)


def _scale(images: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (MEAN, STD) if images.shape[1] == 3 else ((0.5,), (0.2275,))
    return tuple(torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (mean, std))


Make = Callable[..., tuple[nn.Module, Provenance]]


def _from_scratch(function: Callable[..., nn.Module]) -> Make:
    """Wrap a function of ours: its options come from the name and the arguments, no weights."""
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


FAMILIES: dict[str, tuple[str, tuple[int, ...], Make]] = {
    "unet": ("unet[:<options>]", (0, 1), _from_scratch(unet.unet)),
    "unetpp": ("unetpp[:<options>]", (0, 1), _from_scratch(unetpp.unetpp)),
    "smp": ("smp:<Architecture>:<encoder>[:<depth>]", (2, 3), libraries.smp_network),
    "deeplabv3_resnet50": ("deeplabv3_resnet50", (0,), libraries.deeplabv3),
}
"""How each family is spelled, how many parts its name may have, and what makes it."""
