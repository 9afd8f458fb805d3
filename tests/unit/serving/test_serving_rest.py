"""REST: what clients of the original send, and what they get back."""

import base64
import json
import math

import pytest

MODEL = "/v1/models/suite"


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/7"])
def test_status_lists_the_version_as_available(server, path):
    assert server.rest("GET", path) == (
        200,
        {
            "model_version_status": [
                {
                    "version": "7",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        },
    )


def test_metadata_names_types_and_shapes(server):
    code, reply = server.rest("GET", f"{MODEL}/metadata")
    assert code == 200
    assert reply["model_spec"]["version"] == "7"
    given = reply["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["x"]
    assert given["dtype"] == "DT_FLOAT"
    assert [dimension["size"] for dimension in given["tensor_shape"]["dim"]] == ["-1", "2"]


@pytest.mark.parametrize(
    ("signature", "body", "reply"),
    [
        ("", {"instances": [[1, 2], [0.5, -1]]}, {"predictions": [[3, 6], [1.5, -3]]}),
        ("", {"instances": [{"x": [1, 2]}]}, {"predictions": [[3, 6]]}),
        ("", {"inputs": [[1, 2]]}, {"outputs": [[3, 6]]}),
        ("", {"inputs": {"x": [[1, 2]]}}, {"outputs": [[3, 6]]}),
        ("", {"inputs": [[0.1, 0.2]]}, {"outputs": [[0.3, 0.6]]}),
        (
            "pair",
            {"instances": [{"a": [1, 2], "b": 4}, {"a": [3, 4], "b": 5}]},
            {"predictions": [{"total": 3, "next": 5}, {"total": 7, "next": 6}]},
        ),
        (
            "pair",
            {"inputs": {"a": [[1, 2]], "b": [9007199254740993]}},
            {"outputs": {"total": [3], "next": [9007199254740994]}},
        ),
        (
            "text",
            {"instances": ["grün", b64(b"ok")]},
            {
                "predictions": [
                    {"echo": "grün", "raw_bytes": b64("grün".encode())},
                    {"echo": "ok", "raw_bytes": b64(b"ok")},
                ]
            },
        ),
    ],
)
def test_predict(server, signature, body, reply):
    code, found = server.predict(body, signature)
    assert (code, _rounded(found)) == (200, reply)


def _rounded(value):
    """Round as float32 arithmetic needs it: 0.1 * 3 is 0.3 only nearly."""
    return json.loads(json.dumps(value), parse_float=lambda text: round(float(text), 5))


def test_numbers_are_as_short_as_their_type_allows(server):
    content = server.raw("POST", f"{MODEL}:predict", b'{"instances": [[0.1, 0.7]]}')[1].decode()
    assert max(map(len, content.split())) < 15, content


def test_what_is_no_number_travels_as_a_bare_word(server):
    body = b'{"instances": [[NaN, -Infinity]]}'
    code, content = server.raw("POST", f"{MODEL}:predict", body)
    (first, second) = json.loads(content)["predictions"][0]
    assert code == 200
    assert math.isnan(first)
    assert second == -math.inf


@pytest.mark.parametrize(
    ("path", "body", "code", "words"),
    [
        (f"{MODEL}:predict", b"{", 400, "JSON Parse error"),
        (f"{MODEL}:predict", b"[]", 400, "Is not object"),
        (f"{MODEL}:predict", b"{}", 400, "Missing 'inputs' or 'instances' key"),
        (f"{MODEL}:predict", b'{"inputs": 1, "instances": [1]}', 400, "only one of"),
        (f"{MODEL}:predict", b'{"instances": []}', 400, "No values"),
        (f"{MODEL}:predict", b'{"instances": [[1, 2, 3]]}', 400, "shape"),
        (f"{MODEL}:predict", b'{"instances": [[1, 2], [1]]}', 400, "tensor size: 2"),
        (f"{MODEL}:predict", b'{"instances": [["a", 2]]}', 400, "a"),
        (f"{MODEL}:predict", b'{"inputs": {"z": [[1, 2]]}}', 400, "Missing named input: x"),
        (f"{MODEL}:predict", b'{"signature_name": "no", "inputs": 1}', 400, '"no" not found'),
        (f"{MODEL}:predict", b'{"signature_name": "text", "inputs": [{"b64": "?"}]}', 400, "64"),
        (
            f"{MODEL}:predict",
            b'{"signature_name": "pair", "inputs": {"a": [[1, 2]], "b": [1.5]}}',
            400,
            "1.5",
        ),
        (
            f"{MODEL}:predict",
            b'{"signature_name": "checked", "inputs": [-1]}',
            400,
            "must be positive",
        ),
        (f"{MODEL}/versions/8:predict", b'{"inputs": [[1, 2]]}', 404, "not found"),
        (f"{MODEL}/labels/stable:predict", b'{"inputs": [[1, 2]]}', 400, "stable"),
        ("/v1/models/other:predict", b'{"inputs": [[1, 2]]}', 404, "not found"),
        (f"{MODEL}:explain", b"{}", 400, "Malformed request: POST"),
        (f"{MODEL}:classify", b'{"examples": [{"v": 1.0}]}', 400, "method_name"),
    ],
)
def test_refusals_say_why(server, path, body, code, words):
    found, content = server.raw("POST", path, body)
    reply = json.loads(content)
    assert found == code, reply
    assert reply.keys() == {"error"}
    assert words in reply["error"]


@pytest.mark.parametrize("path", [f"{MODEL}/versions/8", "/v1/models/other"])
def test_status_of_what_is_not_served_is_not_found(server, path):
    code, reply = server.rest("GET", path)
    assert code == 404
    assert "Could not find" in reply["error"]


def test_classify_answers_labels_and_scores(server):
    body = {"signature_name": "classify", "examples": [{"v": 0.25}, {"v": [1.0]}]}
    assert server.rest("POST", f"{MODEL}:classify", body) == (
        200,
        {"results": [[["high", 0.25], ["low", 0.75]], [["high", 1.0], ["low", 0.0]]]},
    )


def test_regress_takes_features_from_the_context(server):
    body = {"signature_name": "regress", "context": {"v": 2.0}, "examples": [{}, {"w": 1}]}
    assert server.rest("POST", f"{MODEL}:regress", body) == (200, {"results": [6.0, 6.0]})
