"""Which missing runs another process is training, so that two sweeps share a study's work.

A claim is a lock on a file beside the records. The system drops it when its holder ends, however it
ends, so a claim never outlives its process; the empty file stays, since a file that is taken away
could be locked twice. Records need no claim to stay whole: where two processes train the same run
after all, the first record stays.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fewlabels.files import making
from fewlabels.results import records

FOLDER = ".claims"
POLL = 0.2  # seconds between two looks at a claim that another process holds


def claimed(runs: Path, key: str) -> FileLock | None:
    """The lock of a run, held by us from now on; None where another process holds it.

    Raises:
        DiskFullError, PlaceError: not even an empty file can be made.
    """
    file = records.beside(runs) / FOLDER / f"{key}.lock"
    with making(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
    return lock


@contextmanager
def held(runs: Path, key: str) -> Iterator[None]:
    """The claim of a run for the time of the block, once no other process holds it.

    Raises:
        DiskFullError: as `claimed`.
    """
    while (lock := claimed(runs, key)) is None:
        time.sleep(POLL)
    try:
        yield
    finally:
        lock.release()
