"""Write files and folders whole, or not at all.

A folder or file is made beside its final name and renamed into place, so a reader never meets
half of one, whatever killed the writer. Arrays that only a living process needs lie in a file
without a name.
"""

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock

from fewlabels.types import DiskFullError, PlaceError

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
    with naming_a_full_disk(target):
        with making(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield scratch
            scratch.chmod(0o755)
            _rename_unless_there(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Make a scratch file that replaces `target` when the block ends without an error.

    Raises:
        DiskFullError: no space is left; an earlier `target` is untouched.
        PlaceError: nothing can be written there.
    """
    with naming_a_full_disk(target):
        with making(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        scratch = Path(name)
        try:
            yield scratch
            scratch.chmod(0o644)
            os.replace(scratch, target)
        finally:
            scratch.unlink(missing_ok=True)


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of a file that several processes read, change and replace.

    The lock is an empty file in .claims, which stays: one that is removed could be locked twice.

    Raises:
        DiskFullError, PlaceError: not even an empty file can be made.
    """
    file = target.parent / ".claims" / f"{target.name}.lock"
    with making(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


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
