"""What users do wrong and what breaks: each ends in a condition with reason and remedy."""

import pytest

from demo import steps

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def _train(spec):
    """The data source that is trained on."""
    return next(d for d in spec["data"] if d["name"] == "train")


def _small(spec):
    """Make the training quick and free of GPUs."""
    spec["compute"]["accelerator"]["count"] = 0
    spec["recipe"]["epochs"] = 1
    spec["maxRetries"] = 0


DATA_FAULTS = {
    "missing-key": (
        lambda spec: _train(spec).update(uri="s3://modelyard/datasets/digits/none.npz"),
        "none.npz",
    ),
    "missing-bucket": (
        lambda spec: _train(spec).update(uri="s3://modelyard-none/datasets/train.npz"),
        "modelyard-none",
    ),
    "wrong-digest": (
        lambda spec: _train(spec).update(digest="sha256:" + "0" * 64),
        "digest",
    ),
    "missing-array": (
        lambda spec: _train(spec).update(schema={"features": ["pixels"], "label": "label"}),
        "pixels",
    ),
}


@pytest.mark.parametrize("name", DATA_FAULTS)
def test_bad_data_ends_the_training_and_says_where(cluster, example, apply, wait, name):
    change, word = DATA_FAULTS[name]

    def spoil(spec):
        _small(spec)
        change(spec)

    apply(example("01-training.yaml", name, spoil))
    failed = wait("mtrain", name, "Failed")
    failure = failed["status"].get("failure", {})
    text = failure.get("message", "") + steps.condition(failed, "Failed")["message"]
    assert word in text
    assert failure.get("hint")
    assert cluster.get("-n", "demo", "mver", "digits-v99") is None


def test_a_store_that_nobody_configured_is_named(example, apply, wait):
    apply(example("01-training.yaml", "no-store", lambda s: s.update(storeName="elsewhere")))
    refused = wait("mtrain", "no-store", "Accepted", reason="StoreNotFound", seconds=30)
    assert "elsewhere" in steps.condition(refused, "Accepted")["message"]


def test_a_gpu_that_is_not_there_is_told_in_the_schedulers_words(example, apply, wait):
    def greedy(spec):
        spec["compute"]["accelerator"]["count"] = 64

    apply(example("01-training.yaml", "greedy", greedy))
    pending = wait("mtrain", "greedy", "Running", reason="Unschedulable", seconds=60)
    assert "nvidia.com/gpu" in steps.condition(pending, "Running")["message"]


def test_out_of_memory_is_typed(example, apply, wait):
    def starve(spec):
        _small(spec)
        spec["compute"]["resources"] = {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"memory": "64Mi"},
        }

    apply(example("01-training.yaml", "starved", starve))
    failed = wait("mtrain", "starved", "Failed")
    assert failed["status"]["failure"]["category"] == "OutOfMemory"
    assert "memory" in failed["status"]["failure"]["hint"]


def test_a_gate_that_is_missed_refuses_the_model(cluster, example, apply, wait):
    apply(example("03-refused.yaml", "refused"))
    refused = wait("mtrain", "refused", "Failed", reason="GatesFailed")
    assert refused["status"]["phase"] == "Rejected"
    assert steps.condition(refused, "Complete")["status"] != "True"
    (gate,) = [g for g in refused["status"]["evaluation"]["gates"] if g["verdict"] == "Failed"]
    assert float(gate["observed"]) < float(gate["required"])
    assert "modelVersionName" not in refused["status"]
