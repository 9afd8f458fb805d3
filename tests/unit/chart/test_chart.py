"""The chart as `helm lint` and `helm template` see it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from modelyard.api.config import OperatorConfig
from modelyard.codegen.values import SET_BY_CHART, Values, values_schema

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/modelyard"
HELM = Path(sys.executable).parent / "helm"
STORE = {
    "name": "default",
    "endpoint": "http://s3:8333",
    "bucket": "modelyard",
    "readPrefixes": ["modelyard/datasets/"],
    "credentialsSecretName": "operator-store",
}


def helm(*arguments, values=None):
    command = [str(HELM), *arguments]
    if values is not None:
        command += ["--values", "-"]
    text = json.dumps(values) if values is not None else None
    return subprocess.run(command, input=text, text=True, capture_output=True, check=False)


def render(values=None, *flags):
    done = helm(
        "template", "modelyard", str(CHART), "-n", "modelyard-system", *flags, values=values or {}
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of(objects, kind):
    return [found for found in objects if found["kind"] == kind]


def refusal(values):
    done = helm("template", "modelyard", str(CHART), values=values)
    assert done.returncode != 0
    return done.stderr


def config_of(objects):
    (config_map,) = of(objects, "ConfigMap")
    return OperatorConfig.model_validate(yaml.safe_load(config_map["data"]["config.yaml"]))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"stores": [STORE], "serviceMonitor": {"enabled": True}, "replicaCount": 1},
        {
            "crds": {"enabled": False},
            "rbac": {"create": False},
            "serviceAccount": {"create": False},
        },
        {"config": {"namespaces": ["a", "b"], "workers": 4, "client": {"burst": 1000000}}},
    ],
)
def test_lint_is_strict(values):
    done = helm("lint", "--strict", str(CHART), values=values)
    assert done.returncode == 0, done.stdout


def test_values_yaml_states_the_defaults_of_the_model():
    written = yaml.safe_load((CHART / "values.yaml").read_text())
    defaults = Values().dump()
    del defaults["global"]
    assert written == defaults


def test_the_schema_offers_exactly_the_operators_settings():
    offered = set(values_schema()["properties"]["config"]["properties"])
    known = {field.alias for field in OperatorConfig.model_fields.values()}
    assert offered == known - set(SET_BY_CHART)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"replicas": 3}, "replicas"),
        ({"image": {"tags": "x"}}, "tags"),
        ({"config": {"workerz": 4}}, "workerz"),
        ({"config": {"stores": []}}, "stores"),
        ({"config": {"workers": 0}}, "workers"),
        ({"stores": [{"name": "default"}]}, "bucket"),
        ({"stores": [{**STORE, "endpoint": "ftp://s3"}]}, "endpoint"),
        ({"stores": [STORE, STORE]}, "two stores are named default"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"tenants": [{"namespace": "a"}]}, "accessKeyId"),
    ],
)
def test_a_mistake_in_the_values_is_refused(values, word):
    assert word in refusal(values)


def test_the_configuration_is_what_the_operator_reads():
    values = {
        "stores": [STORE],
        "config": {"workers": 4, "client": {"burst": 1000000}, "lease": {"durationSeconds": 30}},
        "image": {"repository": "r/operator", "tag": "1", "pullPolicy": "Always"},
        "trainer": {"image": {"repository": "r/trainer", "digest": "sha256:" + "a" * 64}},
    }
    config = config_of(render(values))
    assert config.store("default").bucket == "modelyard"
    assert config.store("default").read_prefixes == ("modelyard/datasets/",)
    assert (config.workers, config.client.burst) == (4, 1000000)
    assert config.lease.namespace == "modelyard-system"
    assert (config.lease.duration_seconds, config.lease.retry_seconds) == (30, 2)
    assert config.images.sentinel == "r/operator:1"
    assert config.images.trainer == "r/trainer@sha256:" + "a" * 64
    assert config.images.server == "tensorflow/serving:2.21.0"
    assert config.images.pull_policy == "Always"


def test_credentials_are_mounted_where_the_operator_looks():
    objects = render({"stores": [{"name": "cloud", "bucket": "models"}, STORE]})
    (deployment,) = of(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    mounts = {m["mountPath"]: m["name"] for m in pod["containers"][0]["volumeMounts"]}
    volumes = {v["name"]: v for v in pod["volumes"]}
    name = mounts["/etc/modelyard/stores/default"]
    assert volumes[name]["secret"]["secretName"] == "operator-store"
    assert "/etc/modelyard/stores/cloud" not in mounts
    assert set(mounts.values()) == set(volumes)


def test_another_configuration_makes_other_pods():
    def checksum(values):
        (deployment,) = of(render(values), "Deployment")
        return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum({}) == checksum({"replicaCount": 5})
    assert checksum({}) != checksum({"config": {"workers": 4}})


def test_crds_are_the_generated_ones_and_survive_an_uninstall():
    rendered = {crd["metadata"]["name"]: crd for crd in of(render(), "CustomResourceDefinition")}
    for path in (ROOT / "crds").glob("*.yaml"):
        plain = yaml.safe_load(path.read_text())
        copy = rendered.pop(plain["metadata"]["name"])
        assert copy["spec"] == plain["spec"]
        assert copy["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert not rendered


def test_crds_can_be_left_out_dropped_and_annotated():
    assert not of(render({"crds": {"enabled": False}}), "CustomResourceDefinition")
    dropped = of(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert all("annotations" not in crd["metadata"] for crd in dropped)
    annotated = of(render({"crds": {"annotations": {"a": "b"}}}), "CustomResourceDefinition")
    assert annotated[0]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep", "a": "b"}


def _grants(objects):
    """Yield (role, group, resource, verb) of every rule."""
    for role in [*of(objects, "ClusterRole"), *of(objects, "Role")]:
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        yield role["metadata"]["name"], group, resource, verb


def test_no_role_reaches_further_than_it_must():
    grants = list(_grants(render()))
    assert not [grant for grant in grants if "*" in grant[1:]]
    assert not [
        grant for grant in grants if grant[2] in {"secrets", "pods/exec", "serviceaccounts"}
    ]
    assert not [grant for grant in grants if grant[3] in {"escalate", "bind", "impersonate"}]
    writers = {grant[0] for grant in grants if grant[2].endswith("/status")}
    assert writers == {"modelyard"}
    makers = {g[0] for g in grants if g[2:] == ("modelversions", "create")}
    assert makers == {"modelyard"}


def test_with_namespaces_the_operator_is_bound_only_there():
    objects = render({"config": {"namespaces": ["team-a", "team-b"]}})
    assert not of(objects, "ClusterRoleBinding")
    bound = {b["metadata"]["namespace"] for b in of(objects, "RoleBinding")}
    assert bound == {"team-a", "team-b", "modelyard-system"}


def test_user_roles_aggregate_only_when_asked():
    def labels(values):
        roles = {role["metadata"]["name"]: role for role in of(render(values), "ClusterRole")}
        return {
            name: sorted(
                label.rsplit("-", 1)[1]
                for label in role["metadata"]["labels"]
                if "/aggregate-to" in label
            )
            for name, role in roles.items()
        }

    assert labels({}) == {
        "modelyard": [],
        "modelyard-viewer": ["admin", "edit", "view"],
        "modelyard-trainer": ["admin", "edit"],
        "modelyard-deployer": ["admin", "edit"],
    }
    assert not any(labels({"rbac": {"aggregateClusterRoles": False}}).values())


def test_a_tenants_secret_has_the_name_and_keys_that_pods_expect():
    tenant = {"namespace": "demo", "accessKeyId": "id", "secretAccessKey": "key", "storeName": "s"}
    (secret,) = of(render({"tenants": [tenant]}), "Secret")
    assert secret["metadata"]["namespace"] == "demo"
    assert secret["metadata"]["name"] == "modelyard-store-s"
    assert secret["stringData"] == {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}


def test_a_tenants_store_is_the_default_one_unless_named():
    tenant = {"namespace": "demo", "accessKeyId": "id", "secretAccessKey": "key"}
    (secret,) = of(render({"tenants": [tenant]}), "Secret")
    assert secret["metadata"]["name"] == "modelyard-store-default"


def test_prometheus_finds_the_metrics_port():
    objects = render({"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}})
    (monitor,) = of(objects, "ServiceMonitor")
    (service,) = of(objects, "Service")
    (deployment,) = of(objects, "Deployment")
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    pod = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert pod["spec"]["containers"][0]["ports"] == [{"name": "metrics", "containerPort": 8081}]
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True
    assert monitor["metadata"]["labels"]["release"] == "p"


def test_every_object_is_labelled_and_rendering_repeats_itself():
    values = {"stores": [STORE], "tenants": [], "serviceMonitor": {"enabled": True}}
    objects = render(values)
    assert all(
        o["metadata"]["labels"]["app.kubernetes.io/instance"] == "modelyard" for o in objects
    )
    assert objects == render(values)
