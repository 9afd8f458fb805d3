"""What breaks while a training runs: nothing is lost, nothing is done twice."""

import json
import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from demo import install, steps
from demo.cluster import ROOT, StepFailed
from localcluster import network
from localcluster.naming import Names
from tests.e2e.yard import assert_clean, deployment, kill_in_pod, operator_log, training

SPACE = "recovery"
OUTAGE_SECONDS = 60
OPERATOR = ("-n", install.SYSTEM, "-l", "app.kubernetes.io/component=operator")
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def spare(yard):
    """Two versions, for tests that need one: of the models spare and doomed."""
    yard.apply(training("spare"), training("doomed"))
    return [yard.completed(name)["status"]["modelVersionName"] for name in ("spare", "doomed")]


def _long(spec):
    """Some fifteen seconds of steps, with many checkpoints."""
    spec["recipe"]["epochs"] = 150
    spec["checkpoint"] = {"everySteps": 100}


def _started(yard, name, change=_long):
    """Start a training and wait until it has a checkpoint."""
    yard.apply(training(name, change))
    yard.at_step(name, 150)


def _resumed(yard, name, reasons):
    """Check that one interruption was counted, and that the run went on where it was saved."""
    done = yard.completed(name)
    status = done["status"]
    assert status["attempt"] == 2
    assert status.get("retries", 0) == 0
    assert status["interruptionCount"] == 1
    (interruption,) = status["interruptions"]
    assert interruption["reason"] in reasons
    assert interruption["resumedFromStep"] >= 100
    assert status["progress"]["percent"] == 100
    return interruption


def _undisturbed(yard, name):
    """Check that a training ended as if nothing had happened."""
    done = yard.completed(name)
    assert done["status"]["attempt"] == 1
    assert done["status"].get("interruptions", []) == []
    (job,) = yard.listed("jobs", f"modelyard.dev/training={name}")
    assert job["status"]["succeeded"] == 1
    (version,) = yard.listed("mver", f"modelyard.dev/training={name}")
    assert version["metadata"]["name"] == done["status"]["modelVersionName"]


@pytest.fixture(scope="module")
def interrupted(yard):
    """Three trainings that were disturbed while they ran, in three ways; the waits overlap."""
    yard.apply(*(training(name, _long) for name in ("evicted", "killed", "jobless")))
    for name, disturb in {"evicted": _evict, "killed": _kill, "jobless": _take_job}.items():
        yard.at_step(name, 150)
        disturb(yard, name)
    return yard


def _evict(yard, name):
    pod = yard.pod_of(f"modelyard.dev/training={name}")
    yard.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")


def _kill(yard, name):
    kill_in_pod(yard.pod_of(f"modelyard.dev/training={name}"), "modelyard_trainer")


def _take_job(yard, name):
    job = yard.found("mtrain", name)["status"]["jobName"]
    yard.kubectl("delete", "job", job, "--wait=false")


def test_a_deleted_pod_saves_its_state_and_the_next_goes_on(interrupted):
    # The pod may be gone before anybody has read its last words: then its Job tells the code, and
    # the last step that is known is the last that was reported.
    interruption = _resumed(interrupted, "evicted", {"Exit75"})
    assert interruption["stepsLost"] == 0
    assert interruption["lastStep"] <= interruption["resumedFromStep"]


def test_a_killed_trainer_is_repeated_from_its_last_checkpoint(interrupted):
    interruption = _resumed(interrupted, "killed", {"Exit137"})
    assert interruption["resumedFromStep"] % 100 == 0


def test_a_deleted_job_is_an_interruption(interrupted):
    # Without Job and pod nothing is left that tells the code.
    _resumed(interrupted, "jobless", {"Exit75", "PodLost"})


def test_a_killed_operator_finds_everything_as_it_was(yard):
    _started(yard, "headless")
    (pod,) = yard.cluster.get("pods", *OPERATOR)["items"]
    for restarts in (1, 2):
        kill_in_pod(pod, "modelyard")
        steps.wait_for(
            lambda: yard.cluster.get("pods", *OPERATOR),
            lambda pods, count=restarts: _restarted(pods, count),
            seconds=60,
        )
    _undisturbed(yard, "headless")


def _restarted(pods, count):
    (pod,) = pods["items"]
    (status,) = pod["status"]["containerStatuses"]
    return status["restartCount"] == count and status["ready"]


def test_a_deleted_operator_pod_is_replaced(yard):
    _started(yard, "orphan")
    assert_clean(operator_log(yard.cluster))
    yard.cluster.kubectl("delete", "pod", *OPERATOR)
    _undisturbed(yard, "orphan")


def test_a_restart_of_the_api_server_disturbs_nothing(yard):
    _started(yard, "deaf")
    for pid in network.processes(Names(yard.cluster.name)):
        if Path(f"/proc/{pid}/cmdline").read_text().startswith("kube-apiserver\0"):
            os.kill(pid, signal.SIGKILL)
    steps.wait_for(lambda: _api_ready(yard.cluster), bool, seconds=60)
    _undisturbed(yard, "deaf")


def _api_ready(cluster):
    with suppress(StepFailed):
        return {"answer": cluster.kubectl("get", "--raw=/readyz")}
    return None


def test_a_missing_secret_is_named_and_the_training_goes_on_once_it_is_there(yard):
    secret = yard.found("secret", "modelyard-store-default")
    yard.kubectl("delete", "secret", "modelyard-store-default")
    yard.apply(training("locked"))
    waiting = yard.wait("mtrain", "locked", "Running", reason="SecretNotFound", seconds=60)
    message = steps.condition(waiting, "Running")["message"]
    assert "Create the Secret modelyard-store-default" in message
    assert "AWS_ACCESS_KEY_ID" in message
    for field in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
        secret["metadata"].pop(field, None)
    yard.apply(secret)
    _undisturbed(yard, "locked")


def test_an_image_that_is_missing_is_named(yard):
    _upgrade(yard, "trainer.image.tag=none")
    yard.apply(training("faceless"))
    waiting = yard.wait("mtrain", "faceless", "Running", reason="ImageNotFound", seconds=90)
    message = steps.condition(waiting, "Running")["message"]
    assert "localhost/modelyard/trainer:none" in message
    assert "Check the image's name" in message
    _upgrade(yard, "trainer.image.tag=dev")
    # The administrator has corrected the image: the next attempt takes it.
    job = yard.found("mtrain", "faceless")["status"]["jobName"]
    yard.kubectl("delete", "job", job)
    assert yard.completed("faceless")["status"]["attempt"] == 2


def _upgrade(yard, setting):
    chart, flags = str(ROOT / "charts/modelyard"), ("--reuse-values", "--wait")
    assert_clean(operator_log(yard.cluster))
    yard.cluster.helm("upgrade", "modelyard", chart, "-n", install.SYSTEM, *flags, "--set", setting)


def test_a_version_that_a_user_made_is_not_overwritten(yard, spare):
    first = yard.wait("mver", spare[0], "Verified", seconds=30)
    spec = {**first["spec"], "modelName": "squatted"}
    spec["artifact"] = {**spec["artifact"], "path": f"{SPACE}/squatted/1/"}
    squatter = {key: first[key] for key in ("apiVersion", "kind")}
    yard.apply({**squatter, "metadata": {"name": "squatted-v1"}, "spec": spec})
    yard.apply(training("squatted"))
    failed = yard.wait("mtrain", "squatted", "Failed", reason="NameConflict", seconds=120)
    message = steps.condition(failed, "Failed")["message"]
    assert "squatted-v1" in message
    assert "Delete or rename" in message
    assert yard.found("mver", "squatted-v1")["spec"] == spec


def _unsaved(spec):
    """Like `_long`, with few checkpoints: it comes to its end while the store is away."""
    _long(spec)
    spec["checkpoint"] = {"everySteps": 2000}


def test_a_store_that_is_away_for_a_minute_costs_only_time(yard, spare):
    served, doomed = spare
    _started(yard, "saving", _unsaved)
    yard.apply(training("registering"))
    yard.until("mtrain", "registering", lambda t: t["status"].get("attempt") == 1, 30)
    yard.cluster.kubectl("-n", install.SYSTEM, "scale", "deploy/modelyard", "--replicas=0")
    job = yard.found("mtrain", "registering")["status"]["jobName"]
    yard.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=90s")
    with _no_store(yard):
        started = time.monotonic()
        yard.cluster.kubectl("-n", install.SYSTEM, "scale", "deploy/modelyard", "--replicas=1")
        yard.apply(deployment("spare", served))
        yard.kubectl("delete", "mver", doomed, "--wait=false")
        for kind, name, where in (
            ("mtrain", "registering", "Evaluated"),
            ("mver", doomed, "Committed"),
        ):
            told = yard.wait(kind, name, where, reason="StoreUnreachable", seconds=90)
            message = steps.condition(told, where)["message"]
            assert install.ENDPOINT in message
            assert "check that it runs" in message
        time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - started)))
    for name in ("registering", "saving"):
        _undisturbed(yard, name)
    yard.wait("mdep", "spare", "Ready")
    assert steps.predict(yard.cluster, "spare", "spare", SPACE)["rest"]
    yard.kubectl("wait", "--for=delete", f"mver/{doomed}", "--timeout=60s")
    assert yard.stored("doomed/1/") == []


@contextmanager
def _no_store(yard):
    """Take the endpoints from the store's Service: connections are refused, as without its pod."""

    def select(app):
        patch = json.dumps({"spec": {"selector": {"app": app}}})
        target = ("-n", install.STORE, "patch", "service", "seaweedfs")
        yard.cluster.kubectl(*target, "--type=merge", "--patch", patch)

    select("nobody")
    try:
        yield
    finally:
        select("seaweedfs")
