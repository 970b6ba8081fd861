"""File locks that stop two processes from training the same run.

A lock is an empty file beside the records. The system releases it when its holder ends, however it
ends. The file stays, since a file that is removed could be locked twice. Records stay whole without
a lock: if two processes train the same run after all, the first record stays.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fewlabels.files import making
from fewlabels.results import records

FOLDER = ".claims"


def claimed(runs: Path, key: str, *, wait: bool = False) -> FileLock | None:
    """Lock a run; None if another process holds the lock and we do not `wait` for it.

    Raises:
        DiskFullError, PlaceError: not even an empty file can be written.
    """
    file = records.beside(runs) / FOLDER / f"{key}.lock"
    with making(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            return None
    return lock


@contextmanager
def held(runs: Path, key: str) -> Iterator[None]:
    """Hold the lock of a run during the block; waits for another process to release it.

    Raises:
        DiskFullError, PlaceError: as `claimed`.
    """
    lock = claimed(runs, key, wait=True)
    try:
        yield
    finally:
        lock.release()
