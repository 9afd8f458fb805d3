"""gRPC: the calls of the generated clients."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as opened:
        yield opened


@pytest.fixture(scope="module")
def predictions(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request_of(signature="", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "suite"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def examples_for(request, signature, *values):
    request.model_spec.name = "suite"
    request.model_spec.signature_name = signature
    for value in values:
        example = request.input.example_list.examples.add()
        example.features.feature["v"].float_list.value.append(value)
    return request


def refusal(call, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=30)
    return caught.value.code(), caught.value.details()


def test_predict_answers_and_says_which_version_did(predictions):
    response = predictions.Predict(request_of(x=np.float32([[1, 2]])), timeout=30)
    assert tf.make_ndarray(response.outputs["y"]).tolist() == [[3.0, 6.0]]
    spec = response.model_spec
    assert (spec.name, spec.version.value) == ("suite", 7)
    assert spec.signature_name == "serving_default"


def test_predict_takes_values_as_fields_as_well_as_raw(predictions):
    request = request_of()
    proto = request.inputs["x"]
    proto.dtype = tf.float32.as_datatype_enum
    proto.tensor_shape.dim.add().size = 1
    proto.tensor_shape.dim.add().size = 2
    proto.float_val.append(2.0)  # one value stands for all
    response = predictions.Predict(request, timeout=30)
    assert list(response.outputs["y"].float_val) == [6.0, 6.0]


def test_output_filter_leaves_the_others_out(predictions):
    request = request_of("pair", a=np.float32([[1, 2]]), b=np.int64([4]))
    request.output_filter.append("next")
    response = predictions.Predict(request, timeout=30)
    assert {k: tf.make_ndarray(v).tolist() for k, v in response.outputs.items()} == {"next": [5]}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"name": "other"}, StatusCode.NOT_FOUND, "other"),
        ({"name": ""}, StatusCode.INVALID_ARGUMENT, "no name"),
        ({"version": {"value": 8}}, StatusCode.NOT_FOUND, "8"),
        ({"version_label": "stable"}, StatusCode.INVALID_ARGUMENT, "stable"),
        ({"signature_name": "no"}, StatusCode.FAILED_PRECONDITION, '"no" not found'),
        ({"signature_name": "pair"}, StatusCode.INVALID_ARGUMENT, "Missing but required: {a,b}"),
    ],
)
def test_predict_refuses_in_the_words_of_the_original(predictions, change, code, words):
    request = request_of(x=np.float32([[1, 2]]))
    request.model_spec.MergeFrom(type(request.model_spec)(**change))
    if change.get("name") == "":
        request.model_spec.name = ""
    found, details = refusal(predictions.Predict, request)
    assert (found, words in details) == (code, True), details


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.float64([[1, 2]]), "float32"), (np.float32([1, 2]), "shape")],
    ids=["type", "shape"],
)
def test_predict_refuses_tensors_of_another_kind(predictions, value, words):
    code, details = refusal(predictions.Predict, request_of(x=value))
    assert (code, words in details) == (StatusCode.INVALID_ARGUMENT, True), details


def test_classify(predictions):
    request = examples_for(classification_pb2.ClassificationRequest(), "classify", 0.25, 1.0)
    found = predictions.Classify(request, timeout=30).result.classifications
    assert [[(one.label, one.score) for one in row.classes] for row in found] == [
        [("high", 0.25), ("low", 0.75)],
        [("high", 1.0), ("low", 0.0)],
    ]


def test_regress(predictions):
    request = examples_for(regression_pb2.RegressionRequest(), "regress", 0.5, 2.0)
    found = predictions.Regress(request, timeout=30).result.regressions
    assert [one.value for one in found] == [1.5, 6.0]


def test_metadata_holds_the_signatures(predictions):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "suite"
    response = predictions.GetModelMetadata(request, timeout=30)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def["pair"].inputs) == {"a", "b"}
    assert response.model_spec.version.value == 7


def test_status_and_health(channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "suite"
    (one,) = models.GetModelStatus(request, timeout=30).model_version_status
    assert (one.version, one.state) == (7, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    health = health_pb2_grpc.HealthStub(channel)
    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_waiting_requests_share_runs_without_touching_each_other(server, predictions):
    """Behind one slow run, forty others queue and are then computed in a few runs."""
    runs = ":tensorflow:serving:batching_session:processed_batch_size_count"
    before = server.metric(runs)
    slow = predictions.Predict.future(request_of("slow", turns=np.int32(20_000)), timeout=60)
    calls = [
        predictions.Predict.future(request_of(x=np.float32([[n, -n]])), timeout=60)
        for n in range(40)
    ]
    answers = [tf.make_ndarray(call.result().outputs["y"]).tolist() for call in calls]
    assert answers == [[[3.0 * n, -3.0 * n]] for n in range(40)]
    assert list(slow.result().outputs["done"].int_val) == [20_000]
    assert 1 <= server.metric(runs) - before < 30


def test_one_bad_request_does_not_spoil_the_batch_it_waits_in(predictions):
    slow = predictions.Predict.future(request_of("slow", turns=np.int32(20_000)), timeout=60)
    values = [4.0, -1.0, 9.0]
    calls = [
        predictions.Predict.future(request_of("checked", x=np.float32([v])), timeout=60)
        for v in values
    ]
    codes = [call.code() for call in calls]
    assert codes == [StatusCode.OK, StatusCode.INVALID_ARGUMENT, StatusCode.OK]
    assert list(calls[2].result().outputs["y"].float_val) == [3.0]
    slow.result()


def test_messages_beyond_the_default_limit_pass(server):
    text = b"x" * (6 << 20)
    with grpc.insecure_channel(
        f"127.0.0.1:{server.grpc_port}", [("grpc.max_receive_message_length", -1)]
    ) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = request_of("text", text=[text])
        request.output_filter.append("echo")
        response = stub.Predict(request, timeout=60)
    assert response.outputs["echo"].string_val[0] == text
