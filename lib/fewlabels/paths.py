"""Default folders: under the checkout, unless an environment variable names another.

Library functions take paths as arguments; only notebooks and the command line ask here.
"""

import os
from pathlib import Path


def project_root() -> Path:
    """The checkout that holds lib/, notebooks/ and report/; the current folder without one."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def data_root() -> Path:
    """Folder that holds one folder a data set: DATA_ROOT, else data/ in the checkout."""
    return Path(os.environ.get("DATA_ROOT") or project_root() / "data")


def weights_root() -> Path:
    """Folder that holds pretrained safetensors: WEIGHTS_ROOT, else data/weights/."""
    return Path(os.environ.get("WEIGHTS_ROOT") or project_root() / "data" / "weights")


def cache_root() -> Path:
    """Folder of the decoded tile caches: CACHE_ROOT, else data/cache/ in the checkout.

    It is never under DATA_ROOT, which may be read-only.
    """
    return Path(os.environ.get("CACHE_ROOT") or project_root() / "data" / "cache")


def runs_root() -> Path:
    """Folder with one folder a recorded run: RUNS_ROOT, else runs/ in the checkout."""
    return Path(os.environ.get("RUNS_ROOT") or project_root() / "runs")


def kept_root() -> Path:
    """Folder of the committed outputs of cells that show images."""
    return project_root() / "report" / "kept"


def published_root() -> Path:
    """Folder of the committed records of the published studies."""
    return project_root() / "report" / "results"


def published(study: str) -> Path:
    """File of the committed records of one study."""
    return published_root() / f"{study}.parquet"
