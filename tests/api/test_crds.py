"""The CRDs on a real API server: what they accept, what they refuse, and in which words."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from modelyard.api.rules import TRAINING
from tests.api import crd_cases
from tests.api.crd_cases import ACCEPTED, API_VERSION, FROZEN, REFUSED, Case

ROOT = Path(__file__).resolve().parents[2]
PLURALS = {
    "ModelTraining": "modeltrainings",
    "ModelVersion": "modelversions",
    "ModelDeployment": "modeldeployments",
}
DEADLINE = 30

pytestmark = pytest.mark.api


@dataclass(frozen=True)
class Api:
    """One API server that serves the CRDs of this checkout."""

    kubeconfig: str
    kubectl: str
    client: client.ApiClient

    def call(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Send one request and return the JSON of the answer."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Content-Type": kind, "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        reply = self.client.call_api(*request)
        content = reply.read()
        if reply.status >= 400:
            raise ApiException(status=reply.status, body=content.decode())
        return json.loads(content)

    def create(self, manifest: dict[str, Any], **query: str) -> Any:
        """Create an object under strict field validation."""
        return self.call("POST", collection(manifest), manifest, fieldValidation="Strict", **query)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output."""
        command = [self.kubectl, "--kubeconfig", self.kubeconfig, *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def collection(manifest: dict[str, Any]) -> str:
    """Return the path of the collection an object belongs to."""
    return f"/apis/{API_VERSION}/namespaces/default/{PLURALS[manifest['kind']]}"


def _server(stack: ExitStack) -> tuple[str, str]:
    """Return kubeconfig and kubectl of a fresh API server, or of one that runs already."""
    if running := os.environ.get("MODELYARD_API_KUBECONFIG"):
        return running, shutil.which("kubectl") or "kubectl"
    from localcluster.binaries import Builder, kubernetes
    from localcluster.envtest import EnvTest

    started = stack.enter_context(EnvTest())
    return str(started.kubeconfig), str(Builder(kubernetes()).folder / "kubectl")


def _install(api: Api) -> None:
    """Apply the CRDs and wait until each is served."""
    api.run("apply", "--server-side", "-f", str(ROOT / "crds"))
    names = [f"crd/{plural}.modelyard.dev" for plural in PLURALS.values()]
    api.run("wait", "--for=condition=Established", f"--timeout={DEADLINE}s", *names)
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            for make in (crd_cases.training, crd_cases.version, crd_cases.deployment):
                api.call("GET", collection(make()))
            break
        except ApiException:
            assert time.monotonic() < deadline, "the API server does not serve the CRDs"


@pytest.fixture(scope="session")
def crd_cluster() -> Iterator[Api]:
    """An API server with the CRDs of this checkout."""
    with ExitStack() as stack:
        kubeconfig, kubectl = _server(stack)
        connection = stack.enter_context(config.new_client_from_config(kubeconfig))
        api = Api(kubeconfig, kubectl, connection)
        _install(api)
        yield api


@pytest.fixture
def created(crd_cluster):
    """Create an object and delete it when the test ends."""
    paths = []

    def put(manifest):
        found = crd_cluster.create(manifest)
        paths.append(f"{collection(manifest)}/{manifest['metadata']['name']}")
        return paths[-1], found

    yield put
    for path in paths:
        crd_cluster.call("DELETE", path)


def _id(case: Case) -> str:
    """Name a case in the report."""
    return f"{case.make.__name__}: {case.title}"


def _refusal(error: ApiException) -> str:
    """Return the message of a refusal."""
    return str(json.loads(error.body)["message"])


@pytest.mark.parametrize("case", ACCEPTED, ids=_id)
def test_accepts(crd_cluster, case):
    assert crd_cluster.create(case.manifest(), dryRun="All")["metadata"]["uid"]


@pytest.mark.parametrize("case", REFUSED, ids=_id)
def test_refuses_and_says_what_to_do(crd_cluster, case):
    with pytest.raises(ApiException) as refused:
        crd_cluster.create(case.manifest(), dryRun="All")
    assert refused.value.status in {400, 422}
    message = _refusal(refused.value)
    for word in case.words:
        assert word in message


@pytest.mark.parametrize("case", FROZEN, ids=_id)
def test_a_record_cannot_be_rewritten(crd_cluster, created, case):
    path, found = created(case.make())
    changed = {**found, "spec": case.manifest()["spec"]}
    with pytest.raises(ApiException) as refused:
        crd_cluster.call("PUT", path, changed)
    message = _refusal(refused.value)
    for word in case.words:
        assert word in message


@pytest.mark.parametrize("make", [crd_cases.training, crd_cases.version])
def test_metadata_of_a_record_may_change(crd_cluster, created, make):
    path, _ = created(make())
    labels = {"metadata": {"labels": {"team": "vision"}}}
    assert crd_cluster.call("PATCH", path, labels)["metadata"]["labels"] == {"team": "vision"}


def test_a_deployment_releases_another_version(crd_cluster, created):
    path, _ = created(crd_cases.deployment())
    patch = {"spec": {"modelVersionName": "digits-v4"}}
    assert crd_cluster.call("PATCH", path, patch)["spec"]["modelVersionName"] == "digits-v4"


def test_the_status_is_written_only_through_its_subresource(crd_cluster, created):
    path, _ = created(crd_cases.training())
    status = {"status": {"phase": "Running", "attempt": 1}}
    assert "status" not in crd_cluster.call("PATCH", path, status)
    assert crd_cluster.call("PATCH", f"{path}/status", status)["status"] == status["status"]
    spec = {"spec": {"maxRetries": 7}}
    assert crd_cluster.call("PATCH", f"{path}/status", spec)["spec"]["maxRetries"] == 2


def test_the_api_server_fills_in_every_default_of_the_models(crd_cluster, created):
    from modelyard.api.training import ModelTrainingSpec

    _, found = created(crd_cases.training())
    model = ModelTrainingSpec.model_validate(crd_cases.training()["spec"]).dump()
    assert _without_empty(found["spec"]) == _without_empty(model)


def _without_empty(value: Any) -> Any:
    """Return `value` without empty lists and maps, which mean the same as absent ones."""
    if not isinstance(value, dict):
        return [_without_empty(v) for v in value] if isinstance(value, list) else value
    kept = {key: _without_empty(child) for key, child in value.items()}
    return {key: child for key, child in kept.items() if child not in ({}, [])}


def test_scale_changes_the_replicas_of_a_deployment(crd_cluster, created):
    path, _ = created(crd_cases.deployment())
    scaled = crd_cluster.call("PATCH", f"{path}/scale", {"spec": {"replicas": 3}})
    assert scaled["spec"]["replicas"] == 3
    assert crd_cluster.call("GET", path)["spec"]["replicas"] == 3


def test_versions_are_selected_by_model(crd_cluster, created):
    created(crd_cases.version())
    path = collection(crd_cases.version())
    names = {
        model: [
            item["metadata"]["name"]
            for item in crd_cluster.call("GET", path, fieldSelector=f"spec.modelName={model}")[
                "items"
            ]
        ]
        for model in ("digits", "fraud")
    }
    assert names == {"digits": ["digits-v3"], "fraud": []}


def test_kubectl_explains_a_recipe(crd_cluster):
    text = crd_cluster.run("explain", "mtrain.spec.recipe")
    assert "epochs" in text
    assert "Passes over the training data. Default: 10." in text
    assert "enum: ImageClassification, TabularClassification" in text


def test_kubectl_gets_all_kinds_by_category_with_their_columns(crd_cluster, created):
    path, _ = created(crd_cases.training())
    status = {"phase": "Running", "attempt": 1, "metrics": [{"name": "accuracy", "value": "0.9"}]}
    crd_cluster.call("PATCH", f"{path}/status", {"status": status})
    created(crd_cases.version())
    created(crd_cases.deployment())
    header, row = crd_cluster.run("get", "mtrain").splitlines()
    assert header.split() == [
        "NAME",
        *(column.name.upper() for column in TRAINING.columns if not column.wide),
    ]
    assert row.split()[:5] == ["digits", "digits", "Running", "0.9", "1"]
    listed = crd_cluster.run("get", "modelyard", "-o", "name").split()
    assert sorted(listed) == [
        "modeldeployment.modelyard.dev/digits",
        "modeltraining.modelyard.dev/digits",
        "modelversion.modelyard.dev/digits-v3",
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_the_examples_are_accepted(crd_cluster, path):
    manifest = yaml.safe_load(path.read_text())
    assert crd_cluster.create(manifest, dryRun="All")["metadata"]["uid"]


def test_each_kind_has_at_least_five_refusals():
    kinds = [case.manifest()["kind"] for case in REFUSED]
    assert all(kinds.count(kind) >= 5 for kind in PLURALS)
