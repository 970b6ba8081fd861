"""Keep records in files, each written whole or not at all.

A *store* is one of two places, told apart by the name:

    report/results/<study>.parquet     published: one file a study, one row a run, no weights
    runs/                              live: a folder a run, with its weights
        <key>/record.parquet           the same table with one row
        <key>/model.safetensors        the weights that were kept

A study stays one file, which is written anew when a run is added. Rows keep their order and stand
in row groups of GROUP, so all full groups come out with the same bytes, and git stores little more
than the last group. A lock keeps two writers from losing each other's rows.

What reads raises RecordError, which names file and row; what writes raises DiskFullError, and
leaves what was there.
"""

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet
from safetensors.numpy import save

from fewlabels.files import locked, whole_file, whole_folder
from fewlabels.results.records.record import Record, from_row, parsed, to_row, to_run
from fewlabels.scoring.metrics import Statistics
from fewlabels.studies import Run
from fewlabels.types import RecordError, Row

FILE, MODEL = "record.parquet", "model.safetensors"
GROUP = 64  # rows; smaller groups share less and cost more
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, pyarrow.ArrowException)
"""What reading a damaged or foreign file raises."""


def beside(store: Path) -> Path:
    """Name the folder for what runs need besides records: locks, checkpoints, label draws."""
    return store.parent if _is_file(store) else store


def files(store: Path) -> list[Path]:
    """List the Parquet files of a store."""
    if _is_file(store):
        return [store] if store.exists() else []
    return sorted(store.glob(f"[!.]*/{FILE}"))  # what a killed writer left starts with a dot


def exists(store: Path, key: str) -> bool:
    """Tell whether the store holds the record; a folder of its name without one is an error."""
    if _is_file(store):
        return store.exists() and key in _column(store, "key")
    if (store / key).exists() and not (store / key / FILE).is_file():
        raise RecordError(f"'{store / key}' is there, but holds no {FILE}; delete it")
    return (store / key).exists()


def read(store: Path, key: str) -> Record:
    """Read one record."""
    found = read_all(store if _is_file(store) else store / key / FILE, {key})
    if not found:
        raise RecordError(f"'{store}' holds no record '{key}'")
    return found[0]


def read_all(store: Path, keys: Collection[str] | None = None) -> list[Record]:
    """Read the records of a store, or those called `keys`, sorted by key."""
    found = [record for file in files(store) for record in _records(file, keys)]
    return sorted(found, key=lambda record: record.key)


def declared(file: Path) -> dict[str, Run]:
    """Read the declared runs of a file, by key: quick, since nothing else is read."""
    return dict(zip(_column(file, "key"), _column(file, "run", to_run), strict=True))


def facts(file: Path) -> dict[str, dict[str, object]]:
    """Read the facts of a file's records, by key, without histories and counts."""
    return dict(zip(_column(file, "key"), _column(file, "facts", parsed), strict=True))


def write(
    store: Path,
    key: str,
    run: Run,
    facts: Mapping[str, object],
    history: Sequence[Row],
    tiles: Sequence[str],
    statistics: Statistics,
    model: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write one record; if another process was first, theirs stays.

    Args:
        history: as `loop.fit` returned it.
        model: the weights, which only a live store keeps.
    """
    scored = [row for row in history if "confusion" in row]
    names = ["step", *(n for n, v in scored[0].items() if isinstance(v, list))] if scored else []
    curves = {name: np.array([row[name] for row in scored], np.int64) for name in names}
    values = [{n: v for n, v in row.items() if not isinstance(v, list)} for row in history]
    frame = pd.DataFrame(values).astype(float).astype({"step": np.int64})
    record = Record(key, run, facts, frame, tuple(tiles), statistics, curves)
    content = {FILE: _encoded(_table([record]))}
    put(store, key, content | ({} if model is None else {MODEL: save(dict(model), {"key": key})}))


def put(store: Path, key: str, content: Mapping[str, bytes]) -> None:
    """Put the files of a live record into a store, as `write` does."""
    if _is_file(store):
        with _naming(store, f"the new row '{key}'"):
            rows = parquet.read_table(io.BytesIO(content[FILE])).to_pandas().to_dict("records")
            records = [from_row(row) for row in rows]
        add(store, records)
        return
    with whole_folder(store / key) as folder:
        for name, text in content.items():
            (folder / name).write_bytes(text)


def add(study: Path, records: Iterable[Record]) -> None:
    """Add records to a study's file, after those that are there; of equal keys the first stays."""
    with locked(study):
        known = set(_column(study, "key")) if study.exists() else set()
        new = {record.key: record for record in records if record.key not in known}
        if new:
            table = _table(new.values())
            if known:
                with _opened(study) as opened:
                    both = (opened.read(), table)
                table = pyarrow.concat_tables(both, promote_options="default")
            _replace(study, table)


def _is_file(store: Path) -> bool:
    return store.suffix == ".parquet"


def _replace(study: Path, table: pyarrow.Table) -> None:
    with whole_file(study) as scratch:
        scratch.write_bytes(_encoded(table))


def _table(records: Iterable[Record]) -> pyarrow.Table:
    rows = [to_row(record) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    return pyarrow.table({name: [row.get(name) for row in rows] for name in names})


def _encoded(table: pyarrow.Table) -> bytes:
    """Encode a Parquet file. Numbers are split into their first, second, ... bytes, most of which
    are alike, and each page carries a checksum.
    """
    lists = [f.name for f in table.schema if pyarrow.types.is_list(f.type) and f.name != "tiles"]
    out = io.BytesIO()
    parquet.write_table(
        table, out, row_group_size=GROUP, compression="zstd", compression_level=12,
        use_dictionary=["tiles.list.element"], write_statistics=False, write_page_checksum=True,
        column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in lists},
    )  # fmt: skip
    return out.getvalue()


def _records(file: Path, keys: Collection[str] | None = None) -> Iterator[Record]:
    """Read the rows `keys` of a file, decoding only the row groups that hold one."""
    with _opened(file) as opened:
        for group in range(opened.num_row_groups):
            names = opened.read_row_group(group, ["key"])["key"].to_pylist()
            wanted = [i for i, name in enumerate(names) if keys is None or name in keys]
            if wanted:
                with _naming(file, f"one of the rows '{names[0]}' to '{names[-1]}'"):
                    rows = opened.read_row_group(group).to_pandas().to_dict("records")
            for i in wanted:
                with _naming(file, f"row '{names[i]}'"):
                    record = from_row(rows[i])
                yield record


def _column(file: Path, name: str, decode: Callable[[str], Any] = str) -> list[Any]:
    with _opened(file) as opened:
        return [decode(text) for text in opened.read([name])[name].to_pylist()]


@contextmanager
def _opened(file: Path) -> Iterator[parquet.ParquetFile]:
    with (
        _naming(file, "the table"),
        parquet.ParquetFile(file, page_checksum_verification=True) as it,
    ):
        yield it


@contextmanager
def _naming(file: Path, what: str) -> Iterator[None]:
    """Name the file, the row and the remedy if the block cannot read something."""
    try:
        yield
    except DAMAGED as error:
        if file.name == FILE:
            what, remedy = f"the record '{file.parent}'", "delete that folder and run again"
        else:
            what, remedy = f"{what} of '{file}'", "take that file from git again"
        raise RecordError(f"{what} cannot be read: {error}; {remedy}") from error
