import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from fewlabels import devices
from fewlabels.devices import DeviceError
from fewlabels.types import UnknownName


def test_names_that_are_no_device_or_precision_are_refused():
    with pytest.raises(UnknownName, match="known: auto, cpu, cuda, mps, xla"):
        devices.compute("tpu")
    with pytest.raises(UnknownName, match="known: auto, bf16, fp32"):
        devices.compute("cpu", "fp16")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named(name: str, monkeypatch: pytest.MonkeyPatch):
    for module in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(module, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=f"'{name}' is not on this machine; there are: cpu"):
        devices.compute(name)
    assert devices.compute("auto").device.type == "cpu"


@pytest.mark.skipif(find_spec("torch_xla") is not None, reason="PyTorch/XLA is installed")
def test_a_missing_xla_says_where_to_get_it():
    with pytest.raises(
        DeviceError, match=r"not installed here.*requirements-xla\.txt.*PJRT_DEVICE"
    ):
        devices.compute("xla")


def test_random_generators_are_set_back_and_states_of_other_devices_left_aside():
    cpu = devices.compute("cpu")
    with torch.random.fork_rng(devices=[]):
        cpu.seed(3)
        torch.rand(5)
        states = cpu.generators()
        first = torch.rand(4)
        cpu.set_generators(states | {"cuda": torch.zeros(16, dtype=torch.uint8)})
        assert torch.equal(torch.rand(4), first)
    assert set(states) == {"cpu"}


def test_bf16_computes_under_autocast_and_fp32_does_not():
    layer, x = torch.nn.Conv2d(3, 2, 1), torch.zeros(1, 3, 4, 4)
    for precision, kind in {"bf16": torch.bfloat16, "fp32": torch.float32}.items():
        compute = devices.compute("cpu", precision)
        with compute.autocast():
            assert compute.placed(layer)(compute.laid_out(x)).dtype == kind


def test_the_peak_of_memory_is_at_least_what_is_held_now():
    """Resident pages of this process, which the system counts to some MiB; torch alone takes 50."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    held = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert 50 < held < devices.compute("cpu").peak_mib + 8
    assert devices.Compute(torch.device("meta"), "fp32").peak_mib is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its own way")
@pytest.mark.parametrize("here", [True, False], ids=["here", "another thread"])
@pytest.mark.parametrize("device", ["cpu", None])
def test_memory_of_freed_tensors_is_kept_once_the_cpu_computes(device: str | None, here: bool):
    """A tensor of 64 MiB that is gone: its pages stay with the process, or go back to the system;
    likewise one of another thread.

    (Whether the next tensor finds the very same place is glibc's affair: now and then it does not.)
    """
    asked = f"from fewlabels import devices; devices.compute({device!r})" if device else ""
    code = f"""
import gc, os, torch
from concurrent.futures import ThreadPoolExecutor
{asked}
def held():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
torch.ones(1)
with ThreadPoolExecutor(1) as pool:
    pool.submit(torch.ones, 1).result()
    before = held()
    {"torch.ones(2**24)" if here else "pool.submit(torch.ones, 2**24).result()"}
    gc.collect()
    print(held() - before)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    kept = int(said.stdout) / 2**26
    assert kept > 0.9 if device else kept < 0.3
