"""Where the command line finds an API server: a kubeconfig, or the pod that it runs in."""

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from modelyard_cli import connection
from modelyard_cli.connection import connected
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.place import Place


@pytest.fixture
def kubeconfig(tmp_path):
    path = tmp_path / "config"
    clusters = [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}]
    contexts = [
        {"name": "plain", "context": {"cluster": "c", "user": "u"}},
        {"name": "team", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
    ]
    users = [{"name": "u", "user": {"token": "secret"}}]
    content = {"clusters": clusters, "contexts": contexts, "users": users}
    path.write_text(yaml.safe_dump({**content, "current-context": "team"}))
    return path


async def namespace_of(place):
    async with connected(place) as api:
        return api.namespace


async def test_the_namespace_is_that_of_option_then_context_then_default(kubeconfig):
    assert await namespace_of(Place("other", kubeconfig=kubeconfig)) == "other"
    assert await namespace_of(Place(kubeconfig=kubeconfig)) == "team"
    assert await namespace_of(Place(context="plain", kubeconfig=kubeconfig)) == "default"


@pytest.mark.parametrize("text", ["", "a: [", "kind: Config"])
async def test_an_unusable_kubeconfig_is_said_in_one_line(tmp_path, text):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(Stop) as ended:
        await namespace_of(Place(kubeconfig=path))
    assert ended.value.code is Exit.API_ERROR


async def test_an_unknown_context_is_said(kubeconfig):
    with pytest.raises(Stop, match="nowhere"):
        await namespace_of(Place(context="nowhere", kubeconfig=kubeconfig))


async def test_in_a_pod_its_service_account_is_used(monkeypatch, tmp_path):
    for name, text in (("token", "secret"), ("ca.crt", "authority"), ("namespace", "team\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "9")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(connection, "_NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setattr(connection, "ApiClient", Closed)
    assert await namespace_of(Place()) == "team"


class Closed:
    """Stands in for the transport, which would read the authority."""

    def __init__(self, configuration):
        assert configuration.host == "https://127.0.0.1:9"

    async def close(self):
        """Do nothing."""
