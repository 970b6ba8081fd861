"""Fetch a public data set, without an account: whole and checked, or not at all.

An archive is a zip file at an address of its own, or on Kaggle; `transfer` brings it.
"""

import errno
import glob
import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path, PureWindowsPath

from filelock import FileLock
from tqdm import tqdm

from fewlabels.data import transfer
from fewlabels.types import DataError

_md5 = partial(hashlib.md5, usedforsecurity=False)


@dataclass(frozen=True)
class File:
    """One file of a data set: its path in the data set's folder, its MD5, its length in bytes."""

    path: str
    md5: str
    size: int


@dataclass(frozen=True)
class Download:
    """A public data set's archive and the files that it must hold.

    Attributes:
        handle: "owner/dataset" on Kaggle.
        files: what must be there; the archive may hold more, and may hold all of it in a folder
            of its own. Without files only the archive's checksums are checked.
        version: number of the Kaggle data set's version; None is the newest.
        address: of the zip file, where it does not come from Kaggle.
        md5: of the zip file, if it is known.
    """

    handle: str = ""
    files: tuple[File, ...] = ()
    version: int | None = None
    address: str = ""
    md5: str = ""

    @property
    def origin(self) -> str:
        """Where the archive comes from, in words."""
        return self.address or f"Kaggle {self.handle}"


def dubai() -> Download:
    """The 72 images and 72 masks of Dubai; nothing is fetched yet.

    Source: https://www.kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery
    """
    manifest = resources.files("fewlabels.data.sources").joinpath("dubai_manifest.txt")
    rows = (line.split(maxsplit=2) for line in manifest.read_text("utf-8").splitlines())
    files = tuple(File(path, md5, int(size)) for md5, size, path in rows)
    return Download("humansintheloop/semantic-segmentation-of-aerial-imagery", files)


def fetch(download: Download, target: Path) -> Path:
    """The folder `target`, downloaded unless it is there.

    Files that were there are checked by size, downloaded ones by size and MD5. `target` appears
    by one rename. A broken transfer goes on where it broke, in the next call too. Processes that
    want the same target take turns, and the later ones find it there.

    Raises:
        DataError: `target` lacks files; no connection; the server refuses; the archive is broken,
            unsafe or not what `download` lists; the disk is full or cannot be written.
    """
    try:
        if not _is_there(download, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_name(f".{target.name}.lock")):
                if not _is_there(download, target):
                    _install(download, target)
    except (DataError, OSError) as error:
        raise DataError(
            f"data set '{target}' ({download.origin}): {error}; or put the files there by "
            f"hand, or set DATA_ROOT to a folder that holds '{target.name}' (see data/README.md)"
        ) from error
    return target


def _is_there(download: Download, target: Path) -> bool:
    """Whether `target` holds the data set; an empty folder counts as absent."""
    if not target.exists() or not any(target.iterdir()):
        return False
    if fault := _fault(download, target, hashed=False):
        raise DataError(f"it is there, but {fault}; move it away to download it anew")
    return True


def _fault(download: Download, folder: Path, *, hashed: bool) -> str | None:
    """What is wrong with the first bad file in `folder`, and how many are bad."""
    top = _top(download, folder)
    faults = [fault for file in download.files if (fault := _file_fault(file, top, hashed))]
    return f"{faults[0]} ({len(faults)} of {len(download.files)} files)" if faults else None


def _top(download: Download, folder: Path) -> Path:
    """The folder, at or below `folder`, that the listed files' paths start from."""
    if not download.files:
        return folder
    first = download.files[0].path
    found = folder.glob(f"**/{glob.escape(first)}")
    path = min(found, key=lambda path: len(path.parts), default=folder / first)
    return path.parents[first.count("/")]


def _file_fault(file: File, folder: Path, hashed: bool) -> str | None:
    path = folder / file.path
    if not path.is_file():
        return f"'{file.path}' is missing"
    if path.stat().st_size != file.size:
        return f"'{file.path}' has {path.stat().st_size} bytes, not {file.size}"
    md5 = _md5(path.read_bytes()).hexdigest() if hashed else file.md5
    return None if md5 == file.md5 else f"'{file.path}' has MD5 {md5}, not {file.md5}"


def _install(download: Download, target: Path) -> None:
    """Download, extract beside `target`, check, rename. The caller holds the lock of `target`."""
    _sweep(target, "unpack-*")
    archive = _archive(download, target)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.unpack-", dir=target.parent) as to:
            content = Path(to) / "content"  # the temporary folder itself is closed to other users
            content.mkdir()
            _check_archive(download, archive)
            _extract(archive, content)
            if fault := _fault(download, content, hashed=True):
                raise DataError(f"in the archive {fault}; nothing is kept")
            os.replace(_top(download, content), target)
    finally:
        archive.unlink(missing_ok=True)


def _check_archive(download: Download, archive: Path) -> None:
    with archive.open("rb") as stream:
        md5 = hashlib.file_digest(stream, _md5).hexdigest() if download.md5 else ""
    if md5 != download.md5:
        raise DataError(
            f"the archive has MD5 {md5}, not {download.md5}; nothing is kept, call again"
        )


def _sweep(target: Path, leftovers: str, keep: Path | None = None) -> None:
    """Delete what killed processes left beside `target`."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.{leftovers}"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path != keep:
            path.unlink()


@contextmanager
def _room(needed: int, archive: Path) -> Iterator[None]:
    """Refuse a disk without `needed` free bytes, before and while writing; drops the archive."""
    free = shutil.disk_usage(archive.parent).free
    try:
        if needed > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        archive.unlink(missing_ok=True)
        raise DataError(
            f"the disk is full, {needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB were free; "
            "make room and call again"
        ) from error


def _archive(download: Download, target: Path) -> Path:
    """The zip file beside `target`, every byte there; its name tells whose bytes they are."""
    with transfer.connection(download.address or "Kaggle"):
        if download.address:
            remote = transfer.ask(download.address)
        else:
            remote = transfer.ask_kaggle(download.handle, download.version)
        etag, total = remote.headers.get("ETag"), int(remote.headers.get("Content-Length", 0))
        identity = f"{download.origin} {download.version} {etag} {total}".encode()
        archive = target.with_name(
            f".{target.name}.{hashlib.sha256(identity).hexdigest()[:16]}.partial"
        )
        _sweep(target, "*.partial", keep=archive if etag and total else None)
        needed = total - transfer.size(archive) + sum(file.size for file in download.files)
        with _room(needed, archive):
            transfer.receive(remote, archive, total)
    return archive


def _extract(archive: Path, content: Path) -> None:
    """Extract all entries into `content`, or none where one of them is unsafe."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = zipped.infolist()
            for entry in filter(_is_unsafe, entries):
                raise DataError(f"the archive holds the unsafe entry '{entry.orig_filename}'")
            with _room(sum(entry.file_size for entry in entries), archive):
                for entry in tqdm(entries, desc="extract"):
                    zipped.extract(entry, content)  # checks the CRC
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"the archive is not a whole zip file ({error}); call again") from error


def _is_unsafe(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry could write outside its folder, or is a link or a device."""
    name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    path = PureWindowsPath(name)  # knows drive letters and both kinds of slash
    plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
    return bool(path.anchor) or ".." in path.parts or "\\" in name or not plain
