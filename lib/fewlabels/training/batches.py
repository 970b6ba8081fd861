"""Make training batches. The label wall stands here: training gets no field for a dense mask."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from fewlabels.labels.ledger import Ledger
from fewlabels.training.augmentation import Augment, Pair, cutmix
from fewlabels.types import IGNORE, DataError, NoLabelsError


@dataclass(frozen=True, slots=True)
class LabelledTile:
    """What training may see of a tile: the image and the labels drawn for it.

    Attributes:
        redrawn: labels of later rounds, where they are drawn anew for each.
    """

    id: str
    image: UInt8[np.ndarray, "h w c"]
    labels: UInt8[np.ndarray, "h w"]
    redrawn: tuple[UInt8[np.ndarray, "h w"], ...] = ()

    def in_round(self, number: int) -> "LabelledTile":
        """Return the tile with its labels of that round; the first is 0."""
        if not self.redrawn or not number:
            return self
        return replace(self, labels=self.redrawn[(number - 1) % len(self.redrawn)])


@dataclass(frozen=True)
class Batch:
    """Crops of some tiles: bytes, labels in [0, k) or IGNORE, and the tiles' ids."""

    images: UInt8[Tensor, "b c h w"]
    labels: Int64[Tensor, "b h w"]
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Rare:
    """How tiles with labels of a rare class are treated.

    Attributes:
        pixels: by tile id, the pixels of the flattened tile with such a label.
        times: how often such a tile comes in a round. Its crops after the first are placed at
            random around one of those pixels.
        augment: of all crops of such tiles.
    """

    pixels: Mapping[str, Int[np.ndarray, " n"]]
    times: int
    augment: Augment

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError(f"rare tiles {self.times} times a round: it must be 1 or more")


class _Window(NamedTuple):
    """The labels of a crop as they lie in the tile, and its upper left corner."""

    tile: str
    top: int
    left: int
    labels: UInt8[np.ndarray, "h w"]


@dataclass(frozen=True)
class Batches(Sequence[Batch]):
    """The batches of a whole training; batch s is a pure function of (seed, s).

    Tiles come in rounds, each a new permutation, so all are seen equally often, except those in
    `rare`. A crop is placed at random; if it holds no label, it is placed at random around one of
    the tile's labelled pixels instead. A tile smaller than the crop is mirrored, its labels are
    not.

    Attributes:
        crop: side of a crop in pixels.
        size: crops in a batch.
        steps: how many batches there are.
        ledger: where every crop's labels are entered, before augmentation.
        cutmix: share of the crops that get a box of another, see `augmentation.cutmix`.
    """

    tiles: Sequence[LabelledTile]
    crop: int
    size: int
    steps: int
    seed: int
    augment: Augment
    ledger: Ledger | None = None
    rare: Rare | None = None
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for tile in self.tiles:
            if not (tile.labels != IGNORE).any():
                raise NoLabelsError(
                    f"tile '{tile.id}' carries no label, so it cannot train; drop it"
                )
            if tile.image.shape[:2] != tile.labels.shape:
                raise DataError(
                    f"tile '{tile.id}': its image is {tile.image.shape[:2]} pixels and its labels "
                    f"{tile.labels.shape}; they must be of one size"
                )
        if not self.tiles:
            raise NoLabelsError("no tile to train on; the training split is empty")

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of {self.steps}")
        return self._entered(*self._made(step))

    def ahead(self, start: int = 0, workers: int = 1) -> Iterator[Batch]:
        """Yield the batches from `start` on, in order, making the next ones while one is used.

        Labels are entered into the ledger when their batch is yielded, so the ledger does not
        depend on how many are made ahead.

        Args:
            workers: threads, and how many batches they are ahead at most.
        """
        with ThreadPoolExecutor(max_workers=workers) as pool:
            coming = deque(
                pool.submit(self._made, step)
                for step in range(start, min(start + workers, self.steps))
            )
            for step in range(start, self.steps):
                made = coming.popleft().result()
                if step + workers < self.steps:
                    coming.append(pool.submit(self._made, step + workers))
                yield self._entered(*made)

    def _made(self, step: int) -> tuple[Batch, list[_Window]]:
        """Make one batch, and the windows of the tiles that it shows."""
        rng = np.random.default_rng([self.seed, 1, step])
        windows, crops = [], []
        for position in range(step * self.size, (step + 1) * self.size):
            window, crop = self._crop(*self._turn(position), rng)
            windows.append(window)
            crops.append(crop)
        images = np.stack([image.transpose(2, 0, 1) for image, _ in crops])
        labels = np.stack([labels for _, labels in crops])
        if self.cutmix:
            apart = np.random.default_rng([self.seed, 2, step])
            images, labels = cutmix(images, labels, self.cutmix, apart)
        ids = tuple(window.tile for window in windows)
        long = torch.from_numpy(labels.astype(np.int64))
        return Batch(torch.from_numpy(images), long, ids), windows

    def _entered(self, batch: Batch, windows: list[_Window]) -> Batch:
        if self.ledger is not None:
            for window in windows:
                self.ledger.enter(*window)
        return batch

    @cached_property
    def _round(self) -> list[tuple[int, bool]]:
        """The index of every tile once, then the extra turns (True) of those in `rare`."""
        once = [(i, False) for i in range(len(self.tiles))]
        if self.rare is None:
            return once
        more = [(i, True) for i, tile in enumerate(self.tiles) if tile.id in self.rare.pixels]
        return once + more * (self.rare.times - 1)

    def _turn(self, position: int) -> tuple[LabelledTile, bool]:
        """Find the tile at a position of the whole training, and whether that turn is extra."""
        number, place = divmod(position, len(self._round))
        order = np.random.default_rng([self.seed, 0, number]).permutation(len(self._round))
        index, extra = self._round[order[place]]
        return self.tiles[index].in_round(number), extra

    def _crop(
        self, tile: LabelledTile, extra: bool, rng: np.random.Generator
    ) -> tuple[_Window, Pair]:
        rare = self.rare if self.rare is not None and tile.id in self.rare.pixels else None
        if rare is not None and extra:
            top, left = self._around(tile, int(rng.choice(rare.pixels[tile.id])), rng)
        else:
            top, left = self._placed(tile, rng)
        labels = self._window(tile.labels, top, left)
        filled = self._filled(self._window(tile.image, top, left), labels)
        augment = self.augment if rare is None else rare.augment
        crop = augment(int(rng.integers(2**32)), *filled)
        return _Window(tile.id, top, left, labels), crop

    def _placed(self, tile: LabelledTile, rng: np.random.Generator) -> tuple[int, int]:
        """Place a crop that holds a label: its upper left corner."""
        top, left = (self._corner(n, rng) for n in tile.labels.shape)
        if (self._window(tile.labels, top, left) != IGNORE).any():
            return top, left
        return self._around(tile, int(rng.choice(np.flatnonzero(tile.labels != IGNORE))), rng)

    def _around(self, tile: LabelledTile, pixel: int, rng: np.random.Generator) -> tuple[int, int]:
        """Place a crop at random around one pixel of the flattened tile."""
        h, w = tile.labels.shape
        row, column = divmod(pixel, w)
        return self._corner(h, rng, row), self._corner(w, rng, column)

    def _corner(self, length: int, rng: np.random.Generator, through: int | None = None) -> int:
        """Draw where a crop starts on one axis: anywhere, or anywhere that covers `through`."""
        last = max(0, length - self.crop)
        low = 0 if through is None else max(0, through - self.crop + 1)
        high = last if through is None else min(last, through)
        return int(rng.integers(low, high + 1))

    def _window(self, array: np.ndarray, top: int, left: int) -> np.ndarray:
        return array[top : top + self.crop, left : left + self.crop]

    def _filled(
        self, image: UInt8[np.ndarray, "h w c"], labels: UInt8[np.ndarray, "h w"]
    ) -> tuple[UInt8[np.ndarray, "side side c"], UInt8[np.ndarray, "side side"]]:
        pad = [(0, self.crop - n) for n in labels.shape]
        if not any(more for _, more in pad):
            return image, labels
        image = np.pad(image, [*pad, (0, 0)], mode="symmetric")
        return image, np.pad(labels, pad, constant_values=IGNORE)
