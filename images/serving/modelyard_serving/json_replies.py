"""Responses of the gRPC calls as the JSON bodies of REST replies."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format  # type: ignore[import-untyped] # no stubs here
from tensorflow_serving.apis.classification_pb2 import ClassificationResponse
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse
from tensorflow_serving.apis.regression_pb2 import RegressionResponse

from modelyard_serving.errors import invalid
from modelyard_serving.signatures import Array

Outputs = Mapping[str, tuple[tf.DType, Array]]

_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def rows(outputs: Outputs) -> bytes:
    """Return the reply to a body with `instances`: one item per row.

    Raises:
        RequestError: INVALID_ARGUMENT, the outputs do not have the same number of rows.
    """
    count = _row_count(outputs)
    columns = {name: _items(name, dtype, value) for name, (dtype, value) in outputs.items()}
    if len(columns) == 1:
        predictions = next(iter(columns.values()))
    else:
        predictions = [
            _object({name: column[row] for name, column in columns.items()}) for row in range(count)
        ]
    return _body("predictions", "[" + ",\n        ".join(predictions) + "\n    ]")


def columns(outputs: Outputs) -> bytes:
    """Return the reply to a body with `inputs`: one item per output, or the only one bare."""
    texts = {name: _text(name, dtype, value) for name, (dtype, value) in outputs.items()}
    return _body("outputs", next(iter(texts.values())) if len(texts) == 1 else _object(texts))


def classifications(response: ClassificationResponse) -> bytes:
    """Return `results`: per example a list of `[label, score]`."""
    results = [
        "["
        + ", ".join(
            f"[{_string(one.label.encode())}, {_number(np.float32(one.score))}]"
            for one in example.classes
        )
        + "]"
        for example in response.result.classifications
    ]
    return _body("results", "[" + ", ".join(results) + "]")


def regressions(response: RegressionResponse) -> bytes:
    """Return `results`: a number per example."""
    results = [_number(np.float32(one.value)) for one in response.result.regressions]
    return _body("results", "[" + ", ".join(results) + "]")


def status(response: GetModelStatusResponse) -> bytes:
    """Return the states of versions."""
    return _message(response)


def metadata(response: GetModelMetadataResponse) -> bytes:
    """Return the signatures of a version."""
    definitions = SignatureDefMap()
    response.metadata["signature_def"].Unpack(definitions)
    document = {
        "model_spec": _fields(response.model_spec),
        "metadata": {"signature_def": _fields(definitions)},
    }
    return json.dumps(document, indent=1).encode()


def error(message: str) -> bytes:
    """Return the body of a refusal."""
    return json.dumps({"error": message}, indent=4, ensure_ascii=False).encode(
        errors="surrogateescape"
    )


def _row_count(outputs: Outputs) -> int:
    counts: dict[str, int] = {}
    for name, (_, value) in outputs.items():
        if not value.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        counts[name] = value.shape[0]
        first = next(iter(counts.values()))
        if counts[name] != first:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {counts[name]} "
                f"expecting: {first}"
            )
    return first


def _body(key: str, value: str) -> bytes:
    # What came as bytes that are no UTF-8 goes out unchanged, as the original writes it.
    return f'{{\n    "{key}": {value}\n}}'.encode(errors="surrogateescape")


def _object(texts: Mapping[str, str]) -> str:
    pairs = (f"{json.dumps(name)}: {text}" for name, text in texts.items())
    return "{\n            " + ",\n            ".join(pairs) + "\n        }"


def _items(name: str, dtype: tf.DType, value: Array) -> list[str]:
    return [_nested(item, value.shape[1:]) for item in _leaf_rows(name, dtype, value)]


def _text(name: str, dtype: tf.DType, value: Array) -> str:
    return _nested(_leaves(name, dtype, value), value.shape)


def _leaf_rows(name: str, dtype: tf.DType, value: Array) -> list[list[str]]:
    leaves = _leaves(name, dtype, value)
    width = len(leaves) // max(1, value.shape[0])
    return [leaves[row * width : (row + 1) * width] for row in range(value.shape[0])]


def _nested(leaves: list[str], shape: tuple[int, ...]) -> str:
    """Return values, given flat, as nested JSON lists of a shape."""
    for size in reversed(shape):
        count = len(leaves) // size if size else int(np.prod(shape[: shape.index(0)]))
        leaves = ["[" + ", ".join(leaves[at * size : (at + 1) * size]) + "]" for at in range(count)]
    return leaves[0]


def _leaves(name: str, dtype: tf.DType, value: Array) -> list[str]:
    """Return each value as JSON text."""
    flat = value.ravel()
    if dtype == tf.string:
        write = _base64 if name.endswith("_bytes") else _string
        return [write(one) for one in flat.tolist()]
    if dtype == tf.bool:
        return ["true" if one else "false" for one in flat.tolist()]
    if dtype.is_integer:
        return list(map(str, flat.tolist()))
    if dtype == tf.float64:
        return [_word(repr(one)) for one in flat.tolist()]
    if dtype.is_floating:
        # A float32 as the shortest text that reads back as itself, not as the double next to it.
        return list(map(_word, flat.astype(np.float32).astype("U").tolist()))
    raise invalid(f"Failed to write JSON value for tensor type: {dtype.name}")


def _word(text: str) -> str:
    return _WORDS.get(text, text)


def _number(value: np.float32) -> str:
    return _word(str(value))


def _string(value: bytes) -> str:
    return json.dumps(value.decode(errors="surrogateescape"), ensure_ascii=False)


def _base64(value: bytes) -> str:
    return json.dumps({"b64": base64.b64encode(value).decode()})


def _message(message: Any) -> bytes:
    return json.dumps(
        json_format.MessageToDict(message, always_print_fields_with_no_presence=True), indent=1
    ).encode()


def _fields(message: Any) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
