"""Download a public data set without an account: whole and checked, or not at all.

`pooch` brings the archive and checks it against its hash. Kaggle is asked where it is with the
request layer of its own client, `kagglesdk`; the layer above it is not imported, because without a
token `import kaggle` prints its login help, makes a folder in the home directory and closes
standard input (kaggle 2.2.4).
"""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path, PurePosixPath

import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from fewlabels.files import FULL, made_folder, naming_a_full_disk, whole_folder
from fewlabels.types import DataError

RATIO = 100  # times its size that an archive without manifest and hash may grow
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
"""What `zipfile` raises for what it cannot read: also encrypted or compressed in another way."""
TIMEOUT = 30
"""Seconds without an answer after which a connection counts as broken."""


@dataclass(frozen=True)
class Download:
    """Where the archive of a public data set is, and what is needed of it.

    Attributes:
        members: patterns of the paths to extract; the archive may hold them in a folder.
        kaggle: "owner/dataset" on Kaggle.
        address: of the zip file, where it is not on Kaggle.
        md5: of the zip file, where it is known.
        manifest: a file beside this module that lists MD5, size and path of each file; every
            download is checked against it.
    """

    members: tuple[str, ...]
    kaggle: str = ""
    address: str = ""
    md5: str = ""
    manifest: str = ""

    @property
    def origin(self) -> str:
        """Where the archive comes from, in words."""
        return self.address or f"Kaggle {self.kaggle}"

    def files(self) -> Iterator[tuple[str, int, str]]:
        """MD5, size in bytes and path of each file that the manifest lists."""
        if self.manifest:
            text = (
                resources.files("fewlabels.data.sources").joinpath(self.manifest).read_text("utf-8")
            )
            for md5, size, path in (line.split(maxsplit=2) for line in text.splitlines()):
                yield md5, int(size), path


def fetch(download: Download, target: Path) -> Path:
    """Download a data set into the folder `target` unless it is there; returns `target`.

    Files that are there are checked by size, downloaded ones by size and MD5. `target` appears
    by one rename. Of several processes that want the same data set, one downloads it and the others
    wait.

    Raises:
        DataError: `target` lacks files; no connection; the server refuses; the archive is broken
            or lacks files. It names the data set, its origin and the ways out.
        DiskFullError, PlaceError: `target` cannot be written.
    """
    try:
        if not _is_there(download, target):
            made_folder(target.parent)
            with FileLock(target.with_name(f".{target.name}.lock")):
                if not _is_there(download, target):
                    _install(download, target)
    except DataError as error:
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
    """What is wrong with the first bad file at or below `folder`, and how many are bad."""
    listed = list(download.files())
    depth = listed[0][2].count("/") + 1 if listed else 0
    there = {"/".join(file.parts[-depth:]): file for file in folder.rglob("*") if file.is_file()}
    faults = []
    for md5, size, path in listed:
        if not (file := there.get(path)):
            faults.append(f"'{path}' is missing")
        elif (found := file.stat().st_size) != size:
            faults.append(f"'{path}' has {found} bytes, not {size}")
        elif hashed and (found := pooch.file_hash(file, alg="md5")) != md5:
            faults.append(f"'{path}' has MD5 {found}, not {md5}")
    return f"{faults[0]} ({len(faults)} of {len(listed)} files)" if faults else None


def _install(download: Download, target: Path) -> None:
    """Download, extract, check and rename. The caller holds the lock of `target`."""
    archive = target.with_name(f".{target.name}.zip")
    archive.unlink(missing_ok=True)  # of a process that was killed
    known = f"md5:{download.md5}" if download.md5 else None
    store = pooch.create(target.parent, "", registry={archive.name: known},
                         urls={archive.name: download.origin})  # fmt: skip

    def bring(_: str, output: str, store: pooch.Pooch) -> None:
        with _explained(download), naming_a_full_disk(target):
            http = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
            http(download.address or _located(download.kaggle), output, store)

    try:
        store.fetch(archive.name, downloader=bring)
        with whole_folder(target) as scratch:
            _extract(archive, scratch, download)
            if fault := _fault(download, scratch, hashed=True):
                raise DataError(f"in the archive {fault}; nothing is kept")
    except ValueError as error:  # what pooch raises for a wrong hash
        raise DataError(f"the archive is not the known one ({error}); nothing is kept") from error
    finally:
        archive.unlink(missing_ok=True)


@contextmanager
def _explained(download: Download) -> Iterator[None]:
    """Raise DataError for a failed request, or where the Kaggle client is not installed."""
    try:
        yield
    except ImportError as error:
        raise DataError(f"{error}; pip install 'fewlabels[download]'") from error
    except requests.HTTPError as error:
        said = str(error).partition(" for url:")[0]
        advice = "is the set still public, and a stored Kaggle token, if any, still valid?"
        raise DataError(f"the server refuses ({said}); {advice}") from error
    except requests.RequestException as error:
        where = download.address or "Kaggle"
        raise DataError(
            f"no connection to {where} ({type(error).__name__}); call again when there is one"
        ) from error
    except ValueError as error:  # a length that is no number
        raise DataError(f"the answer of the server cannot be read ({error})") from error


def _located(dataset: str) -> str:
    """The address of an archive that Kaggle stores."""
    from kagglesdk import KaggleClient
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest
    from kagglesdk.kaggle_env import get_endpoint, get_env

    # The client waits without a limit; this notices a silent network in seconds.
    requests.head(get_endpoint(get_env()), timeout=TIMEOUT)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = dataset.split("/")
    with KaggleClient() as client:
        response = client.datasets.dataset_api_client.download_dataset(request)
        response.close()
    return response.url


def _extract(archive: Path, folder: Path, download: Download) -> None:
    """Extract what the manifest lists, each file once and up to its size, or without one what a
    pattern fits; `zipfile` keeps every path inside the folder.
    """
    listed = {path: size for _, size, path in download.files()}
    try:
        with zipfile.ZipFile(archive) as zipped:
            wanted = _wanted(zipped.infolist(), listed, download.members)
            grown, most = (
                sum(entry.file_size for entry in wanted.values()),
                RATIO * archive.stat().st_size,
            )
            if not (listed or download.md5) and grown > most:
                raise DataError(f"the archive would grow to {grown:,} bytes; nothing is kept")
            for entry in tqdm(wanted.values(), desc="extract"):
                zipped.extract(entry, folder)  # checks the CRC
    except BROKEN as error:
        raise DataError(f"the archive is not a whole zip file ({error}); call again") from error
    except OSError as error:
        if error.errno in FULL:
            raise
        raise DataError(f"the archive cannot be unpacked ({error}); nothing is kept") from error
    if not wanted:
        names = ", ".join(download.members)
        raise DataError(f"the archive holds none of {names}; nothing is kept")


def _wanted(
    entries: list[zipfile.ZipInfo], listed: dict[str, int], members: tuple[str, ...]
) -> dict[str, zipfile.ZipInfo]:
    """The entries to extract; a path may lie in a folder of the archive."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename
        names = () if not name or entry.is_dir() else PurePosixPath(name).parts
        tails = ("/".join(names[-p.count("/") - 1 :]) for p in members)
        fits = [tail for tail, p in zip(tails, members, strict=True) if fnmatch(tail, p)]
        if fits and not listed:
            found[entry.filename] = entry
        elif fits and fits[0] in listed:
            if entry.file_size > listed[fits[0]]:
                raise DataError(
                    f"in the archive '{fits[0]}' has {entry.file_size} bytes, not "
                    f"{listed[fits[0]]}; nothing is kept"
                )
            found.setdefault(fits[0], entry)
    return found
