"""The manifest: the one object in the store whose existence commits a version.

Its digest is the version's identity. It is canonical JSON (sorted keys, no insignificant space),
so that the same content always has the same digest (RFC 8785 in spirit).
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.meta import Digest, DnsLabel, Model, ModelName
from modelyard.api.version import (
    EvaluationMetric,
    GoldenSet,
    Lineage,
    Signature,
    TrainingSource,
)

MANIFEST_SCHEMA: Literal["modelyard.dev/manifest/v1"] = "modelyard.dev/manifest/v1"


class ManifestFile(Model):
    """One file of the artifact."""

    path: Annotated[str, Field(min_length=1, max_length=512)]
    """Path below the version's directory, with `/`; never absolute, never `..`."""

    size: Annotated[int, Field(ge=0)]
    """Bytes."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the content."""


class ManifestDraft(Model):
    """All that the trainer knows of a version before it has a number and files."""

    model_name: ModelName
    namespace: DnsLabel
    source: TrainingSource
    signatures: tuple[Signature, ...]
    metrics: tuple[EvaluationMetric, ...]
    primary_metric: str
    lineage: Lineage
    golden_set: GoldenSet | None = None


class Manifest(ManifestDraft):
    """A committed version: its number, its files, its measurements and lineage."""

    schema_id: Annotated[Literal["modelyard.dev/manifest/v1"], Field(alias="schema")] = (
        MANIFEST_SCHEMA
    )
    version: Annotated[int, Field(ge=1)]
    files: Annotated[tuple[ManifestFile, ...], Field(min_length=1, max_length=100000)]

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Tombstone(Model):
    """What stands at the commit key once a number is given up: it can never be committed."""

    schema_id: Annotated[Literal["modelyard.dev/tombstone/v1"], Field(alias="schema")] = (
        "modelyard.dev/tombstone/v1"
    )
    version: int
    reason: str
    manifest_digest: Digest | None = None
    """Digest of the manifest it replaced, if one was committed."""

    files: tuple[str, ...] = ()
    """Paths that still have to be deleted."""

    superseded_by: int | None = None
    """Attempt of the same training that took another number instead; None: given up for good."""


def canonical_json(value: object) -> bytes:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(content: bytes) -> str:
    """Return `sha256:<hex>` of `content`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
