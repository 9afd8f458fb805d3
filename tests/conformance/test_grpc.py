"""What a server of TensorFlow Serving's gRPC API answers: golden replies and refusals."""

import grpc
import numpy as np
import pytest

pytest_plugins = ["tests.plugins.standin"]

INVALID = grpc.StatusCode.INVALID_ARGUMENT
X = np.array([[1, 2, 3]], np.float32)


@pytest.fixture
def asked(stubs):
    """Builds a PredictRequest; inputs are arrays or ready messages."""

    def build(signature="", model="conformance", version=None, outputs=(), **inputs):
        request = stubs.PredictRequest(output_filter=outputs)
        request.model_spec.name, request.model_spec.signature_name = model, signature
        if version is not None:
            request.model_spec.version.value = version
        for name, value in inputs.items():
            proto = value if isinstance(value, stubs.TensorProto) else None
            request.inputs[name].CopyFrom(proto or stubs.make_tensor_proto(value))
        return request

    return build


def refused(call, request):
    """Return code and text of a refusal."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=60)
    return caught.value.code(), caught.value.details()


def mixed():
    return {
        "count": np.array([1], np.int64),
        "text": np.array([b"\xff"], object),
        "flag": np.array([True]),
        "ratio": np.array([[1.5, 3.0]]),
    }


def with_examples(request, *values):
    """Add examples whose feature `x` has these values."""
    for value in values:
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.extend(value)
    return request


def test_predict_says_which_version_and_signature_answered(prediction, asked, stubs):
    reply = prediction.Predict(asked(x=X), timeout=60)
    assert stubs.make_ndarray(reply.outputs["y"]).tolist() == [[2.5, 3.0, 3.5]]
    assert reply.model_spec.name == "conformance"
    assert reply.model_spec.version.value == 3
    assert reply.model_spec.signature_name == "serving_default"


def test_values_travel_in_the_repeated_field(prediction, asked):
    output = prediction.Predict(asked(x=X), timeout=60).outputs["y"]
    assert list(output.float_val) == [2.5, 3.0, 3.5]
    assert not output.tensor_content


def test_inputs_may_travel_in_either_form(prediction, asked, stubs):
    repeated = stubs.TensorProto(dtype=1, float_val=[1, 2, 3])
    shared = stubs.TensorProto(dtype=1, float_val=[2])
    for proto, expected in ((repeated, [2.5, 3.0, 3.5]), (shared, [3.0, 3.0, 3.0])):
        for size in (1, 3):
            proto.tensor_shape.dim.add().size = size
        reply = prediction.Predict(asked(x=proto), timeout=60)
        assert list(reply.outputs["y"].float_val) == expected


def test_every_type_goes_through(prediction, asked, stubs):
    outputs = prediction.Predict(asked("mixed", **mixed()), timeout=60).outputs
    found = {name: stubs.make_ndarray(proto).tolist() for name, proto in outputs.items()}
    assert found == {
        "count": [2],
        "text": [b"\xff!"],
        "text_bytes": [b"\xff"],
        "flag": [False],
        "ratio": [[0.5, 1.0]],
    }


def test_an_output_filter_selects(prediction, asked):
    reply = prediction.Predict(asked("mixed", outputs=["flag", "count"], **mixed()), timeout=60)
    assert set(reply.outputs) == {"flag", "count"}


@pytest.mark.parametrize(
    ("given", "code", "reason"),
    [
        ({"model": "", "x": X}, INVALID, "ModelSpec has no name specified."),
        ({"model": "nope", "x": X}, grpc.StatusCode.NOT_FOUND, "Latest(nope)"),
        ({"version": 7, "x": X}, grpc.StatusCode.NOT_FOUND, "Specific(conformance, 7)"),
        (
            {"signature": "nope", "x": X},
            grpc.StatusCode.FAILED_PRECONDITION,
            'Serving signature key "nope" not found.',
        ),
        ({}, INVALID, "input size does not match signature: 0!=1"),
        ({"x": X, "z": X}, INVALID, "Sent extra: {z}"),
        ({"x": X, "outputs": ["z"]}, INVALID, "output tensor alias not found in signature: z"),
        ({"x": X, "outputs": ["y", "y"]}, INVALID, "duplicate output tensor alias: y"),
        ({"signature": "positive", "x": X[0] - 9}, INVALID, "x is negative"),
    ],
)
def test_a_wrong_predict_is_refused_with_its_reason(prediction, asked, given, code, reason):
    found, text = refused(prediction.Predict, asked(**given))
    assert found == code
    assert reason in text


def test_an_unknown_label_is_refused(prediction, asked):
    request = asked(x=X)
    request.model_spec.version_label = "canary"
    assert refused(prediction.Predict, request) == (
        INVALID,
        "Unrecognized servable version label: canary",
    )


def test_a_type_or_shape_that_does_not_fit_is_refused(prediction, asked):
    for value in (X.astype(np.int32), np.array([[b"a"]], object), X[:, :2], X[0]):
        assert refused(prediction.Predict, asked(x=value))[0] == INVALID


def test_a_request_without_model_is_refused(prediction, stubs):
    assert refused(prediction.Predict, stubs.PredictRequest()) == (INVALID, "Missing ModelSpec")


def test_classify(prediction, stubs):
    request = with_examples(stubs.ClassificationRequest(), [1, 3], [2, 4])
    request.model_spec.name, request.model_spec.signature_name = "conformance", "classify"
    reply = prediction.Classify(request, timeout=60)
    rows = [[(c.label, c.score) for c in row.classes] for row in reply.result.classifications]
    assert rows == [[("low", 0.5), ("high", 1.5)], [("low", 1.0), ("high", 2.0)]]
    assert reply.model_spec.version.value == 3


def test_classify_refuses_what_is_no_classification(prediction, stubs):
    request = with_examples(stubs.ClassificationRequest(), [1, 3])
    request.model_spec.name = "conformance"
    code, text = refused(prediction.Classify, request)
    assert code == INVALID
    assert "Expected classification signature method_name to be" in text
    request.model_spec.signature_name = "classify"
    request.ClearField("input")
    assert refused(prediction.Classify, request) == (INVALID, "Input is empty.")


def test_regress(prediction, stubs):
    request = with_examples(stubs.RegressionRequest(), [1, 3], [2, 4])
    request.model_spec.name, request.model_spec.signature_name = "conformance", "regress"
    reply = prediction.Regress(request, timeout=60)
    assert [one.value for one in reply.result.regressions] == [4.0, 6.0]


def test_multi_inference_refuses_signatures_without_a_common_input(prediction, stubs):
    request = with_examples(stubs.MultiInferenceRequest(), [1, 3])
    for signature in ("classify", "regress"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{signature}")
        task.model_spec.name, task.model_spec.signature_name = "conformance", signature
    code, text = refused(prediction.MultiInference, request)
    assert (code, text) == (INVALID, "Input tensor must be the same for all Signatures.")


def test_multi_inference(prediction, stubs):
    request = with_examples(stubs.MultiInferenceRequest(), [1, 3])
    task = request.tasks.add(method_name="tensorflow/serving/regress")
    task.model_spec.name, task.model_spec.signature_name = "conformance", "regress"
    (result,) = prediction.MultiInference(request, timeout=60).results
    assert result.regression_result.regressions[0].value == 4.0
    assert result.model_spec.version.value == 3


def test_metadata(prediction, stubs):
    request = stubs.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "conformance"
    reply = prediction.GetModelMetadata(request, timeout=60)
    found = stubs.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(found)
    assert reply.model_spec.version.value == 3
    assert found.signature_def["regress"].method_name == "tensorflow/serving/regress"
    request.ClearField("metadata_field")
    assert refused(prediction.GetModelMetadata, request)[0] == INVALID


def test_status(models, stubs):
    request = stubs.GetModelStatusRequest()
    request.model_spec.name = "conformance"
    (one,) = models.GetModelStatus(request, timeout=60).model_version_status
    assert (one.version, one.State.Name(one.state), one.status.error_code) == (3, "AVAILABLE", 0)
    request.model_spec.version.value = 7
    assert refused(models.GetModelStatus, request)[0] == grpc.StatusCode.NOT_FOUND
