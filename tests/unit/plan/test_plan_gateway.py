"""Rollouts through a gateway: routes, acknowledgements, and the split that the pods observe."""

import dataclasses

import pytest

from modelyard.plan.core import Apply, Delete
from modelyard.plan.deployment import plan_deployment
from modelyard.plan.route_views import endpoints_view, route_view
from modelyard.plan.split import compare
from tests.builders import deployment_observed, later, make_deployment, text
from tests.unit.plan.release_yard import CHECKS, NEXT, REV, SLOW, Yard

PARENT = {"name": "public", "namespace": "infra"}
REST = {"rest": {"parentRefs": [PARENT], "hostnames": ["digits.example.com"]}}
GRPC = {"grpc": {"parentRefs": [PARENT], "hostnames": ["rpc.example.com"]}}
BOTH = {**REST, **GRPC}
OFFERED = frozenset({"HTTPRoute", "GRPCRoute", "EndpointSlice"})
TEN_FIFTY = [{"weight": 10}, {"weight": 50}]
STABLE, CANARY = f"digits-{REV}", f"digits-{NEXT}"


class GatewayYard(Yard):
    """A cluster with a gateway that takes routes as `answer` says."""

    def __init__(self, steps, gateway=BOTH, replicas=10, cohorts=(), **spec):
        traffic = {"gateway": gateway, "cohorts": list(cohorts)}
        super().__init__(steps, replicas=replicas, traffic=traffic, **spec)
        self.routes = {}
        self.answer = {}
        """Answers by kind: generation, Accepted, ResolvedRefs; absent takes everything."""
        self.writes = []
        """Weights of each write of a route, by Service."""
        self.offered = OFFERED
        self.claims = ()
        self.unready = {}

    def apply(self, action):
        kind = action.kind if isinstance(action, Delete) else action.manifest["kind"]
        if kind not in OFFERED:
            super().apply(action)
        elif isinstance(action, Delete):
            del self.routes[kind]
        else:
            self._write(kind, action.manifest)

    def _write(self, kind, manifest):
        before = self.routes.get(kind, {"metadata": {"generation": 0}})
        generation = before["metadata"]["generation"] + 1
        meta = {**manifest["metadata"], "uid": "u", "generation": generation}
        self.routes[kind] = {**manifest, "metadata": meta}
        self.writes.append((kind, self.weights(kind)))
        assert sum(self.weights(kind).values()) == 100

    def observed(self):
        base = super().observed()
        workloads = tuple(
            dataclasses.replace(w, ready_replicas=self._ready(w.revision)) for w in base.workloads
        )
        facts = tuple(
            dataclasses.replace(f, time=text(later(self.seconds))) for f in base.sentinels
        )
        return dataclasses.replace(
            base,
            workloads=workloads,
            sentinels=facts,
            offered=self.offered,
            claims=self.claims,
            routes=tuple(route_view(self._answered(raw)) for raw in self.routes.values()),
            endpoints=tuple(map(self._slice, self.replicas)),
        )

    def _ready(self, revision):
        return self.replicas[revision] - self.unready.get(revision, 0)

    def _slice(self, revision):
        ready = [{"conditions": {"ready": True}}] * self._ready(revision)
        labels = {"kubernetes.io/service-name": f"digits-{revision}"}
        gone = [{"conditions": {"ready": False}}]
        return endpoints_view({"metadata": {"labels": labels}, "endpoints": ready + gone})

    def _answered(self, raw):
        generation = raw["metadata"]["generation"]
        answer = self.answer.get(raw["kind"], (generation, "True", "True"))
        if answer is None:
            return raw
        seen, accepted, resolved = answer
        said = [
            {"type": kind, "status": status, "observedGeneration": seen, "reason": "R"}
            for kind, status in (("Accepted", accepted), ("ResolvedRefs", resolved))
        ]
        return {**raw, "status": {"parents": [{"parentRef": PARENT, "conditions": said}]}}

    def split(self, stable, canary, seconds=10):
        """Let the pods of each version answer so many requests more, each."""
        for revision, count in ((REV, stable), (NEXT, canary)):
            self._serve(revision, count)
        return self.go(seconds)

    def _serve(self, revision, count):
        before = self.counters.get(revision)
        self.serve(revision)
        requests = (before.requests if before else 0) + count
        self.counters[revision] = self.counters[revision].model_copy(update={"requests": requests})

    def counted(self):
        """Let the counting begin."""
        return self.go(1)

    def weights(self, kind="HTTPRoute"):
        refs = self.routes[kind]["spec"]["rules"][-1]["backendRefs"]
        return {ref["name"]: ref["weight"] for ref in refs}

    @property
    def gateway(self):
        return self.condition("TrafficProgrammed")

    @property
    def waits(self):
        return self.status.step.waiting_for


def test_both_routes_go_through_the_weights_and_the_promotion_writes_nothing():
    yard = GatewayYard(TEN_FIFTY).go()
    assert yard.weights("HTTPRoute") == yard.weights("GRPCRoute") == {STABLE: 90, CANARY: 10}
    assert yard.replicas == {REV: 10, NEXT: 1}
    yard.counted().split(27, 30)
    assert yard.weights() == {STABLE: 50, CANARY: 50}
    assert yard.replicas == {REV: 10, NEXT: 5}
    yard.counted().split(10, 20)
    assert yard.weights() == {CANARY: 100}
    yard.counted()
    yard.writes.clear()
    yard.selections.clear()
    yard.split(0, 10)
    assert yard.status.stable.revision == NEXT
    assert yard.writes == []
    assert yard.selections == [NEXT]
    assert yard.gateway == "True/Programmed"
    assert yard.status.warm.version.revision == REV


def test_the_public_service_selects_stable_until_the_promotion():
    yard = GatewayYard(TEN_FIFTY).go()
    yard.counted().split(27, 30).counted().split(10, 20)
    assert yard.weights() == {CANARY: 100}
    assert yard.selected == REV
    assert yard.selections == []


def test_the_backends_are_the_ports_of_rest_and_grpc():
    yard = GatewayYard(TEN_FIFTY).go()
    ports = {
        kind: {ref["port"] for ref in raw["spec"]["rules"][0]["backendRefs"]}
        for kind, raw in yard.routes.items()
    }
    assert ports == {"HTTPRoute": {8501}, "GRPCRoute": {8500}}
    assert yard.routes["GRPCRoute"]["spec"]["hostnames"] == ["rpc.example.com"]
    (parent,) = yard.routes["HTTPRoute"]["spec"]["parentRefs"]
    assert (parent["namespace"], parent["name"], parent["kind"]) == ("infra", "public", "Gateway")


@pytest.mark.parametrize(
    "answer", [None, (1, "True", "True"), (2, "False", "True"), (2, "True", "False")]
)
def test_a_step_waits_until_each_route_is_taken(answer):
    yard = GatewayYard(TEN_FIFTY)
    yard.answer["GRPCRoute"] = answer
    yard.go()
    yard.answer["HTTPRoute"] = (yard.routes["HTTPRoute"]["metadata"]["generation"], "True", "True")
    yard.routes["GRPCRoute"]["metadata"]["generation"] = 2
    yard.split(27, 30).split(27, 30)
    assert (yard.status.step.index, yard.waits) == (0, "Gateway")
    assert yard.status.traffic.programmed_since is None
    del yard.answer["GRPCRoute"], yard.answer["HTTPRoute"]
    yard.go().counted().split(27, 30)
    assert yard.status.step.index == 1


def test_a_silent_gateway_is_named_and_ends_the_rollout():
    yard = GatewayYard(TEN_FIFTY, gateway=REST, rollout={"progressDeadlineSeconds": 60})
    yard.answer["HTTPRoute"] = None
    yard.go()
    assert yard.gateway == "Unknown/Programming"
    yard.go(30)
    assert yard.gateway == "False/GatewaySilent"
    told = next(c for c in yard.status.conditions if c.type == "TrafficProgrammed").message
    assert "Gateway infra/public" in told
    assert "allows routes from namespace team for digits.example.com" in told
    yard.go(30)
    assert yard.status.canary is None
    assert yard.condition("RolledBack") == "True/ProgressDeadlineExceeded"
    assert "Gateway infra/public" in yard.status.message
    assert yard.status.stable.revision == REV
    assert NEXT in yard.replicas  # a gateway that has not answered may still send it requests
    del yard.answer["HTTPRoute"]
    assert NEXT not in yard.go().replicas


def test_a_route_that_is_refused_says_why():
    yard = GatewayYard(TEN_FIFTY, gateway=REST)
    yard.answer["HTTPRoute"] = (2, "False", "True")
    yard.go()
    assert yard.gateway == "False/RouteRefused"


def test_without_the_gateway_api_nothing_is_written_and_the_condition_says_so():
    yard = GatewayYard(TEN_FIFTY)
    yard.offered = frozenset()
    yard.go(100)
    assert yard.routes == {}
    assert yard.gateway == "False/GatewayAPIMissing"
    assert (yard.selected, yard.status.stable.revision) == (REV, REV)
    assert yard.waits == "Gateway"
    yard.offered = OFFERED
    yard.go()
    assert yard.weights() == {STABLE: 90, CANARY: 10}


def test_the_rollback_is_one_write_for_each_route_and_then_the_pods_go():
    yard = GatewayYard([{"weight": 50, "holdSeconds": 600}], rollout={"analysis": CHECKS}).go()
    yard.writes.clear()
    yard.counted()
    for _ in range(12):
        yard.serve(REV)
        yard.serve(NEXT, latency=SLOW)
        yard.answer["HTTPRoute"] = yard.answer.get("HTTPRoute") or (2, "True", "True")
        yard.go(10)
        if yard.status.canary is None:
            break
    assert yard.condition("RolledBack") == "True/ChecksFailed"
    assert yard.writes == [("HTTPRoute", {STABLE: 100}), ("GRPCRoute", {STABLE: 100})]


def test_stable_is_not_let_go_before_the_gateway_knows():
    yard = GatewayYard([{"weight": 100}], rollout={"warmStableSeconds": 0})
    yard.go().counted()
    yard.answer["HTTPRoute"] = (1, "True", "True")
    yard.routes["HTTPRoute"]["metadata"]["generation"] = 2
    yard.split(0, 100)
    assert yard.status.stable.revision == REV
    assert REV in yard.replicas
    del yard.answer["HTTPRoute"]
    yard.go().counted().split(0, 100)
    assert yard.status.stable.revision == NEXT
    assert yard.replicas == {NEXT: 10}


def test_a_weight_is_never_above_what_the_pods_carry():
    yard = GatewayYard([{"weight": 50}], gateway=REST)
    yard.unready[NEXT] = 3
    yard.go()
    assert yard.status.step is None or yard.writes[-1][1].get(CANARY, 0) <= 20
    yard.unready[NEXT] = 0
    yard.go()
    assert yard.weights() == {STABLE: 50, CANARY: 50}
    yard.unready[NEXT] = 4
    yard.go()
    assert yard.weights() == {STABLE: 90, CANARY: 10}
    assert yard.waits == "Traffic"
    yard.unready[NEXT] = 5
    yard.go()
    assert yard.weights() == {STABLE: 100}
    yard.unready[NEXT] = 0
    yard.go()
    assert yard.weights() == {STABLE: 50, CANARY: 50}


def test_a_service_without_a_ready_pod_gets_no_weight():
    """Not even stable's, when the canary that has everything goes."""
    yard = GatewayYard([{"weight": 100, "holdSeconds": 60}], gateway=REST).go()
    assert yard.weights() == {CANARY: 100}
    yard.unready[REV] = 10
    yard.order("abort")
    assert yard.weights() == {CANARY: 100}
    assert yard.gateway == "Unknown/NoReadyEndpoints"
    assert NEXT in yard.replicas
    yard.unready[REV] = 9
    yard.go()
    assert yard.weights() == {STABLE: 100}
    assert NEXT not in yard.replicas


def test_a_deployment_that_is_to_have_no_pods_gets_its_route():
    yard = GatewayYard([], gateway=REST, replicas=0).go()
    assert yard.weights() == {CANARY: 100}


def test_the_observed_split_must_agree():
    yard = GatewayYard(TEN_FIFTY, gateway=REST).go()
    yard.go(60)
    assert yard.waits == "Requests"
    yard.split(25, 2)
    assert (yard.waits, yard.status.traffic.needed) == ("Requests", 300)
    yard.split(25, 2)
    assert yard.waits == "Split"
    assert yard.gateway == "False/SplitDiffers"
    assert yard.status.traffic.shares[1].observed == "0.8"
    yard.split(27, 33)
    assert yard.status.step.index == 1
    assert yard.gateway == "True/Programmed"


def test_what_was_read_before_the_weight_came_into_force_does_not_count():
    yard = GatewayYard([{"weight": 50}], gateway=REST)
    yard.counters = {}
    yard.go()
    assert yard.status.traffic.counted is None
    yard.split(1000, 0, seconds=1)
    assert yard.status.traffic.counted.stable == 10_000
    yard.split(10, 20)
    assert yard.status.step.index == 1


def test_other_servers_begin_the_counting_anew():
    yard = GatewayYard([{"weight": 50}], gateway=REST).go().counted()
    before = yard.status.traffic.counted
    yard.deployment = yard.deployment.model_copy(
        update={"spec": yard.deployment.spec.model_copy(update={"replicas": 9})}
    )
    yard.go(10).go(10)
    assert yard.status.traffic.counted.servers != before.servers


def test_too_few_requests_end_the_rollout_or_pass_as_the_spec_says():
    rollout = {"progressDeadlineSeconds": 60}
    strict = GatewayYard(TEN_FIFTY, gateway=REST, rollout=rollout).go().go(60)
    assert strict.condition("RolledBack") == "True/ProgressDeadlineExceeded"
    assert "too few requests" in strict.status.message
    lax = GatewayYard(TEN_FIFTY, gateway=REST, rollout={"analysis": {**CHECKS, "onNoData": "Pass"}})
    assert lax.go().go(1).status.stable.revision == NEXT
    quick = GatewayYard(
        TEN_FIFTY, gateway=REST, rollout={"analysis": {**CHECKS, "onNoData": "Fail"}}
    )
    assert quick.go().go(1).condition("RolledBack") == "True/NoData"


def test_without_steps_the_gateway_is_waited_for_and_nothing_is_compared():
    yard = GatewayYard([], gateway=REST)
    yard.answer["HTTPRoute"] = None
    yard.go()
    assert (yard.waits, yard.status.stable.revision) == ("Gateway", REV)
    del yard.answer["HTTPRoute"]
    assert yard.go().status.stable.revision == NEXT


def test_back_to_the_warm_one_waits_for_the_gateway_only():
    yard = GatewayYard([], gateway=REST).go()
    yard.writes.clear()
    yard.edit(model_version_name="digits-v3")
    assert yard.status.stable.revision == REV
    assert yard.writes == [("HTTPRoute", {STABLE: 100})]


def test_a_cohort_meets_the_canary_as_soon_as_it_is_proved():
    beta = {"name": "beta", "header": {"name": "x-cohort", "value": "beta"}}
    yard = GatewayYard([{"pause": {}}, {"weight": 50}], cohorts=[beta]).go()
    cohort, everybody = yard.routes["HTTPRoute"]["spec"]["rules"]
    assert [ref["name"] for ref in cohort["backendRefs"]] == [CANARY]
    assert cohort["matches"] == [
        {"headers": [{"type": "Exact", "name": "x-cohort", "value": "beta"}]}
    ]
    assert [ref["name"] for ref in everybody["backendRefs"]] == [STABLE]
    yard.order("abort")
    assert len(yard.routes["GRPCRoute"]["spec"]["rules"]) == 1


def test_with_cohorts_the_canary_may_get_more_than_its_weight():
    beta = {"name": "beta", "header": {"name": "x-cohort", "value": "beta"}}
    yard = GatewayYard(TEN_FIFTY, cohorts=[beta]).go().counted()
    yard.split(20, 200)
    assert yard.status.step.index == 1


def test_the_host_belongs_to_the_older_deployment():
    yard = GatewayYard(TEN_FIFTY)
    older = make_deployment(
        meta={"name": "first", "namespace": "other", "creationTimestamp": ""},
        traffic={"gateway": REST},
    )
    from modelyard.plan.claims import claims_of

    yard.claims = tuple(claims_of(older))
    meta = yard.deployment.metadata.model_copy(update={"creation_timestamp": text(later(0))})
    yard.deployment = yard.deployment.model_copy(update={"metadata": meta})
    yard.go()
    assert yard.gateway == "False/HostnameConflict"
    told = next(c for c in yard.status.conditions if c.type == "TrafficProgrammed").message
    assert "ModelDeployment other/first" in told
    assert set(yard.routes) == {"GRPCRoute"}
    assert yard.waits == "Gateway"
    yard.claims = ()
    yard.go()
    assert set(yard.routes) == {"HTTPRoute", "GRPCRoute"}
    yard.claims = tuple(claims_of(older))
    yard.go()
    assert set(yard.routes) == {"GRPCRoute"}


def test_listeners_of_their_own_do_not_conflict():
    from modelyard.plan.claims import claims_of, lost

    def one(deployment, **parent):
        rest = {"parentRefs": [{**PARENT, **parent}], "hostnames": ["a.example.com"]}
        return make_deployment(meta={"name": deployment}, traffic={"gateway": {"rest": rest}})

    def loses(mine, other):
        return bool(lost(mine, tuple(claims_of(other))))

    assert loses(one("b"), one("a"))
    assert not loses(one("a"), one("b"))
    assert loses(one("b", sectionName="web"), one("a"))
    assert not loses(one("b", sectionName="web"), one("a", sectionName="rpc"))
    assert not loses(one("b", port=80), one("a", port=81))
    assert not loses(one("b", name="private"), one("a"))


def test_routes_go_with_the_gateway_setting():
    yard = GatewayYard([{"weight": 10, "holdSeconds": 60}]).go()
    traffic = yard.deployment.spec.traffic.model_copy(update={"gateway": None})
    yard.edit(traffic=traffic)
    assert yard.routes == {}
    assert yard.gateway == "True/ReplicaWeighted"
    assert yard.selected == "*"


def test_a_route_that_somebody_edits_is_written_again():
    yard = GatewayYard(TEN_FIFTY, gateway=REST).go()
    yard.routes["HTTPRoute"]["spec"]["rules"][-1]["backendRefs"][0]["weight"] = 7
    yard.go()
    assert yard.weights() == {STABLE: 90, CANARY: 10}


def test_a_service_of_a_version_that_somebody_edits_is_written_again():
    yard = GatewayYard([{"weight": 10, "holdSeconds": 60}]).go()
    own = [dataclasses.replace(s, revision="else") for s in yard.observed().services[1:]]
    seen = dataclasses.replace(
        yard.observed(), services=(yard.observed().services[0], *own), routes=()
    )
    plan = plan_deployment(yard.deployment, seen, later(yard.seconds))
    written = {a.manifest["metadata"]["name"] for a in plan.actions if isinstance(a, Apply)}
    assert written >= {STABLE, CANARY}


def test_without_a_gateway_the_condition_says_what_pods_give():
    yard = Yard([{"weight": 10, "holdSeconds": 60}], replicas=1).go()
    told = next(c for c in yard.status.conditions if c.type == "TrafficProgrammed")
    assert (told.status, told.reason) == ("True", "ReplicaWeighted")
    assert "50 % of the connections where 10 % are meant" in told.message


def test_before_a_version_serves_there_is_no_traffic_to_speak_of():
    first = make_deployment(traffic={"gateway": REST})
    plan = plan_deployment(first, deployment_observed(offered=OFFERED), later(0))
    assert "traffic" not in plan.status


def test_a_route_is_read_as_it_was_written():
    from modelyard.plan.gateway import wanted_routes
    from modelyard.plan.manifests.routes import route_manifest

    beta = {"name": "beta", "header": {"name": "x-cohort", "value": "beta"}}
    yard = GatewayYard([{"pause": {}}, {"weight": 50}], cohorts=[beta]).go()
    for route in wanted_routes(yard.deployment, yard.status, yard.observed()):
        assert route_view(route_manifest(yard.deployment, route)).route == route


@pytest.mark.parametrize("weight", [1, 5, 10, 25, 50, 75, 99])
def test_none_at_all_never_agrees_and_exact_shares_always_do(weight):
    needed = compare(weight, 0, 0).needed
    for total in (needed, 10 * needed):
        exact = round(total * weight / 100)
        assert compare(weight, total - exact, exact).verdict == "Agrees"
        assert compare(weight, total, 0).verdict == "Differs"
        assert compare(weight, 0, total).verdict == "Differs"


def test_everything_is_everything_but_for_stragglers():
    assert compare(100, 2, 100).verdict == "Agrees"
    assert compare(100, 30, 100).verdict == "Differs"
    assert compare(100, 0, 29).verdict == "NeedMoreData"


def test_lots_drawn_for_each_request_agree_almost_always():
    import random

    draw = random.Random(4)  # noqa: S311 - repeatable, not secret
    missed = 0
    for _ in range(400):
        canary = sum(draw.random() < 0.1 for _ in range(400))
        missed += compare(10, 400 - canary, canary).verdict == "Differs"
    assert missed == 0
