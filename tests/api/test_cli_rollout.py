"""`rollout`: orders that a real operator looks at, and the exit codes of those it must not get."""

from collections.abc import Callable
from typing import Any

import pytest

from modelyard.api.names import serving_name
from tests.api.cli import (
    NEXT,
    SERVED,
    CommandLine,
    change,
    deployed,
    judged,
    ready_version,
    rolling,
    served,
    written,
)
from tests.api.operators import Cluster, Operator, until

pytestmark = pytest.mark.api

Make = Callable[..., Operator]
BLOCKED = {
    "blockedVersion": f"digits-v2/{NEXT}",
    "phase": "Degraded",
    "conditions": judged(
        Accepted="True/SpecAccepted", RolledBack="True/Aborted/Aborted.", Ready="True/Available"
    ),
}


@pytest.fixture
def run(cluster: Cluster, namespace: str) -> CommandLine:
    """The command line as the administrator, and two versions."""
    for number in (1, 2):
        ready_version(cluster, number, namespace)
    return CommandLine(cluster.server.kubeconfig, namespace)


def status(cluster: Cluster, namespace: str) -> Any:
    return cluster.get("ModelDeployment", namespace, "web")["status"]


def spec(cluster: Cluster, namespace: str) -> Any:
    return cluster.get("ModelDeployment", namespace, "web")["spec"]


def grant(cluster: Cluster, namespace: str, user: str, *roles: str) -> CommandLine:
    """Return the command line of a user who has some of the chart's roles for people."""
    for role in roles:
        cluster.call(
            "POST",
            f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{user}-{role}"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": f"tier-modelyard-{role}",
                },
                "subjects": [
                    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
                ],
            },
        )
    return CommandLine(cluster.server.kubeconfig_for(user), namespace)


def test_promote_ends_a_step_and_the_status_keeps_who_and_why(
    cluster: Cluster, namespace: str, run: CommandLine, make_operator: Make
) -> None:
    rolling(cluster, namespace, "Promote")
    make_operator().wait_to_lead()
    ana = grant(cluster, namespace, "ana", "viewer", "deployer")
    said = ana("rollout", "promote", "web", "--reason", "looks good")
    assert (said.code, said.out) == (0, "web: promote done, ordered by ana\n"), said
    found = status(cluster, namespace)
    assert found["step"]["index"] == 2
    order = found["lastHandledCommand"]
    assert (order["by"], order["reason"], order["outcome"]) == ("ana", "looks good", "Done")
    assert run("rollout", "promote", "deployment/web", "--full").code == 0
    assert status(cluster, namespace)["step"]["weight"] == 100


def test_abort_then_retry(
    cluster: Cluster, namespace: str, run: CommandLine, make_operator: Make
) -> None:
    rolling(cluster, namespace)
    make_operator().wait_to_lead()
    said = run("rollout", "abort", "web", "--reason", "too slow")
    assert said.code == 0, said
    newest = status(cluster, namespace)["history"][0]
    assert (newest["action"], newest["by"]) == ("Aborted", "modelyard-admin")
    assert "too slow" in newest["reason"]
    assert "too slow" in run("rollout", "history", "web").out
    assert run("rollout", "status", "web").code == 3
    assert run("rollout", "abort", "web").code == 7
    said = run("rollout", "retry", "web")
    assert said.code == 0, said
    assert "blockedVersion" not in status(cluster, namespace)
    assert run("rollout", "retry", "web").code == 7


def test_orders_that_make_no_sense_are_not_given(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    deployed(cluster, namespace)
    for verb in ("promote", "abort", "retry", "undo"):
        said = run("rollout", verb, "web")
        assert said.code == 7, said
        assert "error: web" in said.err
    assert "annotations" not in cluster.get("ModelDeployment", namespace, "web")["metadata"]
    for verb in ("promote", "abort", "retry", "undo", "pause", "resume", "restart", "history"):
        assert run("rollout", verb, "gone").code == 8


def test_an_order_that_nobody_looks_at_ends_with_4(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    rolling(cluster, namespace)
    said = run("rollout", "promote", "web", "--timeout", "1s")
    assert said.code == 4
    assert "doctor" in said.err
    annotations = cluster.get("ModelDeployment", namespace, "web")["metadata"]["annotations"]
    assert annotations["modelyard.dev/command"] == "promote"


def test_an_order_that_the_operator_finds_senseless_ends_with_7(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    """The rollout has ended between our look and the operator's."""
    rolling(cluster, namespace)
    with run.started("rollout", "abort", "web", "--timeout", "60s") as process:

        def nonce() -> str:
            found = cluster.get("ModelDeployment", namespace, "web")["metadata"]
            return str(found.get("annotations", {}).get("modelyard.dev/command-nonce", ""))

        given = until("the order", nonce)
        handled = {"nonce": given, "verb": "abort", "outcome": "NothingInFlight"}
        handled["time"] = "2026-01-31T12:00:00Z"
        written(cluster, "ModelDeployment", namespace, "web", lastHandledCommand=handled)
        assert process.wait(30) == 7


def test_a_dry_run_writes_nothing(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    rolling(cluster, namespace)
    before = cluster.get("ModelDeployment", namespace, "web")
    for verb in ("promote", "abort", "pause", "undo"):
        said = run("rollout", verb, "web", "--dry-run=server")
        assert said.code == 0, said
        assert "(server dry run)" in said.out
    assert cluster.get("ModelDeployment", namespace, "web") == before


def test_who_may_only_look_may_not_order(
    cluster: Cluster, namespace: str, run: CommandLine, make_operator: Make
) -> None:
    rolling(cluster, namespace)
    make_operator()  # brings the roles
    viewer = grant(cluster, namespace, "eva", "viewer")
    before = spec(cluster, namespace)
    for verb in ("promote", "abort", "pause", "undo"):
        said = viewer("rollout", verb, "web")
        assert said.code == 6, said
        assert 'User "eva" cannot patch' in said.err
        assert "modelyard-deployer" in said.err
    assert spec(cluster, namespace) == before
    said = viewer("get", "web")
    assert said.code == 0
    assert "Deployments, Pods, Services are not shown" in said.out


def test_pause_and_resume_hold_a_rollout(
    cluster: Cluster, namespace: str, run: CommandLine, make_operator: Make
) -> None:
    rolling(cluster, namespace)
    make_operator().wait_to_lead()
    for _ in "again":
        assert run("rollout", "pause", "web").code == 0
    until("it waits", lambda: status(cluster, namespace)["step"]["waitingFor"] == "Resume")
    assert run("rollout", "status", "web").code == 5
    assert run("rollout", "resume", "web").code == 0
    until("it goes on", lambda: status(cluster, namespace)["step"]["waitingFor"] != "Resume")


def test_undo_goes_back_to_the_version_before(
    cluster: Cluster, namespace: str, run: CommandLine, make_operator: Make
) -> None:
    history = [change(2, "Promoted", 2, 1), change(1, "Deployed", 1, None)]
    deployed(
        cluster, namespace, {"modelVersionName": "digits-v2"}, stable=served(2), history=history
    )
    make_operator().wait_to_lead()
    said = run("rollout", "undo", "web", "--reason", "customers complain")
    assert (said.code, said.out) == (0, "web: goes back to digits-v1\n"), said
    assert spec(cluster, namespace)["modelVersionName"] == "digits-v1"
    order = status(cluster, namespace)["lastHandledCommand"]
    assert (order["verb"], order["reason"]) == ("undo", "customers complain")
    assert (order["outcome"], order["generation"]) == ("Done", 2)


def test_undo_ends_what_is_under_way_and_takes_back_what_failed(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    deployed(cluster, namespace, {"modelVersionName": "digits-v2"}, **BLOCKED)
    assert run("rollout", "undo", "web", "--timeout", "0").code == 4
    assert spec(cluster, namespace)["modelVersionName"] == "digits-v1"


def test_undo_to_a_change_or_a_version(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    history = [change(2, "RolledBack", 2, 1), change(1, "Deployed", 1, None)]
    deployed(cluster, namespace, {"modelVersionName": "digits-v2"}, history=history)
    undo = ("rollout", "undo", "web", "--dry-run=server", "--to")
    assert run(*undo, "1").out == "web: goes back to digits-v1 (server dry run)\n"
    assert run(*undo, "digits-v1").code == 0
    assert run(*undo, "2").code == 7
    assert run(*undo, "9").code == 8
    assert run(*undo, "digits-v9").code == 8
    assert run(*undo, "digits-v2").code == 7
    written(cluster, "ModelVersion", namespace, "digits-v1", phase="Quarantined")
    said = run(*undo, "digits-v1")
    assert said.code == 7
    assert "Quarantined" in said.err


def test_restart_replaces_pods_and_the_operator_leaves_that_alone(
    cluster: Cluster, namespace: str, run: CommandLine, make_operator: Make
) -> None:
    deployed(cluster, namespace)
    make_operator().wait_to_lead()
    child = serving_name("web", SERVED)
    until("its Deployment", lambda: cluster.get("Deployment", namespace, child))
    said = run("rollout", "restart", "web")
    assert said.code == 0, said
    body = {"spec": {"replicas": 2}}
    path = f"/apis/modelyard.dev/v1alpha1/namespaces/{namespace}/modeldeployments/web"
    cluster.call("PATCH", path, body)

    def scaled() -> Any:
        found = cluster.get("Deployment", namespace, child)
        return found if found["spec"]["replicas"] == 2 else None

    template = until("it is scaled", scaled)["spec"]["template"]["metadata"]
    assert "kubectl.kubernetes.io/restartedAt" in template["annotations"]


def test_restart_waits_for_a_quiet_moment(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    rolling(cluster, namespace)
    said = run("rollout", "restart", "web")
    assert said.code == 7
    assert "a rollout is under way" in said.err


def test_history_in_every_form(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    evidence = "14 of 412 requests failed"
    history = [change(2, "RolledBack", 2, 1, evidence=evidence), change(1, "Deployed", 1, None)]
    deployed(cluster, namespace, history=history)
    lines = run("rollout", "history", "web").out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["2", "RolledBack", "digits-v2"],
        ["1", "Deployed", "digits-v1"],
    ]
    assert evidence in run("rollout", "history", "web", "--revision", "2").out
    assert run("rollout", "history", "web", "--revision", "7").code == 8
    assert run("rollout", "history", "web", "-o", "json").json[0]["number"] == 2
    assert run("rollout", "history", "web", "-o", "name").out == "digits-v2\ndigits-v1\n"
    assert "number: 2" in run("rollout", "history", "web", "-o", "yaml").out
