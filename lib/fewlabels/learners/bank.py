"""What a pixel is described by: its bands, texture around it, and maps of a frozen encoder.

An encoder and the texture filters see three bands at a time. Those are red, green and blue, and
where there is a near infrared also near infrared, red and green, if the bands' names say which they
are; three bands without names, in their order; otherwise the first three principal components.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64, Int, UInt8
from torch import Tensor

from fewlabels.devices import Compute
from fewlabels.learners import frozen, texture

BANDS, TEXTURE, FROZEN = "bands", "texture", "frozen"
COLOURS = {
    "red": r"\bred\b(?!.?edge)", "green": r"\bgreen\b", "blue": r"\bblue\b",
    "nir": r"\bnir\b|\bnear.?infra.?red\b",
}  # fmt: skip
SAMPLE = 20_000  # pixels that principal components are computed from, at most
WIDTH = 2.5  # standard deviations of a principal component that become 0 and 255
Affine = tuple[tuple[float, ...], ...]
"""Rows of weights of the bands and, last, a constant; they give bytes."""


class Layer(NamedTuple):
    """Some features of all pixels of an image.

    Attributes:
        values: of every pixel, or of every n-th where an encoder has halved the image.
        size: rows and columns of pixels that they stand for; more than the image has where it was
            padded.
    """

    values: Float32[Tensor, "d _ _"]
    size: tuple[float, float]


@dataclass(frozen=True)
class Bank:
    """Which features a pixel has, in this order; made by `described`.

    Attributes:
        groups: of `bands`, `texture`, `frozen`.
        channels: bands of an image.
        differences: pairs of bands, counted from 0, whose normalised difference is a feature.
        composites: three rows each, see the module.
        scales: standard deviations of the texture filters, in pixels.
        encoder: see `frozen`; empty where no group needs it.
        sha256, licence: of the encoder's weights.
        zoom: how many times an image is enlarged for the encoder.
    """

    groups: tuple[str, ...]
    channels: int
    differences: tuple[tuple[int, int], ...] = ()
    composites: tuple[Affine, ...] = ()
    scales: tuple[int, ...] = ()
    encoder: str = ""
    sha256: str = ""
    licence: str = ""
    zoom: int = 1

    @property
    def halo(self) -> int | None:
        """How many pixels around a pixel its features depend on; None if unbounded."""
        reach = frozen.encoder(self.encoder).halo if FROZEN in self.groups else 0
        edges = texture.halo(self.scales) if TEXTURE in self.groups else 0
        return None if reach is None else max(-(-reach // self.zoom), edges)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each feature; equal names mean equal features of equal composites."""
        found = []
        if BANDS in self.groups:
            found += [f"band {number}" for number in range(self.channels)]
            found += [f"difference of bands {one} and {two}" for one, two in self.differences]
        if TEXTURE in self.groups:
            found += texture.names(min(3, self.channels), self.scales)
        if FROZEN in self.groups:
            widths = enumerate(frozen.encoder(self.encoder).widths, 1)
            every = [f"stage {n}, channel {c}" for n, width in widths for c in range(width)]
            found += [
                f"composite {n}, {name}" for n in range(len(self.composites)) for name in every
            ]
        return tuple(found)


def described(
    images: Sequence[UInt8[np.ndarray, "_ _ c"]],
    groups: tuple[str, ...],
    *,
    bands: Sequence[str] = (),
    scales: tuple[int, ...] = (),
    encoder: str = frozen.LITE0,
    zoom: int = 1,
) -> Bank:
    """Describe the features of images like these.

    Args:
        images: principal components, where they are needed, are those of their pixels.
        bands: the names of their bands, as far as known.
    """
    channels, known = images[0].shape[2], roles(bands)
    differences = ()
    if "nir" in known:
        pairs = (("nir", "red"), ("green", "nir"))
        differences = tuple((known[a], known[b]) for a, b in pairs if {a, b} <= known.keys())
    plain = groups == (BANDS,)
    made = Bank(groups, channels, () if plain else differences)
    if plain:
        return made
    found = frozen.encoder(encoder) if FROZEN in groups else None
    return Bank(
        groups, channels, differences, _composites(images, known),
        scales if TEXTURE in groups else (),
        *((encoder, found.sha256, found.licence, zoom) if found else ()),
    )  # fmt: skip


def layers(
    bank: Bank,
    image: UInt8[np.ndarray, "h w c"],
    compute: Compute,
    encoder: frozen.Encoder | None = None,
) -> Iterator[Layer]:
    """Compute the features of an image, group by group, in the order of `Bank.names`.

    Args:
        encoder: instead of the bank's own: one whose weights were trained further.
    """
    size = tuple(map(float, image.shape[:2]))
    if BANDS in bank.groups:
        yield Layer(torch.from_numpy(_bands(bank, image)), size)
    if not bank.composites:
        return
    if TEXTURE in bank.groups:
        seen = _composite(bank.composites[0], image)
        channels = np.ascontiguousarray(seen[..., : min(3, bank.channels)])
        grey = seen.mean(axis=2)
        for scale in bank.scales:
            yield Layer(torch.from_numpy(texture.bank(channels, grey, scale)), size)
    if FROZEN in bank.groups:
        encoder = encoder or frozen.encoder(bank.encoder)
        for x in pictures(bank, image):
            padded = tuple(-(-side * bank.zoom // encoder.step) * encoder.step / bank.zoom
                           for side in image.shape[:2])  # fmt: skip
            for stage in frozen.stages(encoder, x, compute, zoom=bank.zoom):
                yield Layer(stage, padded)


def pictures(bank: Bank, image: UInt8[np.ndarray, "h w c"]) -> list[UInt8[Tensor, "3 h w"]]:
    """What an encoder is shown of an image: each of the bank's composites."""
    seen = (_composite(rows, image).round().astype(np.uint8) for rows in bank.composites)
    return [torch.from_numpy(picture).permute(2, 0, 1) for picture in seen]


def sampled(
    found: Iterable[Layer], at: Int[np.ndarray, "n 2"], shape: tuple[int, int]
) -> Float32[np.ndarray, "n d"]:
    """The features of some pixels (row, column) of an image of this shape."""
    rows, columns = (torch.from_numpy(np.ascontiguousarray(part)) for part in at.T)
    where = torch.from_numpy(at.astype(np.float32))
    parts = [
        layer.values[:, rows, columns].T
        if layer.values.shape[1:] == shape
        else frozen.sampled(layer.values, layer.size, where).cpu()
        for layer in found
    ]
    return torch.cat(parts, dim=1).numpy()


def summed(
    found: Iterable[Layer],
    weights: Float32[Tensor, "k d"],
    shape: tuple[int, int],
) -> Float32[Tensor, "k h w"]:
    """The weighted sums of the features of every pixel of an image of this shape.

    Weighting commutes with interpolation, so a map of an encoder is weighted at its own resolution
    and k channels are interpolated instead of hundreds.
    """
    height, width = shape
    total, at = torch.zeros(len(weights), height, width), 0
    for layer in found:
        depth = len(layer.values)
        part = weights[:, at : at + depth].to(layer.values.device)
        some = (part @ layer.values.flatten(1)).unflatten(1, layer.values.shape[1:])
        if some.shape[1:] != shape:
            size = tuple(round(side) for side in layer.size)
            some = F.interpolate(some[None], size=size, mode="bilinear", align_corners=False)[0]
        total += some[:, :height, :width].cpu()
        at += depth
    return total


def _bands(bank: Bank, image: UInt8[np.ndarray, "h w c"]) -> Float32[np.ndarray, "d h w"]:
    values = image.transpose(2, 0, 1).astype(np.float32)
    pairs = [
        255 * (values[one] - values[two]) / np.maximum(values[one] + values[two], 1)
        for one, two in bank.differences
    ]
    return np.stack([*values, *pairs])


def _composite(rows: Affine, image: UInt8[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w 3"]:
    """Three bands in [0, 255] of an image."""
    table = np.array(rows, np.float32)
    return np.clip(image.astype(np.float32) @ table[:, :-1].T + table[:, -1], 0, 255)


def _composites(
    images: Sequence[UInt8[np.ndarray, "_ _ c"]], known: dict[str, int]
) -> tuple[Affine, ...]:
    channels = images[0].shape[2]
    wanted = [("red", "green", "blue"), ("nir", "red", "green")]
    named = [tuple(known[c] for c in three) for three in wanted if set(three) <= known.keys()]
    if not named and channels in (1, 3):
        named = [(0, 1, 2) if channels == 3 else (0, 0, 0)]
    if named:
        eye = np.c_[np.eye(channels), np.zeros(channels)]
        return tuple(_affine(eye[list(three)]) for three in named)
    return (_affine(_components(images)),)


def _components(images: Sequence[UInt8[np.ndarray, "_ _ c"]]) -> Float64[np.ndarray, "3 c1"]:
    """Weights and constants of the first three principal components (of two bands: with the first
    again), each in the direction in which its greatest weight is above 0.
    """
    pixels = np.concatenate([image.reshape(-1, image.shape[2]) for image in images])
    values = pixels[:: max(1, len(pixels) // SAMPLE)].astype(np.float64)
    middle = values.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((values - middle).T))
    order = np.argsort(-variances)[[0, 1, min(2, values.shape[1] - 1)]]
    axes = axes.T[order]
    axes *= np.sign(axes[np.arange(3), np.abs(axes).argmax(axis=1)])[:, None]
    scale = 127.5 / (WIDTH * np.sqrt(np.maximum(variances[order], 1)))
    weights = axes * scale[:, None]
    return np.c_[weights, 127.5 - weights @ middle]


def _affine(table: np.ndarray) -> Affine:
    return tuple(tuple(float(value) for value in row) for row in table)


def roles(bands: Sequence[str]) -> dict[str, int]:
    """Which band is red, green, blue and near infrared, by its name; the first of several."""
    found: dict[str, int] = {}
    for role, pattern in COLOURS.items():
        for number, name in enumerate(bands):
            if role not in found and re.search(pattern, name.replace("_", " "), re.IGNORECASE):
                found[role] = number
    return found
