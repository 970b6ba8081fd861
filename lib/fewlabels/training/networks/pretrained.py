"""Load pretrained weights, and never anything else under their name.

    none                random
    lite0               ImageNet weights of EfficientNet-Lite0, which come with a package (`lite0`)
    imagenet            the library's own ImageNet weights, by the library's own download
    coco                torchvision's COCO weights of the whole network (`deeplabv3_resnet50`)
    <file>              <file>.safetensors in `paths.weights_root()`, keys as in torchvision

A network that cannot have the weights asked for is an error; there is no fallback here.

Weights are of 3 bands (red, green, blue). For another number of bands the kernels of the first
layer are fitted by smp's rule, and the record says so: one band gets the sum of the three kernels;
n bands get red, green, blue, red, ... in turn, times 3 / n. An image that is alike in all bands
then gives the same response as it did in colour, if n is 1 or a multiple of 3.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights
from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights

from fewlabels import paths
from fewlabels.training.networks import lite0
from fewlabels.types import WeightsError

State = dict[str, Tensor]


@dataclass(frozen=True)
class Provenance:
    """Where a network's first weights came from.

    Attributes:
        weights: the name that was asked for.
        origin: file name or library, and the number of bands if the first layer was fitted to
            it; `random` for none.
        sha256: of the file, or of the tensors that a library delivered; empty for random.
    """

    weights: str
    origin: str
    sha256: str


RANDOM = Provenance("none", "random", "")


def start_smp(net: nn.Module, encoder: str, channels: int, weights: str) -> Provenance:
    """Load `weights` into the encoder of an smp network, strictly."""
    if weights == "none":
        return RANDOM
    if weights == "lite0":
        return _put(
            net.encoder, _of_lite0(net.encoder), channels, weights, lite0.NAME, lite0.SHA256
        )
    if weights == "imagenet":
        state = _downloaded(
            weights,
            f"encoder '{encoder}'",
            lambda: get_encoder(encoder, weights="imagenet").state_dict(),
        )
        return _put(net.encoder, state, channels, weights, "segmentation_models_pytorch")
    return _put_file(net.encoder, channels, weights)


def start_deeplabv3(net: nn.Module, channels: int, weights: str) -> Provenance:
    """Load `weights` into torchvision's DeepLabV3: its backbone, or all but the head (`coco`)."""
    if weights == "none":
        return RANDOM
    if weights == "imagenet":
        member = ResNet50_Weights.IMAGENET1K_V2
        state = _downloaded(weights, "resnet50", lambda: member.get_state_dict(progress=True))
        kept = _without(state, "fc.")
        return _put(net.backbone, kept, channels, weights, f"torchvision {member.name}")
    if weights == "coco":
        member = DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1
        state = _downloaded(
            weights, "deeplabv3_resnet50", lambda: member.get_state_dict(progress=True)
        )
        last = {k: v for k, v in net.state_dict().items() if k.startswith("classifier.4.")}
        kept = _without(state, "classifier.4.", "aux_classifier.")
        return _put(net, kept | last, channels, weights, f"torchvision {member.name}")
    return _put_file(net.backbone, channels, weights, "fc.")


def file_of(weights: str) -> Path:
    """Find the safetensors file that a weights name means.

    Raises:
        WeightsError: there is none; lists those that are there.
    """
    folder = paths.weights_root()
    file = folder / f"{weights.removesuffix('.safetensors')}.safetensors"
    if not file.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.safetensors"))) or "none"
        raise WeightsError(
            f"weights '{weights}': '{file}' is not there (in that folder: {there}); put the file "
            "there or set WEIGHTS_ROOT, or ask for `imagenet` (download) or `none` (random)"
        )
    return file


def fitted(kernels: Float[Tensor, "o 3 kh kw"], channels: int) -> Float[Tensor, "o c kh kw"]:
    """Fit kernels of three bands to `channels` bands by the rule above, in float32."""
    kernels = kernels.float()
    if channels == 1:
        return kernels.sum(dim=1, keepdim=True)
    return kernels[:, [band % 3 for band in range(channels)]] * (3 / channels)


def _put_file(module: nn.Module, channels: int, weights: str, *drop: str) -> Provenance:
    file = file_of(weights)
    try:
        state = load_file(file)
    except SafetensorError as error:
        raise WeightsError(
            f"weights '{file}' are damaged ({error}); fetch the file again"
        ) from error
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return _put(module, _without(state, *drop), channels, weights, file.name, sha256)


def _put(
    module: nn.Module, state: State, channels: int, weights: str, origin: str, sha256: str = ""
) -> Provenance:
    sha256 = sha256 or hash_of(state)
    if channels != 3:
        state = _fitted_state(state, module.state_dict(), channels)
        origin = f"{origin}, first layer fitted from 3 to {channels} bands"
    try:
        module.load_state_dict(state, strict=True)
    except (RuntimeError, KeyError) as error:
        raise WeightsError(
            f"weights '{weights}' ({origin}) do not fit this network: {error}"
        ) from error
    return Provenance(weights, origin, sha256)


def _downloaded(weights: str, what: str, download: Callable[[], State]) -> State:
    try:
        return download()
    except (OSError, URLError, KeyError, ValueError) as error:
        raise WeightsError(
            f"weights '{weights}' for {what} could not be had ({error}); check the network, or put "
            "a safetensors file into WEIGHTS_ROOT and ask for it by name, or ask for `none`"
        ) from error


def _of_lite0(encoder: nn.Module) -> State:
    """The weights that smp's encoder has of timm's whole network, by smp's names."""
    found = {f"model.{name}": value for name, value in lite0.state().items()}
    return {name: found[name] for name in encoder.state_dict() if name in found}


def _without(state: State, *prefixes: str) -> State:
    return {k: v for k, v in state.items() if not k.startswith(prefixes)}


def _fitted_state(state: State, own: Mapping[str, Tensor], channels: int) -> State:
    """Fit every kernel of 3 bands where the network's `own` takes `channels`."""

    def of_bands(name: str) -> bool:
        there, here = state[name].shape, own[name].shape if name in own else ()
        return len(there) == len(here) == 4 and (there[1], here[1]) == (3, channels)

    return {k: fitted(v, channels) if of_bands(k) else v for k, v in state.items()}


def hash_of(state: State) -> str:
    """Hash the tensors by SHA-256, in the order of their names, as float64."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(name.encode())
        total.update(state[name].detach().contiguous().view(-1).to(torch.float64).numpy().tobytes())
    return total.hexdigest()
