"""The CRDs and the chart on a real API server: what is accepted, refused, granted; which words."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from modelyard.api.rules import TRAINING
from tests.api import crd_cases, rollout_cases, traffic_cases
from tests.api.crd_cases import ACCEPTED, API_VERSION, FROZEN, REFUSED, Case
from tests.api.operators import Cluster, until

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
    """The tier's API server, reached by a client and by kubectl."""

    cluster: Cluster

    @property
    def kubeconfig(self) -> str:
        """The administrator's kubeconfig."""
        return str(self.cluster.server.kubeconfig)

    def call(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Send one request and return the JSON of the answer."""
        return self.cluster.call(method, path, body, **query)

    def create(self, manifest: dict[str, Any], **query: str) -> Any:
        """Create an object under strict field validation."""
        return self.call("POST", collection(manifest), manifest, fieldValidation="Strict", **query)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output."""
        # kubectl would keep what it discovered before the CRDs existed, for six hours.
        with tempfile.TemporaryDirectory() as cache:
            flags = ("--kubeconfig", self.kubeconfig, "--cache-dir", cache)
            command = [str(self.cluster.server.kubectl), *flags, *arguments]
            done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def collection(manifest: dict[str, Any]) -> str:
    """Return the path of the collection an object belongs to."""
    return f"/apis/{API_VERSION}/namespaces/default/{PLURALS[manifest['kind']]}"


def _served(api: Api) -> bool:
    """Whether objects can be listed and kubectl can find and explain them."""
    try:
        for make in (crd_cases.training, crd_cases.version, crd_cases.deployment):
            api.call("GET", collection(make()))
        for short_name in ("mtrain", "mver", "mdep"):
            api.run("explain", short_name)
    except (ApiException, AssertionError):
        return False
    return True


@pytest.fixture(scope="session")
def crd_cluster(cluster: Cluster) -> Api:
    """The tier's API server, once kubectl knows the kinds, too."""
    api = Api(cluster)
    until("kubectl explains the kinds", lambda: _served(api))
    return api


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


@pytest.mark.parametrize(
    "case", ACCEPTED + rollout_cases.ACCEPTED + traffic_cases.ACCEPTED, ids=_id
)
def test_accepts(crd_cluster, case):
    assert crd_cluster.create(case.manifest(), dryRun="All")["metadata"]["uid"]


@pytest.mark.parametrize("case", REFUSED + rollout_cases.REFUSED + traffic_cases.REFUSED, ids=_id)
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
    status = {"phase": "Running", "attempt": 1, "primaryMetric": "accuracy=0.9"}
    crd_cluster.call("PATCH", f"{path}/status", {"status": status})
    created(crd_cases.version())
    created(crd_cases.deployment())
    header, row = crd_cluster.run("get", "mtrain").splitlines()
    assert header.split() == [
        "NAME",
        *(column.name.upper() for column in TRAINING.columns if not column.wide),
    ]
    assert row.split()[:5] == ["digits", "digits", "Running", "accuracy=0.9", "1"]
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


CHART = str(ROOT / "charts/modelyard")
SYSTEM = "modelyard-system"
VALUES = {
    "stores": [{"bucket": "modelyard", "credentialsSecretName": "operator-store"}],
    "tenants": [{"namespace": SYSTEM, "accessKeyId": "id", "secretAccessKey": "key"}],
    "config": {"lease": {"durationSeconds": 5}},
}
ALL = "jobs.batch deployments.apps services"
GRANTED = {
    "modeltrainings modelversions modeldeployments": "get list watch",
    "modeltrainings": "patch",
    "modelversions": "create patch",
    ALL: "create get list watch delete",
    "deployments.apps services": "patch",
    "pods": "get list watch",
    "events": "create",
}
DENIED = {
    "secrets": "get list watch create",
    "modeltrainings modeldeployments": "create delete update",
    "modeldeployments": "patch",
    "modelversions": "delete update",
    ALL: "update deletecollection",
    "pods pods/exec serviceaccounts configmaps leases.coordination.k8s.io": "create delete patch",
    "clusterroles clusterrolebindings customresourcedefinitions": "get create bind escalate",
    "jobs.batch events": "patch",
}


def _helm(*arguments: str, kubeconfig: str) -> str:
    """Run Helm with the chart's test values and return its output."""
    command = [str(Path(sys.executable).parent / "helm"), *arguments, "--values", "-"]
    command += ["--namespace", SYSTEM, "--kubeconfig", kubeconfig]
    done = subprocess.run(
        command, input=json.dumps(VALUES), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def rendered(crd_cluster) -> list[dict[str, Any]]:
    """The chart's objects, and a namespace under Pod Security `restricted` for them."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace"}
    namespace |= {"metadata": {"name": SYSTEM, "labels": labels}}
    crd_cluster.run("apply", "--server-side", "-f", "-", stdin=json.dumps(namespace))
    text = _helm("template", "modelyard", CHART, kubeconfig=crd_cluster.kubeconfig)
    return [document for document in yaml.safe_load_all(text) if document]


def test_the_api_server_accepts_every_object_of_the_chart(crd_cluster, rendered):
    stated = [o for o in rendered if o["kind"] != "CustomResourceDefinition"]
    assert {o["kind"] for o in stated} >= {"Deployment", "ClusterRole", "Secret", "ConfigMap"}
    flags = ("--dry-run=server", "--server-side", "--validate=strict", "-o", "name", "-f", "-")
    accepted = crd_cluster.run("apply", *flags, stdin=yaml.safe_dump_all(stated))
    assert len(accepted.split()) == len(stated)


def test_the_operators_pod_passes_restricted_pod_security(crd_cluster, rendered):
    (deployment,) = [o for o in rendered if o["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}
    # The ServiceAccount is only rendered: the pod's own is not what Pod Security judges.
    pod["metadata"] = {
        "name": "operator",
        "namespace": SYSTEM,
        "labels": template["metadata"]["labels"],
    }
    path = f"/api/v1/namespaces/{SYSTEM}/pods"
    pod["spec"].pop("serviceAccountName")
    pod["spec"]["automountServiceAccountToken"] = False
    assert crd_cluster.call("POST", path, pod, dryRun="All")["metadata"]["uid"]
    del pod["spec"]["containers"][0]["securityContext"]
    with pytest.raises(ApiException) as refused:
        crd_cluster.call("POST", path, pod, dryRun="All")
    assert "violates PodSecurity" in _refusal(refused.value)


def _may(
    crd_cluster: Api, table: dict[str, str], namespace: str = "default"
) -> dict[tuple[str, str], bool]:
    """Ask the API server what the operator's ServiceAccount may do in a tenant's namespace."""
    account = f"system:serviceaccount:{SYSTEM}:modelyard"
    answers = {}
    for resources, verbs in table.items():
        for resource, verb in product(resources.split(), verbs.split()):
            review = _review(account, namespace, resource, verb)
            path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
            answers[resource, verb] = crd_cluster.call("POST", path, review)["status"]["allowed"]
    return answers


def _review(account: str, namespace: str, resource: str, verb: str) -> dict[str, Any]:
    """Return a question for the authorizer."""
    name, _, subresource = resource.partition("/")
    name, _, group = name.partition(".")
    if name.startswith("model"):
        group = "modelyard.dev"
    attributes = {"namespace": namespace, "resource": name, "group": group, "verb": verb}
    attributes["subresource"] = subresource
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": attributes},
    }


def test_the_operator_may_do_its_work_and_nothing_else(crd_cluster, rendered):
    roles = [o for o in rendered if o["apiVersion"].startswith("rbac.authorization")]
    text = yaml.safe_dump_all(roles)
    crd_cluster.run("apply", "--server-side", "-f", "-", stdin=text)
    try:
        _wait_for_grant(crd_cluster)
        assert [key for key, may in _may(crd_cluster, GRANTED).items() if not may] == []
        assert [key for key, may in _may(crd_cluster, DENIED).items() if may] == []
        lease = {"leases.coordination.k8s.io": "get create update watch"}
        assert all(_may(crd_cluster, lease, SYSTEM).values())
    finally:
        crd_cluster.run("delete", "-f", "-", stdin=text)


def _wait_for_grant(crd_cluster: Api) -> None:
    """Wait until the authorizer has seen the roles."""
    deadline = time.monotonic() + DEADLINE
    while not all(_may(crd_cluster, {"pods": "list"}).values()):
        assert time.monotonic() < deadline, "the roles grant nothing"


def test_helm_can_install_it_and_says_how_to_go_on(crd_cluster, rendered):
    del rendered
    flags = ("--dry-run=server", "--set", "crds.enabled=false")
    text = _helm("install", "modelyard", CHART, *flags, kubeconfig=crd_cluster.kubeconfig)
    notes = text.split("NOTES:")[1]
    assert "create secret generic modelyard-store-default" in notes
    assert "WARNING: no store" not in notes


def test_the_crds_and_their_objects_outlive_the_release(crd_cluster, rendered, created):
    del rendered
    path, found = created(crd_cases.version())
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modelversions.modelyard.dev"
    uid = crd_cluster.call("GET", crd)["metadata"]["uid"]
    for _ in ("install", "upgrade"):
        flags = ("upgrade", "--install", "--take-ownership", "modelyard", CHART)
        _helm(*flags, kubeconfig=crd_cluster.kubeconfig)
    owned = crd_cluster.call("GET", crd)["metadata"]
    assert owned["annotations"]["meta.helm.sh/release-name"] == "modelyard"
    _uninstall(crd_cluster)
    assert crd_cluster.call("GET", crd)["metadata"]["uid"] == uid
    assert crd_cluster.call("GET", path)["metadata"]["uid"] == found["metadata"]["uid"]
    with pytest.raises(ApiException) as gone:
        crd_cluster.call("GET", f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/modelyard")
    assert gone.value.status == 404


def _uninstall(crd_cluster: Api) -> None:
    """Remove the release."""
    program = str(Path(sys.executable).parent / "helm")
    flags = ("--namespace", SYSTEM, "--kubeconfig", crd_cluster.kubeconfig)
    command = [program, "uninstall", "modelyard", *flags]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
