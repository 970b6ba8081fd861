"""Tiles decoded once into two flat files and an index, and read through memory maps.

Decoding 99 million pixels of JPEG for every run would cost more than some runs, and larger data
sets do not fit in memory. A cache is named after what it was made from, so a changed source or
grid makes a new one.
"""

import hashlib
import json
import logging
import zlib
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

    `labelled` counts pixels of its mask with a class; `place` is the index's word for its site.
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
        end, c = e.offset + e.height * e.width, e.channels
        image = self._images[e.offset * c : end * c].reshape(e.height, e.width, c)
        mask = self._masks[e.offset : end].reshape(e.height, e.width)
        if (zlib.crc32(image), zlib.crc32(mask)) != (e.image_crc, e.mask_crc):
            raise _corrupt(self.folder, f"tile '{e.id}' has other bytes than were written")
        return image, mask

    # One map a file: a map a tile would exceed the system's limit on their number.
    @cached_property
    def _images(self) -> UInt8[np.ndarray, " bytes"]:
        return _mapped(self.folder / "images.bin")

    @cached_property
    def _masks(self) -> UInt8[np.ndarray, " bytes"]:
        return _mapped(self.folder / "masks.bin")


def opened(source: Source, root: Path, *, grid: int) -> Cache:
    """Open the cache of `source` under `root`; decode the tiles first if it is not there.

    Args:
        grid: longest side in pixels of a tile; larger tiles are shrunk (images by area-weighted
            bilinear resampling, masks by nearest neighbour), smaller ones are kept as they are.

    Raises:
        DataError: the cache is damaged, or a tile does not decode.
        DiskFullError: the cache does not fit; nothing of it is kept.
    """
    key = hashlib.sha256(f"{FORMAT} {source.fingerprint} {grid}".encode()).hexdigest()[:12]
    folder = root / f"{source.name}-{grid}-{key}"
    if not folder.exists():
        with whole_folder(folder) as scratch:
            _write(source, scratch, grid)
    try:
        index = json.loads((folder / "index.json").read_text())
        entries = tuple(Entry(**tile) for tile in index["tiles"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(folder, f"index.json cannot be read ({error})") from error
    for name in ("images.bin", "masks.bin"):
        bands = [e.channels if name == "images.bin" else 1 for e in entries]
        expected = sum(e.height * e.width * c for e, c in zip(entries, bands, strict=True))
        size = (folder / name).stat().st_size if (folder / name).exists() else 0
        if size != expected:
            raise _corrupt(folder, f"{name} has {size:,} bytes, its index says {expected:,}")
    return Cache(folder, entries)


def _write(source: Source, folder: Path, grid: int) -> None:
    entries, offset, counts = [], 0, np.zeros(IGNORE + 1, np.int64)
    with (folder / "images.bin").open("wb") as images, (folder / "masks.bin").open("wb") as masks:
        for i in tqdm(range(len(source.ids)), desc=f"decoding {source.name}", unit="tile"):
            image, mask = _on_grid(*_checked(source, i), grid)
            images.write(image)
            masks.write(mask)
            facts = zlib.crc32(image), zlib.crc32(mask), int((mask != IGNORE).sum())
            entries.append(Entry(source.ids[i], source.sites[i], *image.shape, offset, *facts))
            offset += mask.size
            counts += np.bincount(mask.ravel(), minlength=len(counts))
    if void := sum(not entry.labelled for entry in entries):
        log.info("%s: %d of %d tiles hold no class", source.name, void, len(entries))
    if counts[IGNORE]:
        share = 100 * counts[IGNORE] / counts.sum()
        log.info("%s: %.1f %% of the pixels carry no class", source.name, share)
    for name, number in zip(source.classes, counts, strict=False):
        if not number:
            log.warning("%s: no pixel has the class '%s'", source.name, name)
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
    longest = max(mask.shape)
    if longest <= grid:
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)
    height, width = (max(1, round(side * grid / longest)) for side in mask.shape)
    bands = [
        Image.fromarray(np.ascontiguousarray(image[..., band])).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for band in range(image.shape[-1])
    ]
    small = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return np.stack(bands, axis=-1), np.array(small)


def _mapped(file: Path) -> UInt8[np.ndarray, " bytes"]:
    # A view of a plain array is small; a view of a memmap holds a dict, and there is one a tile.
    return np.memmap(file, dtype=np.uint8, mode="r").view(np.ndarray)


def _corrupt(folder: Path, what: str) -> DataError:
    return DataError(
        f"the tile cache '{folder}' is damaged: {what}; delete that folder, it is rebuilt"
    )
