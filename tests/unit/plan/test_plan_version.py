import pytest

from modelyard.api import names
from modelyard.api.reasons import Reason
from modelyard.plan.core import Plan, Refusal, RemoveArtifact
from modelyard.plan.observed import ManifestFact
from modelyard.plan.version import plan_version, version_needs
from tests.builders import (
    DIGEST,
    NOW,
    applied,
    found,
    later,
    make_version,
    text,
    version_observed,
)

DELETING = {"deletionTimestamp": text(NOW)}


def step(version, now=NOW, **observed):
    plan = plan_version(version, version_observed(**observed), now)
    after = applied(version, plan)
    if not plan.remove_finalizer:
        assert plan_version(after, version_observed(**observed), later(30)).empty
    return after, plan


def judged(version, kind):
    found = next(c for c in version.status.conditions if c.type == kind)
    return f"{found.status}/{found.reason}"


def fresh(**changes):
    return make_version(status={}, **changes)


def test_a_version_is_ready_once_its_files_match():
    version, plan = step(fresh(), manifest=found())
    assert [judged(version, k) for k in ("Committed", "Verified", "Servable", "InUse")] == [
        "True/ManifestWritten",
        "True/DigestsMatch",
        "True/SignatureFound",
        "False/NotServed",
    ]
    assert version.status.phase == "Ready"
    assert version.status.primary_metric == "log_loss=0.2"
    assert (version.status.short_digest, version.status.size) == ("aaaaaaaaaaaa", "10B")
    assert plan.actions == ()
    assert not version_needs(version)


def test_the_manifest_is_read_until_verified_and_to_delete():
    assert version_needs(fresh())
    assert version_needs(make_version(meta=DELETING))
    assert not version_needs(make_version(meta={**DELETING, "finalizers": []}))


OUTCOMES = [
    (ManifestFact("Missing"), "Failed", "Verified", "False/ManifestMissing"),
    (ManifestFact("Tombstone"), "Failed", "Committed", "False/ManifestMissing"),
    (ManifestFact("Mismatch"), "Quarantined", "Verified", "False/DigestMismatch"),
    (ManifestFact("Incomplete", message="x"), "Quarantined", "Servable", "False/DigestMismatch"),
    (ManifestFact("Unreachable"), "Verifying", "Verified", "Unknown/StoreUnreachable"),
    (found(namespace="other"), "Quarantined", "Verified", "False/DigestMismatch"),
    (found(version=4), "Quarantined", "Verified", "False/DigestMismatch"),
]


@pytest.mark.parametrize(("fact", "phase", "kind", "expected"), OUTCOMES)
def test_anything_else_is_said_and_looked_at_again(fact, phase, kind, expected):
    version, plan = step(fresh(), manifest=fact)
    assert (version.status.phase, judged(version, kind)) == (phase, expected)
    assert plan.requeue_after
    healed, _ = step(version, manifest=found())
    assert judged(healed, "Verified") == "True/DigestsMatch"


def test_an_artifact_of_another_namespace_is_never_served():
    version = fresh()
    artifact = version.spec.artifact.model_copy(update={"path": "other/digits/3/"})
    foreign = version.model_copy(
        update={"spec": version.spec.model_copy(update={"artifact": artifact})}
    )
    after, _ = step(foreign, manifest=found())
    assert judged(after, "Verified") == "False/DigestMismatch"


def test_a_second_object_for_the_same_files_is_neither_served_nor_may_it_remove_them():
    namesake = {"name": "digits-v03"}
    after, _ = step(fresh(meta=namesake), manifest=found())
    assert judged(after, "Verified") == "False/DigestMismatch"
    _, plan = step(make_version(meta={**namesake, **DELETING}), manifest=found())
    assert plan.actions == ()
    assert plan.remove_finalizer == names.FINALIZER_ARTIFACT
    assert "digits-v3" in plan.events[0].message


def test_a_model_without_the_serving_signature_is_not_servable():
    other = [s.dump() for s in found().manifest.signatures]
    other[0]["name"] = "train"
    version, _ = step(fresh(), manifest=found(signatures=other))
    assert judged(version, "Verified") == "True/DigestsMatch"
    assert judged(version, "Servable") == "False/SignatureMissing"


def test_an_unknown_store_is_named():
    version, _ = step(fresh(), store=None)
    assert judged(version, "Committed") == "Unknown/StoreNotFound"


def test_a_version_made_by_hand_is_guarded_too():
    _, plan = step(fresh(meta={"finalizers": []}), manifest=found())
    assert plan.add_finalizer == names.FINALIZER_ARTIFACT


def test_users_are_shown_and_hold_a_deletion():
    version, _ = step(make_version(), used_by=("a", "b"))
    assert version.status.used_by == ("a", "b")
    assert judged(version, "InUse") == "True/Served"
    held, plan = step(make_version(meta=DELETING), used_by=("a",), manifest=found())
    assert plan.remove_finalizer is None
    assert plan.actions == ()
    assert held.status.phase == "Deleting"
    assert "waits" in next(c.message for c in held.status.conditions if c.type == "InUse")


@pytest.mark.parametrize("fact", [found(), ManifestFact("Tombstone"), ManifestFact("Incomplete")])
def test_the_artifact_goes_before_the_object(fact):
    _, plan = step(make_version(meta=DELETING), manifest=fact)
    assert plan.actions == (RemoveArtifact("default", "team", "digits", 3, DIGEST),)
    assert plan.remove_finalizer == names.FINALIZER_ARTIFACT


@pytest.mark.parametrize("state", ["Mismatch", "Missing"])
def test_files_under_another_manifest_are_not_ours_to_remove(state):
    _, plan = step(make_version(meta=DELETING), manifest=ManifestFact(state))
    assert plan.actions == ()
    assert plan.remove_finalizer == names.FINALIZER_ARTIFACT
    assert plan.events[0].type == "Warning"


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ({"manifest": ManifestFact("Unreachable")}, "Unknown/StoreUnreachable"),
        ({}, "Unknown/StoreUnreachable"),
        ({"store": None}, "Unknown/StoreNotFound"),
        (
            {"refusal": Refusal(Reason.FORBIDDEN, "403"), "manifest": found()},
            "Unknown/Forbidden",
        ),
    ],
)
def test_the_object_stays_until_the_store_is_back(observed, expected):
    version, plan = step(make_version(meta=DELETING), **observed)
    assert plan.remove_finalizer is None
    assert plan.requeue_after
    assert judged(version, "Committed") == expected


def test_without_our_finalizer_a_deleted_version_is_left_alone():
    version = make_version(meta={**DELETING, "finalizers": ["other/one"]})
    assert plan_version(version, version_observed(), NOW) == Plan()
