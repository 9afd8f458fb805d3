"""What the pods of trainers and servers have in common: labels, owner, security, credentials."""

from typing import Any

from modelyard.api import names
from modelyard.api.meta import ObjectMeta, Resources

Json = dict[str, Any]

UNPRIVILEGED_USER = 65532
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONAL_CREDENTIALS = ("AWS_SESSION_TOKEN",)

POD_SECURITY: Json = {
    "runAsNonRoot": True,
    "runAsUser": UNPRIVILEGED_USER,
    "runAsGroup": UNPRIVILEGED_USER,
    "fsGroup": UNPRIVILEGED_USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Passes the Pod Security Standard `restricted`."""

CONTAINER_SECURITY: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""Passes the Pod Security Standard `restricted`."""


def child_metadata(owner_kind: str, owner: ObjectMeta, name: str, labels: dict[str, str]) -> Json:
    """Return the metadata of a namespaced child that goes when its owner goes."""
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": {
            "app.kubernetes.io/managed-by": "modelyard",
            names.LABEL_OWNER_UID: owner.uid,
            **labels,
        },
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": owner_kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def credentials(store_name: str) -> list[Json]:
    """Return the variables that take a store's credentials from the namespace's Secret."""
    required = [_from_secret(store_name, key, optional=False) for key in CREDENTIALS]
    return required + [_from_secret(store_name, key, optional=True) for key in OPTIONAL_CREDENTIALS]


def amounts(resources: Resources) -> Json:
    """Return a container's resources as Kubernetes writes them."""
    return {"requests": resources.requests.dump(), "limits": resources.limits.dump()}


def scratch(name: str) -> Json:
    """Return a volume that is empty at the start of the pod."""
    return {"name": name, "emptyDir": {}}


def _from_secret(store_name: str, key: str, *, optional: bool) -> Json:
    reference: Json = {"name": names.store_secret(store_name), "key": key}
    if optional:
        reference["optional"] = True
    return {"name": key, "valueFrom": {"secretKeyRef": reference}}
