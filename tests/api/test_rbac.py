"""The chart grants what the operator asks for, and nothing else: both read from the audit log."""

from functools import partial
from itertools import product

import pytest

from modelyard.api import names
from modelyard.kube.kinds import Raw
from modelyard.plan.route_views import SERVICE_NAME
from tests.api import faults
from tests.api.chart import operator_role
from tests.api.faults import Answer, Drop
from tests.api.journey import Golden, Journey
from tests.api.operators import LEASE_NAME, deployment, place, training
from tests.api.proxy import Request
from tests.api.stage import Stage, Workshop
from tests.api.tier import Asked, audited

pytest_plugins = ["tests.plugins.seaweed"]
pytestmark = pytest.mark.api

Right = tuple[str, str, str]
"""Group, resource (with its subresource), verb."""

ASKED_BY_ADMISSION = {
    ("modelyard.dev", "modeltrainings/finalizers", "update"),
    ("modelyard.dev", "modeldeployments/finalizers", "update"),
    ("gateway.networking.k8s.io", "httproutes", "create"),
    ("gateway.networking.k8s.io", "grpcroutes", "create"),
}
"""Nobody sends these requests: an admission plugin asks for the right when a child is created, and
the API server itself when a server-side apply makes an object."""
GATEWAY = {
    kind: {"parentRefs": [{"name": "public"}], "hostnames": [f"{kind}.example.com"]}
    for kind in ("rest", "grpc")
}


def granted() -> set[Right]:
    return {
        right
        for rule in operator_role()
        for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def lost_answers(request: Request) -> bool:
    """Choose the creation of each object, once: the next try finds it, and must look at it."""
    return request.method == "POST" and request.write and not request.path.endswith("/events")


def test_every_right_is_used_and_nothing_else_is_asked_for(
    workshop: Workshop, golden: Golden
) -> None:
    """After the story no watch says a word, so that sweeps must read every kind."""
    with workshop.stage("rights", exit_code=lambda run: 1 if run.training_name == "bad" else 0) as (
        stage
    ):
        lost = Answer(504, faults.once_each(lost_answers), after=True)
        stage.door.faults.append(lost)
        _lead_second(stage)
        story = Journey(stage, golden.story).tell()
        assert story == golden.story
        stage.door.watch_faults.append(Drop(1))
        _scale(stage)
        _route(stage)
        _fail(stage)
    asked = set(audited(workshop.tier.folder, stage.namespace))
    assert {a for a in asked if not a.allowed} == set()  # admission's refusals are no decisions
    used = {(a.group, a.resource, a.verb) for a in asked if _ours(a)}
    assert used == granted() - ASKED_BY_ADMISSION


@pytest.mark.parametrize("kind", ["ModelTraining", "ModelDeployment"])
def test_admission_asks_for_the_right_to_block_an_owners_deletion(
    workshop: Workshop, kind: str
) -> None:
    """Only some clusters run that admission plugin; this API server does."""
    with workshop.stage("less", without=f"{kind.lower()}s/finalizers") as stage:
        stage.operator.start()
        if kind == "ModelTraining":
            stage.begin()
            stage.tier.cluster.create(training("web", stage.namespace))
            aspect = "Running"
        else:
            stage.publish()
            stage.tier.cluster.create(deployment("web", stage.namespace, "digits-v1"))
            aspect = "Accepted"
        stage.wait(
            "the status says which right is missing",
            lambda: stage.judged(kind, "web", aspect)[1] == "Forbidden",
        )
        assert "blockOwnerDeletion" in str(stage.live(kind, "web")["status"]["conditions"])


def _ours(asked: Asked) -> bool:
    """Leave out what every ServiceAccount may ask about itself."""
    return asked.group != "authorization.k8s.io"


def _lead_second(stage: Stage) -> None:
    """Let the operator wait until somebody else's Lease is gone, and then make its own."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE_NAME, "namespace": stage.namespace},
        "spec": {"holderIdentity": "somebody else", "leaseDurationSeconds": 600},
    }
    stage.tier.cluster.create(lease)
    stage.operator.start()
    stage.wait("it watches the Lease", lambda: any(r.lease and r.watch for r in stage.door.seen))
    stage.tier.cluster.delete("Lease", stage.namespace, LEASE_NAME)


def _scale(stage: Stage) -> None:
    """Let a deployment grow."""
    stage.tier.cluster.create(training("again", stage.namespace))
    stage.wait("it is trained", lambda: stage.phase("ModelVersion", "digits-v3") == "Ready")
    stage.serve("digits-v3")
    path = place("ModelDeployment", stage.namespace, "web")
    stage.tier.cluster.call("PATCH", path, {"spec": {"replicas": 2}})
    stage.wait(
        "it has grown", lambda: stage.live("ModelDeployment", "web")["status"]["ready"] == "2/2"
    )


def _route(stage: Stage) -> None:
    """Let routes come, once a Service has a ready pod, and go."""
    web, cluster = stage.live("ModelDeployment", "web"), stage.tier.cluster
    path = place("ModelDeployment", stage.namespace, "web")
    cluster.call("PATCH", path, {"spec": {"traffic": {"gateway": GATEWAY}}})
    cluster.create(_endpoints(web))
    for kind in ("HTTPRoute", "GRPCRoute"):
        stage.wait(f"there is a {kind}", partial(cluster.get, kind, stage.namespace, "web"))
    cluster.call("PATCH", path, {"spec": {"traffic": {"gateway": None}}})
    for kind in ("HTTPRoute", "GRPCRoute"):
        stage.wait(
            f"the {kind} is gone",
            lambda kind=kind: cluster.get(kind, stage.namespace, "web") is None,
        )


def _endpoints(deployment: Raw) -> Raw:
    """Return what the controller of EndpointSlices makes of the stable version's Service."""
    meta = deployment["metadata"]
    service = names.serving_name(meta["name"], deployment["status"]["stable"]["revision"])
    labels = {names.LABEL_OWNER_UID: meta["uid"], SERVICE_NAME: service}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service, "namespace": meta["namespace"], "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}],
    }


def _fail(stage: Stage) -> None:
    """Let a training fail, so that its log is asked for."""
    stage.tier.cluster.create(training("bad", stage.namespace))
    stage.wait(
        "it has failed", lambda: stage.live("ModelTraining", "bad").get("status", {}).get("failure")
    )
