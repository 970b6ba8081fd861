"""Tiles decoded once: two flat files and an index, read through memory maps.

Decoding 99 million pixels of JPEG for every run would cost more than some runs; held in memory
they would not fit beside larger data. A cache is named by what it was made from, so a changed
source or grid makes a new one and an old one is never read for it.
"""

import hashlib
import json
import logging
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tqdm.auto import tqdm

from fewlabels.data.source import Pair, Source
from fewlabels.files import whole_folder
from fewlabels.types import IGNORE, DataError

log = logging.getLogger(__name__)

FORMAT = 2  # raise it when the files' meaning changes


@dataclass(frozen=True, slots=True)  # there is one a tile
class Entry:
    """Where one tile lies: offsets are in pixels, the checks are CRC-32 of its bytes.

    `labelled` is the number of its mask's pixels that carry a class.
    """

    id: str
    place: str
    height: int
    width: int
    channels: int
    offset: int
    image_crc: int
    mask_crc: int
    labelled: int


@dataclass(frozen=True)
class Cache:
    """The tiles of one source on one training grid."""

    folder: Path
    entries: tuple[Entry, ...]

    def read(self, index: int) -> Pair:
        """Image u8[h w c] and mask u8[h w] of one tile, as read-only views of the files.

        Raises:
            DataError: the tile's bytes are not those that were written.
        """
        e = self.entries[index]
        image = _piece(self._images, e.offset * e.channels, (e.height, e.width, e.channels))
        mask = _piece(self._masks, e.offset, (e.height, e.width))
        if (zlib.crc32(image), zlib.crc32(mask)) != (e.image_crc, e.mask_crc):
            raise _corrupt(self.folder, f"tile '{e.id}' has other bytes than were written")
        return image, mask

    # One map a file: a map a tile would run into the system's limit on their number.
    @cached_property
    def _images(self) -> UInt8[np.ndarray, " bytes"]:
        return _mapped(self.folder / "images.bin")

    @cached_property
    def _masks(self) -> UInt8[np.ndarray, " bytes"]:
        return _mapped(self.folder / "masks.bin")


def opened(source: Source, root: Path, *, grid: int) -> Cache:
    """The cache of `source` under `root`, decoded now if it is not there.

    Args:
        grid: longest side in pixels of a tile for training; larger tiles are shrunk (images by
            area-weighted bilinear resampling, masks by nearest neighbour), smaller ones kept.

    Raises:
        DataError: the cache is damaged, or a tile does not decode.
        DiskFullError: the cache does not fit; nothing of it is kept.
    """
    key = hashlib.sha256(f"{FORMAT} {source.fingerprint} {grid}".encode()).hexdigest()[:12]
    folder = root / f"{source.name}-{grid}-{key}"
    if not folder.exists():
        with whole_folder(folder) as scratch:
            _write(source, scratch, grid)
    return _open(folder)


def _write(source: Source, folder: Path, grid: int) -> None:
    entries, offset = [], 0
    with (folder / "images.bin").open("wb") as images, (folder / "masks.bin").open("wb") as masks:
        for i in tqdm(range(len(source.ids)), desc=f"decoding {source.name}", unit="tile"):
            image, mask = _on_grid(*_checked(source, i), grid)
            images.write(image)
            masks.write(mask)
            facts = zlib.crc32(image), zlib.crc32(mask), int((mask != IGNORE).sum())
            entries.append(Entry(source.ids[i], source.places[i], *image.shape, offset, *facts))
            offset += mask.size
    if void := sum(not entry.labelled for entry in entries):
        log.info("%s: %d of %d tiles hold no class", source.name, void, len(entries))
    index = {"format": FORMAT, "tiles": [asdict(e) for e in entries]}
    (folder / "index.json").write_text(json.dumps(index, indent=0))


def _checked(source: Source, index: int) -> Pair:
    image, mask = source.decode(index)
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"tile '{source.ids[index]}': the image is {image.shape[0]} x {image.shape[1]} pixels "
            f"and its mask {mask.shape[0]} x {mask.shape[1]}; they must be of one size"
        )
    wrong = set(np.unique(mask).tolist()) - set(range(len(source.classes))) - {IGNORE}
    if wrong:
        raise DataError(
            f"tile '{source.ids[index]}': mask values {sorted(wrong)} are no class; "
            f"known are 0 to {len(source.classes) - 1} and {IGNORE} (no class)"
        )
    return image, mask


def _on_grid(
    image: UInt8[np.ndarray, "h w c"], mask: UInt8[np.ndarray, "h w"], grid: int
) -> tuple[UInt8[np.ndarray, "H W c"], UInt8[np.ndarray, "H W"]]:
    h, w = mask.shape
    if max(h, w) <= grid:
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)
    size = (max(1, round(w * grid / max(h, w))), max(1, round(h * grid / max(h, w))))
    bands = [
        Image.fromarray(band).resize(size, Image.Resampling.BILINEAR) for band in _bands(image)
    ]
    small = np.stack([np.asarray(band) for band in bands], axis=-1)
    return small, np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def _bands(image: UInt8[np.ndarray, "h w c"]) -> Sequence[UInt8[np.ndarray, "h w"]]:
    return [np.ascontiguousarray(image[..., c]) for c in range(image.shape[-1])]


def _open(folder: Path) -> Cache:
    try:
        index = json.loads((folder / "index.json").read_text())
        entries = tuple(Entry(**tile) for tile in index["tiles"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(folder, f"index.json cannot be read ({error})") from error
    sizes = {
        "images.bin": sum(e.height * e.width * e.channels for e in entries),
        "masks.bin": sum(e.height * e.width for e in entries),
    }
    for name, expected in sizes.items():
        found = (folder / name).stat().st_size if (folder / name).exists() else 0
        if found != expected:
            raise _corrupt(folder, f"{name} has {found:,} bytes, its index says {expected:,}")
    return Cache(folder, entries)


def _mapped(file: Path) -> UInt8[np.ndarray, " bytes"]:
    # Of a plain array a view is small; a view of a memmap holds a dict, and there is one a tile.
    return np.memmap(file, dtype=np.uint8, mode="r").view(np.ndarray)


def _piece(
    flat: UInt8[np.ndarray, " bytes"], offset: int, shape: tuple[int, ...]
) -> UInt8[np.ndarray, "..."]:
    return flat[offset : offset + math.prod(shape)].reshape(shape)


def _corrupt(folder: Path, what: str) -> DataError:
    return DataError(
        f"the tile cache '{folder}' is damaged: {what}; delete that folder, it is rebuilt"
    )
