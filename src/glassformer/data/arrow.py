"""Tables that other libraries read: Parquet files, and the data sets of the hub."""

import gzip
import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from glassformer.data.examples import Skipped
from glassformer.data.reading import Column, Reading
from glassformer.data.table import Row, Table, nested_names, peek
from glassformer.errors import InputError

Categories = Mapping[Column, tuple[str, ...]]
ROWS = 1000  # read at once
DEFAULT_SPLIT = "train"


def read_parquet(path: Path, reading: Reading) -> Table:
    """The rows of a Parquet file, a thousand at a time; numbers of labels get the names that the hub's files hold."""
    parquet, arrow = _library("pyarrow.parquet"), _library("pyarrow")
    try:
        packed = path.suffix == ".gz"
        file = parquet.ParquetFile(gzip.open(path) if packed else path)  # noqa: SIM115 (open while rows are read)
        schema = file.schema_arrow
        written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (OSError, EOFError, ValueError, arrow.ArrowException) as error:
        raise InputError(f"{path} is not a whole Parquet file ({_line(error)})") from error
    batches = file.iter_batches(batch_size=ROWS)
    return _table(str(path), _batched(str(path), batches, arrow), _categories(written))


def read_hub(name: str, reading: Reading) -> Table:
    """The rows of one split of a data set on the hub, or in a folder laid out like one, as they come over the line."""
    datasets, split = _library("datasets"), reading.split or DEFAULT_SPLIT
    file = f"{name}[{split}]"
    try:
        found = datasets.load_dataset(name, reading.subset, split=split, streaming=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"the hub gives no {file} here ({_line(error)})") from error
    features = found.features or {}
    return _table(file, _streamed(file, found), _categories({"info": {"features": _plain(features)}}))


def hub_splits(name: str, reading: Reading) -> tuple[str, ...]:
    """The splits that a data set on the hub has."""
    datasets = _library("datasets")
    try:
        return tuple(datasets.get_dataset_split_names(name, reading.subset))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"the hub gives no {name} here ({_line(error)})") from error


def _table(file: str, rows: Iterator[Row | Skipped], categories: Categories) -> Table:
    head, rows = peek(rows)
    names: dict[Column, None] = {}
    for row in head:
        names |= dict.fromkeys(nested_names(row.cells) if isinstance(row, Row) else ())
    return Table(file=file, names=tuple(names), rows=rows, unit="row", categories=categories)


def _batched(file: str, batches: Iterator[Any], arrow: Any) -> Iterator[Row]:
    number = 0
    try:
        for batch in batches:
            for cells in batch.to_pylist():
                number += 1
                yield Row(number, cells)
    except (OSError, EOFError, arrow.ArrowException) as error:
        raise InputError(f"{file} cannot be read after row {number} ({_line(error)})") from error


def _streamed(file: str, rows: Any) -> Iterator[Row]:
    number = 0
    try:
        for cells in rows:
            number += 1
            yield Row(number, cells)
    except OSError as error:
        raise InputError(f"{file} breaks off after row {number} ({_line(error)}); try again") from error


def _categories(written: Mapping[str, Any]) -> Categories:
    """Column -> names of its numbers, from a description of features as the hub's Parquet files hold it."""
    features = written.get("info", {}).get("features", {})
    found = {column: _names(feature) for column, feature in features.items()}
    return {column: names for column, names in found.items() if names}


def _names(feature: object) -> tuple[str, ...]:
    """The names of a ClassLabel, alone or in a list."""
    if isinstance(feature, list) and feature:
        return _names(feature[0])
    if not isinstance(feature, Mapping):
        return ()
    if feature.get("_type") == "ClassLabel":
        return tuple(map(str, feature.get("names") or ()))
    return _names(feature.get("feature"))


def _plain(features: Any) -> dict[str, Any]:
    """The same description, of features that are objects of the library."""
    described: dict[str, Any] = features.to_dict() if features else {}
    return described


def _library(name: str) -> Any:
    """A library of the extra `data`, imported when it is needed."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise InputError(
            f"{package} is needed to read this and is not installed; run pip install 'glassformer[data]'"
        ) from error


def _line(error: Exception) -> str:
    """The first line of what a library says, without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
