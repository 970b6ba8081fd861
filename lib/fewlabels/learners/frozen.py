"""Frozen encoders: networks trained on photographs, whose inner maps are features of a pixel.

lite0              EfficientNet-Lite0, whose weights come with a package (`training.networks`)
timm:<model>       any of timm with its own weights, by timm's own download
smp:<encoder>      any of segmentation_models.pytorch with its ImageNet weights, likewise
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.error import URLError

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from fewlabels.devices import Compute
from fewlabels.training.networks import lite0, pretrained
from fewlabels.types import WeightsError, unknown

LITE0 = "lite0"


@dataclass(frozen=True)
class Encoder:
    """A network that is not trained further.

    Attributes:
        net: from a batch of images to maps [b d h' w'] of several resolutions.
        widths: the number of channels of each map.
        step: sides of an image are padded to a multiple of this.
        halo: how many pixels around a pixel its features depend on, a multiple of `step`; None if
            unbounded or not known.
        mean, deviation: what each of red, green, blue is scaled by, for bytes divided by 255.
        sha256: of the weights.
    """

    name: str
    net: nn.Module
    widths: tuple[int, ...]
    step: int
    halo: int | None
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    sha256: str
    licence: str


@lru_cache(maxsize=2)
def encoder(name: str = LITE0) -> Encoder:
    """Build an encoder with its weights.

    Raises:
        UnknownName: no such encoder.
        WeightsError: its weights cannot be had.
    """
    library, _, model = name.partition(":")
    if name == LITE0:
        of_size = (0.5,) * 3, (0.5,) * 3, lite0.SHA256, lite0.LICENCE
        return Encoder(name, _Lite0(lite0.model()), (32, 16, 24, 40, 112), 32, 192, *of_size)
    if library == "timm" and timm.is_model(model.split(".")[0]):
        net = _had(name, lambda: _timm(model))
        config, step = net.pretrained_cfg, max(net.feature_info.reduction())
        licence = str(config.get("license") or "not stated by timm")
        return _of_library(name, net, step, config["mean"], config["std"], licence)
    if library == "smp" and model in smp.encoders.encoders:
        net = _had(name, lambda: smp.encoders.get_encoder(model, weights="imagenet"))
        told = smp.encoders.get_preprocessing_params(model, "imagenet")
        return _of_library(name, net, 32, told["mean"], told["std"], "not stated by smp")
    raise unknown("encoder", name, (LITE0, "timm:<model>", "smp:<encoder>"))


def stages(
    encoder: Encoder, image: UInt8[Tensor, "3 h w"], compute: Compute, *, zoom: int = 1
) -> list[Float32[Tensor, "_ _ _"]]:
    """Compute the maps of one image, each of `step` x n pixels of the padded image.

    Args:
        zoom: how many times the image is enlarged before the encoder sees it.
    """
    compute.placed(encoder.net)
    with torch.inference_mode():  # not before: weights that are placed in it cannot be exported
        x = seen(encoder, image.to(compute.device), zoom)
        return [stage[0].float() for stage in encoder.net(compute.laid_out(x))]


def seen(encoder: Encoder, image: UInt8[Tensor, "3 h w"], zoom: int) -> Float32[Tensor, "1 3 _ _"]:
    """Enlarge and scale an image for the encoder, and mirror it at its right and lower edge up to a
    multiple of the encoder's step.
    """
    x = image[None].float() / 255
    if zoom > 1:
        x = F.interpolate(x, scale_factor=zoom, mode="bilinear", align_corners=False)
    mean, deviation = (
        torch.tensor(values, dtype=torch.float32, device=x.device).view(1, 3, 1, 1)
        for values in (encoder.mean, encoder.deviation)
    )
    h, w = x.shape[2:]
    pad = (0, -w % encoder.step, 0, -h % encoder.step)
    mode = "reflect" if min(h, w) > max(pad) else "replicate"
    return F.pad((x - mean) / deviation, pad, mode=mode)


def sampled(
    stage: Float32[Tensor, "d sh sw"],
    padded: tuple[float, float],
    at: Float32[Tensor, "n 2"],
) -> Float32[Tensor, "n d"]:
    """Interpolate a map bilinearly at pixels (row, column); `padded` is the size in pixels that the
    map stands for.
    """
    size = torch.tensor(padded, dtype=torch.float32, device=stage.device)
    grid = ((at.to(stage.device) + 0.5) / size * 2 - 1).flip(1)[None, None]
    found = F.grid_sample(stage[None], grid, align_corners=False, padding_mode="border")
    return found[0, :, 0].T


class _Lite0(nn.Module):
    """The stem and blocks 1, 2, 3 and 5, of strides 2, 2, 4, 8 and 16. A pixel of the last sees 339
    pixels along each side, so 192 around a pixel are enough.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(net.conv_stem, net.bn1)
        self.blocks = net.blocks[:5]
        self.eval()

    def forward(self, x: Float32[Tensor, "b 3 h w"]) -> list[Tensor]:
        found = [self.stem(x)]
        y = found[0]
        for number, block in enumerate(self.blocks):
            y = block(y)
            if number != 3:
                found.append(y)
        return found


class _Library(nn.Module):
    """The maps of a library's encoder that are not its input."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.eval()

    def forward(self, x: Float32[Tensor, "b 3 h w"]) -> list[Tensor]:
        return [stage for stage in self.net(x) if stage.shape[1] and stage.shape[1:] != x.shape[1:]]


def _timm(model: str) -> nn.Module:
    """A model that returns its maps; transformers are told that sizes vary."""
    try:
        return timm.create_model(model, pretrained=True, features_only=True, dynamic_img_size=True)
    except TypeError:  # a convolutional network has no such option
        return timm.create_model(model, pretrained=True, features_only=True)


def _of_library(name: str, net: nn.Module, step: int, mean, deviation, licence: str) -> Encoder:
    maps = _Library(net)
    with torch.inference_mode():
        widths = tuple(stage.shape[1] for stage in maps(torch.zeros(1, 3, 4 * step, 4 * step)))
    sha256 = pretrained.hash_of(net.state_dict())
    return Encoder(name, maps, widths, step, None, mean, deviation, sha256, licence)


def _had(name: str, build: Callable[[], nn.Module]) -> nn.Module:
    try:
        return build()
    except (OSError, URLError, RuntimeError, KeyError, ValueError) as error:
        raise WeightsError(
            f"the weights of encoder '{name}' could not be had ({error}); check the network, or "
            f"use '{LITE0}', whose weights are installed"
        ) from error
