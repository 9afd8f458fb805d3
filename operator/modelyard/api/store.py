"""Named stores and the layout of keys below them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.meta import DnsLabel, Model


class Addressing(StrEnum):
    """How a bucket is named in a request."""

    PATH = "Path"
    VIRTUAL = "Virtual"


class StoreSettings(Model):
    """One S3-compatible store, set by the administrator; objects only name it."""

    name: DnsLabel = "default"
    """Name that `storeName` refers to."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=512)] | None = None
    """URL of the service; absent means AWS' own endpoint of the region."""

    region: Annotated[str, Field(max_length=64)] = "us-east-1"
    """Region, also used to sign requests."""

    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    """Bucket that holds checkpoints and versions."""

    prefix: Annotated[str, Field(pattern=r"^([-A-Za-z0-9_.]+/)*$", max_length=256)] = ""
    """Prefix of all keys, empty or ending in `/`."""

    addressing: Addressing = Addressing.PATH
    """How the bucket is named in requests."""

    ca_file: Annotated[str, Field(max_length=512)] | None = None
    """File with the certificate authority of the endpoint."""

    read_prefixes: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """`bucket/prefix` pairs that trainings may read data from; `{namespace}` is replaced."""

    def allows_data(self, uri: str, namespace: str) -> bool:
        """Tell whether a training of `namespace` may read `s3://bucket/key`."""
        location = uri.removeprefix("s3://")
        allowed = (*self.read_prefixes, f"{self.bucket}/{self.prefix}{{namespace}}/")
        return any(location.startswith(p.replace("{namespace}", namespace)) for p in allowed)


class LocalStoreSettings(StoreSettings):
    """A folder that stands in for S3 when a trainer runs on a laptop.

    The operator's configuration and the CRDs know `StoreSettings` only, so neither can name a
    folder of the machine they run on.
    """

    endpoint: Annotated[str, Field(pattern=r"^file:///.+$", max_length=512)]
    """URL of the folder; each bucket is a folder below it."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$")] = "local"
    """Folder that holds checkpoints and versions."""

    @property
    def folder(self) -> str:
        """Path of the folder."""
        return self.endpoint.removeprefix("file://")


@dataclass(frozen=True, slots=True)
class ModelKeys:
    """The keys of one model: `<prefix><namespace>/<model>/…`.

    >>> keys = ModelKeys("base/", "team", "digits")
    >>> keys.artifact(3)
    'base/team/digits/3/'
    >>> keys.manifest(3)
    'base/team/digits/_registry/manifests/3.json'
    """

    prefix: str
    namespace: str
    model: str

    @property
    def root(self) -> str:
        """Prefix of everything of this model."""
        return f"{self.prefix}{self.namespace}/{self.model}/"

    def artifact(self, version: int) -> str:
        """Prefix of the files of a version; nothing else lies there."""
        return f"{self.root}{version}/"

    def claim(self, version: int) -> str:
        """Key that reserves a version number."""
        return f"{self.root}_registry/claims/{version}.json"

    def run(self, training_uid: str) -> str:
        """Key that maps a training to its version number."""
        return f"{self.root}_registry/runs/{training_uid}.json"

    def manifest(self, version: int) -> str:
        """The commit point of a version, or its tombstone."""
        return f"{self.root}_registry/manifests/{version}.json"

    def run_data(self, training_uid: str) -> str:
        """Prefix of checkpoints and logs of a training."""
        return f"{self.root}_runs/{training_uid}/"

    def attempt(self, training_uid: str, attempt: int) -> str:
        """Prefix below which one attempt writes, and no other."""
        return f"{self.run_data(training_uid)}a{attempt}/"
