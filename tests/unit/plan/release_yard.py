"""A cluster that does what the plans of a release say, and serves requests while time goes by."""

import dataclasses

from modelyard.api import names
from modelyard.api.deployment import ServerSpec
from modelyard.api.serve import ServerCounters
from modelyard.plan.core import Apply, Delete
from modelyard.plan.deployment import plan_deployment
from modelyard.plan.observed import ContainerView, ServiceView
from modelyard.plan.revision import revision_of
from tests.builders import (
    DIGEST,
    OTHER_DIGEST,
    applied,
    deployment_observed,
    later,
    make_deployment,
    make_version,
    make_workload,
    sentinel,
    serving_pod,
    text,
)

SERVER = ServerSpec()
REV = revision_of(DIGEST, SERVER)
NEXT = revision_of(OTHER_DIGEST, SERVER)
DIGESTS = {REV: DIGEST, NEXT: OTHER_DIGEST}
VERSIONS = {
    "digits-v3": make_version(),
    "digits-v4": make_version(4, OTHER_DIGEST),
    "cats-v4": make_version(4, OTHER_DIGEST, {"name": "cats-v4"}),
}
VERSIONS["cats-v4"] = VERSIONS["cats-v4"].model_copy(
    update={"spec": VERSIONS["cats-v4"].spec.model_copy(update={"model_name": "cats"})}
)
STABLE = {
    "modelVersionName": "digits-v3",
    "modelName": "digits",
    "version": 3,
    "revision": REV,
    "digest": DIGEST,
    "storeName": "default",
    "server": SERVER.dump(),
    "since": text(later(0)),
}
CHECKS = {
    "intervalSeconds": 10,
    "checks": [
        {"name": "errors", "errorRate": {"minSamples": 100}},
        {"name": "latency", "latency": {"minSamples": 100}},
    ],
}
FAST = (0,) * 15 + (40, 50, 10) + (0,) * 16
SLOW = (0,) * 17 + (40, 50, 10) + (0,) * 14
EVERY = "*"


class Yard:
    """A cluster that does what a plan says, and serves requests while time goes by."""

    def __init__(self, steps, replicas=9, **spec):
        rollout = {"steps": steps, **spec.pop("rollout", {})}
        self.deployment = make_deployment(
            {"stable": STABLE},
            modelVersionName="digits-v4",
            replicas=replicas,
            rollout=rollout,
            **spec,
        )
        self.seconds = 0.0
        self.replicas = {REV: replicas}
        self.selected = REV
        self.counters = {}
        self.restarts = {}
        self.readable, self.cause = True, ""
        self.selections = []
        self.most = 0
        """Most revisions that had pods at once."""

    def go(self, seconds=0.0):
        """Let time go by, and let the operator plan until it rests."""
        self.seconds += seconds
        for _ in range(20):
            plan = plan_deployment(self.deployment, self.observed(), later(self.seconds))
            self.deployment = applied(self.deployment, plan)
            for action in plan.actions:
                self.apply(action)
            if plan.status is None and not plan.actions:
                return self
        raise AssertionError("the plan never settles")

    def apply(self, action):
        if isinstance(action, Delete):
            if action.kind == "Deployment":
                del self.replicas[action.uid.removeprefix("w-")]
            return
        manifest = action.manifest
        labels = manifest["metadata"].get("labels", {})
        if manifest["kind"] == "Deployment":
            self.replicas[labels[names.LABEL_VERSION]] = manifest["spec"]["replicas"]
            self.most = max(self.most, len(self.replicas))
        elif isinstance(action, Apply) and manifest["metadata"]["name"] == "digits":
            self.selected = manifest["spec"]["selector"].get(names.LABEL_VERSION, EVERY)
            self.selections.append(self.selected)

    def observed(self):
        pods = [
            dataclasses.replace(
                serving_pod(revision), uid=f"p-{revision}-{n}", containers=(self._server(revision),)
            )
            for revision, count in self.replicas.items()
            for n in range(count)
        ]
        facts = [
            dataclasses.replace(
                sentinel(pod.revision, DIGESTS.get(pod.revision, OTHER_DIGEST)),
                pod_uid=pod.uid,
                counters=self.counters.get(pod.revision, ServerCounters()),
            )
            for pod in pods
        ]
        own = [ServiceView(names.serving_name("digits", r), f"s-{r}", r) for r in self.replicas]
        return deployment_observed(
            target=VERSIONS[self.deployment.spec.model_version_name],
            serving=VERSIONS[self.status.stable.model_version_name] if self.readable else None,
            workloads=tuple(
                make_workload(revision, count, replicas=count)
                for revision, count in self.replicas.items()
            ),
            services=(ServiceView("digits", "s-digits", self.selected), *own),
            pods=tuple(pods),
            sentinels=tuple(facts),
        )

    def _server(self, revision):
        restarts = self.restarts.get(revision, 0)
        return ContainerView(
            "server", restarts=restarts, exit_code=139, termination_reason=self.cause
        )

    def serve(self, revision, failed=0, latency=FAST):
        """Let each pod of a revision answer a hundred requests more."""
        before = self.counters.get(revision, ServerCounters())
        self.counters[revision] = ServerCounters(
            requests=before.requests + 100,
            server_errors=before.server_errors + failed,
            latency=tuple(a + b for a, b in zip(before.latency, latency, strict=True)),
        )

    def traffic(self, intervals, failed=0, latency=FAST):
        """Let time go by with traffic on both sides."""
        for _ in range(intervals):
            self.serve(REV)
            self.serve(NEXT, failed, latency)
            self.go(10)
        return self

    def order(self, verb, nonce="1", by="ana", reason="because"):
        annotations = {
            names.ANNOTATION_COMMAND: verb,
            names.ANNOTATION_NONCE: nonce,
            names.ANNOTATION_BY: by,
            names.ANNOTATION_REASON: reason,
        }
        metadata = self.deployment.metadata.model_copy(update={"annotations": annotations})
        self.deployment = self.deployment.model_copy(update={"metadata": metadata})
        return self.go()

    def edit(self, order="", nonce="e", **fields):
        """Change the spec, in the same write as an order if there is one."""
        spec = self.deployment.spec.model_copy(update=fields)
        after = {"generation": self.deployment.metadata.generation + 1}
        metadata = self.deployment.metadata.model_copy(update=after)
        self.deployment = self.deployment.model_copy(update={"spec": spec, "metadata": metadata})
        return self.order(order, nonce) if order else self.go()

    @property
    def status(self):
        return self.deployment.status

    def condition(self, kind):
        found = next(c for c in self.status.conditions if c.type == kind)
        return f"{found.status}/{found.reason}"

    @property
    def rolled_back(self):
        return (
            self.status.canary is None
            and self.status.stable.revision == REV
            and self.selected == REV
            and NEXT not in self.replicas
            and self.status.blocked_version == f"digits-v4/{NEXT}"
        )
