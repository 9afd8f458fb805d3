"""Rollouts: bring up, prove, move the traffic, clean up; and everything that stops one."""

import dataclasses

import pytest

from modelyard.api import names
from modelyard.api.deployment import ServerSpec
from modelyard.api.reasons import Reason
from modelyard.plan.core import Apply, Create, Delete, Plan, Refusal
from modelyard.plan.deployment import plan_deployment
from modelyard.plan.manifests.serving_deployment import SCALE_MANAGER
from modelyard.plan.observed import ServiceView
from modelyard.plan.revision import revision_of
from tests.builders import (
    DIGEST,
    NOW,
    OTHER_DIGEST,
    applied,
    deployment_observed,
    later,
    make_deployment,
    make_pod,
    make_trainer,
    make_version,
    make_workload,
    sentinel,
    serving_pod,
    text,
)
from tests.unit.plan.release_yard import NEXT, REV, SERVER

V4 = make_version(4, OTHER_DIGEST)


def service(revision, name="digits"):
    return ServiceView(name=name, uid=f"s-{name}", revision=revision)


def own_service(revision):
    return service(revision, names.serving_name("digits", revision))


def role(revision=REV, number=3, digest=DIGEST, since=NOW):
    return {
        "modelVersionName": f"digits-v{number}",
        "modelName": "digits",
        "version": number,
        "revision": revision,
        "digest": digest,
        "storeName": "default",
        "server": SERVER.dump(),
        "goldenSet": {"path": "assets.extra/golden.json", "samples": 4},
        "since": text(since),
    }


CANARY = role(NEXT, 4, OTHER_DIGEST)


def step(deployment, now=NOW, **observed):
    seen = deployment_observed(**observed)
    plan = plan_deployment(deployment, seen, now)
    return applied(deployment, plan), plan


def settle(deployment, now=NOW, **observed):
    """Plan until only actions are left."""
    for _ in range(5):
        deployment, plan = step(deployment, now, **observed)
        if plan.status is None:
            return deployment, plan
    raise AssertionError("the status never settles")


def judged(resource, kind):
    found = next(c for c in resource.status.conditions if c.type == kind)
    return f"{found.status}/{found.reason}"


def serving(**spec):
    """A deployment whose v3 serves, and the world in which it does."""
    world = {
        "workloads": (make_workload(REV, 1),),
        "services": (service(REV), own_service(REV)),
        "pods": (serving_pod(REV),),
        "sentinels": (sentinel(REV),),
    }
    return make_deployment({"stable": role()}, **spec), world


def rolling(**spec):
    """A deployment whose v3 serves while v4 is proved."""
    _, world = serving()
    status = {"stable": role(), "canary": CANARY}
    world = {
        "target": V4,
        "workloads": (*world["workloads"], make_workload(NEXT, 1)),
        "services": (*world["services"], own_service(NEXT)),
        "pods": (*world["pods"], serving_pod(NEXT)),
        "sentinels": (*world["sentinels"], sentinel(NEXT, OTHER_DIGEST)),
    }
    return make_deployment(status, modelVersionName="digits-v4", **spec), world


def kinds(plan):
    return [
        f"{type(action).__name__} {action.manifest['kind']} {action.manifest['metadata']['name']}"
        if not isinstance(action, Delete)
        else f"Delete {action.kind} {action.name}"
        for action in plan.actions
    ]


def test_the_canary_is_recorded_before_it_exists():
    deployment, plan = step(make_deployment())
    assert plan.actions == ()
    assert deployment.status.canary.revision == REV
    assert deployment.status.stable is None
    assert judged(deployment, "Progressing") == "True/RollingOut"
    assert judged(deployment, "ModelLoaded") == "Unknown/Loading"
    assert judged(deployment, "Ready") == "False/Loading"
    assert deployment.status.phase == "Progressing"


def test_then_its_deployment_and_service_are_created_once():
    deployment, _ = step(make_deployment())
    _, plan = settle(deployment)
    name = names.serving_name("digits", REV)
    assert kinds(plan) == [f"Create Deployment {name}", f"Create Service {name}"]
    assert plan.requeue_after
    _, again = settle(deployment, workloads=(make_workload(REV),), services=(own_service(REV),))
    assert again.actions == ()


def test_a_proved_canary_becomes_stable_in_one_write():
    deployment, world = rolling()
    after, plan = step(deployment, later(7), **world)
    assert plan.actions == ()
    assert after.status.stable.model_version_name == "digits-v4"
    assert after.status.stable.since == text(later(7))
    assert after.status.canary is None
    assert judged(after, "Progressing") == "False/Promoted"
    assert judged(after, "Ready") == "False/Unavailable"
    assert "Promoted" in [event.reason for event in plan.events]


def promoted():
    deployment, world = rolling()
    return step(deployment, **world)[0], world


def test_the_traffic_moves_before_anything_is_removed():
    deployment, world = promoted()
    _, plan = settle(deployment, **world)
    assert kinds(plan) == ["Apply Service digits"]
    assert plan.actions[0].manifest["spec"]["selector"][names.LABEL_VERSION] == NEXT


def test_old_revisions_go_once_the_service_is_seen_to_select_the_new_one():
    deployment, world = rolling(rollout={"warmStableSeconds": 0})
    deployment, _ = step(deployment, **world)
    world["services"] = (service(NEXT), own_service(REV), own_service(NEXT))
    after, plan = settle(deployment, **world)
    old = names.serving_name("digits", REV)
    assert kinds(plan) == [f"Delete Deployment {old}", f"Delete Service {old}"]
    assert plan.actions[0].uid == f"w-{REV}"
    assert judged(after, "Ready") == "True/Available"
    world["workloads"] = (make_workload(NEXT, 1), make_workload(REV, deleting=True))
    world["services"] = (service(NEXT), own_service(NEXT))
    assert settle(after, **world)[1].actions == ()


def test_a_serving_deployment_is_at_rest():
    deployment, world = serving()
    after, plan = settle(deployment, **world)
    assert plan == Plan()
    status = after.status
    assert (status.ready, status.replicas, status.ready_replicas) == ("1/1", 1, 1)
    assert (status.phase, status.stable.served_digest) == ("Healthy", DIGEST)
    assert status.selector == f"{names.LABEL_DEPLOYMENT}=digits,{names.LABEL_VERSION}={REV}"


NOT_PROVED = [
    {"pods": (serving_pod(NEXT, ready=False),)},
    {"pods": (serving_pod(NEXT, deleting=True),)},
    {"sentinels": ()},
    {"sentinels": (sentinel(NEXT, OTHER_DIGEST, "Pending"),)},
    {"workloads": ()},
    {"workloads": (make_workload(NEXT, 1, deleting=True),)},
    {"workloads": (make_workload(NEXT, 1, generation=2),)},
    {"workloads": (make_workload(NEXT, 0),)},
    {"workloads": (make_workload(NEXT, 2, replicas=2),)},
]


@pytest.mark.parametrize("change", NOT_PROVED)
def test_a_canary_is_not_promoted_on_less_than_full_proof(change):
    deployment, world = rolling()
    after, _ = step(deployment, **{**world, **change})
    assert after.status.stable.revision == REV
    assert after.status.canary.revision == NEXT


def test_every_wanted_pod_has_to_be_proved():
    deployment, world = rolling(replicas=2)
    world["workloads"] = (make_workload(REV, 2, replicas=2), make_workload(NEXT, 2, replicas=2))
    assert step(deployment, **world)[0].status.stable.revision == REV
    second = dataclasses.replace(serving_pod(NEXT), name="y", uid="p-2")
    world["pods"] += (second,)
    assert step(deployment, **world)[0].status.stable.revision == REV
    world["sentinels"] += (dataclasses.replace(sentinel(NEXT, OTHER_DIGEST), pod_uid="p-2"),)
    assert step(deployment, **world)[0].status.stable.revision == NEXT


def test_without_golden_predictions_readiness_and_digest_prove():
    _, world = rolling()
    world["sentinels"] = (sentinel(NEXT, OTHER_DIGEST, "Pending"),)
    status = {"stable": role(), "canary": {**CANARY, "goldenSet": None}}
    deployment = make_deployment(status, modelVersionName="digits-v4")
    assert step(deployment, **world)[0].status.stable.revision == NEXT


def crashing(restarts=3, **changes):
    given = {"exit_code": 139, "termination_message": "segfault", **changes}
    return make_trainer(name="server", restarts=restarts, **given)


OVERFED = crashing(exit_code=137, termination_reason="OOMKilled")


REFUTED = [
    ({"sentinels": (sentinel(NEXT, DIGEST),)}, NOW, "DigestMismatch", DIGEST),
    ({"sentinels": (sentinel(NEXT, OTHER_DIGEST, "Failed"),)}, NOW, "GoldenMismatch", "golden"),
    ({"pods": (serving_pod(NEXT, crashing(), ready=False),)}, NOW, "LoadFailed", "segfault"),
    (
        {"pods": (serving_pod(NEXT, OVERFED, ready=False),)},
        NOW,
        "OutOfMemory",
        "raise spec.server.resources.limits.memory",
    ),
    ({"pods": (), "sentinels": ()}, later(901), "LoadDeadlineExceeded", "900 s"),
    (
        {"pods": (serving_pod(NEXT, ready=False, unschedulable="0/1 nodes"),)},
        later(901),
        "LoadDeadlineExceeded",
        "0/1 nodes",
    ),
]


@pytest.mark.parametrize(("change", "now", "reason", "word"), REFUTED)
def test_a_broken_canary_is_blocked_and_stable_is_untouched(change, now, reason, word):
    deployment, world = rolling()
    after, plan = step(deployment, now, **{**world, **change})
    assert plan.actions == ()
    assert after.status.canary is None
    assert after.status.stable.revision == REV
    assert after.status.blocked_version == f"digits-v4/{NEXT}"
    assert judged(after, "Progressing") == f"False/{reason}"
    assert judged(after, "ModelLoaded") == f"False/{reason}"
    assert judged(after, "Ready") == "True/Available"
    assert word in after.status.message
    assert "Warning" in {event.type for event in plan.events}
    cleaned, plan = settle(after, now, **world)
    assert [kind.split()[1] for kind in kinds(plan)] == ["Deployment", "Service"]
    assert cleaned.status.canary is None


def test_a_blocked_version_is_not_retried_until_the_spec_changes():
    status = {"stable": role(), "blockedVersion": f"digits-v4/{NEXT}"}
    _, world = serving()
    blocked = make_deployment(status, modelVersionName="digits-v4")
    after, plan = settle(blocked, **{**world, "target": V4})
    assert plan == Plan()
    assert after.status.canary is None
    assert after.status.phase == "Degraded"
    back = make_deployment(status)
    healed, _ = settle(back, **world)
    assert healed.status.blocked_version is None
    other = make_deployment(status, modelVersionName="digits-v4", server={"drainSeconds": 30})
    retried, _ = step(other, **{**world, "target": V4})
    assert retried.status.canary is not None
    assert retried.status.blocked_version is None


@pytest.mark.parametrize("restarts", [0, 2])
def test_a_crash_is_told_at_once_and_is_no_verdict_before_the_third(restarts):
    deployment, world = rolling()
    world["pods"] = (serving_pod(NEXT, crashing(restarts), ready=False),)
    after, _ = step(deployment, **world)
    assert after.status.canary is not None
    assert "exit code 139" in after.status.message
    assert "segfault" in after.status.message


def test_the_obstacle_of_a_canary_is_told():
    deployment, world = rolling()
    fetch = make_trainer(name="fetch", exit_code=1, termination_message="404 manifest")
    for pod, word in (
        (serving_pod(NEXT, fetch, ready=False), "404 manifest"),
        (serving_pod(NEXT, ready=False, unschedulable="0/3"), "0/3"),
    ):
        after, _ = step(deployment, **{**world, "pods": (pod,)})
        assert word in after.status.message
    pending = dataclasses.replace(sentinel(NEXT, OTHER_DIGEST, "Pending"), message="loading")
    after, _ = step(deployment, **{**world, "sentinels": (pending,)})
    assert after.status.message == "loading"


def test_a_new_target_ends_the_canary_and_starts_only_when_it_is_gone():
    _, world = rolling()
    v5 = make_version(5, "sha256:" + "d" * 64)
    edited = make_deployment({"stable": role(), "canary": CANARY}, modelVersionName="digits-v5")
    dropped, plan = step(edited, **{**world, "target": v5})
    assert plan.actions == ()
    assert dropped.status.canary is None
    waiting, plan = settle(dropped, **{**world, "target": v5})
    assert [kind.split()[0] for kind in kinds(plan)] == ["Delete", "Delete"]
    assert waiting.status.canary is None
    _, quiet = serving()
    begun, _ = step(waiting, **{**quiet, "target": v5})
    assert begun.status.canary.model_version_name == "digits-v5"


def test_editing_the_spec_back_drops_the_canary():
    _, world = rolling()
    back = make_deployment({"stable": role(), "canary": CANARY})
    after, _ = step(back, **{**world, "target": make_version()})
    assert after.status.canary is None
    rested, plan = settle(after, **{**world, "target": make_version()})
    assert judged(rested, "Progressing") == "False/Promoted"
    assert len(plan.actions) == 2


def unready(**meta):
    return make_version(4, OTHER_DIGEST, meta=meta, status={})


TARGETS = [
    ({"target": None}, "VersionNotFound"),
    ({"target": unready()}, "VersionNotReady"),
    (
        {"target": make_version(4, OTHER_DIGEST, {"deletionTimestamp": text(NOW)})},
        "VersionNotReady",
    ),
    ({"target": V4, "stores": ()}, "StoreNotFound"),
]


@pytest.mark.parametrize(("change", "reason"), TARGETS)
def test_a_version_that_cannot_be_served_is_said_and_stable_stays(change, reason):
    deployment = make_deployment({"stable": role()}, modelVersionName="digits-v4")
    _, world = serving()
    after, plan = settle(deployment, **{**world, **change})
    assert plan == Plan()
    assert judged(after, "Accepted") == f"False/{reason}"
    assert judged(after, "Progressing") == f"False/{reason}"
    assert judged(after, "Ready") == "True/Available"
    assert after.status.message
    first, _ = settle(make_deployment(modelVersionName="digits-v4"), **change)
    assert judged(first, "Ready") == f"False/{reason}"
    assert first.status.phase == "Pending"


def test_a_served_version_that_is_being_deleted_goes_on_serving():
    deployment, world = serving()
    target = make_version(meta={"deletionTimestamp": text(NOW)})
    after, plan = settle(deployment, **{**world, "target": target})
    assert plan == Plan()
    assert judged(after, "Ready") == "True/Available"


def test_a_canary_whose_version_vanished_from_view_goes_on_unless_the_spec_moved():
    deployment, world = rolling()
    world["sentinels"] = ()
    assert step(deployment, **{**world, "target": None})[0].status.canary is not None
    moved = make_deployment({"stable": role(), "canary": CANARY}, modelVersionName="digits-v9")
    assert step(moved, **{**world, "target": None})[0].status.canary is None


def test_scaling_applies_replicas_alone_under_their_own_manager():
    deployment, world = serving(replicas=3)
    _, plan = settle(deployment, **world)
    (apply,) = plan.actions
    assert isinstance(apply, Apply)
    assert apply.field_manager == SCALE_MANAGER
    assert apply.manifest["spec"] == {"replicas": 3}
    assert apply.manifest["metadata"]["name"] == names.serving_name("digits", REV)


def test_zero_replicas_still_prove_a_canary_with_one_pod():
    deployment, world = rolling(replicas=0)
    assert step(deployment, **world)[0].status.stable.revision == NEXT
    stable, world = serving(replicas=0)
    _, plan = settle(stable, **world)
    assert plan.actions[0].manifest["spec"] == {"replicas": 0}
    world["workloads"] = (make_workload(REV, 0, replicas=0),)
    after, _ = settle(stable, **{**world, "pods": (), "sentinels": ()})
    assert judged(after, "Ready") == "True/Available"


def test_a_change_of_replicas_or_of_the_operators_defaults_is_no_new_revision():
    assert revision_of(DIGEST, ServerSpec()) == revision_of(DIGEST, ServerSpec(drain_seconds=10))
    assert revision_of(DIGEST, ServerSpec(drain_seconds=11)) != REV
    assert revision_of(DIGEST, ServerSpec(image="other")) != REV
    assert len(REV) == 10


def test_children_that_somebody_removed_come_back():
    deployment, world = serving()
    _, plan = settle(deployment, **{**world, "workloads": (), "pods": ()})
    assert isinstance(plan.actions[0], Create)
    after, plan = settle(deployment, **{**world, "services": (own_service(REV),)})
    assert kinds(plan) == ["Apply Service digits"]
    assert judged(after, "Ready") == "False/Unavailable"
    _, plan = settle(deployment, **{**world, "services": (service("zzz"), own_service(REV))})
    assert kinds(plan) == ["Apply Service digits"]


def test_a_deployment_that_is_going_is_not_created_over():
    deployment, world = serving()
    world["workloads"] = (make_workload(REV, 1, deleting=True),)
    assert settle(deployment, **world)[1].actions == ()


def test_a_stable_revision_that_the_spec_no_longer_names_is_built_again_from_its_record():
    deployment, world = rolling(server={"drainSeconds": 3})
    lost = {**role(), "server": ServerSpec(drain_seconds=7, image="old").dump()}
    deployment = make_deployment({"stable": lost, "canary": CANARY}, modelVersionName="digits-v4")
    world["workloads"] = world["workloads"][1:]
    world["pods"], world["sentinels"] = (), ()
    after, plan = settle(deployment, **world)
    assert kinds(plan) == [f"Create Deployment {names.serving_name('digits', REV)}"]
    pod = plan.actions[0].manifest["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "old"
    assert '"drainSeconds":7' in pod["initContainers"][0]["env"][0]["value"]
    assert DIGEST in pod["initContainers"][0]["env"][0]["value"]
    assert judged(after, "Ready") == "False/Unavailable"
    assert settle(deployment, **{**world, "stores": ()})[1].actions == ()


def test_pods_that_are_not_ready_make_it_degraded():
    deployment, world = serving(replicas=2)
    world["workloads"] = (make_workload(REV, 1, replicas=2),)
    after, _ = settle(deployment, **world)
    assert (after.status.phase, after.status.ready) == ("Degraded", "1/2")
    world["workloads"] = (make_workload(REV, 0, replicas=2),)
    after, _ = settle(deployment, **world)
    assert judged(after, "Ready") == "False/Unavailable"


def test_a_taken_name_is_told_and_nothing_is_written_over_it():
    deployment, world = serving()
    refusal = Refusal(Reason.NAME_CONFLICT, "Service digits is not ours.")
    after, plan = settle(deployment, **{**world, "services": (), "refusal": refusal})
    assert plan.actions == ()
    assert plan.requeue_after == 60
    assert judged(after, "Accepted") == "False/NameConflict"
    assert after.status.message == refusal.message


def test_a_deleted_deployment_leaves_everything_to_its_owner_references():
    deployment = make_deployment(meta={"deletionTimestamp": text(NOW)})
    assert plan_deployment(deployment, deployment_observed(), NOW) == Plan()


def test_a_disagreeing_pod_leaves_the_served_digest_as_it_was():
    deployment, world = serving()
    world["pods"] += (dataclasses.replace(serving_pod(REV), uid="p-2"),)
    world["sentinels"] += (dataclasses.replace(sentinel(REV, OTHER_DIGEST), pod_uid="p-2"),)
    after, _ = settle(deployment, **world)
    assert after.status.stable.served_digest is None


def test_pods_of_trainings_and_finished_pods_are_no_proof():
    deployment, world = rolling()
    world["pods"] = (make_pod(), serving_pod(NEXT, phase="Failed"))
    assert step(deployment, **world)[0].status.canary is not None


def test_the_conditions_of_a_deployment_are_all_there_from_the_start():
    deployment, _ = step(make_deployment(), target=None)
    assert {c.type for c in deployment.status.conditions} == {
        "Accepted",
        "Progressing",
        "GatesPassed",
        "ModelLoaded",
        "Paused",
        "RolledBack",
        "TrafficProgrammed",
        "Ready",
    }
