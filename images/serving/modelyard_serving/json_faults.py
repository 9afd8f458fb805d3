"""Says what is wrong with a JSON value that does not become a tensor.

Walks the value as the original does and stops at the first fault; only ever run on values that
already failed, so that the good ones need no walk in Python.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from modelyard_serving.errors import RequestError, invalid

Json = Any

MAX_SHOWN = 200
"""Characters of a value that a message shows."""


def first_fault(value: Json, dtype: tf.DType) -> RequestError | None:
    """Return the first fault of a nested list that should hold `dtype`, or None."""
    return next(_faults(value, dtype, _shape(value), 0), None)


def shown(value: Json) -> str:
    """Return a value as JSON for a message, cut if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def kind_of(value: Json) -> str:
    """Return the name of a JSON type as the original's parser calls it."""
    match value:
        case None:
            return "Null"
        case bool():
            return str(value)
        case dict():
            return "Object"
        case list():
            return "Array"
        case str():
            return "String"
    return "Number"


def _shape(value: Json) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    return (len(value), *(_shape(value[0]) if value else ()))


def _faults(
    value: Json, dtype: tf.DType, shape: tuple[int, ...], level: int
) -> Iterator[RequestError]:
    if not isinstance(value, list):
        if level != len(shape):
            yield invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        yield from _leaf_faults(value, dtype)
        return
    if level >= len(shape):
        yield invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        return
    if len(value) != shape[level]:
        yield invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        yield from _faults(item, dtype, shape, level + 1)


def _leaf_faults(value: Json, dtype: tf.DType) -> Iterator[RequestError]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if dtype.is_floating and number:
        if not _lossless(value, dtype):
            yield invalid(
                f"Cannot convert JSON value: {shown(value)} to {_c_name(dtype)} without loss of "
                "precision."
            )
    elif not _of_type(value, dtype):
        yield invalid(
            f"JSON Value: {shown(value)} Type: {kind_of(value)} is not of expected type: "
            f"{_c_name(dtype)}"
        )


def _of_type(value: Json, dtype: tf.DType) -> bool:
    if dtype == tf.bool:
        return isinstance(value, bool)
    if dtype == tf.string:
        return isinstance(value, str | dict)
    if not dtype.is_integer or type(value) is not int:
        return False
    return bool(dtype.min <= value <= dtype.max)


def _lossless(value: float, dtype: tf.DType) -> bool:
    if isinstance(value, int):
        return abs(value) < 1 << (8 if dtype == tf.bfloat16 else np.finfo(_np(dtype)).nmant + 1)
    return not np.isfinite(value) or abs(value) <= float(dtype.max)


def _np(dtype: tf.DType) -> Any:
    return dtype.as_numpy_dtype


def _c_name(dtype: tf.DType) -> str:
    return {"float32": "float", "float64": "double"}.get(dtype.name, str(dtype.name))
