"""Segmentation networks by name: images in [0, 255] go through `normalise`, then the network.

`smp:<Architecture>:<encoder>` is any pair of segmentation_models.pytorch. For its U-Nets a fourth
part, as in `smp:Unet:resnet18:3`, says how often the encoder halves the image (5); the decoder is
cut to fit. `deeplabv3_resnet50` is torchvision's. Every network returns logits f32[b k h w] of the
size of its input, whose sides must be multiples of `STRIDE`.
"""

from collections.abc import Callable

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_resnet50

from fewlabels.models import pretrained
from fewlabels.models.pretrained import Provenance
from fewlabels.types import unknown

STRIDE = 32
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

DECODER = (256, 128, 64, 32, 16)  # channels from the deepest level up, as in smp
SMP_ARCHITECTURES = {a.__name__.lower(): a for a in smp.MODEL_ARCHITECTURES_MAPPING.values()}


class OnlyLogits(nn.Module):
    """torchvision's segmentation networks answer with a dictionary; this keeps its `out`."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        return self.net(images)["out"]


def build(
    name: str, classes: int, *, channels: int = 3, weights: str = "none", seed: int = 0, **options
) -> nn.Module:
    """A network with `classes` outputs, in float32 on the CPU.

    Args:
        name: `smp:<Architecture>:<encoder>[:<depth>]` or `deeplabv3_resnet50`.
        channels: bands of the input; pretrained kernels are fitted to it, see `pretrained`.
        weights: what the encoder starts from, see `pretrained`; the head is always new.
        seed: of everything that starts at random.
        **options: passed to the library's constructor.

    Raises:
        UnknownName: no such model, architecture or encoder.
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


def _smp(
    parts: list[str], classes: int, channels: int, weights: str, **options
) -> tuple[nn.Module, Provenance]:
    architecture, encoder, *depth = parts
    if depth:
        options = _cut(depth[0]) | options
    if architecture.lower() not in SMP_ARCHITECTURES:
        raise unknown(
            "architecture", architecture, (a.__name__ for a in SMP_ARCHITECTURES.values())
        )
    if encoder not in smp.encoders.encoders and not encoder.startswith("tu-"):
        raise unknown("encoder", encoder, smp.encoders.encoders)
    net = SMP_ARCHITECTURES[architecture.lower()](
        encoder_name=encoder, encoder_weights=None, in_channels=channels, classes=classes, **options
    )
    return net, pretrained.start_smp(net, encoder, channels, weights)


def _cut(depth: str) -> dict[str, object]:
    if depth not in ("3", "4", "5"):
        raise unknown("encoder depth", depth, ("3", "4", "5"))
    halvings = int(depth)
    return {"encoder_depth": halvings, "decoder_channels": DECODER[-halvings:]}


def _deeplabv3(
    parts: list[str], classes: int, channels: int, weights: str, **options
) -> tuple[nn.Module, Provenance]:
    net = deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=classes, aux_loss=False, **options
    )
    if channels != 3:
        first = net.backbone["conv1"]
        net.backbone["conv1"] = nn.Conv2d(
            channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False
        )
    return OnlyLogits(net), pretrained.start_deeplabv3(net, channels, weights)


FAMILIES: dict[str, tuple[Callable[..., tuple[nn.Module, Provenance]], tuple[int, ...]]] = {
    "smp": (_smp, (2, 3)),
    "deeplabv3_resnet50": (_deeplabv3, (0,)),
}
MODEL_NAMES = ("smp:<Architecture>:<encoder>[:<depth>]", "deeplabv3_resnet50")
