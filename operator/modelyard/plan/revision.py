"""A revision: what a set of serving pods is, as ten hexadecimal digits.

It hashes the artifact and what the user asked of the server. Defaults of the operator (images) are
left out on purpose: an upgrade of the operator restarts no server, and its new defaults reach pods
with the next revision.
"""

from modelyard.api.deployment import ModelDeployment, ServedVersion, ServerSpec
from modelyard.api.manifest import canonical_json
from modelyard.api.names import short_hash
from modelyard.api.version import ModelVersion

LENGTH = 10


def revision_of(digest: str, server: ServerSpec) -> str:
    """Return the revision of an artifact behind a server block.

    Fields at their default do not count, so that a field added later changes no revision.
    """
    asked = server.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return short_hash(digest, canonical_json(asked).decode(), length=LENGTH)


def served(deployment: ModelDeployment, target: ModelVersion, since: str) -> ServedVersion:
    """Return the role record of the version that the deployment names."""
    digest = target.spec.artifact.manifest_digest
    return ServedVersion(
        model_version_name=target.metadata.name,
        model_name=target.spec.model_name,
        version=target.spec.version,
        revision=revision_of(digest, deployment.spec.server),
        digest=digest,
        store_name=target.spec.artifact.store_name,
        server=deployment.spec.server,
        golden_set=target.spec.golden_set,
        since=since,
    )


def block_of(version: ServedVersion) -> str:
    """Return how `status.blockedVersion` names a version in a revision."""
    return f"{version.model_version_name}/{version.revision}"
