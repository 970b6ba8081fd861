"""Dense evaluation of all Dubai tiles: what the last weights get, what the watch gets, and a plain
loop in float32 that counts the confusion alone.

    DATA_ROOT=... python bench/evaluate.py [LONGER SIDE IN PIXELS] [REPEATS]
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from timing import Apart, alternate, record, summary
from torch import nn

from fewlabels import devices
from fewlabels.data import registry
from fewlabels.data.registry import Dataset
from fewlabels.scoring import inference
from fewlabels.scoring.metrics import confusion
from fewlabels.training import networks

MODEL = "smp:Unet:resnet18"


def main(grid: int = 700, repeats: int = 3) -> None:
    tiles, compute = dubai(grid), devices.compute()
    times = alternate(
        {
            "plain loop, float32": Apart(plain_side, grid),
            "confusion": Apart(our_side, grid, inference.confusions),
            "all statistics": Apart(our_side, grid, inference.statistics),
        },
        repeats=repeats,
    )
    title = f"{len(tiles)} tiles of Dubai, longer side {grid}, {MODEL}"
    facts = {"device": compute.hardware, "precision": compute.precision}
    record("evaluate", {title: summary(times, against="plain loop, float32")}, facts)


def dubai(grid: int) -> Dataset:
    return registry.load("dubai", split="all", grid=grid)


def network(classes: int) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(MODEL, classes)


def our_side(grid: int, kept: Callable[..., object]) -> Callable[[], object]:
    tiles, compute = dubai(grid), devices.compute()
    model = compute.placed(network(len(tiles.classes)))
    return lambda: kept(model, tiles, len(tiles.classes), compute)


def plain_side(grid: int) -> Callable[[], object]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tiles = dubai(grid)
    model = network(len(tiles.classes)).to(device).eval()
    return lambda: plain(model, tiles, device)


@torch.inference_mode()
def plain(model: nn.Module, tiles: Dataset, device: torch.device) -> np.ndarray:
    """One image at a time, mirrored up to a multiple of 32, as most notebooks do it."""
    found = []
    for tile in tiles:
        h, w = tile.mask.shape
        x = torch.from_numpy(tile.image.transpose(2, 0, 1).copy())[None].to(device)
        x = nn.functional.pad(networks.normalise(x), (0, -w % 32, 0, -h % 32), mode="reflect")
        guess = model(x)[0, :, :h, :w].argmax(dim=0).to(torch.uint8).cpu().numpy()
        found.append(confusion(guess, tile.mask, len(tiles.classes)))
    return np.stack(found)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
