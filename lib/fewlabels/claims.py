"""Which missing runs another process is training, so that two sweeps share a study's work.

A claim is a lock on a file beside the records. The system drops it when its holder ends, however it
ends, so a claim never outlives its sweep. Records need no claim to stay whole: where two processes
train the same run after all, the first record stays.
"""

from pathlib import Path

from filelock import FileLock, Timeout

from fewlabels.files import naming_a_full_disk

FOLDER = ".claims"


def claimed(runs: Path, key: str) -> FileLock | None:
    """The lock of a run, held by us from now on; None where another process holds it.

    Raises:
        DiskFullError: not even an empty file can be made.
    """
    file = runs / FOLDER / f"{key}.lock"
    with naming_a_full_disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
    return lock


def dropped(lock: FileLock) -> None:
    """Take a claim's file away and release it: whoever waits for it looks for the record next."""
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
