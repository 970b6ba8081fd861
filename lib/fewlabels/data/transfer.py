"""Bytes from a server into a file; a transfer that broke goes on where it broke.

Kaggle is asked with the request layer of its client, `kagglesdk.KaggleClient`, which sends no login
where none is stored. The layer above it is not imported: without a token `import kaggle` prints its
login help, makes a folder in the home directory and closes standard input (kaggle 2.2.4). So
resuming (HTTP Range, tied to the ETag), which that layer has, is here.

Where the requests go is up to KAGGLE_API_ENVIRONMENT and the proxy variables, as for the client.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from tqdm import tqdm

from fewlabels.types import DataError

TIMEOUT = 30
"""Seconds without an answer after which a connection counts as broken."""


@contextmanager
def connection(where: str) -> Iterator[None]:
    """What goes wrong on the way to `where`, in words.

    Raises:
        DataError: no connection, a refusal, or the Kaggle client is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise DataError(f"{error}; pip install 'fewlabels[download]'") from error
    except requests.HTTPError as error:
        said = str(error).partition(" for url:")[0]
        advice = "is the set still public, and a stored Kaggle token, if any, still valid?"
        raise DataError(f"the server refuses ({said}); {advice}") from error
    except requests.RequestException as error:
        advice = "call again when there is one, and a broken transfer goes on"
        raise DataError(f"no connection to {where} ({type(error).__name__}); {advice}") from error


def ask(address: str) -> requests.Response:
    """The answer to the request for the file at `address`: its headers, the body unread."""
    with requests.get(address, stream=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
    return response


def ask_kaggle(handle: str, version: int | None) -> requests.Response:
    """The same for the archive of a Kaggle data set, `owner/dataset`; no version is the newest."""
    from kagglesdk import KaggleClient
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest
    from kagglesdk.kaggle_env import get_endpoint, get_env

    # The client waits without a limit: this notices a silent network in seconds.
    requests.head(get_endpoint(get_env()), timeout=TIMEOUT)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.split("/")
    request.dataset_version_number = version
    with KaggleClient() as client:
        response = client.datasets.dataset_api_client.download_dataset(request)
        response.close()
    return response


def receive(remote: requests.Response, archive: Path, total: int) -> None:
    """Bring `archive` to `total` bytes (0: unknown), over as many connections as it takes.

    Raises:
        requests.RequestException: a connection brought nothing new; what came before is kept.
    """
    if not total:
        _append(remote, archive, total)
    while (have := size(archive)) < total:
        broken = None
        try:
            _append(remote, archive, total)
        except requests.RequestException as error:
            broken = error
        if size(archive) <= have:
            raise broken or requests.ConnectionError("closed without a new byte")


def _append(remote: requests.Response, archive: Path, total: int) -> None:
    """One connection: repeat the request that was answered, for the bytes still missing."""
    asked, have = remote.request, size(archive)
    headers = {**asked.headers, "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": remote.headers.get("ETag")}
    with requests.request(
        asked.method, asked.url, data=asked.body, headers=headers, stream=True, timeout=TIMEOUT
    ) as response:
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            have = 0  # not the rest, but all of it
        bar = tqdm(desc="download", total=total or None, initial=have, unit="B", unit_scale=True)
        with bar, archive.open("ab" if have else "wb") as file:
            for chunk in response.iter_content(1 << 16):
                bar.update(file.write(chunk))


def size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
