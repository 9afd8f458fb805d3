"""The operator as a process before a real API server: one training, and what may befall it."""

import signal
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from modelyard.api import names
from tests.api.operators import LEASE_NAME, Cluster, Operator, condition, training, until

pytestmark = pytest.mark.api

Make = Callable[..., Operator]


def jobs(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Return the Jobs of a namespace by name."""
    return {job["metadata"]["name"]: job for job in cluster.list("Job", namespace)}


def wait_for_job(cluster: Cluster, created: dict[str, Any], attempt: int = 1) -> dict[str, Any]:
    """Wait for the Job of an attempt, and until the status speaks of it."""
    meta = created["metadata"]
    name = names.job_name(meta["name"], meta["uid"], attempt)
    seen = (cluster, "ModelTraining", meta["namespace"], meta["name"])
    job = until(f"Job {name}", lambda: cluster.get("Job", meta["namespace"], name), shown(*seen))
    until("the status says so", lambda: settled(current(*seen)), shown(*seen))
    return job


def settled(raw: dict[str, Any]) -> bool:
    """Whether the operator has no more to say until the Job gets a pod."""
    found = (raw.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Running" and "no pod yet" in c["message"] for c in found)


def current(cluster: Cluster, kind: str, namespace: str, name: str) -> dict[str, Any]:
    return cluster.get(kind, namespace, name) or {}


def shown(cluster: Cluster, kind: str, namespace: str, name: str) -> Callable[[], object]:
    return lambda: (cluster.get(kind, namespace, name) or {}).get("status")


def versions(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Return what would change if anybody wrote to a training or a Job."""
    found = [*cluster.list("ModelTraining", namespace), *cluster.list("Job", namespace)]
    return {raw["metadata"]["uid"]: raw["metadata"]["resourceVersion"] for raw in found}


def test_a_training_gets_its_job(cluster: Cluster, namespace: str, make_operator: Make) -> None:
    make_operator().wait_to_lead()
    created = cluster.create(training("run", namespace))
    job = wait_for_job(cluster, created)
    after = cluster.get("ModelTraining", namespace, "run")
    assert after["status"]["attempt"] == 1
    assert after["status"]["observedGeneration"] == 1
    assert names.FINALIZER_RUN_DATA in after["metadata"]["finalizers"]
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (created["metadata"]["uid"], True)
    assert job["metadata"]["labels"][names.LABEL_OWNER_UID] == created["metadata"]["uid"]
    until("an Event about it", lambda: cluster.list("Event", namespace))


def test_the_same_manifest_twice_changes_nothing(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    make_operator().wait_to_lead()
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/modeltrainings/run"
    manifest = training("run", namespace)
    created = cluster.call("APPLY", path, manifest, fieldManager="user", force="true")
    wait_for_job(cluster, created)
    before = versions(cluster, namespace)
    again = cluster.call("APPLY", path, manifest, fieldManager="user", force="true")["metadata"]
    assert again["generation"] == 1
    before[again["uid"]] = again["resourceVersion"]  # renewed with the time of the apply
    wait_for_job(cluster, cluster.create(training("later", namespace)))
    after = versions(cluster, namespace)
    assert {uid: after[uid] for uid in before} == before


def test_of_two_who_create_at_once_one_is_refused(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    make_operator().wait_to_lead()
    answers: list[Any] = []

    def create() -> None:
        try:
            answers.append(cluster.create(training("run", namespace)))
        except ApiException as error:
            answers.append(error.status)

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(409) == 1
    (created,) = [answer for answer in answers if answer != 409]
    wait_for_job(cluster, created)
    assert len(jobs(cluster, namespace)) == 1


def test_a_foreign_job_of_that_name_is_left_alone(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    created = cluster.create(training("run", namespace))
    name = names.job_name("run", created["metadata"]["uid"], 1)
    foreign = cluster.create(foreign_job(name, namespace))
    make_operator().wait_to_lead()
    place = (cluster, "ModelTraining", namespace, "run")
    until(
        "the training has failed",
        lambda: condition(current(*place), "Failed") == ("True", "NameConflict"),
        shown(*place),
    )
    left = cluster.get("Job", namespace, name)
    assert left["metadata"]["resourceVersion"] == foreign["metadata"]["resourceVersion"]
    before = versions(cluster, namespace)
    wait_for_job(cluster, cluster.create(training("later", namespace)))
    after = versions(cluster, namespace)
    assert {uid: after[uid] for uid in before} == before


def foreign_job(name: str, namespace: str) -> dict[str, Any]:
    """Return a Job that somebody else made."""
    container = {"name": "c", "image": "none"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


@pytest.mark.parametrize("name", ["a" * 52, "with.dots-" + "9" * 42, "0"])
def test_any_accepted_name_gives_valid_children(
    cluster: Cluster, namespace: str, make_operator: Make, name: str
) -> None:
    """Longer names are refused by the CRD, see `crd_cases`."""
    make_operator().wait_to_lead()
    job = wait_for_job(cluster, cluster.create(training(name, namespace)))
    pod = job["spec"]["template"]["metadata"]["labels"]
    assert pod[names.LABEL_TRAINING] == name
    given = [job["metadata"]["name"], *job["metadata"]["labels"].values(), *pod.values()]
    assert [value for value in given if len(value) > 63] == []


def test_a_deleted_job_is_an_interruption(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    make_operator().wait_to_lead()
    created = cluster.create(training("run", namespace))
    job = wait_for_job(cluster, created)
    cluster.call(
        "DELETE",
        f"/apis/batch/v1/namespaces/{namespace}/jobs/{job['metadata']['name']}",
        {"propagationPolicy": "Background"},
    )
    wait_for_job(cluster, created, attempt=2)
    status = cluster.get("ModelTraining", namespace, "run")["status"]
    assert (status["attempt"], status["interruptionCount"], status["retries"]) == (2, 1, 0)


def test_a_killed_operator_goes_on_where_it_was(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    operator = make_operator().wait_to_lead()
    created = [cluster.create(training(f"run-{number}", namespace)) for number in range(8)]
    until("the first Job", lambda: jobs(cluster, namespace))
    operator.end(signal.SIGKILL)
    operator.start()
    for each in created:
        wait_for_job(cluster, each)
    assert len(jobs(cluster, namespace)) == len(created)
    attempts = [raw["status"]["attempt"] for raw in cluster.list("ModelTraining", namespace)]
    assert attempts == [1] * len(created)


def test_what_was_made_and_deleted_while_nobody_looked(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    operator = make_operator().wait_to_lead()
    first = cluster.create(training("run", namespace))
    job = wait_for_job(cluster, first)
    assert operator.end() == 0
    cluster.call(
        "DELETE",
        f"/apis/batch/v1/namespaces/{namespace}/jobs/{job['metadata']['name']}",
        {"propagationPolicy": "Background"},
    )
    second = cluster.create(training("missed", namespace))
    operator.start()
    wait_for_job(cluster, first, attempt=2)
    wait_for_job(cluster, second)


def test_sigterm_gives_the_lease_back_and_the_standby_takes_over(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    leader = make_operator("leader").wait_to_lead()
    standby = make_operator("standby")
    until("the standby is ready", lambda: ready(standby), standby.log_tail)
    wait_for_job(cluster, cluster.create(training("before", namespace)))
    assert leader.end() == 0
    standby.wait_to_lead()
    wait_for_job(cluster, cluster.create(training("after", namespace)))
    assert len(jobs(cluster, namespace)) == 2


def test_a_standby_follows_a_killed_leader(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    leader = make_operator("leader").wait_to_lead()
    standby = make_operator("standby")
    until("the standby is ready", lambda: ready(standby), standby.log_tail)
    leader.end(signal.SIGKILL)
    created = cluster.create(training("run", namespace))
    standby.wait_to_lead()
    wait_for_job(cluster, created)


def test_a_stopped_leader_ends_when_it_wakes_up(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    leader = make_operator("leader").wait_to_lead()
    standby = make_operator("standby")
    leader.process.send_signal(signal.SIGSTOP)
    standby.wait_to_lead()
    leader.process.send_signal(signal.SIGCONT)
    until("the old leader has ended", lambda: leader.process.poll() is not None, leader.log_tail)
    assert leader.process.returncode == 1
    wait_for_job(cluster, cluster.create(training("run", namespace)))
    assert len(jobs(cluster, namespace)) == 1


def ready(operator: Operator) -> bool:
    """Whether its caches are filled."""
    try:
        url = f"http://127.0.0.1:{operator.port}/readyz"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - always http
        return str(answer.read().decode())


def test_health_and_metrics_are_served(
    cluster: Cluster, namespace: str, make_operator: Make
) -> None:
    operator = make_operator().wait_to_lead()
    wait_for_job(cluster, cluster.create(training("run", namespace)))
    address = f"http://127.0.0.1:{operator.port}"
    assert fetched(f"{address}/healthz") == "ok"
    for name in (
        'controller_runtime_reconcile_total{controller="ModelTraining",result="success"}',
        'workqueue_adds_total{name="modelyard"}',
        'rest_client_requests_total{code="201",method="POST"}',
        f'leader_election_master_status{{name="{LEASE_NAME}"}} 1.0',
    ):
        until(f"the metric {name}", lambda name=name: name in fetched(f"{address}/metrics"))
    assert "_created" not in fetched(f"{address}/metrics")


def test_a_wrong_configuration_is_said_in_one_line(
    cluster: Cluster, namespace: str, make_operator: Make, tmp_path: Any
) -> None:
    operator = make_operator("one", tmp_path / "no-such.kubeconfig")
    assert operator.process.wait(60) == 2
    assert "No way to the API server" in operator.log_tail()
