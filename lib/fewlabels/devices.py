"""Where and in which number format a network is computed."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fewlabels.types import FewLabelsError, unknown

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "bf16", "fp32")


class DeviceError(FewLabelsError):
    """A device that was asked for and is not there."""


@dataclass(frozen=True)
class Compute:
    """A device, its number format and memory layout.

    Attributes:
        precision: `bf16` computes convolutions under autocast; weights and losses stay float32.
        channels_last: activations and kernels in NHWC order, which convolutions are faster in.
    """

    device: torch.device
    precision: str
    channels_last: bool = True

    def autocast(self) -> AbstractContextManager:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def laid_out(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    def placed(self, model: nn.Module) -> nn.Module:
        model = model.to(self.device)
        return model.to(memory_format=torch.channels_last) if self.channels_last else model

    @property
    def hardware(self) -> str:
        """The device as a person would name it."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return threaded(self.device.type, torch.get_num_threads())


def compute(device: str = "auto", precision: str = "auto") -> Compute:
    """The device and format to use; `auto` takes the fastest that this machine has.

    Raises:
        UnknownName: no such device or precision.
        DeviceError: the device is not on this machine.
    """
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    name = next(d for d in ("cuda", "mps", "cpu") if there[d]) if device == "auto" else device
    if not there[name]:
        found = ", ".join(d for d in there if there[d])
        raise DeviceError(f"device '{name}' is not on this machine; there are: {found}")
    if precision == "auto":
        precision = "bf16" if _has_bf16(name) else "fp32"
    return Compute(torch.device(name), precision)


def threaded(kind: str, threads: int) -> str:
    """What records call a device that computes with this many threads of this process."""
    return f"{kind}, {threads} threads"


def _has_bf16(device: str) -> bool:
    """Whether bfloat16 is computed in hardware; emulated it is slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
