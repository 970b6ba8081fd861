import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fewlabels.files import Shelf, unwritten, whole_file, whole_folder, working, writable
from fewlabels.types import DiskFullError, PlaceError


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_folder_appears_only_at_the_end(tmp_path: Path):
    target = tmp_path / "a" / "run"
    with whole_folder(target) as scratch:
        (scratch / "x").write_text("1")
        assert not target.exists()
    assert (target / "x").read_text() == "1"


def test_nothing_is_left_of_a_folder_whose_writer_raised(tmp_path: Path):
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "run") as scratch:
        (scratch / "x").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_writers_stays(tmp_path: Path):
    target = tmp_path / "run"
    with whole_folder(target) as late:
        (late / "x").write_text("late")
        with whole_folder(target) as early:
            (early / "x").write_text("early")
    assert (target / "x").read_text() == "early"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_file_leaves_the_older_one(tmp_path: Path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_file(target) as scratch:
        scratch.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    with whole_file(target) as scratch:
        scratch.write_text("new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_a_full_disk_is_named_and_leaves_nothing(whole, tmp_path: Path):
    with pytest.raises(DiskFullError, match=r"'.*run'.*free"), whole(tmp_path / "run"):
        full_disk()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_a_place_that_cannot_be_is_named(whole, tmp_path: Path):
    (tmp_path / "scene.tif").write_text("mine")
    said = pytest.raises(PlaceError, match=r"'.*scene.tif/map' cannot be written \(File exists")
    with said, whole(tmp_path / "scene.tif" / "map"):
        pass
    for target in (tmp_path / "scene.tif" / "map", Path("/proc/map")):
        with pytest.raises(PlaceError, match="name another place"):
            writable(target)
    writable(tmp_path / "new" / "map")
    assert list((tmp_path / "new").iterdir()) == []
    assert (tmp_path / "scene.tif").read_text() == "mine"


def test_only_a_full_disk_is_called_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "map.tif"
    odd = unwritten(target, "TIFFWriteDirectory: bad tag")
    assert isinstance(odd, PlaceError)
    assert "map.tif' could not be written: TIFFWriteDirectory: bad tag" in str(odd)
    assert isinstance(unwritten(target, "write: No space left on device"), DiskFullError)
    monkeypatch.setattr("tempfile.TemporaryFile", full_disk)
    assert isinstance(unwritten(target, "it does not read back"), DiskFullError)


def test_other_errors_of_the_disk_pass_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(os, "rename", denied)
    with pytest.raises(PermissionError), whole_folder(tmp_path / "run"):
        pass


def test_arrays_on_a_shelf_are_zeros_apart_and_leave_no_file(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(Shelf, "PIECE", 100)
    shelf = Shelf(tmp_path / "new")
    shapes = [(3, 7), (10, 10), (1,), (40,), (0, 5), (300,)]
    arrays = [shelf.zeros(shape, bool) for shape in shapes]
    assert [a.shape for a in arrays] == shapes
    assert not any(a.any() for a in arrays)
    for a in arrays:
        assert not a.any()
        a[:] = True
    del shelf
    assert all(a.all() for a in arrays)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_shelf_needs_no_call_that_macos_lacks(tmp_path: Path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(Shelf, "PIECE", 100)
    shelf = Shelf(tmp_path)
    one, two = shelf.zeros((15, 15)), shelf.zeros((50,))
    two[:] = 7
    assert (one == 0).all()
    one[:] = 3
    assert (two == 7).all()


def test_a_shelf_on_a_full_disk_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    with pytest.raises(DiskFullError, match="no space left"):
        Shelf(tmp_path).zeros((5, 5))


def killed(code: str, *arguments: object) -> None:
    """Run code in a process that kills itself."""
    begin = "import os, sys\nfrom pathlib import Path\nfrom fewlabels.files import *\n"
    end = "\n    (s / 'half' if s.is_dir() else s).write_text('half'); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", begin + code + end, *map(str, arguments)])
    assert done.returncode == -9


def test_what_killed_writers_left_is_removed_by_the_next_and_what_lives_is_not(tmp_path: Path):
    target = tmp_path / "run[1]"
    for whole in ("whole_folder", "whole_file"):
        killed(f"with {whole}(Path(sys.argv[1])) as s:", target)
        assert len(list(tmp_path.iterdir())) == 1
    with whole_file(target) as late:
        late.write_text("late")
        with whole_file(target) as early:
            early.write_text("early")
        assert late.read_text() == "late"
    assert target.read_text() == "late"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_written_whole_has_the_permissions_that_the_umask_leaves(tmp_path: Path):
    before = os.umask(0o027)
    try:
        with whole_folder(tmp_path / "folder") as scratch:
            (scratch / "x").touch()
        with whole_file(tmp_path / "file") as scratch:
            scratch.touch()
    finally:
        os.umask(before)
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_file_is_put_in_place_by_one_rename(tmp_path: Path):
    """A copy would be met half-written; a renamed file is the very same file."""
    target = tmp_path / "file"
    with whole_file(target) as scratch:
        scratch.write_text("new")
        made = scratch.stat().st_ino
    assert target.stat().st_ino == made


def test_a_folder_is_worked_in_by_one_process_at_a_time(tmp_path: Path):
    folder, target = tmp_path / ".map.partial", tmp_path / "map"
    with working(folder, target):
        (folder / "strip").touch()
        with pytest.raises(PlaceError, match=r"another process is making '.*map' now"):
            working(folder, target).__enter__()
        code = (
            "from pathlib import Path; from fewlabels.files import working; "
            f"working(Path({str(folder)!r}), Path({str(target)!r})).__enter__()"
        )
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "PlaceError: another process is making" in other.stderr
    with working(folder, target):
        (folder / "strip").unlink()
    assert list(tmp_path.iterdir()) == []
