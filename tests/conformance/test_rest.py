"""What a server of TensorFlow Serving's REST API answers: golden replies and refusals.

The refusals are written from the original's sources (json_tensor.cc, http_rest_api_handler.cc).
Only what those fix is compared: the texts of JSON parsers and of TensorFlow itself are not.
"""

import math

import pytest

pytest_plugins = ["tests.plugins.standin"]

ROW = [1.0, 2.0, 3.0]
MIXED_ROW = {"count": 1, "text": "a", "flag": True, "ratio": [1.5, 3.0]}
MIXED = {"signature_name": "mixed"}


def test_the_only_input_and_output_by_rows(rest):
    assert rest.post("/conformance:predict", {"instances": [ROW, ROW]}) == (
        200,
        {"predictions": [[2.5, 3.0, 3.5], [2.5, 3.0, 3.5]]},
    )


def test_the_only_input_may_be_named_in_every_row(rest):
    body = {"instances": [{"x": ROW}, {"x": [0, 0, 1]}]}
    assert rest.post("/conformance:predict", body) == (
        200,
        {"predictions": [[2.5, 3.0, 3.5], [2.0, 2.0, 2.5]]},
    )


@pytest.mark.parametrize("inputs", [[ROW], {"x": [ROW]}])
def test_the_only_input_and_output_by_columns(rest, inputs):
    assert rest.post("/conformance:predict", {"inputs": inputs}) == (
        200,
        {"outputs": [[2.5, 3.0, 3.5]]},
    )


@pytest.mark.parametrize("path", ["/conformance/versions/3:predict", "/CONFORMANCE:predict"])
def test_versions_and_names_are_exact(rest, path):
    expected = 200 if "versions" in path else 404
    assert rest.post(path, {"instances": [ROW]})[0] == expected


def test_named_inputs_by_rows(rest):
    rows = [MIXED_ROW, {"count": 9, "text": {"b64": "/w=="}, "flag": False, "ratio": [0, 3]}]
    status, reply = rest.post("/conformance:predict", {**MIXED, "instances": rows[:1]})
    assert status == 200
    assert reply == {
        "predictions": [
            {
                "count": 2,
                "text": "a!",
                "text_bytes": {"b64": "YQ=="},
                "flag": False,
                "ratio": [0.5, 1.0],
            }
        ]
    }
    rows[1]["text"] = {"b64": "Yg=="}
    reply = rest.post("/conformance:predict", {**MIXED, "instances": rows})[1]
    assert [row["text_bytes"] for row in reply["predictions"]] == [{"b64": "YQ=="}, {"b64": "Yg=="}]


def test_named_inputs_by_columns(rest):
    inputs = {"count": [-(1 << 62)], "text": ["ä"], "flag": [True], "ratio": [[1.5, 3.0]]}
    assert rest.post("/conformance:predict", {**MIXED, "inputs": inputs}) == (
        200,
        {
            "outputs": {
                "count": [1 - (1 << 62)],
                "text": ["ä!"],
                "text_bytes": [{"b64": "w6Q="}],
                "flag": [False],
                "ratio": [[0.5, 1.0]],
            }
        },
    )


def test_a_scalar_output(rest):
    body = {"signature_name": "fixed", "inputs": [[1, 2], [3, 4]]}
    assert rest.post("/conformance:predict", body) == (200, {"outputs": 10.0})


def test_values_that_json_has_no_word_for(rest):
    body = {"signature_name": "unusual", "instances": [1.0]}
    status, reply = rest.post("/conformance:predict", body)
    first, second, third = reply["predictions"][0]
    assert (status, first, second) == (200, math.inf, -math.inf)
    assert math.isnan(third)


def test_what_is_no_number_is_taken_as_a_bare_word(rest):
    status, reply = rest.post("/conformance:predict", b'{"instances": [[NaN, -Infinity, 0]]}')
    first, second, third = reply["predictions"][0]
    assert (status, second, third) == (200, -math.inf, 2.0)
    assert math.isnan(first)


def test_what_the_graph_refuses_is_the_callers_fault(rest):
    body = {"signature_name": "positive", "instances": [4.0, -1.0]}
    status, reply = rest.post("/conformance:predict", body)
    assert status == 400
    assert "x is negative" in reply["error"]


def test_numbers_are_written_short(rest):
    body = {"instances": [[0.2, 0.1, 1e-8]]}
    assert rest.post("/conformance:predict", body)[1]["predictions"][0][:2] == [2.1, 2.05]


def test_classify(rest):
    body = {"signature_name": "classify", "examples": [{"x": [1.0, 3.0]}]}
    assert rest.post("/conformance:classify", body) == (
        200,
        {"results": [[["low", 0.5], ["high", 1.5]]]},
    )


def test_regress_with_context(rest):
    body = {"signature_name": "regress", "context": {"x": [1.0, 3.0]}, "examples": [{}, {}]}
    assert rest.post("/conformance:regress", body) == (200, {"results": [4.0, 4.0]})


def test_status_of_a_model_and_of_a_version(rest):
    expected = {
        "model_version_status": [
            {
                "version": "3",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert rest.get("/conformance/versions/3") == (200, expected)
    assert rest.get("/conformance") == (200, expected)


def test_metadata(rest):
    status, reply = rest.get("/conformance/metadata")
    signatures = reply["metadata"]["signature_def"]["signature_def"]
    assert status == 200
    assert reply["model_spec"] == {"name": "conformance", "signature_name": "", "version": "3"}
    assert signatures["classify"]["method_name"] == "tensorflow/serving/classify"
    assert signatures["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"
    sizes = [one["size"] for one in signatures["mixed"]["inputs"]["ratio"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "2"]


REFUSED_BODIES = {
    "empty": (b"", "JSON Parse error: The document is empty"),
    "no JSON": (b"{nonsense", "JSON Parse error: "),
    "no object": ([1], "Is not object"),
    "neither key": ({}, "Missing 'inputs' or 'instances' key"),
    "both keys": ({"inputs": [], "instances": [ROW]}, "expecting only one of 'inputs'"),
    "instances no list": ({"instances": 1}, "Excepting 'instances' to be an list/array"),
    "no instances": ({"instances": []}, "No values in 'instances' array"),
    "unknown signature": (
        {"signature_name": "nope", "instances": [ROW]},
        'Serving signature name: "nope" not found in signature def',
    ),
    "signature no text": ({"signature_name": 1}, "'signature_name' key must be a string value."),
    "wrong type": ({"instances": [["a", 1, 2]]}, "is not of expected type: float"),
    "null": ({"instances": [[None, 1, 2]]}, "Type: Null is not of expected type: float"),
    "boolean for a number": ({"instances": [[True, 1.5, 2]]}, "is not of expected type: float"),
    "ragged row": ({"instances": [[1, [2], 3]]}, "Encountered list at unexpected level: 1"),
    "uneven rows": ({"instances": [ROW, [1.0]]}, "Expecting tensor size: 3 but got: 1"),
    "lossy integer": ({"instances": [[16777217, 1, 2]]}, "without loss of precision."),
    "lossy float": ({"instances": [[1e39, 1, 2]]}, "without loss of precision."),
    "unknown input": ({"instances": [{"z": ROW}]}, "does not have named input: z"),
    "missing input": ({"inputs": {"z": [ROW]}}, "Missing named input: x in 'inputs' object."),
    "mixed rows": ({"instances": [{"x": ROW}, ROW]}, "Expecting object but got list at item 1"),
    "plain list for names": ({**MIXED, "instances": [1]}, "expecting list of objects"),
    "plain value for names": ({**MIXED, "inputs": 1}, "expecting an object as multiple"),
    "fraction for an integer": (
        {**MIXED, "instances": [{**MIXED_ROW, "count": 1.0}]},
        "is not of expected type: int64",
    ),
    "key left out": ({**MIXED, "instances": [{"count": 1}]}, "keys must be equal to: count,flag"),
    "bad base64": (
        {**MIXED, "instances": [{**MIXED_ROW, "text": {"b64": "!"}}]},
        "Unable to base64 decode",
    ),
}


@pytest.mark.parametrize("name", REFUSED_BODIES)
def test_a_wrong_body_is_refused_with_its_reason(rest, name):
    body, reason = REFUSED_BODIES[name]
    status, reply = rest.post("/conformance:predict", body)
    assert status == 400
    assert reply.keys() == {"error"}
    assert reason in reply["error"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/nope", 404, "Could not find any versions of model nope"),
        ("/conformance/versions/7", 404, "Could not find version 7 of model conformance"),
        ("/conformance/versions/7/metadata", 404, "Servable not found for request: Specific("),
        ("/nope/metadata", 404, "Servable not found for request: Latest(nope)"),
        ("", 400, "Missing model name in request."),
        ("/conformance/else", 400, "Malformed request: GET /v1/models/conformance/else"),
        ("/conformance:predict", 400, "Malformed request: GET /v1/models/conformance:predict"),
    ],
)
def test_a_wrong_path_is_refused_with_its_reason(rest, path, status, reason):
    found, reply = rest.get(path)
    assert (found, reply["error"][: len(reason)]) == (status, reason)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/nope:predict", 404, "Servable not found for request: Latest(nope)"),
        ("/conformance/versions/7:predict", 404, "Specific(conformance, 7)"),
        ("/conformance/labels/canary:predict", 400, "Unrecognized servable version label: canary"),
        ("/conformance:guess", 400, "Malformed request: POST /v1/models/conformance:guess"),
    ],
)
def test_a_prediction_that_nobody_can_make_is_refused(rest, path, status, reason):
    found, reply = rest.post(path, {"instances": [ROW]})
    assert found == status
    assert reason in reply["error"]


def test_a_classify_needs_its_signature_and_examples(rest):
    for body, reason in (
        ({"signature_name": "nope", "examples": [{}]}, "No signature was found with the name"),
        ({"examples": [{}]}, "Expected classification signature method_name to be"),
        ({"signature_name": "classify"}, "key 'examples' is expected and was not found"),
        ({"signature_name": "classify", "examples": {}}, "value to be an list/array"),
        ({"signature_name": "classify", "examples": []}, "value is an empty array"),
        ({"signature_name": "classify", "examples": [1]}, "Example must be JSON object"),
    ):
        status, reply = rest.post("/conformance:classify", body)
        assert status == 400, body
        assert reason in reply["error"]
