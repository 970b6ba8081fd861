"""Seconds of partial cross-entropy against PyTorch's own, by label density and memory layout.

Both sides run forward and backward on the same logits, turn about. PyTorch's
`F.cross_entropy(ignore_index=...)` computes every pixel whatever its label.

    python bench/loss.py     8 x 6 x 512 x 512, float32, on CUDA if there is one

On a CPU it is run with one thread and with all that PyTorch takes. The machine's load is recorded:
where other work holds the cores, threads wait for one another and the many short operations of
sparse labels lose more by it than a few long ones.
"""

import os
from collections.abc import Callable

import pandas as pd
import timing
import torch
import torch.nn.functional as F

from fewlabels.training.losses import LOSSES, partial_cross_entropy
from fewlabels.types import IGNORE

SHAPE = (8, 6, 512, 512)
DENSITIES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001)
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def drawn(density: float) -> torch.Tensor:
    """Random classes, each pixel labelled with probability `density`."""
    b, k, h, w = SHAPE
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, k, (b, h, w), generator=generator)
    labels[torch.rand(b, h, w, generator=generator) >= density] = IGNORE
    return labels.to(DEVICE)


def both_ways(loss: Callable[..., torch.Tensor], logits: torch.Tensor, *rest: torch.Tensor):
    """A call that computes the loss and its gradient, and waits until both are there."""

    def call() -> None:
        logits.grad = None
        loss(logits, *rest).backward()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return call


def theirs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, labels, ignore_index=IGNORE)


def compared() -> pd.DataFrame:
    """Partial cross-entropy against PyTorch's, one row a layout and density."""
    rows = []
    for layout, memory_format in LAYOUTS.items():
        logits = torch.randn(SHAPE, device=DEVICE).contiguous(memory_format=memory_format)
        logits.requires_grad_()
        for density in DENSITIES:
            labels = drawn(density)
            sides = {
                "PyTorch": both_ways(theirs, logits, labels),
                "ours": both_ways(partial_cross_entropy, logits, labels),
            }
            found = timing.summary(timing.alternate(sides, repeats=9), against="PyTorch")
            rows.append(
                {"layout": layout, "labelled %": 100 * density}
                | {"PyTorch s": found.loc["PyTorch", "median s"]}
                | found.loc["ours"].to_dict()
                | peak_memory(sides)
            )
    return pd.DataFrame(rows)


def every_loss() -> pd.DataFrame:
    """All losses at three densities, channels_last, against PyTorch's cross-entropy."""
    logits = torch.randn(SHAPE, device=DEVICE).contiguous(memory_format=torch.channels_last)
    logits.requires_grad_()
    tables = []
    for density in (1.0, 0.1, 0.01):
        labels = drawn(density)
        sides = {"PyTorch": both_ways(theirs, logits, labels)}
        sides |= {name: both_ways(loss, logits, labels) for name, loss in LOSSES.items()}
        found = timing.summary(timing.alternate(sides, repeats=5), against="PyTorch")
        tables.append(
            found.rename_axis("loss").reset_index().assign(**{"labelled %": 100 * density})
        )
    return pd.concat(tables, ignore_index=True)


def peak_memory(sides: dict[str, Callable[[], None]]) -> dict[str, float]:
    """MiB that each side needs at its peak beyond what is there before it; nothing off CUDA."""
    if DEVICE.type != "cuda":
        return {}
    needed = {}
    for name, call in sides.items():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        needed[f"{name} peak MiB"] = (torch.cuda.max_memory_allocated() - before) / 2**20
    return needed


if __name__ == "__main__":
    torch.manual_seed(0)
    before, tables = os.getloadavg()[0], {}
    for threads in sorted({1, torch.get_num_threads()}) if DEVICE.type == "cpu" else (1,):
        torch.set_num_threads(threads)
        tables[f"partial cross-entropy, {threads} CPU threads"] = compared()
    tables[f"every loss, {threads} CPU threads"] = every_loss()
    timing.record(
        "loss",
        tables,
        {
            "shape": SHAPE,
            "dtype": "float32",
            "device": torch.cuda.get_device_name() if DEVICE.type == "cuda" else DEVICE.type,
            "load average before and after, 1 minute": (before, os.getloadavg()[0]),
            "what": "forward and backward; 'times as fast' is PyTorch's time over ours",
        },
    )
