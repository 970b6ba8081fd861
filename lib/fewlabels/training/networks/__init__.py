"""Segmentation networks by name: bytes go through `normalise`, logits f32[b k h w] come out.

Our own U-Net and U-Net++ are in `unet` and `unetpp`, made of `blocks`; `libraries` wraps those of
segmentation_models.pytorch and torchvision; `pretrained` loads weights. A network is one function
and one line in the table of `building`.
"""

from fewlabels.training.networks.building import (
    FAMILIES,
    STRIDE,
    build,
    build_with_provenance,
    normalise,
    to_bytes,
)
from fewlabels.training.networks.names import OptionError

__all__ = [
    "FAMILIES",
    "STRIDE",
    "OptionError",
    "build",
    "build_with_provenance",
    "normalise",
    "to_bytes",
]
