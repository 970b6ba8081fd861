"""Training: ours against TorchGeo's task under its trainer at its defaults, and against a plain
loop, on the same crops in memory; then end to end, each side from image files with its own loading,
cropping and augmentation; what the latter costs us; and what bounds us.

    DATA_ROOT=... python bench/training.py [STEPS A CALL] [REPEATS]

All sides have the same network, weights at the start and steps, each in a process of its own, turn
about. Beside their time stands what the device could do: GFLOP/s of each side, by the operations of
one step in either direction, and of a large matrix product in the precision of each. On a CPU the
share of our step that PyTorch's convolutions take is measured too: without anything beside them we
would be so many times as fast, and no faster.
TorchGeo is in bench/requirements.txt; without it the other sides are measured. No side validates,
and its warnings about too few workers and so on are silenced; nothing else of it is changed.
"""

import copy
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from timing import Apart, alternate, record, seconds, summary
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import ResNet18_Weights

from fewlabels import devices
from fewlabels.experiments import prepare
from fewlabels.labels.ledger import Ledger
from fewlabels.studies import Run
from fewlabels.training import loop, networks
from fewlabels.training.batches import Batch, Batches
from fewlabels.training.losses import partial_cross_entropy
from fewlabels.training.networks import normalise
from fewlabels.training.optimisation import Optimisation
from fewlabels.types import IGNORE

RUN = Run(data="dubai", model="smp:Unet:resnet18", grid=700, crop=256, batch=8, amount=0.01)
CLASSES = 6


@dataclass(frozen=True)
class Preloaded:
    """Batches that are in memory: what `loop.fit` asks of its batches."""

    made: list[Batch]
    ledger: Ledger | None = None

    def __len__(self) -> int:
        return len(self.made)

    def ahead(self, start: int = 0, workers: int = 1) -> Iterator[Batch]:
        yield from self.made[start:]


def main(steps: int = 8, repeats: int = 7) -> None:
    ready = prepare.prepare(replace(RUN, steps=steps))
    live, loaded = prepare.batches(ready, ready.ledger()), crops(steps)
    one = Preloaded([loaded.made[0]] * steps)
    model, compute = network(), devices.compute()
    plain, ours = "plain loop, float32, channels_last", "ours"
    sides = {plain: Apart(plain_loop, steps), ours: Apart(our_loop, steps)}
    if find_spec("torchgeo"):
        sides = {"TorchGeo": Apart(torchgeo_on_crops, steps)} | sides
    against = next(iter(sides))
    loading = {
        "one preloaded batch": lambda: trained(model, one, compute),
        "real data, augmented": lambda: trained(model, live, compute),
    }
    raced, fed = alternate(sides, repeats=repeats), alternate(loading, repeats=repeats)
    tables = {
        f"{steps} steps of {RUN.batch} crops of {RUN.crop}": (raced, against),
        "as seen from the plain loop": (raced[[plain, ours]], plain),
        "what the data cost": (fed, "one preloaded batch"),
    }
    if find_spec("torchgeo"):
        with tempfile.TemporaryDirectory() as folder:
            written(ready, Path(folder))
            whole = {
                "TorchGeo": Apart(torchgeo_from_files, steps, folder),
                "ours": Apart(our_run, steps),
            }
            tables["end to end, from files"] = alternate(whole, repeats=repeats), "TorchGeo"
    work = operations(model, loaded.made[0])
    found = {
        title: with_rate(summary(times, against=base), steps, work)
        for title, (times, base) in tables.items()
    }
    facts = {"device": compute.hardware, "precision": compute.precision, "steps": steps}
    facts |= {"torchgeo": version("torchgeo") if find_spec("torchgeo") else None}
    for name, kind in {"float32": torch.float32, "bf16": torch.bfloat16}.items():
        facts[f"GFLOP/s of a matrix product, {name}"] = round(ceiling(compute.device, kind), 1)
    if compute.device.type == "cpu":
        facts |= bounds(lambda: trained(model, loaded, compute), raced[against] / raced[ours])
    if compute.device.type == "cuda":
        facts |= {"peak MiB, ours": peak(lambda: trained(model, loaded, compute))}
    record("training", found, facts)


def network() -> nn.Module:
    """The same weights on every side."""
    torch.manual_seed(0)
    return networks.build(RUN.model, CLASSES)


def crops(steps: int) -> Preloaded:
    """The same batches on every side, made before the time is taken."""
    ready = prepare.prepare(replace(RUN, steps=steps))
    live = prepare.batches(ready, ready.ledger())
    return Preloaded([live[step] for step in range(steps)])


def our_loop(steps: int) -> Callable[[], None]:
    model, batches, compute = network(), crops(steps), devices.compute()
    return lambda: trained(model, batches, compute)


def our_run(steps: int) -> Callable[[], None]:
    """From the tiles as `fewlabels data` leaves them, with a run's own crops and turns."""
    ready = prepare.prepare(replace(RUN, steps=steps))
    model, compute = network(), devices.compute()
    return lambda: trained(model, prepare.batches(ready, ready.ledger()), compute)


def trained(model: nn.Module, batches: Batches | Preloaded, compute: devices.Compute) -> None:
    how = Optimisation(schedule="constant")
    loop.fit(copy.deepcopy(model), batches, partial_cross_entropy, how, compute, seed=0)
    waited(compute.device)


def plain_loop(steps: int) -> Callable[[], None]:
    """What a careful person writes in a notebook."""
    model, batches = network(), crops(steps)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def call() -> None:
        net = copy.deepcopy(model).to(device, memory_format=torch.channels_last).train()
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
        for batch in batches.made:
            x = normalise(batch.images.to(device)).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(net(x), batch.labels.to(device), ignore_index=IGNORE)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
        waited(device)

    return call


def torchgeo_on_crops(steps: int) -> Callable[[], None]:
    """TorchGeo's task on the same crops, one a sample, as a data loader gives them."""
    samples = [
        {"image": image, "mask": mask}
        for batch in crops(steps).made
        for image, mask in zip(normalise(batch.images), batch.labels, strict=True)
    ]
    # Twice as many as are used: at an epoch's end its schedule would ask for a validation.
    return torchgeo_task(steps, lambda: DataLoader(samples * 2, batch_size=RUN.batch))


def written(ready: prepare.Prepared, folder: Path) -> None:
    """The tiles as a person would keep them: a JPEG file an image, a PNG file its labels."""
    for number, tile in enumerate(ready.labelled):
        Image.fromarray(tile.image).save(folder / f"{number}.jpg", quality=95)
        Image.fromarray(tile.labels).save(folder / f"{number}.png")


def torchgeo_from_files(steps: int, folder: str) -> Callable[[], None]:
    """TorchGeo's task on those files, as its own data sets and modules do it: opened by PIL, each
    time whole; cropped, turned and normalised by Kornia; loaded by the process that trains.
    """
    from kornia import augmentation as kornia
    from torchgeo.datamodules import NonGeoDataModule
    from torchgeo.datasets import NonGeoDataset

    crop = kornia.AugmentationSequential(
        kornia.RandomCrop((RUN.crop, RUN.crop), pad_if_needed=True), data_keys=None, keepdim=True
    )
    images = sorted(Path(folder).glob("*.jpg"))
    imagenet = ResNet18_Weights.DEFAULT.transforms()

    class Files(NonGeoDataset):
        def __init__(self, split: str) -> None: ...

        def __len__(self) -> int:
            return 2 * steps * RUN.batch  # as many as above, and why

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            image = images[index % len(images)]
            with Image.open(image) as pixels, Image.open(image.with_suffix(".png")) as labels:
                seen, mask = np.array(pixels), np.array(labels)
            return crop(
                {
                    "image": torch.from_numpy(seen).permute(2, 0, 1).float(),
                    "mask": torch.from_numpy(mask).long(),
                }
            )

    class Module(NonGeoDataModule):
        mean, std = 255 * torch.tensor(imagenet.mean), 255 * torch.tensor(imagenet.std)

        def __init__(self) -> None:
            super().__init__(Files, batch_size=RUN.batch)
            self.train_aug = kornia.AugmentationSequential(
                kornia.Normalize(self.mean, self.std),
                kornia.RandomHorizontalFlip(),
                kornia.RandomRotation90((0, 3)),
                data_keys=None,
                keepdim=True,
            )

        def setup(self, stage: str) -> None:
            self.train_dataset = Files(split="train")

    return torchgeo_task(steps, Module)


def torchgeo_task(steps: int, data: Callable[[], object]) -> Callable[[], None]:
    import lightning
    from torchgeo.trainers import SemanticSegmentationTask

    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    model = network()

    def call() -> None:
        _, architecture, encoder = RUN.model.split(":")
        task = SemanticSegmentationTask(
            model=architecture.lower(), backbone=encoder, num_classes=CLASSES, ignore_index=IGNORE
        )
        task.model.load_state_dict(model.state_dict())
        with tempfile.TemporaryDirectory() as folder:
            trainer = lightning.Trainer(
                max_steps=steps, limit_val_batches=0, default_root_dir=folder
            )
            trainer.fit(task, data())

    return call


def with_rate(table: pd.DataFrame, steps: int, work: float) -> pd.DataFrame:
    """The summary, with images and billions of floating-point operations a second."""
    rate = steps / table["median s"]
    return table.assign(**{"images/s": rate * RUN.batch, "GFLOP/s": rate * work / 1e9})


def operations(model: nn.Module, batch: Batch) -> float:
    """Floating-point operations of one step: convolutions, forwards and backwards."""
    with FlopCounterMode(display=False) as counted:
        partial_cross_entropy(model(normalise(batch.images)), batch.labels).backward()
    model.zero_grad()
    return float(counted.get_total_flops())


def bounds(call: Callable[[], None], ratios: pd.Series) -> dict[str, float]:
    """The share of our time that convolutions take, and how many times as fast as the first side
    we would be if nothing else took any: the ratio cannot be raised beyond by what stands around
    PyTorch's own kernels.
    """
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        call()
    took = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    inside = sum(v for k, v in took.items() if k.startswith("aten::") and "convolution" in k)
    share = inside / sum(took.values())
    return {
        "share of our step in convolutions": round(share, 3),
        "times as fast, if convolutions were all": round(ratios.median() / share, 2),
    }


def ceiling(device: torch.device, kind: torch.dtype, side: int = 4096, repeats: int = 5) -> float:
    """Billions of floating-point operations a second of the fastest of some matrix products."""
    one = torch.randn(side, side, device=device).to(kind)

    def product() -> None:
        one @ one
        waited(device)

    product()
    return 2 * side**3 / min(seconds(product) for _ in range(repeats)) / 1e9


def waited(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak(call: Callable[[], None]) -> int:
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_allocated() // 2**20


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
