"""A record is trained again: the same to the pixel, or an error that says what differs."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fewlabels import cli
from fewlabels.experiments import reproduce, run, versioning
from fewlabels.results import reproductions
from fewlabels.studies import Run
from fewlabels.types import RecordError

TINY = Run(
    model="unet:depth=2,width=4", grid=64, crop=32, batch=2, steps=2, watch=1, precision="fp32"
)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    found = run.execute(TINY, runs=tmp_path, device="cpu", keep_model=False)
    return tmp_path / found.key


def test_the_same_code_gives_the_same_pixels(record: Path, capsys: pytest.CaptureFixture):
    before = sorted(record.parent.rglob("*"))
    assert cli.main(["verify", str(record), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "the same counts of all" in said
    assert "confusion, boundaries, calibration, curve_step, curve_confusion" in said
    assert said.count("cpu, ") == 2
    assert sorted(record.parent.rglob("*")) == before


def test_pixels_that_moved_are_counted(record: Path, capsys: pytest.CaptureFixture):
    """Five pixels of the first tile are moved from one class to another, seven of the second."""
    with np.load(record / "confusion.npz") as there:
        arrays = dict(there)
    for tile, pixels in enumerate((5, 7)):
        row = arrays["confusion"][tile][arrays["confusion"][tile].sum(axis=1).argmax()]
        row[row.argmax()] -= pixels
        row[(row.argmax() + 1) % len(row)] += pixels
    np.savez_compressed(record / "confusion.npz", **arrays)
    found = reproduce.again(record, device="cpu")
    assert found.differ == ["confusion"]
    assert reproductions.moved(found.before, found.after) == 12
    assert cli.main(["verify", str(record), "--device", "cpu"]) == 1
    assert "at least 12 of" in capsys.readouterr().err


def test_what_was_found_is_kept_beside_the_studies(record: Path, tmp_path: Path):
    """One file; nothing without `--keep`."""
    study = tmp_path / "results" / "E"
    shutil.copytree(record, study / record.name)
    for arguments in ([], ["--keep"]):
        assert cli.main(["verify", str(study / record.name), "--device", "cpu", *arguments]) == 0
        there = reproductions.read(tmp_path / "results")
        assert len(there) == len(arguments)
    found, now = there.iloc[0], versioning.code_version()[:12]
    assert (found["study"], found["key"], found["moved"]) == ("E", record.name, 0)
    assert (found["before"], found["after"], found["differ"]) == (now, now, "")
    (file,) = (tmp_path / "results" / "verified").iterdir()
    file.write_text("{}")
    with pytest.raises(RecordError, match="delete it and verify that run again"):
        reproductions.read(tmp_path / "results")


def test_other_labels_are_another_run(record: Path):
    text = (record / "record.json").read_text()
    found = run.execute(TINY, runs=record.parent, device="cpu").facts["labels"]["sha256"]
    (record / "record.json").write_text(text.replace(found, "0" * 64))
    with pytest.raises(RecordError, match="the labels of .* not the same run"):
        reproduce.again(record, device="cpu")
    with pytest.raises(RecordError):
        reproduce.again(record.parent / "nothing", device="cpu")


def test_a_run_is_verified_with_as_many_threads_as_it_had(record: Path):
    text = (record / "record.json").read_text()
    now = torch.get_num_threads()
    (record / "record.json").write_text(re.sub(r"cpu, \d+ threads", "cpu, 3 threads", text))
    found = reproduce.again(record, device="cpu")
    assert found.after.facts["environment"]["device"] == "cpu, 3 threads"
    assert torch.get_num_threads() == now
