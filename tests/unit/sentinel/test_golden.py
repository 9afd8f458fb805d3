import math

import pytest
from pydantic import ValidationError

from modelyard.sentinel.golden import GoldenFile, GoldenSample, Tolerance, mismatch

NAN, INFINITY = math.nan, math.inf


def sample(**outputs):
    return GoldenSample(inputs={"image": [[0.0]]}, outputs=outputs)


def fault(reply, **outputs):
    return mismatch(sample(**outputs), reply, Tolerance(absolute=1e-4, relative=1e-3))


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        (1.0, 1.0, True),
        (1.0, 1.00109, True),  # within absolute + relative * |expected|
        (1.0, 1.0012, False),
        (0.0, 0.0001, True),
        (0.0, -0.00011, False),
        (-1000.0, -1001.0, True),
        (-1000.0, 1000.0, False),
        (3, 3.0, True),
        (NAN, NAN, True),
        (NAN, 0.0, False),
        (0.0, NAN, False),
        (INFINITY, INFINITY, True),
        (INFINITY, -INFINITY, False),
        (1e308, INFINITY, False),
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        ("cat", "cat", True),
        ("cat", "dog", False),
        ({"b64": "AA=="}, {"b64": "AA=="}, True),
        ({"b64": "AA=="}, {"b64": "AQ=="}, False),
        (None, 0.0, False),
    ],
)
def test_scalars_are_compared_by_their_kind(expected, got, same):
    assert (fault([[got]], y=[[expected]]) is None) is same


def test_a_single_output_comes_without_its_name():
    assert fault([[0.5, 0.5]], y=[[0.5, 0.5]]) is None


def test_several_outputs_come_by_name_and_in_any_order():
    assert fault({"b": [2], "a": [1]}, a=[1], b=[2]) is None


def test_a_bare_value_where_several_outputs_were_recorded_is_a_mismatch():
    assert fault([1], a=[1], b=[2]) == "expected the outputs 'a', 'b', got ''"


def test_a_missing_output_is_named():
    assert fault({"a": [1]}, a=[1], b=[2]) == "expected the outputs 'a', 'b', got 'a'"


def test_the_message_names_output_index_expected_and_got():
    found = fault({"a": [[1.0, 2.0]], "b": [[0.0]]}, a=[[1.0, 2.5]], b=[[0.0]])
    assert found == "output 'a'[0][1]: expected 2.5, got 2.0"


@pytest.mark.parametrize(
    ("got", "shape"),
    [([[1.0]], "[1, 1]"), ([[1.0, 2.0], [1.0, 2.0]], "[2, 2]"), (1.0, "[]"), ([], "[0]")],
)
def test_another_shape_is_named(got, shape):
    assert f"expected the shape [1, 2], got {shape}" in fault(got, y=[[1.0, 2.0]])


def test_a_ragged_reply_is_found_where_it_differs():
    found = fault([[1.0, 2.0], [3.0]], y=[[1.0, 2.0], [3.0, 4.0]])
    assert found == "output 'y'[1]: expected the shape [2], got [1]"


def test_a_long_value_is_cut():
    assert len(fault(["x" * 5000], y=["y" * 5000])) < 200


def test_a_file_reads_nan_and_keeps_its_defaults():
    text = '{"samples": [{"inputs": {"x": [NaN]}, "outputs": {"y": [-Infinity]}}]}'
    golden = GoldenFile.model_validate_json(text)
    assert golden.signature == "serving_default"
    assert golden.tolerance == Tolerance(absolute=1e-4, relative=1e-3)
    assert golden.samples[0].outputs == {"y": [-INFINITY]}


@pytest.mark.parametrize(
    "content",
    [
        {"samples": []},
        {"samples": [{"inputs": {"x": 1}, "outputs": {"y": 1}}] * 17},
        {"samples": [{"inputs": {"x": 1}, "outputs": {}}]},
        {"samples": [{"inputs": {"x": 1}, "outputs": {"y": 1}}], "tolerance": {"absolute": -1}},
    ],
)
def test_a_file_that_could_never_fail_is_refused(content):
    with pytest.raises(ValidationError):
        GoldenFile.model_validate(content)
