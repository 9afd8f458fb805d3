"""What `get` draws, where the golden screens do not look."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from modelyard.api.names import LABEL_VERSION
from modelyard.api.rules import DEPLOYMENT, TRAINING
from modelyard_cli import kinds
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.logs import pod_of_deployment, pod_of_training
from modelyard_cli.mirror import Mirror
from modelyard_cli.objects import deployment_of
from modelyard_cli.views import view
from modelyard_cli.views.parts import pod_state
from tests.builders import conditions, make_deployment, make_training, make_version
from tests.unit.cli.test_cli_state import SERVING, at, role

NOW = datetime(2026, 1, 31, 12, 5, tzinfo=UTC)
CREATED = {"creationTimestamp": "2026-01-31T12:00:00Z"}


def child(name, labels=None, **more):
    return {"metadata": {"name": name, "uid": name, "labels": labels or {}, **CREATED}, **more}


def pod(name, labels=None, waiting="", **status):
    containers = [{"state": {"waiting": {"reason": waiting}} if waiting else {}, "restartCount": 2}]
    return child(
        name, labels, status={"phase": "Running", "containerStatuses": containers, **status}
    )


def drawn(resource, kind, refused=(), **children):
    raw = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["metadata"] |= CREATED
    mirror = Mirror(kind, raw["metadata"]["name"], ())
    mirror.found[kinds.path_of(kind)] = {"own": raw}
    for name, found in children.items():
        mirror.found[getattr(kinds, name.upper())] = {c["metadata"]["uid"]: c for c in found}
    mirror.refused |= set(refused)
    console = Console(width=120, record=True, file=None, quiet=False, highlight=False)
    with console.capture() as captured:
        console.print(view(mirror, NOW))
    return captured.get()


def deployment(**status):
    return make_deployment({**SERVING, **status})


def test_gates_tell_what_they_compared():
    gates = [{"name": "auc", "verdict": "Failed", "message": "accuracy is 0.9"}]
    judged = conditions(GatesPassed="False/GatesFailed")
    text = drawn(deployment(gates=gates, conditions=judged), DEPLOYMENT)
    assert "auc    ✖ Failed   accuracy is 0.9" in text


def test_pods_that_hold_other_bytes_are_pointed_at():
    other = role(servedDigest="sha256:" + "b" * 64)
    assert "but pods hold bbbbbbbbbbbb" in drawn(deployment(stable=other), DEPLOYMENT)


def test_a_gateway_shows_what_the_pods_counted():
    share = {"modelVersionName": "digits-v3", "revision": "a1", "weight": 50, "observed": "49.2"}
    traffic = {"since": "2026-01-31T12:00:00Z", "shares": [share]}
    text = drawn(deployment(canary=role(), step=at(), traffic=traffic), DEPLOYMENT)
    assert "canary 50 %, 49.2 % counted" in text


def test_what_the_user_may_not_read_is_said():
    text = drawn(deployment(), DEPLOYMENT, refused=[kinds.PODS, kinds.WORKLOADS])
    assert "Deployments, Pods are not shown: you may not list them here" in text


def test_a_revision_without_a_role_is_on_its_way_out():
    gone = pod("web-old-1", {LABEL_VERSION: "old"})
    assert "revision old, on its way out" in drawn(deployment(), DEPLOYMENT, pods=[gone])


def test_a_service_names_what_it_selects():
    service = child("digits", spec={"selector": {LABEL_VERSION: "a1"}, "ports": [{"port": 8501}]})
    assert "Service digits → digits-v3" in drawn(deployment(), DEPLOYMENT, services=[service])


def test_a_failed_training_shows_gates_and_log():
    failure = {
        "category": "DataError",
        "attempt": 1,
        "podName": "run-0",
        "message": "no column x",
        "hint": "Check spec.data.",
        "logTail": "KeyError: x",
    }
    gate = {"name": "floor", "metric": "accuracy", "operator": "GreaterThanOrEqual"}
    gate |= {"observed": "0.5", "required": "0.9", "verdict": "Failed"}
    evaluation = {"verdict": "Failed", "gates": [gate]}
    status = {"failure": failure, "evaluation": evaluation, "phase": "Failed"}
    text = drawn(make_training(status), TRAINING, pods=[pod("run-a1-0")])
    assert "floor   ✖ Failed   accuracy   0.5        ≥ 0.9" in text
    assert "attempt 1 failed in pod run-0: no column x" in text
    assert "KeyError: x" in text
    assert "Pod run-a1-0" in text


def test_a_version_shows_what_it_came_from():
    from modelyard.api.rules import MODEL_VERSION

    text = drawn(make_version(), MODEL_VERSION)
    assert "training   run, attempt 1" in text
    assert "accuracy   0.97    eval" in text


def test_an_object_that_is_gone_ends_the_picture():
    with pytest.raises(Stop) as ended:
        _ = Mirror(DEPLOYMENT, "web", ()).subject
    assert ended.value.code is Exit.NOT_FOUND


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (pod("a", waiting="ImagePullBackOff"), "ImagePullBackOff"),
        (pod("a", waiting="ContainerCreating", phase="Pending"), "Pending"),
        (pod("a", conditions=[{"type": "Ready", "status": "False"}]), "not ready"),
        (pod("a", phase="Failed"), "Failed"),
        ({"metadata": {"deletionTimestamp": "x"}}, "Terminating"),
    ],
)
def test_a_pod_in_the_words_of_kubectl(made, words):
    assert pod_state(made)[1] == words


def test_logs_are_those_of_the_last_attempt():
    pods = [pod(f"run-{n}", {"modelyard.dev/attempt": n}) for n in ("2", "10", "9")]
    assert pod_of_training(pods, None)["metadata"]["name"] == "run-10"
    assert pod_of_training(pods, 9)["metadata"]["name"] == "run-9"
    assert pod_of_training([], None) is None


def test_logs_are_those_of_the_pod_in_trouble():
    next_one = role("digits-v4", revision="b2")
    found = deployment_of(
        deployment(canary=next_one, step=at()).model_dump(mode="json", by_alias=True)
    )
    pods = [
        pod("old", {LABEL_VERSION: "a1"}),
        pod("good", {LABEL_VERSION: "b2"}),
        pod("zbad", {LABEL_VERSION: "b2"}, waiting="CrashLoopBackOff"),
    ]
    assert pod_of_deployment(found, pods, "")["metadata"]["name"] == "zbad"
    assert pod_of_deployment(found, pods, "stable")["metadata"]["name"] == "old"
    assert pod_of_deployment(found, pods, "digits-v4")["metadata"]["name"] == "zbad"
    with pytest.raises(Stop) as ended:
        pod_of_deployment(found, pods, "warm")
    assert "canary digits-v4, stable digits-v3" in ended.value.remedy
