"""Learners without a training loop: features of a pixel, and a head fitted to them in seconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import sklearn
import torch
from jaxtyping import Float32, Int, UInt8

from fewlabels import devices
from fewlabels.devices import Compute
from fewlabels.learners import bank as banks
from fewlabels.learners import frozen, heads
from fewlabels.learners.bank import Bank, Layer
from fewlabels.learners.frozen import Encoder
from fewlabels.learners.heads import Head, Linear
from fewlabels.types import IGNORE, NoLabelsError, Row

AT_ONCE = 2**16  # pixels whose features a forest is given at once
BLOCK = 64  # side in pixels of the squares that count as units where none are given


@dataclass(frozen=True)
class FeaturePredictor:
    """A fitted head with the features that it needs; see `learners.Predictor`.

    Attributes:
        encoder: the bank's, where it was trained further.
    """

    bank: Bank
    head: Head
    classes: int
    compute: Compute
    origin: Mapping[str, object] = field(default_factory=dict)
    history: Sequence[Row] = ()
    encoder: Encoder | None = None

    @property
    def halo(self) -> int | None:
        return self.bank.halo

    def probabilities(self, image: UInt8[np.ndarray, "h w c"]) -> Float32[np.ndarray, "k h w"]:
        """Class probabilities of every pixel; 0 for a class without a training pixel."""
        found = banks.layers(self.bank, image, self.compute, self.encoder)
        return self.mapped(found, image.shape[:2])

    def mapped(
        self, layers: Iterable[Layer], shape: tuple[int, int]
    ) -> Float32[np.ndarray, "k h w"]:
        """The same from features that are computed already (`bank.layers`)."""
        height, width = shape
        found = np.zeros((self.classes, height, width), np.float32)
        if isinstance(self.head, Linear):
            logits = banks.summed(layers, torch.from_numpy(self.head.weights), shape)
            logits += torch.from_numpy(self.head.bias)[:, None, None]
            found[self.head.known] = logits.softmax(dim=0).numpy()
            return found
        every, flat = list(layers), found.reshape(self.classes, -1)
        for start in range(0, height * width, AT_ONCE):
            part = np.arange(start, min(start + AT_ONCE, height * width))
            x = banks.sampled(every, np.stack(np.divmod(part, width), axis=1), shape)
            flat[self.head.known, start : start + len(part)] = self.head.probabilities(x).T
        return found

    def write(self, file: Path) -> None:
        more = {} if self.encoder is None else {"more": self.encoder.net.state_dict()}
        self.head.write(file, {"bank": asdict(self.bank)}, **more)


@dataclass(frozen=True)
class FeatureLearner:
    """A kind of features and a kind of head; see `learners.Learner`.

    Attributes:
        groups: see `bank.Bank`.
        head: see `heads.fit`.
        scales: of the texture filters.
    """

    groups: tuple[str, ...]
    head: str
    scales: tuple[int, ...] = ()

    @property
    def FILE(self) -> str:
        return "model.safetensors" if self.head == "linear" else "model.skops"

    def fit(
        self,
        images: Sequence[UInt8[np.ndarray, "_ _ c"]],
        labels: Sequence[UInt8[np.ndarray, "_ _"]],
        classes: int,
        *,
        seed: int = 0,
        compute: Compute | None = None,
        bands: Sequence[str] = (),
        units: Sequence[Int[np.ndarray, "_ _"]] | None = None,
        **options: object,
    ) -> FeaturePredictor:
        """Fit to the labelled pixels; see `learners.Learner.fit`.

        Args:
            bands: names of the bands; they say what a frozen encoder is shown.
            units: for each labelled pixel what it looks like; squares of 64 pixels if None.
            **options: `encoder` and `zoom` of the features, and those of `heads.fit`.

        Raises:
            NoLabelsError: fewer than one pixel, or for a linear head fewer than two classes, has a
                label.
        """
        compute = compute or devices.compute("auto")
        of_bank = {name: options.pop(name) for name in ("encoder", "zoom") if name in options}
        bank = self.describe(images, bands, **of_bank)
        x, y, where = labelled(bank, images, labels, compute, units)
        return self.fitted(bank, x, y, where, classes, compute, seed=seed, **options)

    def describe(
        self, images: Sequence[np.ndarray], bands: Sequence[str], **options: object
    ) -> Bank:
        """The features of this learner for images like these; see `bank.described`."""
        return banks.described(images, self.groups, bands=bands, scales=self.scales, **options)

    def fitted(
        self,
        bank: Bank,
        x: Float32[np.ndarray, "n d"],
        y: UInt8[np.ndarray, " n"],
        units: Int[np.ndarray, " n"],
        classes: int,
        compute: Compute,
        *,
        seed: int = 0,
        **options: object,
    ) -> FeaturePredictor:
        """Fit the head to features of labelled pixels that are computed already."""
        if not len(y):
            raise NoLabelsError("no pixel has a label, so nothing can be fitted")
        if self.head == "linear" and len(np.unique(y)) < 2:
            raise NoLabelsError(
                f"all {len(y)} labelled pixels are of class {int(y[0])}; a linear head needs two "
                "classes"
            )
        taken = heads.chosen(self.head, y, seed)
        head = heads.fit(self.head, x[taken], y[taken], units[taken], seed=seed, **options)
        origin = {"weights": bank.encoder or "none", "sha256": bank.sha256,
                  "licence": bank.licence, "origin": f"scikit-learn {sklearn.__version__}",
                  "features": len(bank.names), "pixels": len(taken)}  # fmt: skip
        if isinstance(head, Linear):
            origin["penalty"] = head.penalty
        return FeaturePredictor(bank, head, classes, compute, origin)

    def part_of(self, whole: Bank) -> Bank:
        """The features of this learner among those of several learners."""
        plain, seen = self.groups == (banks.BANDS,), banks.FROZEN in self.groups
        return replace(
            whole,
            groups=self.groups,
            scales=self.scales,
            differences=() if plain else whole.differences,
            composites=() if plain else whole.composites,
            encoder=whole.encoder if seen else "",
            sha256=whole.sha256 if seen else "",
            licence=whole.licence if seen else "",
            zoom=whole.zoom if seen else 1,
        )

    def read(self, file: Path, classes: int, channels: int, compute: Compute) -> FeaturePredictor:
        """The predictor in a file; see `learners.Learner.read`.

        Raises:
            OSError, ValueError, TypeError, KeyError: the file is not there, damaged, or is for
                other features, classes or channels.
        """
        linear = self.head == "linear"
        head, about = heads.read_linear(file) if linear else heads.read_forest(file)
        bank = _bank(about["bank"])
        depth = head.weights.shape[1] if linear else head.forest.n_features_in_
        known = np.asarray(head.known)
        if bank.groups != self.groups or bank.channels != channels or depth != len(bank.names):
            raise ValueError(
                f"it is for {bank.channels} bands and {depth} features of {bank.groups}; needed "
                f"are {channels} bands and {len(bank.names)} features of {self.groups}"
            )
        if not 0 <= known.min() <= known.max() < classes or len(set(known.tolist())) < len(known):
            raise ValueError(f"it is for classes {known.tolist()}, needed are {classes} classes")
        if bank.encoder and frozen.encoder(bank.encoder).sha256 != bank.sha256:
            raise ValueError(f"encoder '{bank.encoder}' has other weights here than in training")
        return FeaturePredictor(bank, head, classes, compute)


def together(
    learners: Sequence[FeatureLearner],
    images: Sequence[UInt8[np.ndarray, "_ _ c"]],
    bands: Sequence[str],
    **options: object,
) -> Bank:
    """All features of several learners, for images like these; `FeatureLearner.part_of` and
    `columns_of` find those of one of them. See `bank.described`.
    """
    groups = tuple(
        group
        for group in (banks.BANDS, banks.TEXTURE, banks.FROZEN)
        if any(group in learner.groups for learner in learners)
    )
    scales = tuple(sorted({scale for learner in learners for scale in learner.scales}))
    return banks.described(images, groups, bands=bands, scales=scales, **options)


def columns_of(whole: Bank, part: Bank) -> Int[np.ndarray, " d"]:
    """Where the features of one bank stand among those of a larger one."""
    place = {name: number for number, name in enumerate(whole.names)}
    return np.array([place[name] for name in part.names])


def labelled(
    bank: Bank,
    images: Sequence[UInt8[np.ndarray, "_ _ c"]],
    labels: Sequence[UInt8[np.ndarray, "_ _"]],
    compute: Compute,
    units: Sequence[Int[np.ndarray, "_ _"]] | None = None,
) -> tuple[Float32[np.ndarray, "n d"], UInt8[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Features, class and unit of every labelled pixel, image after image."""
    xs, ys, us = [np.empty((0, len(bank.names)), np.float32)], [], []
    for number, (image, drawn) in enumerate(zip(images, labels, strict=True)):
        at = np.argwhere(drawn != IGNORE)
        if len(at):
            found = list(banks.layers(bank, image, compute))
            xs.append(banks.sampled(found, at, drawn.shape))
            ys.append(drawn[tuple(at.T)])
            us.append(_units(number, at) if units is None else units[number][tuple(at.T)])
    y, where = (np.concatenate([np.empty(0, kind), *parts]) for kind, parts in
                ((np.uint8, ys), (np.int64, us)))  # fmt: skip
    return np.concatenate(xs), y, where


def _units(number: int, at: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, " n"]:
    block = at // BLOCK
    return (number * 2**20 + block[:, 0]) * 2**20 + block[:, 1]


def _bank(told: Mapping[str, object]) -> Bank:
    """A bank from JSON, its lists as tuples."""
    return Bank(**{name: _tuple(value) for name, value in told.items()})


def _tuple(value: object) -> object:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value
