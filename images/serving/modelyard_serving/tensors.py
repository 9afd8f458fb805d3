"""TensorProto to NumPy and back, on the paths that matter without TensorFlow's own conversion."""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from modelyard_serving.errors import invalid
from modelyard_serving.signatures import Array, Tensor, shape_text

_REPEATED = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int16: "int_val",
    tf.int8: "int_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
}
"""The field of TensorProto that holds the values of a type."""


def decoded(tensor: Tensor, proto: TensorProto) -> Array:
    """Return an input as an array of the signature's type and shape.

    Raises:
        RequestError: INVALID_ARGUMENT, with the type or shape expected and got.
    """
    if proto.dtype != tensor.dtype.as_datatype_enum:
        raise invalid(
            f'input "{tensor.alias}" has the wrong type: expected {tensor.dtype.name}, '
            f"got {_type_name(proto.dtype)}"
        )
    try:
        value = _array(tensor.dtype, proto)
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid(f"tensor parsing error: {tensor.alias}: {error}") from error
    tensor.check(value)
    return value


def encoded(value: Array, dtype: tf.DType, *, as_content: bool) -> TensorProto:
    """Return an output as a message.

    Args:
        value: The array.
        dtype: Its type in the signature.
        as_content: Send raw bytes instead of the repeated field that most clients read.
    """
    field = _REPEATED.get(dtype)
    if dtype == tf.string:
        proto = TensorProto(dtype=dtype.as_datatype_enum, string_val=value.ravel().tolist())
    elif as_content:
        content = np.ascontiguousarray(value).tobytes()
        proto = TensorProto(dtype=dtype.as_datatype_enum, tensor_content=content)
    elif field:
        proto = TensorProto(dtype=dtype.as_datatype_enum, **{field: value.ravel().tolist()})
    else:
        return tf.make_tensor_proto(value, dtype=dtype)
    for size in value.shape:
        proto.tensor_shape.dim.add().size = size
    return proto


def _array(dtype: tf.DType, proto: TensorProto) -> Array:
    shape = tuple(dimension.size for dimension in proto.tensor_shape.dim)
    if min(shape, default=0) < 0 or proto.tensor_shape.unknown_rank:
        raise ValueError(f"the shape must be fully known, got {shape_text(shape)}")
    field = _REPEATED.get(dtype)
    if proto.tensor_content and dtype != tf.string:
        return np.frombuffer(proto.tensor_content, dtype.as_numpy_dtype).reshape(shape)
    if field and len(getattr(proto, field)) == math.prod(shape):
        return np.array(getattr(proto, field), dtype.as_numpy_dtype).reshape(shape)
    value: Array = tf.make_ndarray(proto)
    return value


def _type_name(number: int) -> str:
    try:
        return str(tf.as_dtype(number).name)
    except TypeError:
        return f"type {number}"
