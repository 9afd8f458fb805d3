"""The decisions on a ModelVersion: verify its artifact once, guard it while it is used.

`Verified` is the gate to serving. The finalizer holds a deleted version until no ModelDeployment
names, serves or loads it; then the artifact goes first and the object last.
"""

from datetime import datetime

from modelyard.api import names
from modelyard.api.manifest import Manifest
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.version import ModelVersion, ModelVersionStatus, VersionPhase
from modelyard.plan.acceptance import store_missing
from modelyard.plan.conditions import TYPES, Judgement, bounded, holds, no, unknown, yes
from modelyard.plan.core import Event, Plan, RemoveArtifact
from modelyard.plan.draft import Draft
from modelyard.plan.observed import ManifestFact, VersionObserved
from modelyard.plan.shown import printed, short_digest, sized

VersionDraft = Draft[ModelVersionStatus]

SERVING_SIGNATURE = "serving_default"
STORE_RETRY_SECONDS = 15.0
RECHECK_SECONDS = 300.0
MAX_USERS = 64
_NOT_OURS = {"Mismatch": Reason.DIGEST_MISMATCH, "Missing": Reason.MANIFEST_MISSING}
"""States of a manifest by which nothing may be removed."""


def version_needs(version: ModelVersion) -> bool:
    """Tell whether the manifest must be read: until it is verified, and to delete by it."""
    deleting = version.metadata.deletion_timestamp is not None
    if deleting:
        return names.FINALIZER_ARTIFACT in version.metadata.finalizers
    return not holds(version.status.conditions, ConditionType.VERIFIED)


def plan_version(version: ModelVersion, observed: VersionObserved, now: datetime) -> Plan:
    """Decide what to do about a version now."""
    draft = Draft(version.metadata, version.status, version.status, now).with_all(
        TYPES["ModelVersion"]
    )
    draft = _used(draft, observed.used_by)
    if version.metadata.deletion_timestamp is not None:
        return _plan_deletion(version, draft, observed)
    guard = None
    if names.FINALIZER_ARTIFACT not in version.metadata.finalizers:
        guard = names.FINALIZER_ARTIFACT
    draft = _shown(version, draft)
    plan = _plan_verification(version, draft, observed)
    return Plan(
        status=plan.status,
        add_finalizer=guard,
        events=plan.events,
        requeue_after=plan.requeue_after,
    )


def _used(draft: VersionDraft, used_by: tuple[str, ...]) -> VersionDraft:
    draft = draft.set(used_by=used_by[:MAX_USERS])
    if not used_by:
        return draft.judge(no(ConditionType.IN_USE, Reason.NOT_SERVED))
    held = " Its deletion waits for them." if draft.metadata.deletion_timestamp else ""
    text = f"Needed by ModelDeployment {', '.join(used_by)}.{held}"
    return draft.judge(yes(ConditionType.IN_USE, Reason.SERVED, text))


def _shown(version: ModelVersion, draft: VersionDraft) -> VersionDraft:
    """Return the draft with what only `kubectl get` needs; the primary metric is the first one."""
    first = next(iter(version.spec.metrics), None)
    return draft.set(
        primary_metric=printed(first.name, first.value) if first else None,
        short_digest=short_digest(version.spec.artifact.manifest_digest),
        size=sized(version.spec.artifact.bytes),
    )


def _plan_verification(
    version: ModelVersion, draft: VersionDraft, observed: VersionObserved
) -> Plan:
    if draft.holds(ConditionType.VERIFIED):
        return draft.plan()
    if observed.store is None:
        text = store_missing(version.spec.artifact.store_name)
        draft = draft.set(phase=VersionPhase.PENDING)
        return draft.judge(unknown(ConditionType.COMMITTED, Reason.STORE_NOT_FOUND, text)).plan()
    return _verified(version, draft, observed.manifest)


def _verified(version: ModelVersion, draft: VersionDraft, fact: ManifestFact) -> Plan:
    match fact.state:
        case "Unreachable":
            text = f"The store does not answer: {fact.message}"
            draft = draft.set(phase=VersionPhase.VERIFYING).judge(
                unknown(ConditionType.VERIFIED, Reason.STORE_UNREACHABLE, text)
            )
            return draft.plan(requeue_after=STORE_RETRY_SECONDS)
        case "Missing" | "Tombstone":
            text = f"The store has no such version ({fact.state}). {fact.message}".strip()
            draft = draft.set(phase=VersionPhase.FAILED).judge(
                no(ConditionType.COMMITTED, Reason.MANIFEST_MISSING, text),
                no(ConditionType.VERIFIED, Reason.MANIFEST_MISSING, text),
                no(ConditionType.SERVABLE, Reason.MANIFEST_MISSING, text),
            )
            return draft.plan(requeue_after=RECHECK_SECONDS)
    manifest = fact.found
    if manifest is None:
        text = f"The artifact does not match its manifest ({fact.state}): {fact.message}"
        return _quarantined(draft, text)
    problem = _misplaced(version) or _mismatch(version, manifest)
    return _quarantined(draft, problem) if problem else _ready(draft, manifest)


def _misplaced(version: ModelVersion) -> str:
    """Say how name and path contradict the version's place in the store, empty if they do not.

    One place has one object: a second one of another name would remove the first one's files.
    """
    meta, spec = version.metadata, version.spec
    name = names.version_name(spec.model_name, spec.version)
    place = f"{meta.namespace}/{spec.model_name}/{spec.version}/"
    if (meta.name, spec.artifact.path) != (name, place):
        return (
            f"Version {spec.version} of {spec.model_name} is called {name} and lies at {place}; "
            f"this object is called {meta.name} and says {spec.artifact.path}. Delete it."
        )
    return ""


def _mismatch(version: ModelVersion, manifest: Manifest) -> str:
    """Say how the manifest differs from the spec, empty if it does not."""
    found = f"{manifest.namespace}/{manifest.model_name}/{manifest.version}/"
    if found != version.spec.artifact.path:
        return (
            f"spec.artifact.path says {version.spec.artifact.path}, and the manifest was written "
            f"for {found}: both must be equal."
        )
    return ""


def _quarantined(draft: VersionDraft, problem: str) -> Plan:
    draft = draft.set(phase=VersionPhase.QUARANTINED).judge(
        yes(ConditionType.COMMITTED, Reason.MANIFEST_WRITTEN),
        no(ConditionType.VERIFIED, Reason.DIGEST_MISMATCH, problem),
        no(ConditionType.SERVABLE, Reason.DIGEST_MISMATCH, problem),
    )
    return draft.plan(requeue_after=RECHECK_SECONDS)


def _ready(draft: VersionDraft, manifest: Manifest) -> Plan:
    files = len(manifest.files)
    return (
        draft.set(phase=VersionPhase.READY)
        .judge(
            yes(ConditionType.COMMITTED, Reason.MANIFEST_WRITTEN, "The manifest is committed."),
            yes(ConditionType.VERIFIED, Reason.DIGESTS_MATCH, f"All {files} files are in place."),
            _servable(manifest),
        )
        .plan()
    )


def _servable(manifest: Manifest) -> Judgement:
    signatures = [signature.name for signature in manifest.signatures]
    if SERVING_SIGNATURE in signatures:
        return yes(ConditionType.SERVABLE, Reason.SIGNATURE_FOUND, f"It has {SERVING_SIGNATURE}.")
    text = (
        f"The SavedModel has the signatures {', '.join(signatures)}, and a server "
        f"needs {SERVING_SIGNATURE}: export it with that signature."
    )
    return no(ConditionType.SERVABLE, Reason.SIGNATURE_MISSING, text)


def _plan_deletion(version: ModelVersion, draft: VersionDraft, observed: VersionObserved) -> Plan:
    if names.FINALIZER_ARTIFACT not in version.metadata.finalizers:
        return Plan()
    draft = draft.set(phase=VersionPhase.DELETING)
    if observed.used_by:
        return draft.plan()
    refusal = _deletion_refusal(version, observed)
    if refusal:
        return draft.judge(refusal).plan(requeue_after=STORE_RETRY_SECONDS)
    return _removal(version, observed.manifest)


def _deletion_refusal(version: ModelVersion, observed: VersionObserved) -> Judgement | None:
    """Return why the artifact cannot be removed yet."""
    kind, fact = ConditionType.COMMITTED, observed.manifest
    if observed.refusal:
        return unknown(kind, observed.refusal.reason, observed.refusal.message)
    if observed.store is None:
        text = store_missing(version.spec.artifact.store_name)
        return unknown(kind, Reason.STORE_NOT_FOUND, text)
    if fact.state == "Unreachable":
        text = f"The artifact is removed once the store answers. {fact.message}"
        return unknown(kind, Reason.STORE_UNREACHABLE, text.strip())
    return None


def _removal(version: ModelVersion, fact: ManifestFact) -> Plan:
    """Remove the artifact by its manifest; the files of another object are not ours to remove."""
    spec = version.spec
    digest, misplaced = spec.artifact.manifest_digest, _misplaced(version)
    if misplaced or fact.state in _NOT_OURS:
        why = misplaced or fact.message
        text = f"The files of {spec.model_name} version {spec.version} were left. {why}".strip()
        reason = _NOT_OURS.get(fact.state, Reason.DIGEST_MISMATCH)
        event = Event("Warning", reason.value, bounded(text))
        return Plan(remove_finalizer=names.FINALIZER_ARTIFACT, events=(event,))
    artifact = RemoveArtifact(
        spec.artifact.store_name,
        version.metadata.namespace,
        spec.model_name,
        spec.version,
        digest,
    )
    return Plan(actions=(artifact,), remove_finalizer=names.FINALIZER_ARTIFACT)
