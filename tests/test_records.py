"""Records come back to the bit from folders and study files, or an error names file and row."""

import dataclasses
import errno
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from fewlabels.results import records
from fewlabels.results.records import Record
from fewlabels.scoring import metrics
from fewlabels.studies import Run
from fewlabels.types import DiskFullError, RecordError

TILES, CLASSES, STEPS = 4, 3, 6


def record(key: str, *, bare: bool = False, **factors: object) -> Record:
    """A record of noise; `bare` as the first ones were, without boundaries and curves."""
    rng = np.random.default_rng(int.from_bytes(key.encode()))
    counts = metrics.Statistics(rng.integers(0, 2**40, (TILES, CLASSES, CLASSES)))
    history = pd.DataFrame({"step": np.arange(1, STEPS + 1), "loss": rng.normal(size=STEPS)})
    history["miou"] = [np.nan, 0.1, np.nan, np.inf, np.nan, 1 / 3]
    curves = {}
    if not bare:
        boundaries = rng.integers(0, 99, (TILES, CLASSES, 7))
        counts = dataclasses.replace(
            counts, boundaries=boundaries, calibration=rng.random((TILES, 15, 3))
        )
        curves = {"step": np.array([2, 6]), "confusion": rng.integers(0, 9, (2, CLASSES, CLASSES))}
    facts = {"data": {"classes": ["a", "ä", "c"]}, "none": None, "third": 1 / 3, "deep": [[1], []]}
    tiles = tuple(f"{key}-{i}" for i in range(TILES))
    return Record(key, Run(**factors), facts, history, tiles, counts, curves)


def study(folder: Path, *keys: str) -> Path:
    """A study's file with such records."""
    records.add(folder / "S.parquet", [record(key) for key in keys])
    return folder / "S.parquet"


def altered(folder: Path, row: dict[str, object]) -> Path:
    """A study's file with one row, which nobody damaged."""
    digest = records.record._digest({n: v for n, v in row.items() if n != "digest"})
    table = pyarrow.table({name: [value] for name, value in (row | {"digest": digest}).items()})
    (folder / "S.parquet").write_bytes(records.store._encoded(table))
    return folder / "S.parquet"


def assert_same(one: Record, other: Record) -> None:
    assert (one.key, one.run, one.facts, one.tiles) == (
        other.key,
        other.run,
        other.facts,
        other.tiles,
    )
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    for a, b in ((vars(one.statistics), vars(other.statistics)), (one.curves, other.curves)):
        assert list(a) == list(b)
        for name in a:
            if a[name] is None:
                assert b[name] is None
                continue
            assert (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape)
            assert (a[name] == b[name]).all()


def test_records_come_back_to_the_bit_whatever_columns_they_have(tmp_path: Path):
    file = tmp_path / "S.parquet"
    named = {"b": record("b", bare=True, ignored=("a",)), "a": record("a", amount=4, clip=None)}
    for one in named.values():
        records.add(file, [one])
    assert [r.key for r in records.read_all(file)] == ["a", "b"]
    for key, one in named.items():
        assert_same(records.read(file, key), one)
    assert records.declared(file) == {key: one.run for key, one in named.items()}
    assert records.facts(file) == {key: one.facts for key, one in named.items()}
    assert [r.key for r in records.read_all(file, {"b", "z"})] == ["b"]


@pytest.mark.parametrize("place", ["runs", "S.parquet"])
def test_a_run_is_written_the_same_into_a_folder_and_into_a_study(place: str, tmp_path: Path):
    matrix, store = [[3, 1], [0, 2]], tmp_path / place
    rows = [{"step": 1, "loss": 1}, {"step": 2, "loss": 0.25, "miou": 0.1, "confusion": matrix}]
    counted, facts = metrics.Statistics(np.array([matrix])), {"data": {"notice": "x"}}
    assert not records.exists(store, "k")
    for given in ("x", "later"):  # the first stays
        facts["data"]["notice"] = given
        records.write(store, "k", Run(), facts, rows, ["t"], counted)
    assert records.exists(store, "k")
    found = records.read(store, "k")
    assert (found.notice, found.tiles) == ("x", ("t",))
    assert found.history["loss"].tolist() == [1.0, 0.25]
    assert found.history["miou"].isna().tolist() == [True, False]
    assert list(found.history.dtypes) == [np.int64, np.float64, np.float64]
    assert {n: a.tolist() for n, a in found.curves.items()} == {"step": [2], "confusion": [matrix]}
    assert records.beside(store) == (store if place == "runs" else tmp_path)


def test_adding_a_run_leaves_the_bytes_of_full_row_groups_as_they_were(tmp_path: Path):
    file = study(tmp_path, *(f"k{i:03}" for i in range(records.store.GROUP)))
    before = file.read_bytes()
    footer = int.from_bytes(before[-8:-4], "little") + 8
    records.add(file, [record("a")])
    assert file.read_bytes().startswith(before[:-footer])
    assert parquet.ParquetFile(file).num_row_groups == 2
    assert_same(records.read(file, "a"), record("a"))


def test_two_writers_lose_nothing_and_of_equal_names_the_first_stays(tmp_path: Path):
    file = tmp_path / "S.parquet"
    keys = [f"k{i}" for i in range(12)]
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(lambda key: records.add(file, [record(key)]), keys * 2))
    assert [r.key for r in records.read_all(file)] == sorted(keys)
    records.add(file, [record("k0", seed=9)])
    assert records.declared(file)["k0"].seed == 0


def test_a_factor_that_was_renamed_is_read_by_its_old_name(tmp_path: Path, monkeypatch):
    row = records.record.to_row(record("a"))
    file = altered(tmp_path, row | {"run": row["run"].replace("redrawn", "drawn__")})
    with pytest.raises(RecordError, match="drawn__"):
        records.read(file, "a")
    monkeypatch.setattr(records.record, "ALIASES", {"drawn__": "redrawn"})
    assert records.read(file, "a").run == Run()
    assert records.declared(file) == {"a": Run()}


def test_facts_and_factors_of_earlier_records_are_read_by_the_names_of_today(tmp_path: Path):
    row = records.record.to_row(record("a", ignored=("b",)))
    row["facts"] = row["facts"].replace('"data": {', '"data": {"test_sites": ["x"], ')
    for old, new in records.ALIASES.items():
        row |= {name: row[name].replace(f'"{new}"', f'"{old}"') for name in ("run", "facts")}
    assert "ignored" not in row["run"]
    assert "sites" not in row["facts"]
    file = altered(tmp_path, row)
    (found,) = records.read_all(file)
    assert found.run == Run(ignored=("b",))
    assert found.facts["data"]["test_sites"] == ["x"]
    assert records.facts(file) == {"a": found.facts}


def foreign() -> bytes:
    out = io.BytesIO()
    parquet.write_table(pyarrow.table({"key": ["a"], "x": [1]}), out)
    return out.getvalue()


@pytest.mark.parametrize("content", [b"", b"key,run\n", b"PAR1PAR1", foreign()])
def test_a_file_of_another_kind_is_named(content: bytes, tmp_path: Path):
    file = tmp_path / "S.parquet"
    file.write_bytes(content)
    live = tmp_path / "a" / "record.parquet"
    live.parent.mkdir()
    live.write_bytes(content)
    with pytest.raises(RecordError, match=r"of '.*S.parquet' cannot be read.*from git again"):
        records.read_all(file)
    with pytest.raises(RecordError, match=r"S.parquet' cannot be read"):
        records.declared(file)
    with pytest.raises(RecordError, match=r"the record '.*/a' cannot be read.*delete that folder"):
        records.read(tmp_path, "a")


def test_a_file_that_was_cut_off_is_named(tmp_path: Path):
    file = study(tmp_path, "a", "b")
    whole = file.read_bytes()
    for length in range(1, len(whole), 97):
        file.write_bytes(whole[:-length])
        with pytest.raises(RecordError, match=r"S.parquet' cannot be read"):
            records.read_all(file)


def test_a_wrong_bit_is_named_or_changes_nothing(tmp_path: Path):
    """Anywhere in the file: in the pages, and in the names and offsets after them."""
    file = study(tmp_path, "a", "b")
    whole, there = file.read_bytes(), records.read_all(file)
    rng, named = np.random.default_rng(0), 0
    for _ in range(300):
        bits = bytearray(whole)
        bits[rng.integers(len(bits))] ^= 1 << int(rng.integers(8))
        file.write_bytes(bits)
        try:
            found = records.read_all(file)
        except RecordError:
            named += 1
        else:
            for one, other in zip(found, there, strict=True):
                assert_same(one, other)
    assert named > 150


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"calibration": np.zeros(45)}, "reshape"),
        ({"boundaries": np.zeros(TILES * CLASSES * 6, int)}, "reshape"),
        ({"curve_step": np.array([2])}, "reshape"),
        ({"history_step": np.array([1, 1, 3, 4, 5, 6])}, "the history has 6 steps"),
        ({"facts": '{"kept": {"rule": "last", "step": 9}}'}, "6 steps, step 9 was kept"),
        ({"facts": '{"kept": {"rule": "best", "step": 7}}'}, "6 steps, step 7 was kept"),
        ({"run": '{"lr": 0}'}, "lr must be above 0"),
    ],
)
def test_parts_that_do_not_fit_are_named(change: dict, match: str, tmp_path: Path):
    file = altered(tmp_path, records.record.to_row(record("a")) | change)
    records.add(file, [record("b")])
    with pytest.raises(RecordError, match=rf"row 'a' of '.*S.parquet' cannot be read: .*{match}"):
        records.read_all(file)
    assert_same(records.read(file, "b"), record("b"))


def test_what_is_missing_is_named(tmp_path: Path):
    assert records.read_all(tmp_path) == records.read_all(tmp_path / "S.parquet") == []
    for store in (tmp_path, tmp_path / "S.parquet", study(tmp_path / "other", "a")):
        assert not records.exists(store, "nowhere")
        with pytest.raises(RecordError, match="holds no record 'nowhere'"):
            records.read(store, "nowhere")
    (tmp_path / "half").mkdir()
    with pytest.raises(RecordError, match=r"is there, but holds no record\.parquet; delete it"):
        records.exists(tmp_path, "half")


def test_a_full_disk_leaves_a_study_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = study(tmp_path, "a")
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError):
        records.add(file, [record("b")])
    assert file.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"S.parquet", ".claims"}


def test_the_files_of_a_live_record_are_put_into_a_study(tmp_path: Path):
    one = record("a")
    content = {"record.parquet": study(tmp_path / "live", "a").read_bytes()}
    records.put(tmp_path / "S.parquet", "a", content)
    assert_same(records.read(tmp_path / "S.parquet", "a"), one)
    with pytest.raises(RecordError, match="the new row 'b' of .*S.parquet' cannot be read"):
        records.put(tmp_path / "S.parquet", "b", {"record.parquet": b"half"})
