"""Networks of other libraries: segmentation_models.pytorch's and torchvision's DeepLabV3."""

import difflib
import inspect

import segmentation_models_pytorch as smp
import timm
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_resnet50

from fewlabels.training.networks import pretrained
from fewlabels.training.networks.names import OptionError
from fewlabels.training.networks.pretrained import Provenance
from fewlabels.types import unknown

DECODER = (256, 128, 64, 32, 16)  # channels from the deepest level up, as in smp
SMP_ARCHITECTURES = {a.__name__.lower(): a for a in smp.MODEL_ARCHITECTURES_MAPPING.values()}


class OnlyLogits(nn.Module):
    """Return the `out` of the dictionary that torchvision's segmentation networks return."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        return self.net(images)["out"]


def smp_network(
    parts: list[str], classes: int, channels: int, weights: str, **options
) -> tuple[nn.Module, Provenance]:
    """Build the smp network `<Architecture>:<encoder>[:<depth>]`; options go to its constructor.

    Raises:
        UnknownName: no such architecture, encoder, depth or option.
        OptionError: smp cannot build it, with smp's own reason.
    """
    architecture, encoder, *depth = parts
    make = SMP_ARCHITECTURES.get(architecture.lower())
    if make is None:
        known = (a.__name__ for a in SMP_ARCHITECTURES.values())
        raise unknown("architecture", architecture, known)
    _check_encoder(encoder)
    _check_options(make, encoder, options)
    options = _shaped(make, depth) | options
    try:
        net = make(encoder, encoder_weights=None, in_channels=channels, classes=classes, **options)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise OptionError(
            f"smp cannot build '{make.__name__}' with encoder '{encoder}' and {options}: {error}"
        ) from error
    return net, pretrained.start_smp(net, encoder, channels, weights)


def deeplabv3(
    parts: list[str], classes: int, channels: int, weights: str, **options
) -> tuple[nn.Module, Provenance]:
    """Build torchvision's DeepLabV3 with a ResNet-50 and no auxiliary head; it has no options."""
    for key in options:
        raise unknown("deeplabv3_resnet50 option", key, ("none",))
    net = deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=classes, aux_loss=False
    )
    if channels != 3:
        first = net.backbone["conv1"]
        net.backbone["conv1"] = nn.Conv2d(
            channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False
        )
    return OnlyLogits(net), pretrained.start_deeplabv3(net, channels, weights)


def _shaped(make: type, depth: list[str]) -> dict[str, object]:
    """Return the options that smp's constructors need to give logits of the image's size.

    smp's FPN enlarges by 4 and its PSPNet by 8 at every depth, which is right at 5 and 3 only; a
    vision transformer takes one size unless told otherwise.
    """
    name = make.__name__
    shaped = {"dynamic_img_size": True} if name == "DPT" else {}
    if not depth:
        return shaped
    if depth[0] not in ("3", "4", "5"):
        raise unknown("encoder depth", depth[0], ("3", "4", "5"))
    halvings = int(depth[0])
    shaped["encoder_depth"] = halvings
    if name in ("Unet", "UnetPlusPlus", "MAnet"):
        shaped["decoder_channels"] = DECODER[-halvings:]
    if name == "FPN":
        shaped["upsampling"] = 2 ** (halvings - 3)
    if name == "PSPNet":
        shaped["upsampling"] = 2**halvings
    return shaped


def _check_encoder(encoder: str) -> None:
    of_timm = "tu-<any of timm.list_models()>"
    name = encoder.removeprefix("tu-")
    if name == encoder and encoder not in smp.encoders.encoders:
        raise unknown("encoder", encoder, [*smp.encoders.encoders, of_timm])
    if name != encoder and not timm.is_model(name.split(".")[0]):
        close = difflib.get_close_matches(name, timm.list_models(), n=8)
        raise unknown("encoder", encoder, [f"tu-{one}" for one in close] or [of_timm])


def _check_options(make: type, encoder: str, options: dict[str, object]) -> None:
    """Refuse an option that smp would drop in silence (those of `tu-` encoders go to timm)."""
    ours = {"self", "kwargs", "encoder_name", "encoder_weights", "in_channels", "classes"}
    known = set(inspect.signature(make.__init__).parameters) - ours
    for key in options:
        if key not in known and not encoder.startswith("tu-"):
            raise unknown(f"smp {make.__name__} option", key, known)
