import subprocess
from pathlib import Path

import pytest

from fewlabels import environment, paths


def test_commit_says_when_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    assert environment.commit() == "unknown"
    git("init")
    (tmp_path / "f").write_text("1")
    git("add", "f")
    git("commit", "-m", "one")
    assert len(environment.commit()) == 12
    (tmp_path / "f").write_text("2")
    assert environment.commit().endswith("-dirty")


def test_lock_hash_is_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    assert environment.lock_hash() == "unknown"
    (tmp_path / "requirements.lock").write_text("")
    assert environment.lock_hash() == "e3b0c44298fc"  # SHA-256 of nothing


def test_facts_name_what_a_result_depends_on():
    facts = environment.facts()
    assert facts["packages"]["torch"].count(".") >= 2
    assert environment._version("no-such-package") == "not installed"
    assert environment.now().endswith("Z")


def test_paths_follow_the_environment(monkeypatch: pytest.MonkeyPatch):
    root = paths.project_root()
    assert (root / "lib" / "fewlabels").is_dir()
    monkeypatch.setenv("DATA_ROOT", "/elsewhere")
    assert paths.data_root() == Path("/elsewhere")
    monkeypatch.setenv("DATA_ROOT", "")
    assert paths.data_root() == root / "data"
