"""Data files as arrays: read once, checked row by row, never half understood.

Rows are counted from 0 and a header is not counted, in messages as in arrays.
"""

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.api.data import DataFormat, DataSource
from modelyard.api.recipe import Task
from modelyard_trainer.checks import checked_features, checked_labels
from modelyard_trainer.failures import BadData

Array = NDArray[Any]
CSV_INPUT = "features"


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One data set in memory.

    Attributes:
        source: where it came from and what its schema says.
        digest: SHA-256 of the file, as `sha256:<hex>`.
        features: float32, `(rows, height, width[, channels])` or `(rows, columns)`, as in the file.
        labels: int64 class numbers, `(rows,)`.
    """

    source: DataSource
    digest: str
    features: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def input_name(self) -> str:
        """Name of the model's input: the array's own, or `features` for columns of a table."""
        if self.source.format is DataFormat.NPZ:
            return self.source.data_schema.features[0]
        return CSV_INPUT


def read_dataset(source: DataSource, path: Path, digest: str, task: Task) -> Dataset:
    """Read and check the file at `path`.

    Raises:
        BadData: the file is not what `source` says; the message names file, row and field.
    """
    read = _read_npz if source.format is DataFormat.NPZ else _read_csv
    features, labels = read(source, path)
    checked = checked_features(source, features, task)
    return Dataset(source, digest, checked, checked_labels(source, labels, len(checked)))


def _read_npz(source: DataSource, path: Path) -> tuple[Array, Array]:
    """Return the feature array and the label array of an `.npz` file; pickles are refused."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return (
                _array(source, arrays, source.data_schema.features[0]),
                _array(source, arrays, source.data_schema.label),
            )
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BadData(
            f"{source.uri}: the file cannot be read as Npz ({error}).",
            "Write it with numpy.savez or numpy.savez_compressed, without object arrays.",
        ) from error


def _array(source: DataSource, arrays: Any, name: str) -> Array:
    """Return one array of an open `.npz` file."""
    if name not in arrays:
        raise BadData(
            f"{source.uri}: there is no array {name!r}; the file has {', '.join(arrays)}.",
            f"Correct data[{source.name}].schema or the file.",
        )
    array: Array = arrays[name]
    return array


def _read_csv(source: DataSource, path: Path) -> tuple[Array, Array]:
    """Return the feature columns as one float matrix, and the label column."""
    columns = [*source.data_schema.features, source.data_schema.label]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            cells = _select(source, rows, header, columns)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{source.uri}: the file cannot be read as UTF-8 CSV ({error}).") from error
    table = _numbers(source, cells, columns)
    return table[:, :-1], table[:, -1]


def _select(source: DataSource, rows: Any, header: list[str], columns: list[str]) -> Any:
    """Return the cells of `columns`, row by row."""
    missing = [column for column in columns if column not in header]
    if missing:
        raise BadData(
            f"{source.uri}: there is no column {missing[0]!r}; "
            f"the header has {', '.join(header[:20]) or 'no columns'}.",
            f"Correct data[{source.name}].schema or the file's first line.",
        )
    positions = [header.index(column) for column in columns]
    selected = []
    for index, row in enumerate(rows):
        if len(row) != len(header):
            raise BadData(
                f"{source.uri}: row {index} has {len(row)} cells, the header has {len(header)}."
            )
        selected.append([row[position] for position in positions])
    return selected


def _numbers(source: DataSource, cells: list[list[str]], columns: list[str]) -> Array:
    """Return the cells as float64; an empty cell or a word is an error that names it."""
    try:
        return np.array(cells, dtype=np.float64).reshape(len(cells), len(columns))
    except ValueError:
        row, column, text = _first_word(cells)
        raise BadData(
            f"{source.uri}: row {row}, column {columns[column]!r}: {text!r} is not a number.",
            "Fill empty cells and encode words as numbers before training.",
        ) from None


def _first_word(cells: list[list[str]]) -> tuple[int, int, str]:
    """Return row, column and text of the first cell that is not a number."""
    for index, row in enumerate(cells):
        for position, text in enumerate(row):
            try:
                float(text)
            except ValueError:
                return index, position, text
    raise AssertionError("numpy refused cells that are all numbers")
