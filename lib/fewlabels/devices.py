"""Where and in which number format a network is computed."""

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from fewlabels.types import FewLabelsError, unknown

try:
    import resource
except ImportError:  # Windows
    resource = None

DEVICES = ("auto", "cpu", "cuda", "mps", "xla")
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

    def settle(self) -> None:
        """Make the device compute what it has been asked so far; only XLA puts it off."""
        if self.device.type == "xla":
            _xla().sync()

    def seed(self, seed: int) -> None:
        """Seed the random generators that a network draws from."""
        torch.manual_seed(seed)
        if self.device.type == "xla":
            _xla().manual_seed(seed)

    def generators(self) -> dict[str, Tensor]:
        """The states of the random generators that a network draws from, by device."""
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "xla":
            states["xla"] = torch.tensor(_xla().core.xla_model.get_rng_state())
        elif self.device.type != "cpu":
            states[self.device.type] = torch.get_device_module(self.device).get_rng_state()
        return states

    def set_generators(self, states: Mapping[str, Tensor]) -> None:
        """The inverse of `generators`; a state of another kind of device is left aside."""
        torch.set_rng_state(states["cpu"])
        if self.device.type not in states or self.device.type == "cpu":
            return
        state = states[self.device.type]
        if self.device.type == "xla":
            _xla().core.xla_model.set_rng_state(int(state))
        else:
            torch.get_device_module(self.device).set_rng_state(state)

    @property
    def peak_mib(self) -> float | None:
        """MiB that a GPU has held at most, or this process where it computes on the CPU, since it
        began; None where the system does not say.
        """
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        if self.device.type != "cpu" or resource is None:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)

    @property
    def hardware(self) -> str:
        """The device as a person would name it."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        if self.device.type == "xla":
            return f"xla on {_xla().runtime.device_type()}"
        return threaded(self.device.type, torch.get_num_threads())


def compute(device: str = "auto", precision: str = "auto") -> Compute:
    """The device and format to use; `auto` takes the fastest that this machine has (never xla,
    which is not the default build of PyTorch).

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
    if device == "xla":
        precision = "fp32" if precision == "auto" else precision
        return Compute(_xla_device(), precision, channels_last=False)
    name = next(d for d in ("cuda", "mps", "cpu") if there[d]) if device == "auto" else device
    if not there[name]:
        found = ", ".join(d for d in there if there[d])
        raise DeviceError(f"device '{name}' is not on this machine; there are: {found}")
    if precision == "auto":
        precision = "bf16" if _has_bf16(name) else "fp32"
    if name == "cpu":
        _keep_freed_memory()
    return Compute(torch.device(name), precision)


def threaded(kind: str, threads: int | str) -> str:
    """What records call a device that computes with this many threads of this process."""
    return f"{kind}, {threads} threads"


def _xla_device() -> torch.device:
    try:
        return _xla().device()
    except (RuntimeError, OSError) as error:
        raise DeviceError(
            f"device 'xla' cannot be used with PJRT_DEVICE={os.environ.get('PJRT_DEVICE', '')}: "
            f"{error}"
        ) from error


def _xla() -> ModuleType:
    """PyTorch/XLA, imported only when it is asked for: it is in an environment of its own."""
    if find_spec("torch_xla") is None:
        raise DeviceError(
            "device 'xla' needs PyTorch/XLA, which is not installed here; make an environment "
            "from requirements-xla.txt, and set PJRT_DEVICE to TPU or CPU"
        )
    import torch_xla
    import torch_xla.core.xla_model
    import torch_xla.runtime

    return torch_xla


def _keep_freed_memory() -> None:
    """Have the C library keep the memory of freed tensors for the next ones, as the allocators of
    GPUs do: handed back to the system, it is faulted in again page by page, at every step. New
    threads share that memory (glibc's `mallopt`; where there is another C library, nothing).
    """
    trim_threshold, mmap_max, arena_max, never = -1, -4, -8, -1  # of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(trim_threshold, never)
        mallopt(mmap_max, 0)
        mallopt(arena_max, 1)


def _has_bf16(device: str) -> bool:
    """Whether bfloat16 is computed in hardware; emulated it is slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


@contextmanager
def one_thread() -> Iterator[None]:
    """With more, sums are taken in another order, and a fit ends elsewhere by a few pixels."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
