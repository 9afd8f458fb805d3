"""What arrays must be like before a model may see them; every refusal names file, row and field."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.api.data import DataFormat, DataSource
from modelyard.api.recipe import Task
from modelyard_trainer.failures import BadData

Array = NDArray[Any]
MIN_CLASSES = 2
AXES: Mapping[Task, tuple[tuple[int, ...], str]] = {
    Task.TABULAR_CLASSIFICATION: ((2,), "(rows, columns)"),
    Task.IMAGE_CLASSIFICATION: (
        (3, 4),
        "(rows, height, width) or (rows, height, width, channels)",
    ),
}


def checked_features(source: DataSource, array: Array, task: Task) -> NDArray[np.float32]:
    """Return `array` as float32, its axes checked against what `task` needs.

    Raises:
        BadData: no numbers, wrong number of axes, no rows, or a value that is not finite.
    """
    field = _field(source)
    _require_numbers(source, array, field)
    _require_axes(source, array, task)
    if 0 in array.shape:
        raise BadData(f"{source.uri}: {field} is empty (shape {array.shape}).")
    with np.errstate(over="ignore"):
        features: NDArray[np.float32] = np.ascontiguousarray(array, dtype=np.float32)
    _require_finite(source, features)
    return features


def checked_labels(source: DataSource, array: Array, rows: int) -> NDArray[np.int64]:
    """Return `array` as int64 class numbers of shape `(rows,)`.

    Raises:
        BadData: wrong shape or length, or a label that is no integer from 0 upwards.
    """
    label = source.data_schema.label
    _require_numbers(source, array, repr(label))
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array  # noqa: PLR2004
    if flat.shape != (rows,):
        raise BadData(
            f"{source.uri}: {label!r} has shape {array.shape}, "
            f"but {_field(source)} has {rows} rows, so ({rows},) was expected."
        )
    _refuse_first(source, ~np.isfinite(flat) | (flat != np.floor(flat)), flat, "is not an integer")
    _refuse_first(source, flat < 0, flat, "is negative")
    return flat.astype(np.int64)


def check_classes(source: DataSource, labels: NDArray[np.int64]) -> int:
    """Return the number of classes of the training data: its largest label plus one.

    Raises:
        BadData: fewer than two classes, or more classes than rows.
    """
    classes = int(labels.max()) + 1
    label = source.data_schema.label
    if len(np.unique(labels)) < MIN_CLASSES:
        raise BadData(
            f"{source.uri}: {label!r} is {labels[0]} in every row; two classes are needed."
        )
    if classes > len(labels):
        row = int(np.argmax(labels))
        raise BadData(
            f"{source.uri}: row {row}, {label!r}: {labels[row]} would mean {classes} classes, "
            f"but there are only {len(labels)} rows.",
            "Labels are class numbers counted from 0 without large gaps.",
        )
    return classes


def check_pair(
    train: DataSource, expected: tuple[int, ...], source: DataSource, found: tuple[int, ...]
) -> None:
    """Check that evaluation rows have the shape of training rows.

    Raises:
        BadData: the shapes differ.
    """
    if expected != found:
        raise BadData(
            f"{source.uri}: one row of {_field(source)} has shape {found}, "
            f"but in {train.uri} it has {expected}.",
            "Prepare training and evaluation data alike.",
        )


def check_known(source: DataSource, labels: NDArray[np.int64], classes: int) -> None:
    """Check that the evaluation data has no class that the training data lacks.

    Raises:
        BadData: a label is out of range.
    """
    _refuse_first(
        source, labels >= classes, labels, f"is no class of the training data (0 to {classes - 1})"
    )


def _field(source: DataSource) -> str:
    """Return how messages name the features."""
    if source.format is DataFormat.NPZ:
        return repr(source.data_schema.features[0])
    return "the table"


def _require_numbers(source: DataSource, array: Array, field: str) -> None:
    """Refuse words, objects, dates and complex numbers."""
    if array.dtype.kind not in "biuf":
        raise BadData(
            f"{source.uri}: {field} has dtype {array.dtype}; integers or floats were expected."
        )


def _require_axes(source: DataSource, array: Array, task: Task) -> None:
    """Refuse arrays with too few or too many axes."""
    axes, wanted = AXES[task]
    if array.ndim not in axes:
        raise BadData(
            f"{source.uri}: {_field(source)} has shape {array.shape}; {task} needs {wanted}."
        )


def _require_finite(source: DataSource, features: NDArray[np.float32]) -> None:
    """Refuse NaN and values beyond float32."""
    finite = np.isfinite(features)
    if finite.all():
        return
    row, *position = (int(i) for i in np.argwhere(~finite)[0])
    where = f"position {tuple(position)} of {_field(source)}"
    if source.format is DataFormat.CSV:
        where = f"column {source.data_schema.features[position[0]]!r}"
    raise BadData(
        f"{source.uri}: row {row}, {where}: {features[(row, *position)]} is not a finite number.",
        "Fill or drop missing values before training.",
    )


def _refuse_first(source: DataSource, wrong: Array, labels: Array, why: str) -> None:
    """Refuse the first label that `wrong` marks."""
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    raise BadData(
        f"{source.uri}: row {row}, {source.data_schema.label!r}: {labels[row]} {why}.",
        "Labels are class numbers counted from 0.",
    )
