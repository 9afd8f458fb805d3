"""Base models and the pieces of metadata that all three kinds share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

DecimalString = Annotated[
    str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$", max_length=32)
]
"""A number as text: exact in every client, no float round trip."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
"""A SHA-256 digest in the form `sha256:<64 hex digits>`."""

DnsLabel = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)
]
"""A DNS label (RFC 1123)."""

ModelName = Annotated[
    str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)
]
"""The name of a model: a DNS label of at most 40 characters that starts with a letter."""

ObjectName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", min_length=1, max_length=253)
]
"""The name of a Kubernetes object in the same namespace."""

ShortText = Annotated[str, Field(max_length=256)]
Message = Annotated[str, Field(max_length=1024)]
Timestamp = Annotated[
    str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$", max_length=32)
]
"""An RFC 3339 time in UTC."""

Quantity = Annotated[
    str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=24)
]
"""A Kubernetes resource quantity, for instance `500m` or `4Gi`."""


class Model(BaseModel):
    """A frozen, camelCase value that refuses unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    def dump(self) -> dict[str, object]:
        """Return the JSON form: camelCase keys, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Observed(Model):
    """A value read back from the cluster or the network: newer fields are ignored, not refused."""

    model_config = ConfigDict(extra="ignore")


class OwnerReference(Observed):
    """The part of an owner reference that Modelyard reads."""

    kind: str
    name: str
    uid: str


class ObjectMeta(Observed):
    """The part of Kubernetes' ObjectMeta that Modelyard reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()


class Condition(Observed):
    """One observed aspect of an object, in the shape of `metav1.Condition`."""

    type: Annotated[str, Field(max_length=64)]
    """The aspect, for instance `Complete`."""

    status: Literal["True", "False", "Unknown"]
    """Whether the aspect holds."""

    observed_generation: int = 0
    """The `metadata.generation` this condition was judged at."""

    last_transition_time: Timestamp
    """When `status` last changed."""

    reason: Annotated[str, Field(max_length=64)]
    """One CamelCase word for the cause, stable enough for programs."""

    message: Message = ""
    """The cause in plain words, with the remedy where there is one."""


class ResourceList(Model):
    """Amounts of CPU and memory."""

    cpu: Quantity | None = None
    """CPU cores, for instance `2` or `500m`."""

    memory: Quantity | None = None
    """Bytes of memory, for instance `4Gi`."""


class Resources(Model):
    """What a container asks for and what it may use at most."""

    requests: ResourceList = ResourceList()
    """Amounts the scheduler sets aside."""

    limits: ResourceList = ResourceList()
    """Amounts the container is held to."""
