"""What a result was made with: versions, commit, machine. Goes into every record and report."""

import hashlib
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from fewlabels import paths

PACKAGES = (
    "fewlabels",
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "albumentations",
    "numpy",
)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""The variables that say with how many threads a process may compute."""


@cache
def facts() -> dict[str, object]:
    """Versions, commit and lock hash of this process, once; `finished` is added by the caller."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": commit(),
        "lock": lock_hash(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def now() -> str:
    """UTC to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit() -> str:
    """Commit of the checkout, with `-dirty` where files differ from it; `unknown` without git."""
    head = _git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return f"{head}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else head


def lock_hash() -> str:
    """First twelve hex digits of the SHA-256 of requirements.lock; `unknown` outside a checkout."""
    lock = paths.project_root() / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:12] if lock.is_file() else "unknown"


def _git(*arguments: str) -> str:
    root: Path = paths.project_root()
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
