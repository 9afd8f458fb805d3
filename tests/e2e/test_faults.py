"""What users do wrong: each ends in a condition with reason and remedy."""

import io

import numpy as np
import pytest

from demo import install, steps
from demo.cluster import StepFailed
from demo.install import digits
from tests.e2e.yard import data, deployment, example, training

SPACE = "faults"
FOLDER = "datasets/faults"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def _npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _spoiled():
    """Return data files that are wrong in one way each."""
    good = dict(np.load(io.BytesIO(digits()["train"])))
    image, label = good["image"], good["label"]
    return {
        "words": _npz(image=image.astype(str), label=label),
        "flat": _npz(image=image.reshape(len(image), -1), label=label),
        "short": _npz(image=image[:, :4], label=label),
        "alien": _npz(image=image[:20], label=np.where(np.arange(20) == 7, 10, label[:20])),
        "empty": _npz(image=image[:0], label=label[:0]),
        "cut": digits()["train"][:5000],
    }


def _file(name, source="train"):
    def change(spec):
        data(spec, source).update(uri=f"s3://{install.BUCKET}/{FOLDER}/{name}.npz")

    return change


def _uri(uri):
    return lambda spec: data(spec, "train").update(uri=uri)


# Name of the training to: what is wrong with it, words of the message, the failure's category.
DATA_FAULTS = {
    "missing-key": (_file("none"), ["none.npz", "does not exist"], "DataError"),
    "missing-bucket": (
        _uri("s3://no-such-bucket/train.npz"),
        ["no-such-bucket", "there is no such bucket"],
        "DataError",
    ),
    "wrong-digest": (
        lambda spec: data(spec, "train").update(digest="sha256:" + "0" * 64),
        ["train.npz", "digest", "was expected"],
        "DataError",
    ),
    "missing-array": (
        lambda spec: data(spec, "train").update(schema={"features": ["pixels"], "label": "label"}),
        ["train.npz", "pixels"],
        "DataError",
    ),
    "wrong-dtype": (_file("words"), ["words.npz", "'image'", "dtype"], "DataError"),
    "wrong-shape": (_file("flat"), ["flat.npz", "'image'", "(rows, height, width)"], "DataError"),
    "other-shape": (_file("short", "eval"), ["short.npz", "(4, 8)", "(8, 8)"], "DataError"),
    "label-range": (_file("alien", "eval"), ["alien.npz", "row 7", "'label'", "10"], "DataError"),
    "empty-data": (_file("empty"), ["empty.npz", "'image'", "empty"], "DataError"),
    "cut-file": (_file("cut"), ["cut.npz"], "DataError"),
}


def _diverging(spec):
    spec["recipe"]["optimizer"] = {"name": "SGD", "learningRate": "1e30"}


def _starved(spec):
    spec["compute"]["resources"] = {
        "requests": {"cpu": "100m", "memory": "32Mi"},
        "limits": {"memory": "64Mi"},
    }


def _greedy(spec):
    spec["compute"]["accelerator"] = {"resourceName": "nvidia.com/gpu", "count": 64}


@pytest.fixture(scope="module")
def submitted(yard):
    """Everything that is wrong, applied at once: the waits overlap."""
    spoiled = _spoiled()
    yard.upload({f"{FOLDER}/{name}.npz": content for name, content in spoiled.items()})
    faults = {name: change for name, (change, *_) in DATA_FAULTS.items()}
    faults |= {"diverging": _diverging, "starved": _starved, "greedy": _greedy}
    yard.apply(*(training(name, change) for name, change in faults.items()))
    yard.apply(example("06-refused.yaml", "refused"))
    return yard


@pytest.mark.parametrize("name", DATA_FAULTS)
def test_bad_data_ends_the_training_and_says_where(submitted, name):
    _, words, category = DATA_FAULTS[name]
    failed = submitted.wait("mtrain", name, "Failed")
    failure = failed["status"]["failure"]
    assert failure["category"] == category
    assert failure["exitCode"] == 65
    assert [word for word in words if word not in failure["message"]] == []
    assert failure["hint"]
    shown = steps.condition(failed, "Failed")
    assert shown["reason"] == category
    assert failure["hint"] in shown["message"]
    assert failed["status"]["attempt"] == 1
    assert "modelVersionName" not in failed["status"]


def test_a_loss_that_is_no_number_is_told_apart(submitted):
    failed = submitted.wait("mtrain", "diverging", "Failed", reason="Diverged")
    failure = failed["status"]["failure"]
    assert (failure["category"], failure["exitCode"]) == ("Diverged", 70)
    assert "loss" in failure["message"]
    assert "learningRate" in failure["hint"]
    assert failure["hint"] in steps.condition(failed, "Failed")["message"]


def test_out_of_memory_is_typed(submitted):
    failed = submitted.wait("mtrain", "starved", "Failed")
    failure = failed["status"]["failure"]
    assert (failure["category"], failure["exitCode"]) == ("OutOfMemory", 137)
    assert "resources.limits.memory" in failure["hint"]
    shown = steps.condition(failed, "Failed")
    assert shown["reason"] == "RetriesExhausted"
    assert "more memory than its limit" in shown["message"]
    assert failure["hint"] in shown["message"]


def test_a_gpu_that_is_not_there_is_told_in_the_schedulers_words(submitted):
    pending = submitted.wait("mtrain", "greedy", "Running", reason="Unschedulable")
    assert "nvidia.com/gpu" in steps.condition(pending, "Running")["message"]
    assert pending["status"]["phase"] == "Pending"
    submitted.kubectl("delete", "mtrain", "greedy", "--timeout=60s")


def test_a_gate_that_is_missed_refuses_the_model(submitted):
    refused = submitted.wait("mtrain", "refused", "Failed", reason="GatesFailed")
    assert refused["status"]["phase"] == "Rejected"
    assert steps.condition(refused, "Complete")["status"] == "False"
    (gate,) = refused["status"]["evaluation"]["gates"]
    assert gate["verdict"] == "Failed"
    assert float(gate["observed"]) < float(gate["required"])
    assert gate["observed"] in steps.condition(refused, "Failed")["message"]
    assert "modelVersionName" not in refused["status"]
    assert submitted.listed("mver", "modelyard.dev/model=digits") == []


# What the API server refuses at once: how, and words of its answer.
REFUSED_AT_ONCE = {
    "no-s3": (_uri("https://example.com/train.npz"), ["spec.data", "uri"]),
    "name-" + "x" * 59: (
        lambda spec: spec.update(modelName="digits"),
        ["metadata.name", "choose a shorter name"],
    ),
    "own-eval": (
        lambda spec: spec["evaluation"].update(dataName="train"),
        ["spec.evaluation.dataName", "held-out"],
    ),
}


@pytest.mark.parametrize("name", REFUSED_AT_ONCE, ids=lambda name: name[:12])
def test_what_is_wrong_in_itself_is_refused_at_once(yard, name):
    change, words = REFUSED_AT_ONCE[name]
    with pytest.raises(StepFailed) as refused:
        yard.apply(training(name, change))
    assert [word for word in words if word not in str(refused.value)] == []
    assert yard.get("mtrain", name) is None


def test_a_store_that_nobody_configured_is_named(yard):
    yard.apply(training("no-store", lambda spec: spec.update(storeName="elsewhere")))
    refused = yard.wait("mtrain", "no-store", "Accepted", reason="StoreNotFound", seconds=30)
    message = steps.condition(refused, "Accepted")["message"]
    assert "elsewhere" in message
    assert "administrator" in message


def test_data_of_others_is_not_read(yard):
    yard.apply(training("foreign", _uri(f"s3://{install.BUCKET}/other/secret.npz")))
    refused = yard.wait("mtrain", "foreign", "Accepted", reason="DataNotAllowed", seconds=30)
    message = steps.condition(refused, "Accepted")["message"]
    assert "s3://modelyard/other/secret.npz" in message
    assert "readPrefixes" in message
    assert yard.listed("jobs", "modelyard.dev/training=foreign") == []


def test_a_version_that_does_not_exist_is_named(yard):
    yard.apply(deployment("lost", "digits-v99"))
    lost = yard.wait("mdep", "lost", "Accepted", reason="VersionNotFound", seconds=30)
    assert "digits-v99" in steps.condition(lost, "Accepted")["message"]
    assert steps.condition(lost, "Ready")["status"] == "False"
