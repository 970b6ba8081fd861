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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from fewlabels.data import registry
from fewlabels.data.download import Download, fetch
from fewlabels.data.sources import dubai, sheets
from fewlabels.types import DataError, DiskFullError, PlaceError

FILES = {
    f"Tile {t}/{name}": random.Random(name + str(t)).randbytes(100_000)
    for t in (1, 2)
    for name in ("images/part.jpg", "masks/part.png")
}
MEMBERS = ("Tile */images/part.jpg", "Tile */masks/part.png")
LISTED = [(hashlib.md5(data).hexdigest(), len(data), path) for path, data in FILES.items()]
DOWNLOAD = Download(MEMBERS, kaggle="owner/set", manifest="listed")
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
    length: str | None = "true"  # or what is told instead
    refuses: int = 0
    breaks: list[int] = field(default_factory=list)  # bytes each next transfer sends, then all
    seen: list[tuple] = field(default_factory=list)  # (method, url, headers, body)
    answering: bool = False

    def gets(self) -> int:
        return sum(method == "GET" for method, *_ in self.seen)


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
        body = kaggle.archive
        length = len(body) if kaggle.length == "true" else kaggle.length
        headers = {"Content-Length": length} if length is not None else {}
        limit = len(body)
        if not kaggle.answering and kaggle.breaks:
            limit = kaggle.breaks.pop(0)
        kaggle.answering = False
        self.answer(200, headers, body[:limit])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def manifest(monkeypatch):
    """The manifest that DOWNLOAD names; that of Dubai stays its own."""
    own = Download.files
    monkeypatch.setattr(
        Download, "files", lambda self: LISTED if self.manifest == "listed" else own(self)
    )


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


def held(target: Path) -> dict[str, bytes]:
    """The files of a downloaded set, which lie in the folder of its archive."""
    top = target / "The set"
    return {p.relative_to(top).as_posix(): p.read_bytes() for p in top.rglob("*") if p.is_file()}


def beside(target: Path) -> list[str]:
    """Names of what lies next to the target, the lock file apart."""
    return sorted({path.name for path in target.parent.iterdir()} - {f".{target.name}.lock"})


def test_a_download_puts_every_file_in_place_and_leaves_nothing_else(kaggle, target, capsys):
    assert fetch(DOWNLOAD, target) == target
    assert held(target) == FILES
    assert beside(target) == ["set"]
    assert capsys.readouterr().out == ""


def test_kaggle_is_asked_without_a_login(kaggle, target):
    fetch(DOWNLOAD, target)
    (url, body), *more = [(url, body) for method, url, _, body in kaggle.seen if method == "POST"]
    assert url == "http://localhost/api/v1/datasets.DatasetApiService/DownloadDataset"
    assert json.loads(body) == {"ownerSlug": "owner", "datasetSlug": "set"}
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


def test_only_wanted_members_are_extracted(kaggle, target):
    kaggle.archive = archive(FILES | {"read me.txt": b"", "images/part.jpg": b"", "Tile 1/x": b""})
    fetch(replace(DOWNLOAD, manifest=""), target)
    assert held(target) == FILES
    with pytest.raises(DataError, match=r"archive holds none of \*\.tif"):
        fetch(Download(("*.tif",), kaggle="owner/set"), target.with_name("other"))


CASES = {
    "truncated": (archive(FILES)[:-30_000], "not a whole zip file"),
    "not a zip": (b"<html>please log in</html>", "not a whole zip file"),
    "wrong CRC": (archive(FILES).replace(FILES["Tile 1/images/part.jpg"], bytes(100_000)), "CRC"),
    "wrong bytes": (archive(FILES | {"Tile 2/masks/part.png": bytes(100_000)}), "has MD5"),
    "wrong size": (archive(FILES | {"Tile 2/masks/part.png": b"x"}), "has 1 bytes, not 100000"),
    "a file short": (archive(dict(list(FILES.items())[:3])), "'Tile 2/masks/part.png' is missing"),
}


def marked(flag: int, method: int) -> bytes:
    """The archive with a flag and a compression method in the headers of its files."""
    whole = bytearray(archive(FILES))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = whole.find(signature)
        while start >= 0:
            whole[start + at] |= flag
            whole[start + at + 2] = method
            start = whole.find(signature, start + 1)
    return bytes(whole)


CASES |= {
    "encrypted": (marked(1, 0), "encrypted"),
    "compressed in an unknown way": (marked(0, 77), "compression"),
    "wrong data": (marked(0, zipfile.ZIP_LZMA), "not a whole zip file"),
    "too large": (archive(FILES | {"Tile 2/masks/part.png": bytes(100_001)}), "has 100001 bytes"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_archive_is_named_and_nothing_of_it_is_kept(kaggle, target, case):
    kaggle.archive, message = CASES[case]
    with pytest.raises(DataError, match=message) as error:
        fetch(DOWNLOAD, target)
    assert beside(target) == []
    for what_to_do in ("owner/set", str(target), "by hand", "DATA_ROOT"):
        assert what_to_do in str(error.value)


def test_only_what_the_manifest_lists_is_extracted_and_only_once(kaggle, target, monkeypatch):
    more = {f"{n}/Tile 1/images/part.jpg": b"x" for n in range(3)} | {"Tile 9/masks/part.png": b"x"}
    odd = [(zipfile.ZipInfo(name), b"") for name in ("", "/", "Tile 1/images/part.jpg/")]
    kaggle.archive = archive(FILES | more, *odd)
    fetch(DOWNLOAD, target)
    assert held(target) == FILES
    assert len([path for path in target.rglob("*") if path.is_file()]) == len(FILES)


def test_an_archive_that_nothing_describes_may_not_grow_out_of_proportion(kaggle, target):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("Tile 1/images/part.jpg", bytes(10**6))
    kaggle.archive = buffer.getvalue()
    with pytest.raises(DataError, match="would grow to 1,000,000 bytes"):
        fetch(replace(DOWNLOAD, manifest=""), target)


@pytest.mark.parametrize("name", ["/", "../", "The set/../../", "..\\", "C:"])
@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFLNK])
def test_no_member_is_written_outside_or_as_a_link(kaggle, target, name, kind):
    info = zipfile.ZipInfo(f"{name}Tile 3/images/part.jpg")
    info.external_attr = (kind | 0o644) << 16
    kaggle.archive = archive(FILES, (info, b"../../outside"))
    fetch(DOWNLOAD, target)
    assert beside(target) == ["set"]
    assert not any(path.is_symlink() for path in target.rglob("*"))


def test_a_broken_transfer_leaves_nothing_and_the_next_call_begins_anew(kaggle, target):
    kaggle.breaks = [150_000]
    with pytest.raises(DataError, match="no connection to Kaggle"):
        fetch(DOWNLOAD, target)
    assert beside(target) == []
    fetch(DOWNLOAD, target)
    assert beside(target) == ["set"]


def test_a_length_that_is_not_told_is_not_needed(kaggle, target):
    kaggle.length = None
    fetch(DOWNLOAD, target)
    assert beside(target) == ["set"]


def test_a_length_that_is_no_number_is_named(kaggle, target):
    kaggle.length = "abc"
    with pytest.raises(DataError, match=r"answer of the server cannot be read \(.*'abc'"):
        fetch(DOWNLOAD, target)
    assert beside(target) == []


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
    monkeypatch.setattr("fewlabels.data.download.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        rescue = threading.Timer(5, silent.close)
        rescue.start()
        with pytest.raises(DataError, match="ReadTimeout"):
            fetch(DOWNLOAD, target)
        rescue.cancel()


def test_the_leftover_of_a_killed_process_is_not_used(kaggle, target):
    target.parent.mkdir()
    (target.parent / ".set.zip").write_bytes(b"of another archive")
    fetch(DOWNLOAD, target)
    assert beside(target) == ["set"]


@pytest.mark.parametrize("step", [(pooch.HTTPDownloader, "__call__"), (zipfile.ZipFile, "extract")])
def test_a_disk_that_fills_up_leaves_nothing(kaggle, target, monkeypatch, step):
    def fill_up(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*step, fill_up)
    with pytest.raises(DiskFullError, match="no space left"):
        fetch(DOWNLOAD, target)
    assert beside(target) == []


def test_a_place_that_cannot_be_written_is_named(kaggle, target):
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(PlaceError, match=r"data' cannot be written \(File exists"):
        fetch(DOWNLOAD, target)


def test_two_that_want_the_same_set_download_it_once(kaggle, target):
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fetch, [DOWNLOAD] * 2, [target] * 2)) == [target] * 2
    assert kaggle.gets() == 2  # one asks where it is
    assert beside(target) == ["set"]


def elsewhere(whole: bytes) -> Download:
    """A zip file that does not come from Kaggle."""
    md5 = hashlib.md5(whole).hexdigest()
    return Download(MEMBERS, address=STORAGE, md5=md5, manifest="listed")


def test_an_archive_at_an_address_of_its_own_is_put_in_place(kaggle, target):
    fetch(elsewhere(kaggle.archive), target)
    assert held(target) == FILES
    assert {(method, url) for method, url, _, _ in kaggle.seen} == {("GET", STORAGE)}
    assert beside(target) == ["set"]


def test_another_archive_than_the_known_one_is_refused_and_not_kept(kaggle, target):
    known = elsewhere(b"another archive")
    with pytest.raises(
        DataError, match=rf"archive is not the known one.*{known.md5}.*by hand"
    ) as error:
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
    kaggle.archive = packed(deepglobe_root / sheets.DEEPGLOBE.folder)
    registry.fetch("deepglobe", deepglobe_root)
    (asked,) = [json.loads(body) for method, _, _, body in kaggle.seen if method == "POST"]
    assert asked["ownerSlug"] == "balraj98"
    assert asked["datasetSlug"] == "deepglobe-land-cover-classification-dataset"
    assert registry.load("deepglobe", deepglobe_root).fingerprint == before


def test_landcoverai_is_downloaded_from_its_own_site(kaggle, landcoverai_root, monkeypatch):
    before = registry.load("landcoverai", landcoverai_root).fingerprint
    kaggle.archive = packed(landcoverai_root / sheets.LANDCOVERAI.folder)
    declared = registry.SOURCES["landcoverai"]
    md5 = hashlib.md5(kaggle.archive).hexdigest()
    own = replace(declared.download, address="http://landcover.example/v1.zip", md5=md5)
    monkeypatch.setitem(registry.SOURCES, "landcoverai", replace(declared, download=own))
    registry.fetch("landcoverai", landcoverai_root)
    assert {url for _, url, _, _ in kaggle.seen} == {own.address}
    assert registry.load("landcoverai", landcoverai_root).fingerprint == before


def test_landcoverai_s_address_is_that_of_version_1_over_https():
    known = registry.SOURCES["landcoverai"].download
    assert known.address.startswith("https://landcover.ai.")
    assert known.address.endswith("/landcover.ai.v1.zip")
    assert len(known.md5) == 32
    assert not known.kaggle


def test_dubai_lists_nine_images_and_nine_masks_in_each_of_eight_tiles():
    files = list(dubai.DECLARATION.download.files())
    assert sorted(path for _, _, path in files) == sorted(
        f"Tile {tile}/{kind}/image_part_{part:03}.{suffix}"
        for tile in range(1, 9)
        for kind, suffix in (("images", "jpg"), ("masks", "png"))
        for part in range(1, 10)
    )
    assert all(len(md5) == 32 and size > 0 for md5, size, _ in files)
