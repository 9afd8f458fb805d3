"""A cluster that has no Gateway API, and one that gets it while the operator runs."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import config
from prometheus_client import CollectorRegistry

from localcluster.envtest import EnvTest
from modelyard.api import names
from modelyard.api.config import ClientSettings
from modelyard.kube import offered
from modelyard.kube.cache import Cache
from modelyard.kube.client import Client
from modelyard.kube.connection import find_connection
from modelyard.kube.kinds import HTTP_ROUTE, Key, Raw
from modelyard.kube.metrics import LoopMetrics
from modelyard.kube.offered import Offered
from tests.api.chart import install_identity, kubeconfig
from tests.api.operators import Cluster, Operator, install_crds, install_gateway_api, until

pytestmark = pytest.mark.api

PLACE = Key("HTTPRoute", "bare", "web")


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """An API server with our CRDs only."""
    with (
        EnvTest() as server,
        config.new_client_from_config(str(server.kubeconfig)) as connection,
    ):
        found = Cluster(server, connection)
        install_crds(found)
        found.namespace("bare")
        yield found


def route(port: int) -> Raw:
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.name,
        "metadata": {
            "name": "web",
            "namespace": "bare",
            "labels": {names.LABEL_OWNER_UID: "somebody"},
        },
        "spec": {"rules": [{"backendRefs": [{"name": "web", "port": port}]}]},
    }


def _backend_port(cache: Cache) -> int:
    raw = cache.get(PLACE)
    return raw["spec"]["rules"][0]["backendRefs"][0]["port"] if raw else 0


async def _become(cache: Cache, port: int) -> None:
    await asyncio.to_thread(until, f"the port is {port}", lambda: _backend_port(cache) == port)


async def test_the_gateway_api_is_noticed_when_it_comes(bare, tmp_path, monkeypatch):
    """First without, then with: one test, because CRDs cannot be made to come twice."""
    operator = Operator(bare, "bare", tmp_path, "one", _own_kubeconfig(bare, tmp_path))
    operator.start().wait_to_lead()
    monkeypatch.setenv("KUBECONFIG", str(bare.server.kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(offered, "LOOK_SECONDS", 0.1)
    cache = Cache()
    metrics = LoopMetrics(CollectorRegistry())
    async with Client(await find_connection(), ClientSettings(), metrics) as client:
        found = Offered(client, cache)
        await found.look()
        assert found.kinds == ()
        tasks = [
            asyncio.create_task(work) for work in (found.look_again(), found.follow(HTTP_ROUTE, ""))
        ]
        await asyncio.to_thread(install_gateway_api, bare)
        await client.apply(route(1))
        await _become(cache, 1)
        assert found.names == {"EndpointSlice", "HTTPRoute", "GRPCRoute"}
        await client.apply(route(2))
        await _become(cache, 2)
        await asyncio.to_thread(bare.delete, "HTTPRoute", "bare", "web")
        await _become(cache, 0)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    await asyncio.to_thread(
        until, "the operator has noticed", lambda: "HTTPRoute, GRPCRoute" in operator.log_tail()
    )
    assert operator.end() == 0
    assert operator.complaints() == []
    assert operator.starts == 1


def _own_kubeconfig(bare: Cluster, folder: Path) -> Path:
    token = install_identity(bare, "bare")
    authority = (bare.server.folder / "ca.crt").read_bytes()
    return kubeconfig(folder / "operator.kubeconfig", bare.server.url, authority, token)
