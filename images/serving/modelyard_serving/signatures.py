"""What a signature of a SavedModel takes and gives, and whether a request fits it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, TensorInfo

from modelyard_serving.errors import failed_precondition, invalid

DEFAULT_SIGNATURE = "serving_default"
PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

Array = NDArray[np.generic]
Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One named input or output."""

    alias: str
    """The name in requests."""
    tensor: str
    """The name in the graph, such as `serving_default_x:0`."""
    dtype: tf.DType
    shape: Shape | None
    """None in a dimension means any size; None for the whole means any number of dimensions."""

    @property
    def batched(self) -> bool:
        """Whether the first dimension may have any size."""
        return self.shape is not None and self.shape[:1] == (None,)

    def check(self, value: Array) -> None:
        """Refuse an input of another shape.

        Raises:
            RequestError: INVALID_ARGUMENT, with the shape expected and got.
        """
        if self.shape is not None and not _fits(value.shape, self.shape):
            raise invalid(
                f'input "{self.alias}" has the wrong shape: expected {shape_text(self.shape)}, '
                f"got {shape_text(value.shape)}"
            )


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of the model, by the name that requests use."""

    name: str
    method: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    @property
    def batchable(self) -> bool:
        """Whether requests may share a run: the first dimension of everything counts rows."""
        tensors = [*self.inputs.values(), *self.outputs.values()]
        return bool(self.inputs) and all(tensor.batched for tensor in tensors)

    def check_inputs(self, sent: Iterable[str]) -> None:
        """Refuse inputs that are missing or unknown.

        Raises:
            RequestError: INVALID_ARGUMENT, in the original's words.
        """
        got, expected = sorted(sent), sorted(self.inputs)
        if got == expected:
            return
        extra, missing = sorted({*got} - {*expected}), sorted({*expected} - {*got})
        raise invalid(
            f"input size does not match signature: {len(got)}!={len(expected)} "
            f"len({{{','.join(got)}}}) != len({{{','.join(expected)}}}). "
            f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )

    def chosen_outputs(self, wanted: Iterable[str]) -> list[Tensor]:
        """Return the outputs of an output filter; an empty filter means all.

        Raises:
            RequestError: INVALID_ARGUMENT for an unknown or repeated output.
        """
        chosen: dict[str, Tensor] = {}
        for alias in wanted:
            if alias not in self.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {alias} Outputs expected to be "
                    f"in the set {{{','.join(sorted(self.outputs))}}}."
                )
            if alias in chosen:
                raise invalid(f"duplicate output tensor alias: {alias}")
            chosen[alias] = self.outputs[alias]
        return list(chosen.values() or self.outputs.values())


def signatures_of(meta_graph: MetaGraphDef) -> dict[str, Signature]:
    """Return the callable signatures of a loaded model."""
    return {
        name: Signature(
            name,
            definition.method_name,
            _tensors(definition.inputs),
            _tensors(definition.outputs),
        )
        for name, definition in meta_graph.signature_def.items()
        if definition.outputs and definition.method_name
    }


def example_input(signature: Signature, method: str) -> Tensor:
    """Return the input of a classify or regress signature: serialized `tf.Example`s.

    Raises:
        RequestError: The signature is of another method, or lacks what the method needs.
    """
    kind = {CLASSIFY: "classification", REGRESS: "regression"}[method]
    if signature.method != method:
        raise invalid(
            f"Expected {kind} signature method_name to be {method}. Was: {signature.method}"
        )
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if "inputs" not in signature.inputs:
        raise failed_precondition(
            f'No {kind} inputs found in signature "{signature.name}": '
            f'expected an input named "inputs", got {sorted(signature.inputs)}'
        )
    return signature.inputs["inputs"]


def shape_text(shape: Iterable[int | None]) -> str:
    """Return a shape as the original prints it, any size as -1.

    >>> shape_text((None, 3))
    '[-1,3]'
    """
    return f"[{','.join('-1' if size is None else str(size) for size in shape)}]"


def _fits(got: tuple[int, ...], expected: Shape) -> bool:
    return len(got) == len(expected) and all(
        wanted is None or wanted == size for size, wanted in zip(got, expected, strict=True)
    )


def _tensors(definitions: Mapping[str, TensorInfo]) -> dict[str, Tensor]:
    return {
        alias: Tensor(alias, info.name, tf.as_dtype(info.dtype), _shape(info.tensor_shape))
        for alias, info in sorted(definitions.items())
    }


def _shape(proto: TensorShapeProto) -> Shape | None:
    if proto.unknown_rank:
        return None
    return tuple(None if dimension.size < 0 else dimension.size for dimension in proto.dim)
