"""Downloads against a server on loopback that answers as Kaggle and its storage do.

It stands in as the HTTP proxy of the real client, so it sees every request there is.
"""

import errno
import hashlib
import io
import json
import random
import shutil
import socket
import stat
import threading
import zipfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tqdm import tqdm

from fewlabels.data import registry
from fewlabels.data.download import Download, File, dubai, fetch
from fewlabels.data.sources import deepglobe, landcoverai
from fewlabels.types import DataError

FILES = {
    f"Tile {t}/{name}": random.Random(name + str(t)).randbytes(100_000)
    for t in (1, 2)
    for name in ("images/part.jpg", "masks/part.png")
}
DOWNLOAD = Download(
    "owner/set",
    tuple(File(path, hashlib.md5(data).hexdigest(), len(data)) for path, data in FILES.items()),
)
STORAGE = "http://storage.example/archive.zip?signature=secret"


def archive(files: dict[str, bytes], *odd: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for path, data in files.items():
            zipped.writestr(f"The set/{path}", data)
        for entry, data in odd:
            zipped.writestr(entry, data)
    return buffer.getvalue()


@dataclass
class Kaggle:
    """What the server holds, and what it was asked."""

    archive: bytes = field(default_factory=lambda: archive(FILES))
    etag: str | None = '"1"'
    length: bool = True
    refuses: int = 0
    breaks: list[int] = field(default_factory=list)  # bytes each next transfer sends, then all
    after_break: tuple[str, bytes] | None = None  # the next (etag, archive)
    seen: list[tuple] = field(default_factory=list)  # (method, url, headers, body)
    answering: bool = False

    def ranges(self) -> list[str | None]:
        """The Range header of each request to the storage but the one that only asks."""
        gets = [headers.get("Range") for method, _, headers, _ in self.seen if method == "GET"]
        return gets[1:]


class Handler(BaseHTTPRequestHandler):
    def record(self) -> Kaggle:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.kaggle.seen.append((self.command, self.path, dict(self.headers), body))
        return self.server.kaggle

    def answer(self, status: int, headers: dict[str, object], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True

    def do_HEAD(self) -> None:
        self.record()
        self.answer(404, {})

    def do_POST(self) -> None:
        kaggle = self.record()
        if kaggle.refuses:
            message = {"code": kaggle.refuses, "message": "Permission 'datasets.get' was denied"}
            self.answer(
                kaggle.refuses, {"Content-Type": "application/json"}, json.dumps(message).encode()
            )
        else:
            kaggle.answering = True
            self.answer(302, {"Location": STORAGE})

    def do_GET(self) -> None:
        kaggle = self.record()
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if self.headers.get("If-Range", kaggle.etag) != kaggle.etag:
            start = 0
        body = kaggle.archive[start:]
        headers = {"Content-Length": len(body)} if kaggle.length else {}
        headers |= {"ETag": kaggle.etag} if kaggle.etag else {}
        headers |= {"Content-Range": f"bytes {start}-/{len(kaggle.archive)}"} if start else {}
        limit = len(body)
        if not kaggle.answering and kaggle.breaks:
            limit = kaggle.breaks.pop(0)
            kaggle.etag, kaggle.archive = kaggle.after_break or (kaggle.etag, kaggle.archive)
        kaggle.answering = False
        self.answer(206 if start else 200, headers, body[:limit])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def kaggle(monkeypatch, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.kaggle = Kaggle()
        for name in ("KAGGLE_API_TOKEN", "KAGGLE_KERNEL_RUN_TYPE", "HTTP_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.kaggle
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "data" / "set"


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def beside(target: Path) -> list[str]:
    """Names of what lies next to the target, the lock file apart."""
    return sorted({path.name for path in target.parent.iterdir()} - {f".{target.name}.lock"})


def test_a_download_puts_every_file_in_place_and_leaves_nothing_else(kaggle, target, capsys):
    assert fetch(DOWNLOAD, target) == target
    assert {p.relative_to(target).as_posix() for p in target.rglob("*.*")} == set(FILES)
    assert all((target / path).read_bytes() == data for path, data in FILES.items())
    assert beside(target) == ["set"]
    assert capsys.readouterr().out == ""


def test_kaggle_is_asked_for_the_version_without_a_login(kaggle, target):
    fetch(replace(DOWNLOAD, version=3), target)
    (url, body), *more = [(url, body) for method, url, _, body in kaggle.seen if method == "POST"]
    assert url == "http://localhost/api/v1/datasets.DatasetApiService/DownloadDataset"
    assert json.loads(body) == {
        "ownerSlug": "owner",
        "datasetSlug": "set",
        "datasetVersionNumber": 3,
    }
    assert not more
    assert not any("Authorization" in headers for _, _, headers, _ in kaggle.seen)


def test_a_set_that_is_there_is_not_asked_for(kaggle, target):
    fill(target, FILES)
    assert fetch(DOWNLOAD, target) == target
    assert kaggle.seen == []


def test_a_set_unpacked_by_hand_may_lie_in_the_folder_of_its_archive(kaggle, target):
    fill(target / "The set", FILES)
    fetch(DOWNLOAD, target)
    assert kaggle.seen == []
    (target / "The set/Tile 2/masks/part.png").write_bytes(b"x")
    with pytest.raises(DataError, match="has 1 bytes, not 100000"):
        fetch(DOWNLOAD, target)


def test_a_folder_that_lacks_a_file_is_named_and_left_alone(kaggle, target):
    fill(target, dict(list(FILES.items())[1:]))
    with pytest.raises(DataError, match=r"'Tile 1/images/part.jpg' is missing \(1 of 4 files\)"):
        fetch(DOWNLOAD, target)
    assert kaggle.seen == []
    assert len(list(target.rglob("*.*"))) == 3


def test_an_empty_folder_counts_as_absent(kaggle, target):
    target.mkdir(parents=True)
    fetch(DOWNLOAD, target)
    assert len(list(target.rglob("*.*"))) == 4


def test_a_set_without_a_list_of_files_is_extracted_as_it_is(kaggle, target):
    fetch(Download("owner/set"), target)
    assert (target / "The set" / "Tile 1" / "images" / "part.jpg").is_file()


CASES = {
    "truncated": (archive(FILES)[:-30_000], "not a whole zip file"),
    "not a zip": (b"<html>please log in</html>", "not a whole zip file"),
    "wrong CRC": (archive(FILES).replace(FILES["Tile 1/images/part.jpg"], bytes(100_000)), "CRC"),
    "wrong bytes": (archive(FILES | {"Tile 2/masks/part.png": bytes(100_000)}), "has MD5"),
    "wrong size": (archive(FILES | {"Tile 2/masks/part.png": b"x"}), "has 1 bytes, not 100000"),
    "a file short": (archive(dict(list(FILES.items())[:3])), "'Tile 2/masks/part.png' is missing"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_archive_is_named_and_nothing_of_it_is_kept(kaggle, target, case):
    kaggle.archive, message = CASES[case]
    with pytest.raises(DataError, match=message) as error:
        fetch(DOWNLOAD, target)
    assert beside(target) == []
    for what_to_do in ("owner/set", str(target), "by hand", "DATA_ROOT"):
        assert what_to_do in str(error.value)


def entry(name: str, kind: int = stat.S_IFREG) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    return info, b"../../outside"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/outside", stat.S_IFREG),
        ("../outside", stat.S_IFREG),
        ("The set/../../outside", stat.S_IFREG),
        ("..\\outside", stat.S_IFREG),
        ("The set\\inside", stat.S_IFREG),
        ("C:outside", stat.S_IFREG),
        ("The set/link", stat.S_IFLNK),
        ("The set/pipe", stat.S_IFIFO),
    ],
)
def test_an_unsafe_entry_is_refused_before_anything_is_extracted(kaggle, target, name, kind):
    kaggle.archive = archive(FILES, entry(name, kind))
    with pytest.raises(DataError, match="unsafe entry") as error:
        fetch(DOWNLOAD, target)
    assert f"'{name}'" in str(error.value)
    assert beside(target) == []
    assert not any(path.name == "outside" for path in target.parents[1].rglob("*"))


def test_a_broken_transfer_goes_on_in_the_same_call(kaggle, target):
    kaggle.breaks = [150_000, 100_000]
    fetch(DOWNLOAD, target)
    first, *later = kaggle.ranges()
    starts = [int(text[6:-1]) for text in later]
    assert first is None
    assert 0 < starts[0] <= 150_000 < starts[1] <= 250_000


def test_a_broken_transfer_goes_on_in_the_next_call(kaggle, target):
    kaggle.breaks = [150_000, 0]
    with pytest.raises(DataError, match="no connection"):
        fetch(DOWNLOAD, target)
    (partial,) = target.parent.glob(".set.*.partial")
    size = partial.stat().st_size
    kaggle.seen.clear()
    fetch(DOWNLOAD, target)
    assert kaggle.ranges() == [f"bytes={size}-"]
    assert 0 < size <= 150_000
    assert beside(target) == ["set"]


@pytest.mark.parametrize("etag", ['"2"', None])
def test_an_archive_that_may_have_changed_is_begun_anew(kaggle, target, etag):
    kaggle.archive, kaggle.breaks, whole = bytes(len(kaggle.archive)), [150_000, 0], kaggle.archive
    kaggle.etag = etag and '"1"'
    with pytest.raises(DataError, match="no connection"):
        fetch(DOWNLOAD, target)
    kaggle.seen.clear()
    kaggle.archive, kaggle.etag = whole, etag
    fetch(DOWNLOAD, target)
    assert kaggle.ranges() == [None]
    assert beside(target) == ["set"]


def test_an_archive_that_changes_on_the_way_is_not_glued_to_the_old_one(kaggle, target):
    kaggle.breaks, kaggle.after_break = [150_000], ('"2"', kaggle.archive)
    kaggle.archive = bytes(len(kaggle.archive))
    fetch(DOWNLOAD, target)
    first, second = kaggle.ranges()
    assert first is None
    assert second is not None


def test_a_length_that_is_not_told_is_not_needed(kaggle, target):
    kaggle.length = False
    fetch(DOWNLOAD, target)
    assert beside(target) == ["set"]


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusal_says_so(kaggle, target, status):
    kaggle.refuses = status
    with pytest.raises(DataError, match=r"refuses .*'datasets.get' was denied.*by hand.*DATA_ROOT"):
        fetch(DOWNLOAD, target)
    assert beside(target) == []


def test_no_network_says_so_and_names_the_ways_out(kaggle, target, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed.server_port}")
    with pytest.raises(DataError, match=r"no connection to Kaggle.*by hand.*DATA_ROOT"):
        fetch(DOWNLOAD, target)
    assert kaggle.seen == []


def test_a_network_that_swallows_everything_is_noticed(kaggle, target, monkeypatch):
    monkeypatch.setattr("fewlabels.data.transfer.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        rescue = threading.Timer(5, silent.close)
        rescue.start()
        with pytest.raises(DataError, match="ReadTimeout"):
            fetch(DOWNLOAD, target)
        rescue.cancel()


def test_leftovers_of_a_killed_process_are_neither_used_nor_kept(kaggle, target):
    fill(target.parent / ".set.unpack-killed" / "content" / "The set", FILES)
    (target.parent / ".set.0123456789abcdef.partial").write_bytes(b"of another archive")
    fill(target.parent / ".other.unpack-alive", {"file": b""})
    fetch(DOWNLOAD, target)
    assert kaggle.ranges() == [None]
    assert beside(target) == [".other.unpack-alive", "set"]


def test_a_full_disk_is_noticed_before_anything_is_written(kaggle, target, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**6, 10**6 - 300_000, 300_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"disk is full, 0\.8 MB needed, 0\.3 MB were free"):
        fetch(DOWNLOAD, target)
    assert kaggle.ranges() == []
    assert beside(target) == []


@pytest.mark.parametrize(
    "step", [(tqdm, "update"), (zipfile.ZipFile, "extract")], ids=["download", "extract"]
)
def test_a_disk_that_fills_up_leaves_nothing(kaggle, target, monkeypatch, step):
    def fill_up(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*step, fill_up)
    with pytest.raises(DataError, match="disk is full"):
        fetch(DOWNLOAD, target)
    assert beside(target) == []


def test_a_place_that_cannot_be_written_is_named(kaggle, target):
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"File exists.*DATA_ROOT"):
        fetch(DOWNLOAD, target)


def test_two_that_want_the_same_set_download_it_once(kaggle, target):
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fetch, [DOWNLOAD] * 2, [target] * 2)) == [target] * 2
    assert kaggle.ranges() == [None]
    assert beside(target) == ["set"]


def elsewhere(whole: bytes, **changed) -> Download:
    """A zip file that does not come from Kaggle."""
    return Download(address=STORAGE, md5=hashlib.md5(whole).hexdigest(), **changed)


def test_an_archive_at_an_address_of_its_own_is_put_in_place(kaggle, target):
    fetch(elsewhere(kaggle.archive, files=DOWNLOAD.files), target)
    assert all((target / path).read_bytes() == data for path, data in FILES.items())
    assert {(method, url) for method, url, _, _ in kaggle.seen} == {("GET", STORAGE)}
    assert beside(target) == ["set"]


def test_a_broken_transfer_from_an_address_goes_on(kaggle, target):
    kaggle.breaks = [len(kaggle.archive), 150_000]  # the first only asks
    fetch(elsewhere(kaggle.archive), target)
    first, second = kaggle.ranges()
    assert first is None
    assert 0 < int(second[6:-1]) <= 150_000


def test_another_archive_than_the_known_one_is_refused_and_not_kept(kaggle, target):
    known = elsewhere(b"another archive")
    with pytest.raises(DataError, match=rf"archive has MD5 \w+, not {known.md5}.*by hand") as error:
        fetch(known, target)
    assert STORAGE in str(error.value)
    assert "Kaggle" not in str(error.value)
    assert beside(target) == []


def test_an_address_that_cannot_be_reached_is_named(kaggle, target, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed.server_port}")
    with pytest.raises(DataError, match=r"no connection to http://storage.example.*by hand"):
        fetch(elsewhere(kaggle.archive), target)


def packed(folder: Path) -> bytes:
    """What lies in a folder, and the folder itself taken away."""
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    whole = archive({name: path.read_bytes() for name, path in files.items()})
    shutil.rmtree(folder)
    return whole


def test_deepglobe_is_downloaded_from_kaggle(kaggle, deepglobe_root):
    before = registry.load("deepglobe", deepglobe_root).fingerprint
    kaggle.archive = packed(deepglobe_root / deepglobe.FOLDER)
    registry.fetch("deepglobe", deepglobe_root)
    (asked,) = [json.loads(body) for method, _, _, body in kaggle.seen if method == "POST"]
    assert asked["ownerSlug"] == "balraj98"
    assert asked["datasetSlug"] == "deepglobe-land-cover-classification-dataset"
    assert registry.load("deepglobe", deepglobe_root).fingerprint == before


def test_landcoverai_is_downloaded_from_its_own_site(kaggle, landcoverai_root, monkeypatch):
    before = registry.load("landcoverai", landcoverai_root).fingerprint
    kaggle.archive = packed(landcoverai_root / landcoverai.FOLDER)
    own = replace(
        landcoverai.archive(),
        address="http://landcover.example/v1.zip",
        md5=hashlib.md5(kaggle.archive).hexdigest(),
    )
    _, folder = registry.ARCHIVES["landcoverai"]
    monkeypatch.setitem(registry.ARCHIVES, "landcoverai", (lambda: own, folder))
    registry.fetch("landcoverai", landcoverai_root)
    assert {url for _, url, _, _ in kaggle.seen} == {own.address}
    assert registry.load("landcoverai", landcoverai_root).fingerprint == before


def test_landcoverai_s_address_is_that_of_version_1_over_https():
    known = landcoverai.archive()
    assert known.address.startswith("https://landcover.ai.")
    assert known.address.endswith("/landcover.ai.v1.zip")
    assert len(known.md5) == 32
    assert not known.handle


def test_dubai_lists_nine_images_and_nine_masks_in_each_of_eight_tiles():
    paths = [file.path for file in dubai().files]
    parts = range(1, 10)
    assert sorted(paths) == sorted(
        f"Tile {tile}/{kind}/image_part_{part:03}.{suffix}"
        for tile in range(1, 9)
        for kind, suffix in (("images", "jpg"), ("masks", "png"))
        for part in parts
    )
    assert all(len(file.md5) == 32 and file.size > 0 for file in dubai().files)
