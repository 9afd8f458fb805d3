"""The chart's values as a model: its schema, and its reference, are generated from here."""

from typing import Annotated, Any

from pydantic import Field

from modelyard.api.config import OperatorConfig
from modelyard.api.meta import DnsLabel, Model
from modelyard.api.store import StoreSettings
from modelyard.codegen.schema import MODEL_KEY, Schema, plain_schema

SET_BY_CHART = ("stores", "images")
"""Keys of the operator's configuration that the chart fills in from other values."""

Labels = dict[str, str]
Raw = dict[str, Any]


class Image(Model):
    """An image reference."""

    repository: Annotated[str, Field(min_length=1)]
    """Registry and path."""

    tag: str = ""
    """Tag; empty means the chart's appVersion."""

    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """`sha256:…`; wins over the tag."""


class OperatorImage(Image):
    """The operator's image."""

    repository: Annotated[str, Field(min_length=1)] = "modelyard-operator"
    """Registry and path."""

    pull_policy: Annotated[str, Field(pattern=r"^(Always|IfNotPresent|Never)$")] = "IfNotPresent"
    """When the kubelet pulls; also for the images that the operator starts."""


class Trainer(Model):
    """What trains."""

    image: Image = Image(repository="modelyard-trainer")
    """Image of the trainer."""


class Server(Model):
    """What serves where a ModelDeployment names no image."""

    image: Image = Image(repository="tensorflow/serving", tag="2.21.0")
    """Image of the model server."""


class Store(StoreSettings):
    """A store, and the operator's own credentials for it."""

    credentials_secret_name: Annotated[str, Field(max_length=253)] = ""
    """Secret of the release's namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; empty
    means the operator's workload identity."""


class Tenant(Model):
    """Store credentials of one namespace."""

    namespace: DnsLabel
    """Namespace that gets the Secret."""

    store_name: DnsLabel = "default"
    """Store that the credentials are for."""

    access_key_id: Annotated[str, Field(min_length=1)]
    """AWS_ACCESS_KEY_ID."""

    secret_access_key: Annotated[str, Field(min_length=1)]
    """AWS_SECRET_ACCESS_KEY."""


class Crds(Model):
    """The CustomResourceDefinitions."""

    enabled: bool = True
    """Whether the release contains and upgrades them."""

    keep: bool = True
    """Whether `helm uninstall` leaves them, and with them every object of the three kinds."""

    annotations: Labels = Field(default_factory=dict)
    """Further annotations."""


class Rbac(Model):
    """Rights."""

    create: bool = True
    """Whether the chart makes roles and bindings."""

    aggregate_cluster_roles: bool = True
    """Whether the roles view, edit and admin include the three kinds."""


class AdmissionPolicy(Model):
    """Whether orders about rollouts are proven."""

    enabled: bool = True
    """Whether an order must come under its author's own name, and from somebody who has the verb
    `promote` or `abort` on modeldeployments."""


class ServiceAccount(Model):
    """The operator's identity."""

    create: bool = True
    """Whether the chart makes it."""

    name: str = ""
    """Name; empty means the release's full name, or `default` if none is created."""

    annotations: Labels = Field(default_factory=dict)
    """Annotations, for instance for workload identity."""


class PodDisruptionBudget(Model):
    """Protection from evictions."""

    enabled: bool = True
    """Whether there is one."""

    max_unavailable: Annotated[int, Field(ge=1)] = 1
    """Operators that may be evicted at once."""


class ServiceMonitor(Model):
    """The Prometheus Operator's scrape configuration."""

    enabled: bool = False
    """Whether there is one; needs the Prometheus Operator."""

    interval: Annotated[str, Field(pattern=r"^[0-9]+(ms|s|m)$")] = "30s"
    """Time between two scrapes."""

    labels: Labels = Field(default_factory=dict)
    """Labels that your Prometheus selects by."""


def _resources() -> Raw:
    """Return what the operator needs for some thousand objects; no CPU limit, by intent."""
    return {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}


class Values(Model):
    """Values of the Helm chart."""

    replica_count: Annotated[int, Field(ge=1, le=10)] = 2
    """Operators running; one holds the Lease and writes, the others wait for it."""

    image: OperatorImage = OperatorImage()
    """The operator's image; serving pods use it too, to fetch and to check models."""

    trainer: Trainer = Trainer()
    """What trains."""

    server: Server = Server()
    """What serves where a ModelDeployment names no image."""

    stores: Annotated[tuple[Store, ...], Field(max_length=64)] = ()
    """Stores that objects name by `storeName`."""

    config: Raw = Field(default_factory=dict)
    """Settings of the operator beyond stores and images: see config.md."""

    tenants: tuple[Tenant, ...] = ()
    """Secrets made in tenants' namespaces; for a demonstration, since the release keeps them."""

    crds: Crds = Crds()
    """The CustomResourceDefinitions."""

    rbac: Rbac = Rbac()
    """Rights."""

    admission_policy: AdmissionPolicy = AdmissionPolicy()
    """Whether orders about rollouts are proven."""

    service_account: ServiceAccount = ServiceAccount()
    """The operator's identity."""

    pod_disruption_budget: PodDisruptionBudget = PodDisruptionBudget()
    """Protection from evictions."""

    service_monitor: ServiceMonitor = ServiceMonitor()
    """The Prometheus Operator's scrape configuration."""

    resources: Raw = Field(default_factory=_resources)
    """CPU and memory of the operator."""

    image_pull_secrets: tuple[Raw, ...] = ()
    """Secrets to pull the operator's image with."""

    pod_annotations: Labels = Field(default_factory=dict)
    """Annotations of the operator's pods."""

    pod_labels: Labels = Field(default_factory=dict)
    """Labels of the operator's pods."""

    node_selector: Labels = Field(default_factory=dict)
    """Nodes for the operator."""

    tolerations: tuple[Raw, ...] = ()
    """Taints that the operator tolerates."""

    affinity: Raw = Field(default_factory=dict)
    """Affinity of the operator; empty prefers different nodes for the replicas."""

    priority_class_name: str = ""
    """Priority class of the operator."""

    extra_env: tuple[Raw, ...] = ()
    """Further environment variables of the operator."""

    extra_volumes: tuple[Raw, ...] = ()
    """Further volumes, for instance with a certificate authority for `stores[].caFile`."""

    extra_volume_mounts: tuple[Raw, ...] = ()
    """Where the operator mounts them."""

    name_override: str = ""
    """Replaces the chart's name in labels."""

    full_name_override: Annotated[str, Field(alias="fullnameOverride")] = ""
    """Replaces the name of every object."""

    globals: Annotated[Raw, Field(alias="global")] = Field(default_factory=dict)
    """What a parent chart passes on; not used."""


def values_schema() -> Schema:
    """Return values.schema.json: draft 7, unknown keys refused."""
    plain = plain_schema(Values)
    plain["properties"]["config"] = _config_schema(plain["properties"]["config"]["description"])
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_clean(plain)}


def _config_schema(description: str) -> Schema:
    """Return the schema of the operator's configuration without what the chart fills in."""
    schema = plain_schema(OperatorConfig)
    kept = {k: v for k, v in schema["properties"].items() if k not in SET_BY_CHART}
    return {**schema, "properties": kept, "description": description}


def _clean(node: Any) -> Any:
    """Return `node` without the models' names."""
    if isinstance(node, list):
        return [_clean(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {key: _clean(child) for key, child in node.items() if key != MODEL_KEY}
