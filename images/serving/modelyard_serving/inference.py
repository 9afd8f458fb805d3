"""From a request to a program with its inputs, and from the outputs to the response.

The four calls of the prediction service check the same things in the same order and words as the
original, so that a client which depends on an error code meets the same one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
    ClassificationResult,
)
from tensorflow_serving.apis.inference_pb2 import (
    InferenceTask,
    MultiInferenceRequest,
    MultiInferenceResponse,
)
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.regression_pb2 import (
    RegressionRequest,
    RegressionResponse,
    RegressionResult,
)

from modelyard_serving.errors import failed_precondition, invalid, unimplemented
from modelyard_serving.servable import Feeds, Fetches, Program, Servable
from modelyard_serving.signatures import (
    CLASSIFY,
    DEFAULT_SIGNATURE,
    REGRESS,
    Array,
    Signature,
    Tensor,
    example_input,
)
from modelyard_serving.tensors import decoded, encoded

MATRIX = 2
"""Dimensions of scores and classes: one row per example, one column per class."""

Response = TypeVar("Response")
Outputs = Mapping[str, tuple[tf.DType, Array]]


@dataclass(frozen=True, slots=True)
class Work(Generic[Response]):
    """What a request asks to compute."""

    program: Program
    feeds: Feeds
    respond: Callable[[Fetches], Response]
    """Turns the program's outputs into the response.

    Raises:
        RequestError: The outputs are not what the method needs.
    """
    examples: int = 0
    """How many `tf.Example`s were sent; 0 when the request has none."""


def predict(
    servable: Servable, request: PredictRequest, *, as_content: bool = False
) -> Work[PredictResponse]:
    """Prepare a Predict.

    Raises:
        RequestError: The request does not fit the signature.
    """
    signature = servable.signature(request.model_spec.signature_name)
    signature.check_inputs(request.inputs)
    outputs = signature.chosen_outputs(request.output_filter)
    inputs = list(signature.inputs.values())
    feeds = [decoded(tensor, request.inputs[tensor.alias]) for tensor in inputs]

    def respond(fetches: Fetches) -> PredictResponse:
        response = PredictResponse(model_spec=answering(servable, request.model_spec, signature))
        for tensor, value in zip(outputs, fetches, strict=True):
            proto = encoded(value, tensor.dtype, as_content=as_content)
            response.outputs[tensor.alias].CopyFrom(proto)
        return response

    program = servable.program(inputs, outputs, batchable=signature.batchable)
    return Work(program, feeds, respond)


def predict_arrays(
    servable: Servable, signature: Signature, values: Mapping[str, Array]
) -> Work[Outputs]:
    """Prepare a Predict of arrays that have the types of the signature.

    Raises:
        RequestError: An input is missing, unknown or of another shape.
    """
    signature.check_inputs(values)
    inputs = list(signature.inputs.values())
    outputs = list(signature.outputs.values())
    for tensor in inputs:
        tensor.check(values[tensor.alias])

    def respond(fetches: Fetches) -> Outputs:
        pairs = zip(outputs, fetches, strict=True)
        return {tensor.alias: (tensor.dtype, value) for tensor, value in pairs}

    program = servable.program(inputs, outputs, batchable=signature.batchable)
    return Work(program, [values[tensor.alias] for tensor in inputs], respond)


def classify(servable: Servable, request: ClassificationRequest) -> Work[ClassificationResponse]:
    """Prepare a Classify.

    Raises:
        RequestError: The request does not fit the signature.
    """
    signature, inputs, examples = _example_call(servable, request, CLASSIFY)
    outputs = _classify_outputs(signature)

    def respond(fetches: Fetches) -> ClassificationResponse:
        found = dict(zip((tensor.alias for tensor in outputs), fetches, strict=True))
        return ClassificationResponse(
            result=_classifications(found, len(examples)),
            model_spec=answering(servable, request.model_spec, signature),
        )

    program = servable.program([inputs], outputs, batchable=signature.batchable)
    return Work(program, (examples,), respond, len(examples))


def regress(servable: Servable, request: RegressionRequest) -> Work[RegressionResponse]:
    """Prepare a Regress.

    Raises:
        RequestError: The request does not fit the signature.
    """
    signature, inputs, examples = _example_call(servable, request, REGRESS)
    outputs = _regress_outputs(signature)

    def respond(fetches: Fetches) -> RegressionResponse:
        return RegressionResponse(
            result=_regressions(fetches[0], len(examples)),
            model_spec=answering(servable, request.model_spec, signature),
        )

    program = servable.program([inputs], outputs, batchable=signature.batchable)
    return Work(program, (examples,), respond, len(examples))


def multi_inference(
    servable: Servable, request: MultiInferenceRequest
) -> Work[MultiInferenceResponse]:
    """Prepare a MultiInference: several signatures over the same examples, in one run.

    Raises:
        RequestError: The tasks do not fit the model, or do not share their input.
    """
    tasks = [_planned(servable, task) for task in request.tasks]
    inputs = _shared_input(tasks)
    examples = _examples(request.input)
    outputs = list({tensor.tensor: tensor for task in tasks for tensor in task.outputs}.values())

    def respond(fetches: Fetches) -> MultiInferenceResponse:
        found = dict(zip((tensor.tensor for tensor in outputs), fetches, strict=True))
        response = MultiInferenceResponse()
        for task in tasks:
            result = response.results.add()
            result.model_spec.CopyFrom(answering(servable, task.spec, task.signature))
            values = {tensor.alias: found[tensor.tensor] for tensor in task.outputs}
            if task.method == CLASSIFY:
                result.classification_result.CopyFrom(_classifications(values, len(examples)))
            else:
                result.regression_result.CopyFrom(_regressions(values["outputs"], len(examples)))
        return response

    batchable = all(task.signature.batchable for task in tasks)
    program = servable.program([inputs], outputs, batchable=batchable)
    return Work(program, (examples,), respond, len(examples))


def answering(servable: Servable, asked: ModelSpec, signature: Signature) -> ModelSpec:
    """Return the specification of what answered: name, version and signature."""
    spec = ModelSpec(name=asked.name, signature_name=signature.name)
    spec.version.value = servable.version
    return spec


@dataclass(frozen=True, slots=True)
class _Task:
    spec: ModelSpec
    method: str
    signature: Signature
    inputs: Tensor
    outputs: list[Tensor]


def _planned(servable: Servable, task: InferenceTask) -> _Task:
    if task.method_name not in {CLASSIFY, REGRESS}:
        raise unimplemented(f"Unsupported signature method_name: {task.method_name}")
    name = task.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid(f"Requested signature not found in model graph: {name}")
    inputs = example_input(signature, task.method_name)
    outputs = _classify_outputs if task.method_name == CLASSIFY else _regress_outputs
    return _Task(task.model_spec, task.method_name, signature, inputs, outputs(signature))


def _shared_input(tasks: Sequence[_Task]) -> Tensor:
    if not tasks:
        raise invalid("Inference request has no tasks.")
    if len({task.signature.name for task in tasks}) < len(tasks):
        raise invalid("Duplicate evaluation of signature: every task must name another one")
    if len({task.inputs.tensor for task in tasks}) > 1:
        raise invalid("Input tensor must be the same for all Signatures.")
    return tasks[0].inputs


def _example_call(
    servable: Servable, request: ClassificationRequest | RegressionRequest, method: str
) -> tuple[Signature, Tensor, Array]:
    """Return signature, input and serialized examples of a Classify or Regress."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    inputs = example_input(signature, method)
    return signature, inputs, _examples(request.input)


def _examples(given: Input) -> Array:
    """Return the examples serialized, each behind the context they share."""
    before = b""
    examples = given.example_list.examples
    if given.WhichOneof("kind") == "example_list_with_context":
        before = given.example_list_with_context.context.SerializeToString()
        examples = given.example_list_with_context.examples
    if not examples:
        raise invalid("Input is empty.")
    # Two messages one behind the other are one message with the fields of both.
    return np.array([before + example.SerializeToString() for example in examples], object)


def _classify_outputs(signature: Signature) -> list[Tensor]:
    if len(signature.outputs) not in {1, 2}:
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    found = [signature.outputs[key] for key in ("classes", "scores") if key in signature.outputs]
    if not found:
        raise failed_precondition(
            'Expected classification signature outputs to contain at least one of "classes" or '
            f'"scores". Signature "{signature.name}" has {sorted(signature.outputs)}'
        )
    return found


def _regress_outputs(signature: Signature) -> list[Tensor]:
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if "outputs" not in signature.outputs:
        raise failed_precondition(
            f'No regression outputs found in signature "{signature.name}": '
            f'expected an output named "outputs", got {sorted(signature.outputs)}'
        )
    return [signature.outputs["outputs"]]


def _classifications(found: dict[str, Array], examples: int) -> ClassificationResult:
    """Return scores and classes of each example; a model may give either or both."""
    classes, scores = found.get("classes"), found.get("scores")
    for alias, value in found.items():
        _check_matrix(alias, value, examples)
    result = ClassificationResult()
    labels = classes.tolist() if classes is not None else [()] * examples
    numbers = scores.tolist() if scores is not None else [()] * examples
    for row, (names, values) in enumerate(zip(labels, numbers, strict=True)):
        if classes is not None and scores is not None and len(names) != len(values):
            raise invalid(
                "Tensors class and score should match in dim_size(1). "
                f"Got {len(names)} vs. {len(values)} in row {row}"
            )
        added = result.classifications.add()
        for column in range(max(len(names), len(values))):
            one = added.classes.add()
            if names:
                one.label = names[column]
            if values:
                one.score = values[column]
    return result


def _check_matrix(alias: str, value: Array, examples: int) -> None:
    expected = tf.string if alias == "classes" else tf.float32
    if value.ndim != MATRIX:
        raise invalid(
            f"Expected Tensor shape: [batch_size num_classes] but got {list(value.shape)}"
        )
    if tf.as_dtype(value.dtype) != expected:
        raise invalid(f"Expected {alias} Tensor of {expected.name}. Got: {value.dtype}")
    if len(value) != examples:
        raise invalid(f"Expected {alias} output batch size of {examples}. Got: {len(value)}")


def _regressions(values: Array, examples: int) -> RegressionResult:
    """Return the number of each example."""
    if not (values.ndim == 1 or (values.ndim == MATRIX and values.shape[1] == 1)):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
            f"but got {list(values.shape)}"
        )
    if len(values) != examples:
        raise invalid(
            f"Input batch size did not match output batch size: {examples} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {values.dtype}")
    result = RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add().value = value
    return result
