"""Gates of a release: what is compared, what is refused, and in which words."""

import pytest

from modelyard.api.rollout_gates import ReleaseGate
from modelyard.plan.gating import judge_release, refused_by
from tests.builders import DIGEST, make_version

OTHER = "sha256:" + "9" * 64
IMAGE = {"name": "image", "dtype": "float32", "shape": [-1, 8, 8, 1]}
LABEL = {"name": "label", "dtype": "int64", "shape": [-1]}
SERVING = {"name": "serving_default", "inputs": [IMAGE], "outputs": [LABEL]}


def version(number, accuracy="0.97", data=DIGEST, signatures=(SERVING,), slice="overall"):
    metric = {"name": "accuracy", "value": accuracy, "dataName": "eval", "slice": slice}
    loss = {**metric, "name": "log_loss", "value": "0.2"}
    dataset = {"name": "eval", "uri": "s3://b/e.npz", "digest": data, "rows": 9}
    raw = make_version(number).model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["spec"]["metrics"] = [metric, loss]
    raw["spec"]["lineage"]["datasets"] = [dataset]
    raw["spec"]["signatures"] = list(signatures)
    return type(make_version()).model_validate(raw)


def regression(**changes):
    given = {"metric": "accuracy", "maxRegression": "0.01", **changes}
    return ReleaseGate.model_validate({"name": "better", "evaluation": given})


COMPATIBLE = ReleaseGate.model_validate({"name": "io", "signatureCompatible": {}})


def refusal(gate, stable, target):
    return refused_by(judge_release([gate], stable, target))


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [("0.97", "0.98", True), ("0.97", "0.96", True), ("0.97", "0.959", False)],
)
def test_a_metric_may_fall_by_what_is_allowed(before, after, passes):
    text = refusal(regression(), version(3, before), version(4, after))
    assert (text == "") is passes
    if not passes:
        assert text == (
            "gate better: accuracy is 0.959, digits-v3 has 0.97, at most 0.01 worse is allowed"
        )


def test_less_of_a_loss_is_better():
    gate = regression(metric="log_loss", direction="Minimize", maxRegression="0")
    assert refusal(gate, version(3), version(4)) == ""


def test_values_of_other_data_are_not_compared():
    text = refusal(regression(), version(3), version(4, "0.99", data=OTHER))
    assert "digits-v4 and digits-v3 were measured on different eval data: use the same file" in text


def test_what_was_not_measured_refuses():
    text = refusal(regression(slice="class=3"), version(3), version(4))
    assert "digits-v3 has no accuracy on eval (class=3): evaluate it there" in text
    text = refusal(regression(slice="class=3"), version(3, slice="class=3"), version(4))
    assert "digits-v4 has no accuracy" in text


def changed(side, **changes):
    tensor = {"inputs": IMAGE, "outputs": LABEL}[side]
    return {**SERVING, side: [{**tensor, **changes}]}


@pytest.mark.parametrize(
    ("signatures", "said"),
    [
        ([SERVING], ""),
        ([SERVING, {"name": "more", "inputs": [], "outputs": []}], ""),
        ([{**SERVING, "outputs": [LABEL, IMAGE]}], ""),
        ([changed("inputs", shape=[-1, -1, -1, 1])], ""),
        ([changed("outputs", shape=[8])], ""),
        ([], "signature serving_default is gone"),
        (
            [{**SERVING, "method": "tensorflow/serving/regress"}],
            "signature serving_default answers to tensorflow/serving/regress,"
            " not tensorflow/serving/predict",
        ),
        (
            [{**SERVING, "inputs": [IMAGE, LABEL]}],
            "signature serving_default wants an input label that no client sends",
        ),
        ([{**SERVING, "outputs": []}], "signature serving_default: output label is gone"),
        (
            [changed("inputs", dtype="float64")],
            "signature serving_default: input image is float64[-1, 8, 8, 1],"
            " and clients know float32[-1, 8, 8, 1]",
        ),
        (
            [changed("inputs", shape=[32, 8, 8, 1])],
            "signature serving_default: input image is float32[32, 8, 8, 1],"
            " and clients know float32[-1, 8, 8, 1]",
        ),
        (
            [changed("outputs", shape=[-1, 1])],
            "signature serving_default: output label is int64[-1, 1], and clients know int64[-1]",
        ),
    ],
)
def test_a_client_of_the_stable_version_is_not_surprised(signatures, said):
    padded = signatures or [{**SERVING, "name": "other"}]
    text = refusal(COMPATIBLE, version(3), version(4, signatures=padded))
    assert text == (f"gate io: {said}" if said else "")
