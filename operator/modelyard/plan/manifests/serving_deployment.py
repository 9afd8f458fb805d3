"""The Deployment of one served revision: created once; later only its `replicas` are applied.

    fetch (init) ──► sentinel (native sidecar) ─┬─► server
    manifest → files      golden predictions    └── both share the volume /models

The server carries the preStop hook, because each container runs its own: it asks the sentinel to
wait until endpoints have propagated and nothing is in flight.
"""

from typing import Any

from modelyard.api import names
from modelyard.api.config import Images
from modelyard.api.deployment import ModelDeployment, ServedVersion, ServerSpec
from modelyard.api.manifest import canonical_json
from modelyard.api.serve import (
    CONFIG_FOLDER,
    MODELS_DIRECTORY,
    MONITORING_FILE,
    SERVE_VARIABLE,
    ServeConfig,
)
from modelyard.api.store import StoreSettings
from modelyard.plan.manifests import pods

Json = dict[str, Any]

SCALE_MANAGER = "modelyard-scale"
"""Field manager that owns `replicas` and nothing else.

Server-side apply drops the fields that a manager owned and no longer sends; under a manager of its
own, the number of pods changes without the frozen pod template being sent again.
"""

SERVER = "server"
SENTINEL = "sentinel"
FETCH = "fetch"

_MOUNT: Json = {"name": "models", "mountPath": MODELS_DIRECTORY}
_TMP: Json = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - the pod's own empty volume


def serving_labels(deployment: ModelDeployment, version: ServedVersion) -> dict[str, str]:
    """Return the labels of a revision's children; they never change, whatever its role."""
    return {
        names.LABEL_DEPLOYMENT: deployment.metadata.name,
        names.LABEL_VERSION: version.revision,
        names.LABEL_MODEL: version.model_name,
        names.LABEL_COMPONENT: names.COMPONENT_SERVER,
    }


def serving_selector(deployment: ModelDeployment, revision: str) -> dict[str, str]:
    """Return the labels that pick a revision's pods."""
    return {
        names.LABEL_DEPLOYMENT: deployment.metadata.name,
        names.LABEL_VERSION: revision,
    }


def serving_deployment(
    deployment: ModelDeployment,
    config: ServeConfig,
    version: ServedVersion,
    images: Images,
    replicas: int,
) -> Json:
    """Build the Deployment of a revision with its first number of pods."""
    manifest = _skeleton(deployment, version)
    manifest["spec"] = {
        "replicas": replicas,
        "progressDeadlineSeconds": version.server.load_deadline_seconds + 1,
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": serving_selector(deployment, version.revision)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": manifest["metadata"]["labels"]},
            "spec": _pod(version.server, config, images),
        },
    }
    return manifest


def serving_scale(
    deployment: ModelDeployment, version: ServedVersion, uid: str, replicas: int
) -> Json:
    """Build what `SCALE_MANAGER` applies: the object's identity and its replicas.

    With the uid, the API server answers Conflict if the object has gone, instead of refusing to
    make a Deployment of nothing but a number.
    """
    manifest = _skeleton(deployment, version)
    manifest["metadata"]["uid"] = uid
    return {**manifest, "spec": {"replicas": replicas}}


def serve_config(
    deployment: ModelDeployment, version: ServedVersion, store: StoreSettings
) -> ServeConfig:
    """Return what fetcher and sentinel of a revision are told."""
    return ServeConfig(
        store=store,
        namespace=deployment.metadata.namespace,
        model_name=version.model_name,
        version=version.version,
        manifest_digest=version.digest,
        golden_set=version.golden_set,
        drain_seconds=version.server.drain_seconds,
    )


def _skeleton(deployment: ModelDeployment, version: ServedVersion) -> Json:
    name = names.serving_name(deployment.metadata.name, version.revision)
    labels = serving_labels(deployment, version)
    metadata = pods.child_metadata("ModelDeployment", deployment.metadata, name, labels)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}


def _pod(server: ServerSpec, config: ServeConfig, images: Images) -> Json:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 2 * config.drain_seconds + 60,
        "securityContext": pods.POD_SECURITY,
        "initContainers": [_fetch(config, images), _sentinel(config, images)],
        "containers": [_server(server, config, images)],
        "volumes": [pods.scratch("models"), pods.scratch("tmp")],
    }


def _ours(name: str, verb: str, config: ServeConfig, images: Images) -> Json:
    """Return what both containers of the operator's own image have in common."""
    told = canonical_json(config.dump()).decode()
    return {
        "name": name,
        "image": images.sentinel,
        "imagePullPolicy": images.pull_policy,
        "command": ["python", "-m", "modelyard.sentinel", verb],
        "env": [
            {"name": SERVE_VARIABLE, "value": told},
            {"name": "HOME", "value": _TMP["mountPath"]},
        ],
        "securityContext": pods.CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_MOUNT, _TMP],
    }


def _fetch(config: ServeConfig, images: Images) -> Json:
    container = _ours(FETCH, "fetch", config, images)
    container["env"] += pods.credentials(config.store.name)
    return container


def _sentinel(config: ServeConfig, images: Images) -> Json:
    return {
        **_ours(SENTINEL, "serve", config, images),
        "restartPolicy": "Always",
        "ports": [{"name": "sentinel", "containerPort": names.PORT_SENTINEL}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": names.PORT_SENTINEL},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
            "failureThreshold": 2,
        },
    }


def _server(server: ServerSpec, config: ServeConfig, images: Images) -> Json:
    return {
        "name": SERVER,
        "image": server.image or images.server,
        "imagePullPolicy": images.pull_policy,
        "command": ["tensorflow_model_server"],
        "args": _flags(config),
        "ports": [
            {"name": "grpc", "containerPort": names.PORT_GRPC},
            {"name": "rest", "containerPort": names.PORT_REST},
        ],
        "resources": pods.amounts(server.resources),
        "lifecycle": {
            "preStop": {"httpGet": {"path": "/drain", "port": names.PORT_SENTINEL}},
        },
        "securityContext": pods.CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{**_MOUNT, "readOnly": True}, _TMP],
    }


def _flags(config: ServeConfig) -> list[str]:
    """Return the command line: one version, looked for once, and no second try.

    The files are verified before the server starts, so what does not load now never will; the
    original would try for five minutes, in silence. A server that ends says why.
    """
    return [
        f"--port={names.PORT_GRPC}",
        f"--rest_api_port={names.PORT_REST}",
        f"--model_name={config.model_name}",
        f"--model_base_path={MODELS_DIRECTORY}/{config.model_name}",
        f"--monitoring_config_file={MODELS_DIRECTORY}/{CONFIG_FOLDER}/{MONITORING_FILE}",
        "--file_system_poll_wait_seconds=0",
        "--max_num_load_retries=0",
        f"--grpc_channel_arguments=grpc.max_connection_age_ms={_connection_age_ms(config)}",
    ]


def _connection_age_ms(config: ServeConfig) -> int:
    """Return how long a gRPC connection may live before the server asks for a new one.

    A new connection never reaches a pod that is stopping, so once a drain has lasted as long, its
    server is alone. One that stops with a client still connected cancels requests that cross its
    goodbye: gRPC's server refuses what arrives after that, and no client may repeat a CANCELLED.
    """
    return 1000 * max(1, config.drain_seconds)
