"""The operator's identity in a namespace: the chart's own ServiceAccount, roles and bindings."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client.exceptions import ApiException

from tests.api.operators import ROOT, Cluster

RELEASE = "tier"
ROLE = f"{RELEASE}-modelyard"
PLACE = "namespace-of-the-release"
COLLECTIONS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}
POLICIES = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
TOKEN_SECONDS = 7200


@cache
def _rendered() -> str:
    """Return what Helm makes of the chart for one namespace."""
    helm = str(Path(sys.executable).parent / "helm")
    command = [helm, "template", RELEASE, str(ROOT / "charts/modelyard"), "--namespace", PLACE]
    values = json.dumps({"config": {"namespaces": [PLACE]}})
    done = subprocess.run(
        [*command, "--values", "-"], input=values, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def identity_objects(namespace: str, without: str = "") -> list[dict[str, Any]]:
    """Return ServiceAccount, roles and bindings of an operator for one namespace.

    Args:
        namespace: where the operator works.
        without: a resource whose rights are left out, for instance `modeltrainings/finalizers`.
    """
    text = _rendered().replace(PLACE, namespace)
    objects = [o for o in yaml.safe_load_all(text) if o and o["kind"] in COLLECTIONS]
    suffix = "-without-" + without.replace("/", "-")
    for made in objects if without else ():
        if _is_operators(made):
            made["metadata"]["name"] += suffix
            made["rules"] = list(_less(made["rules"], without))
        elif made.get("roleRef", {}).get("name") == ROLE:
            made["roleRef"]["name"] += suffix
    return objects


def install_policies(cluster: Cluster) -> None:
    """Create the chart's admission policies; they hold for every namespace, a moment later."""
    for made in yaml.safe_load_all(_rendered()):
        if made and made["kind"] in POLICIES:
            root = "/apis/admissionregistration.k8s.io/v1"
            cluster.call("POST", f"{root}/{POLICIES[made['kind']]}", made)


def _less(rules: list[dict[str, Any]], without: str) -> Iterator[dict[str, Any]]:
    """Yield the rules without one resource; what else a rule grants stays granted."""
    for rule in rules:
        kept = [resource for resource in rule["resources"] if resource != without]
        if kept:
            yield {**rule, "resources": kept}


def _is_operators(made: dict[str, Any]) -> bool:
    return bool((made["kind"], made["metadata"]["name"]) == ("ClusterRole", ROLE))


def operator_role() -> list[dict[str, Any]]:
    """Return the rules that the chart grants the operator, those on its Lease included."""
    objects = identity_objects(PLACE)
    roles = [o for o in objects if o["kind"] == "Role" or _is_operators(o)]
    assert sorted(o["kind"] for o in roles) == ["ClusterRole", "Role"]
    return [rule for o in roles for rule in o["rules"]]


def install_identity(cluster: Cluster, namespace: str, without: str = "") -> str:
    """Create them; return a token of the ServiceAccount."""
    objects = identity_objects(namespace, without)
    for made in objects:
        path = COLLECTIONS[made["kind"]].format(namespace)
        try:
            cluster.call("POST", path, made)
        except ApiException as error:
            if error.status != 409:
                raise
    (account,) = [o["metadata"]["name"] for o in objects if o["kind"] == "ServiceAccount"]
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    return str(cluster.call("POST", path, request)["status"]["token"])


def kubeconfig(path: Path, server: str, authority: bytes, token: str) -> Path:
    """Write a kubeconfig that authenticates with a token."""
    cluster = {"server": server}
    if server.startswith("https"):
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tier", "cluster": cluster}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "tier", "context": {"cluster": "tier", "user": "operator"}}],
        "current-context": "tier",
    }
    path.write_text(yaml.safe_dump(content))
    return path
