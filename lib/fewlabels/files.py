"""Write files and folders whole, or not at all.

A folder or file is made beside its final name and renamed into place, so a reader never meets
half of one, whatever killed the writer; the next writer removes what a killed one left. Nothing is
synced to the disk: a power cut may lose or spoil what was finished seconds before it. Arrays that
only a living process needs lie in a file without a name.
"""

import errno
import glob
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from fewlabels.types import DiskFullError, PlaceError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Make a scratch folder that becomes `target` when the block ends without an error.

    If another process made `target` first, it stays and ours is dropped: folders written this way
    are named after their content.

    Raises:
        DiskFullError: no space is left; nothing remains of what was written.
        PlaceError: nothing can be written there.
    """
    with naming_a_full_disk(target), _scratch(target) as scratch:
        yield scratch
        _rename_unless_there(scratch, target)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Name a file in a scratch folder that replaces `target` when the block ends without an error.

    Raises:
        DiskFullError: no space is left; an earlier `target` is untouched.
        PlaceError: nothing can be written there.
    """
    with naming_a_full_disk(target), _scratch(target) as scratch:
        yield scratch / target.name
        os.replace(scratch / target.name, target)


@contextmanager
def working(folder: Path, target: Path) -> Iterator[Path]:
    """Keep the folder in which `target` is made to this process. It stays, for a later process to
    go on with, unless the block leaves nothing in it.

    Raises:
        PlaceError: another process makes `target` now, or the folder cannot be made.
        DiskFullError: not even an empty file can be made.
    """
    taken = lock(made_folder(folder) / "lock", wait=False)
    if taken is None:
        raise PlaceError(
            f"another process is making '{target}' now; wait for it, or name another place"
        )
    try:
        yield folder
    finally:
        if not any(file.name != "lock" for file in folder.glob("*")):
            shutil.rmtree(folder, ignore_errors=True)
        taken.release()


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of a file that several processes read, change and replace; raises as `lock`."""
    taken = lock(claim(target))
    try:
        yield
    finally:
        taken.release()


def claim(target: Path) -> Path:
    """Name the lock of a file or folder: an empty file in .claims beside it, which stays, since one
    that is removed could be locked twice.
    """
    return target.parent / ".claims" / f"{target.name}.lock"


def lock(file: Path, *, wait: bool = True) -> FileLock | None:
    """Take a lock until it is released or this process ends; without `wait`, None if another
    process holds it.

    Raises:
        DiskFullError, PlaceError: not even an empty file can be made.
    """
    with making(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        taken = FileLock(file)
        try:
            taken.acquire(blocking=wait)
        except Timeout:
            return None
    return taken


def made_folder(folder: Path) -> Path:
    """Make a folder if it is not there; returns it.

    Raises:
        DiskFullError, PlaceError: it cannot be made.
    """
    with making(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def writable(target: Path) -> None:
    """Check, before long work, that a file or folder `target` can be made.

    Raises:
        DiskFullError, PlaceError: it cannot be made.
    """
    with making(target), tempfile.TemporaryFile(dir=made_folder(target.parent)):
        pass


def stamp(files: Iterable[Path]) -> str:
    """Name, size and time of files, by which another file of the same name is known."""
    told = ((file.name, file.stat()) for file in files)
    return " ".join(f"{name} {found.st_size} {found.st_mtime_ns}" for name, found in told)


class Shelf:
    """Arrays in a file without a name, read and written through memory maps.

    They take memory only while they are used, and disk space until the last one is gone.
    """

    PIECE = 2**24  # bytes: a map an array would exceed the system's limit on their number

    def __init__(self, folder: Path) -> None:
        made_folder(folder)
        self._folder, self._free = folder, np.empty(0, np.uint8)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives with us

    def zeros(self, shape: tuple[int, ...], kind: type = np.uint8) -> np.ndarray:
        """A new array of zeros, of one byte an element.

        Raises:
            DiskFullError: it does not fit.
        """
        size = math.prod(shape)
        if size > len(self._free):
            self._free = self._more(max(size, self.PIECE))
        taken, self._free = self._free[:size], self._free[size:]
        return taken.reshape(shape).view(kind)

    def _more(self, size: int) -> np.ndarray:
        start = os.fstat(self._file.fileno()).st_size
        with naming_a_full_disk(self._folder / "labels"):
            self._extend(start, size)
        mapped = np.memmap(self._file, np.uint8, "r+", offset=start, shape=(size,))
        return mapped.view(np.ndarray)  # of which a view is small

    def _extend(self, start: int, size: int) -> None:
        """Take the space now: a disk that is full at a later write to a map kills the process."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), start, size)
            return
        self._file.seek(start)  # macOS has no such call
        for at in range(0, size, self.PIECE):
            self._file.write(bytes(min(self.PIECE, size - at)))
        self._file.flush()


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """Make a folder beside `target` that its writer locks and at last removes; those of writers
    that were killed are removed first.
    """
    with making(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for other in target.parent.glob(f".{glob.escape(target.name)}.*.scratch"):
            if (dead := _hold(other, wait=False)) is not None:
                shutil.rmtree(other, ignore_errors=True)
                os.close(dead)
        while True:
            scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}.scratch")
            scratch.mkdir()
            lock = _hold(scratch, wait=True)
            if scratch.exists():  # else another writer swept it before it was locked
                break
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _hold(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder until the handle is closed or its process ends; None where that cannot be."""
    if fcntl is None:
        return None
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if handle is not None:
            os.close(handle)
        return None
    return handle


def _rename_unless_there(scratch: Path, target: Path) -> None:
    try:
        os.rename(scratch, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


@contextmanager
def making(target: Path) -> Iterator[None]:
    """Raise DiskFullError or PlaceError if the block cannot make `target` or its parents."""
    with naming_a_full_disk(target):
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise
            raise PlaceError(
                f"'{target}' cannot be written ({error.strerror}: '{error.filename}'); name "
                "another place"
            ) from error


@contextmanager
def naming_a_full_disk(target: Path) -> Iterator[None]:
    """Raise DiskFullError, which names `target`, if the block meets a full disk or quota."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise full(target) from error


def unwritten(target: Path, why: object) -> DiskFullError | PlaceError:
    """The error for a `target` that a library could not write, in the library's own words `why`.

    The disk is called full only if the words say so, or if it takes no more bytes now.
    """
    if any(os.strerror(number) in str(why) for number in FULL):
        return full(target)
    try:
        with tempfile.TemporaryFile(dir=target.parent) as probe:
            probe.write(bytes(2**16))
    except OSError as error:
        if error.errno in FULL:
            return full(target)
    return PlaceError(f"'{target}' could not be written: {why}; nothing half-written was kept")


def full(target: Path) -> DiskFullError:
    """The error for a `target` that its disk has no space for."""
    free = shutil.disk_usage(next(p for p in target.parents if p.exists())).free
    return DiskFullError(
        f"no space left while writing '{target}': {free:,} bytes are free on that disk; free some "
        "and run again, nothing half-written was kept"
    )
