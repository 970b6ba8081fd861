"""A record is trained again: the same to the pixel, or an error that says what differs."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from changed import rewrite

from fewlabels import cli, paths
from fewlabels.experiments import reproduce, run, versioning
from fewlabels.results import records, reproductions
from fewlabels.results.records import Record
from fewlabels.studies import Run
from fewlabels.types import RecordError

TINY = Run(
    model="unet:depth=2,width=4", grid=64, crop=32, batch=2, steps=2, watch=1, precision="fp32"
)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    found = run.execute(TINY, runs=tmp_path, device="cpu", keep_model=False)
    return tmp_path / found.key


def changed(record: Path, **facts: dict[str, object]) -> None:
    """Change facts of a record: {part: {name: value}}."""

    def change(one: Record) -> Record:
        return replace(one, facts=one.facts | {n: one.facts[n] | f for n, f in facts.items()})

    rewrite(record / "record.parquet", change)


def test_the_same_code_gives_the_same_pixels(record: Path, capsys: pytest.CaptureFixture):
    before = sorted(record.parent.rglob("*"))
    assert cli.main(["verify", str(record.parent), record.name, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "the same counts of all" in said
    assert "confusion, boundaries, calibration, curve_step, curve_confusion" in said
    assert said.count("cpu, ") == 2
    assert sorted(record.parent.rglob("*")) == before


def test_pixels_that_moved_are_counted(record: Path, capsys: pytest.CaptureFixture):
    """Five pixels of the first tile are moved from one class to another, seven of the second."""

    def move(one: Record) -> Record:
        for tile, pixels in enumerate((5, 7)):
            row = one.confusion[tile][one.confusion[tile].sum(axis=1).argmax()]
            row[row.argmax()] -= pixels
            row[(row.argmax() + 1) % len(row)] += pixels
        return one

    rewrite(record / "record.parquet", move)
    found = reproduce.again(record.parent, record.name, device="cpu")
    equal = reproductions.compared(*found)
    assert [name for name in equal if not equal[name]] == ["confusion"]
    assert reproductions.moved(*found) == 12
    assert cli.main(["verify", str(record.parent), record.name, "--device", "cpu"]) == 1
    assert "at least 12 of" in capsys.readouterr().err


def test_what_was_found_is_kept_beside_the_studies(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One row a run, whether it is verified once or again; nothing without `--keep`."""
    root = tmp_path / "results"
    monkeypatch.setattr(paths, "published_root", lambda: root)
    records.add(root / "E.parquet", records.read_all(record.parent))
    for arguments in ([], ["--keep"], ["--keep"]):
        assert cli.main(["verify", "E", record.name, "--device", "cpu", *arguments]) == 0
        there = reproductions.read(root)
        assert len(there) == bool(arguments)
    found, now = there.iloc[0], versioning.code_version()[:12]
    assert (found["study"], found["key"], found["moved"]) == ("E", record.name, 0)
    assert (found["before"], found["after"], found["differ"]) == (now, now, "")
    (root / reproductions.FILE).write_text("{}")
    with pytest.raises(RecordError, match=r"verified\.csv' cannot be read.*from git again"):
        reproductions.read(root)


def test_versions_are_text_even_where_all_digits_are_decimal(record: Path, tmp_path: Path):
    one = records.read(record.parent, record.name)
    codes = ("012345678901", "123456e78901")
    made = [
        replace(one, facts=one.facts | {"environment": {"code": c, "device": "x"}}) for c in codes
    ]
    reproductions.keep(tmp_path / "results", "E", *made)
    found = reproductions.read(tmp_path / "results").iloc[0]
    assert (found["before"], found["after"]) == codes


def test_other_labels_are_another_run(record: Path):
    changed(record, labels={"sha256": "0" * 64})
    with pytest.raises(RecordError, match="the labels of .* not the same run"):
        reproduce.again(record.parent, record.name, device="cpu")
    with pytest.raises(RecordError):
        reproduce.again(record.parent, "nothing", device="cpu")


def test_a_run_is_verified_with_as_many_threads_as_it_had(record: Path):
    now = torch.get_num_threads()
    changed(record, environment={"device": "cpu, 3 threads"})
    _, after = reproduce.again(record.parent, record.name, device="cpu")
    assert after.facts["environment"]["device"] == "cpu, 3 threads"
    assert torch.get_num_threads() == now


def test_a_version_that_was_only_renamed_links_the_two(tmp_path: Path):
    row = dict.fromkeys(reproductions.COLUMNS, "")
    renamed = row | {"before": "a" * 12, "after": "b" * 12, "compared": "syntax trees"}
    trained = row | {"study": "E", "key": "k", "before": "c" * 12, "after": "b" * 12}
    found = pd.DataFrame([renamed, trained]).assign(pixels=0, moved=0)
    groups = reproductions.apart(["a" * 12, "c" * 12, "d" * 12], found)
    assert sorted(map(sorted, groups)) == [["a" * 12, "c" * 12], ["d" * 12]]
