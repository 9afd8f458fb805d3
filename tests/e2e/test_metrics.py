"""A real Prometheus scrapes the operator and answers with what the trainer measured."""

import json
import urllib.parse
import urllib.request

import pytest
import yaml

from demo import cluster as clusters
from demo import steps
from tests.e2e.yard import training

SPACE = "metrics"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: modelyard
  honor_labels: true
  kubernetes_sd_configs: [{role: pod, namespaces: {names: [modelyard-system]}}]
  relabel_configs:
  - source_labels: [__meta_kubernetes_pod_container_port_name]
    regex: metrics
    action: keep
"""


def _objects():
    """Prometheus with the rights to find pods of the operator's namespace."""
    meta = {"name": "prometheus", "namespace": "modelyard-system"}
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    container = {
        "name": "prometheus",
        "image": "localhost/modelyard/prometheus:dev",
        "imagePullPolicy": "IfNotPresent",
        "args": ["--config.file=/etc/p/prometheus.yml", "--storage.tsdb.path=/data"],
        "ports": [{"containerPort": 9090}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
        "securityContext": restricted,
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/p"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    pod = {
        "serviceAccountName": "prometheus",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": "prometheus"}},
            {"name": "data", "emptyDir": {}},
        ],
    }
    labels = {"app": "prometheus"}
    deployment = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "prometheus", "namespace": meta["namespace"]}
    role = {"apiGroup": rbac, "kind": "Role", "name": "prometheus"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"prometheus.yml": CONFIG},
        },
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": [rule]},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": [subject],
        },
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": deployment},
    ]


@pytest.fixture(scope="module")
def prometheus(yard):
    cluster = yard.cluster
    clusters.load_images(cluster.name, ["prometheus"])
    cluster.apply(yaml.safe_dump_all(_objects()))
    cluster.kubectl(
        "-n", "modelyard-system", "rollout", "status", "deploy/prometheus", "--timeout=120s"
    )
    with cluster.port_forward("modelyard-system", "deploy/prometheus", 9090) as port:
        yield port


def _query(port, expression):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)["data"]["result"]


def test_prometheus_knows_the_accuracy_that_the_trainer_reported(yard, prometheus):
    yard.apply(training("measured"))
    done = yard.completed("measured")
    version = yard.found("mver", done["status"]["modelVersionName"])
    accuracy = next(m for m in version["spec"]["metrics"] if m["name"] == "accuracy")
    labels = f'model="measured",version="{version["spec"]["version"]}"'
    query = f'modelyard_modelversion_evaluation{{{labels},metric="accuracy",slice="overall"}}'
    found = steps.wait_for(
        lambda: {"result": _query(prometheus, query)}, lambda r: bool(r["result"]), seconds=60
    )
    (series,) = found["result"]
    assert float(series["value"][1]) == pytest.approx(float(accuracy["value"]))
    assert series["metric"]["namespace"] == SPACE
    assert _query(prometheus, "controller_runtime_reconcile_total")
