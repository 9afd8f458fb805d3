"""kopf's part: it watches, and every event lands in the cache. Nothing else of kopf is used.

An event handler must not fail and must not wait: it only files what it was told.
"""

import asyncio
from typing import Any, cast

import kopf

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.kube.cache import Cache
from modelyard.kube.kinds import CHILDREN, ROOTS, Kind, key_of


def registry_of(cache: Cache) -> kopf.OperatorRegistry:
    """Return kopf's registry with one `on.event` per kind."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_login)
    for kind in ROOTS:
        kopf.on.event(*_place(kind), registry=registry)(_filing(cache, kind))
    for kind in CHILDREN:
        labels = {LABEL_OWNER_UID: kopf.PRESENT}
        kopf.on.event(*_place(kind), registry=registry, labels=labels)(_filing(cache, kind))
    return registry


def settings_of() -> kopf.OperatorSettings:
    """Return kopf's settings: no scanning, no Events, no peering, no log lines of its own."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.networking.error_backoffs = [0.5, 1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 60, 60, 60]
    return settings


async def watch(cache: Cache, namespaces: tuple[str, ...], stop: asyncio.Event) -> None:
    """Watch until told to stop."""
    await kopf.operator(
        registry=registry_of(cache),
        settings=settings_of(),
        standalone=True,
        identity=cast(Any, "modelyard"),  # kopf's own guess fails for a user without a name
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
    )


def _place(kind: Kind) -> tuple[str, str, str]:
    group, _, version = kind.api_version.rpartition("/")
    return group, version, kind.plural


def _filing(cache: Cache, kind: Kind) -> Any:
    async def file(event: dict[str, Any], **_: Any) -> None:
        raw = dict(event["object"])
        raw.setdefault("apiVersion", kind.api_version)
        raw.setdefault("kind", kind.name)
        if event["type"] == "DELETED":
            cache.remove(key_of(raw), raw["metadata"]["uid"])
        else:
            cache.put(raw)

    return file


async def _login(**arguments: Any) -> Any:
    """Use the pod's service account, else the kubeconfig."""
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)
