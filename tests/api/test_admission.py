"""Orders about a rollout: given under one's own name, by those who have the right to."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from modelyard.api import names
from tests.api.operators import Cluster, deployment, place, until

pytestmark = pytest.mark.api


def annotated(by: str, nonce: str = "1", verb: str = "promote") -> dict[str, Any]:
    orders = {
        names.ANNOTATION_COMMAND: verb,
        names.ANNOTATION_NONCE: nonce,
        names.ANNOTATION_BY: by,
    }
    return {"metadata": {"annotations": orders}}


@contextmanager
def user(cluster: Cluster, namespace: str, name: str, *verbs: str) -> Iterator[Cluster]:
    """The API server as a user sees it who has these verbs on modeldeployments."""
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [names.GROUP], "resources": ["modeldeployments"], "verbs": list(verbs)}
    cluster.call("POST", f"{rights}/roles", {"metadata": {"name": name}, "rules": [rule]})
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": name}],
    }
    cluster.call("POST", f"{rights}/rolebindings", binding)
    place = str(cluster.server.kubeconfig_for(name))
    with config.new_client_from_config(place) as connection:
        yield Cluster(cluster.server, connection)


def patch(who: Cluster, namespace: str, body: dict[str, Any]) -> Any:
    return who.call("PATCH", place("ModelDeployment", namespace, "web"), body)


def refusal(who: Cluster, namespace: str, body: dict[str, Any]) -> str:
    """Return why a patch is refused."""
    with pytest.raises(ApiException) as caught:
        patch(who, namespace, body)
    assert caught.value.status == 403
    return str(caught.value.body)


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """A namespace with a deployment, in which the policy holds by now."""
    cluster.create(deployment("web", namespace, "digits-v1"))

    probes = count()

    def holds() -> bool:
        try:
            patch(cluster, namespace, annotated("somebody", f"probe-{next(probes)}"))
        except ApiException as error:
            return error.status == 403
        return False

    until("the policy holds", holds)
    return namespace


def test_an_order_comes_under_its_authors_own_name(cluster: Cluster, web: str) -> None:
    with user(cluster, web, "ana", "get", "patch", "promote") as ana:
        said = refusal(ana, web, annotated("bob"))
        assert "command-by must be your own user name, ana" in said
        assert "must be your own" in refusal(ana, web, annotated(""))
        patch(ana, web, annotated("ana"))
        said = refusal(cluster, web, {"metadata": {"annotations": {names.ANNOTATION_REASON: "x"}}})
        assert "must be your own" in said, "somebody else put words into her mouth"
        patch(cluster, web, {"metadata": {"annotations": {"note": "x"}}, "spec": {"replicas": 2}})


def test_an_order_takes_the_verb(cluster: Cluster, web: str) -> None:
    with user(cluster, web, "eve", "get", "patch") as eve:
        said = refusal(eve, web, annotated("eve"))
        assert "eve has no right to promote modeldeployments" in said
        said = refusal(eve, web, annotated("eve", verb="abort"))
        assert "ask for the verb abort on modeldeployments" in said
        patch(eve, web, {"metadata": {"annotations": {"note": "x"}}})
    with user(cluster, web, "ops", "get", "patch", "abort") as ops:
        patch(ops, web, annotated("ops", verb="abort"))
        assert "no right to promote" in refusal(ops, web, annotated("ops", "2"))


def test_an_object_is_born_with_no_forged_order(cluster: Cluster, web: str) -> None:
    made = deployment("other", web, "digits-v1")
    made["metadata"] |= annotated("bob")["metadata"]
    with user(cluster, web, "zoe", "create", "promote") as zoe:
        with pytest.raises(ApiException) as caught:
            zoe.create(made)
        assert "must be your own user name, zoe" in str(caught.value.body)
