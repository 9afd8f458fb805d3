"""Rollouts in steps: weights, holds, checks, pauses, orders, and everything that ends one."""

import dataclasses

import pytest

from modelyard.api.deployment import ServerSpec
from modelyard.api.rollout_gates import ReleaseGate
from modelyard.plan.analysis import judging
from tests.unit.plan.release_yard import (
    CHECKS,
    EVERY,
    NEXT,
    REV,
    SLOW,
    Yard,
)

TEN_FIFTY = [{"weight": 10, "holdSeconds": 30}, {"weight": 50, "holdSeconds": 30}]


def test_weights_are_held_then_raised_then_promoted():
    yard = Yard(TEN_FIFTY).go()
    assert (yard.replicas, yard.selected) == ({REV: 9, NEXT: 1}, EVERY)
    assert (yard.status.step.shown, yard.status.step.waiting_for) == ("1/3", "Hold")
    yard.go(29)
    assert yard.status.step.index == 0
    yard.go(1)
    assert (yard.replicas, yard.status.step.weight) == ({REV: 9, NEXT: 9}, 50)
    yard.go(30)
    assert yard.status.stable.model_version_name == "digits-v4"
    assert yard.selections == [EVERY, NEXT]
    assert yard.status.history[0].action == "Promoted"
    assert yard.status.history[0].duration_seconds == 60


def test_the_one_before_stays_warm_and_goes_back_in_one_write():
    yard = Yard([{"weight": 50}]).go()
    assert yard.status.warm.version.revision == REV
    assert yard.replicas == {REV: 9, NEXT: 9}
    yard.selections.clear()
    yard.edit(model_version_name="digits-v3")
    assert yard.status.stable.revision == REV
    assert yard.selections == [REV]
    assert yard.status.history[0].version == "digits-v3"


def test_the_warm_one_goes_when_its_time_is_up():
    yard = Yard([{"weight": 50}], rollout={"warmStableSeconds": 60}).go()
    yard.go(59)
    assert REV in yard.replicas
    yard.go(1)
    assert yard.replicas == {NEXT: 9}


def test_a_third_version_lets_the_warm_one_go_first():
    yard = Yard([{"weight": 50}]).go()
    yard.edit(server=ServerSpec(drain_seconds=3))
    assert REV not in yard.replicas
    assert yard.most == 2


def test_checks_hold_a_step_until_they_pass():
    yard = Yard([{"weight": 50, "holdSeconds": 10}], rollout={"analysis": CHECKS}).go()
    yard.go(100)
    assert yard.status.step.waiting_for == "Checks"
    yard.traffic(3)
    assert {check.verdict for check in yard.status.analysis} == {"Pass"}
    assert yard.status.stable.model_version_name == "digits-v4"
    assert "stable 0.00%" in yard.status.history[0].evidence


@pytest.mark.parametrize(
    ("bad", "check"), [({"failed": 30}, "errors"), ({"latency": SLOW}, "latency")]
)
def test_a_bad_version_is_rolled_back(bad, check):
    yard = Yard([{"weight": 50, "holdSeconds": 600}], rollout={"analysis": CHECKS}).go()
    yard.traffic(12, **bad)
    assert yard.rolled_back
    assert yard.condition("RolledBack") == "True/ChecksFailed"
    assert f"Check {check} failed" in yard.status.message
    assert yard.status.history[0].action == "RolledBack"
    assert yard.selections == [EVERY, REV]


def test_the_verdict_is_the_same_when_the_operator_starts_anew_at_every_look():
    """Everything the judge knows stands in the status: planning is a pure function of it."""
    once = Yard([{"weight": 50, "holdSeconds": 600}], rollout={"analysis": CHECKS}).go()
    again = Yard([{"weight": 50, "holdSeconds": 600}], rollout={"analysis": CHECKS}).go()
    for _ in range(20):
        once.traffic(1, failed=5)
        again.traffic(1, failed=5)
        dumped = again.deployment.model_dump_json(by_alias=True)
        again.deployment = type(again.deployment).model_validate_json(dumped)
        assert once.status == again.status


def test_no_data_holds_or_does_what_the_spec_says():
    hold = Yard([{"weight": 50, "holdSeconds": 10}], rollout={"analysis": CHECKS}).go()
    assert hold.go(60).status.canary is not None
    lax = Yard(
        [{"weight": 50, "holdSeconds": 10}], rollout={"analysis": {**CHECKS, "onNoData": "Pass"}}
    ).go()
    assert lax.go(60).status.stable.revision == NEXT
    strict = Yard(
        [{"weight": 50, "holdSeconds": 10}], rollout={"analysis": {**CHECKS, "onNoData": "Fail"}}
    ).go()
    assert strict.go(60).rolled_back
    assert strict.condition("RolledBack") == "True/NoData"


def test_a_step_that_does_not_end_is_rolled_back():
    rollout = {"analysis": CHECKS, "progressDeadlineSeconds": 60}
    yard = Yard([{"weight": 50, "holdSeconds": 10}], rollout=rollout).go()
    yard.go(69)
    assert yard.status.canary is not None
    yard.go(1)
    assert yard.rolled_back
    assert yard.condition("RolledBack") == "True/ProgressDeadlineExceeded"


@pytest.mark.parametrize(
    ("cause", "reason", "said"),
    [
        ("Error", "CanaryCrashed", "exit code 139"),
        ("OOMKilled", "OutOfMemory", "raise spec.server.resources.limits.memory"),
    ],
)
def test_a_canary_that_crashes_is_rolled_back_at_once(cause, reason, said):
    yard = Yard(TEN_FIFTY).go()
    yard.restarts[NEXT], yard.cause = 1, cause
    yard.go()
    assert yard.rolled_back
    assert yard.condition("RolledBack") == f"True/{reason}"
    assert said in yard.status.message


def test_a_pause_waits_for_a_person():
    yard = Yard([{"weight": 10}, {"pause": {}}, {"weight": 100}]).go()
    assert (yard.status.step.shown, yard.status.step.waiting_for) == ("2/3", "Promote")
    assert yard.condition("Paused") == "True/Paused"
    assert yard.status.phase == "Paused"
    yard.go(10**6)
    assert yard.status.step.index == 1
    yard.order("promote")
    assert yard.status.stable.revision == NEXT
    assert yard.status.last_handled_command.outcome == "Done"
    assert yard.condition("Paused") == "False/NotPaused"


def test_a_paused_rollout_stays_and_still_fails():
    yard = Yard(TEN_FIFTY, paused=True, rollout={"analysis": CHECKS}).go()
    yard.go(3600)
    assert (yard.status.step.index, yard.status.step.waiting_for) == (0, "Resume")
    yard.traffic(12, failed=30)
    assert yard.rolled_back


def test_promote_full_skips_holds_and_checks_but_waits_for_the_pods():
    yard = Yard(TEN_FIFTY, rollout={"analysis": CHECKS}).go()
    yard.order("promote-full")
    assert yard.status.stable.revision == NEXT
    assert yard.replicas[NEXT] == 9


def test_an_order_is_looked_at_once():
    yard = Yard([{"pause": {}}, {"weight": 10}, {"pause": {}}]).go()
    yard.order("promote")
    assert yard.status.step.index == 2
    yard.go(10)
    assert yard.status.step.index == 2
    yard.order("promote", nonce="2")
    assert yard.status.stable.revision == NEXT


def test_abort_then_retry():
    yard = Yard(TEN_FIFTY).go()
    yard.order("abort", reason="too risky")
    assert yard.rolled_back
    assert yard.status.history[0].by == "ana"
    assert "too risky" in yard.status.history[0].reason
    yard.go(3600)
    assert yard.rolled_back
    yard.order("retry", nonce="2")
    assert yard.status.step.index == 0


@pytest.mark.parametrize("verb", ["promote", "promote-full"])
def test_the_history_tells_who_ordered_a_promotion_and_why(verb):
    yard = Yard([{"weight": 50}, {"pause": {}}]).go()
    yard.order(verb)
    assert (yard.status.history[0].action, yard.status.stable.revision) == ("Promoted", NEXT)
    assert (yard.status.history[0].by, yard.status.history[0].reason) == ("ana", "because")


def test_the_history_tells_who_went_back_and_why():
    yard = Yard([{"weight": 50}]).go()
    assert yard.status.history[0].by == "modelyard"
    yard.edit("undo", model_version_name="digits-v3")
    assert yard.status.stable.revision == REV
    assert (yard.status.history[0].by, yard.status.history[0].reason) == ("ana", "because")
    yard.edit(model_version_name="digits-v4")
    assert (yard.status.history[0].version, yard.status.history[0].by) == ("digits-v4", "modelyard")


def test_an_abort_is_no_reason_to_promote_what_comes_next():
    yard = Yard([{"weight": 50}, {"pause": {}}]).go()
    yard.order("abort")
    yard.edit(model_version_name="digits-v3")
    yard.edit(model_version_name="digits-v4")
    yard.order("promote", nonce="2", by="eva")
    assert [entry.by for entry in yard.status.history[:2]] == ["eva", "ana"]


def test_an_order_that_makes_no_sense_changes_nothing():
    yard = Yard(TEN_FIFTY).go()
    before = yard.status.step
    yard.order("destroy")
    assert yard.status.last_handled_command.outcome == "UnknownCommand"
    yard.order("retry", nonce="2")
    assert yard.status.last_handled_command.outcome == "NothingInFlight"
    assert yard.status.step == before


def test_going_back_mid_flight_ends_the_rollout():
    yard = Yard(TEN_FIFTY).go()
    yard.edit(model_version_name="digits-v3")
    assert (yard.selected, yard.replicas) == (REV, {REV: 9})
    assert yard.status.history[0].action == "Superseded"
    assert yard.status.blocked_version is None


def test_the_traffic_waits_for_ready_pods():
    yard = Yard(TEN_FIFTY)
    real = yard.observed

    def unready():
        seen = real()
        late = tuple(
            dataclasses.replace(w, ready_replicas=0) if w.revision == NEXT else w
            for w in seen.workloads
        )
        return dataclasses.replace(seen, workloads=late)

    yard.observed = unready
    yard.go()
    assert yard.selected == REV
    yard.observed = real
    assert yard.go(5).selected == EVERY


def test_the_history_is_bounded():
    yard = Yard([{"weight": 50}], revisionHistoryLimit=2).go()
    for name in ("digits-v3", "digits-v4", "digits-v3"):
        yard.edit(model_version_name=name)
    assert [entry.number for entry in yard.status.history] == [4, 3]


RECALL = {"name": "recall", "evaluation": {"metric": "recall"}}
SAME_IO = {"name": "io", "signatureCompatible": {}}


def test_a_version_that_a_gate_refuses_gets_no_pod():
    yard = Yard([], rollout={"gates": [SAME_IO, RECALL]}).go()
    assert (yard.status.canary, yard.status.blocked_version, yard.most) == (None, None, 0)
    assert [gate.verdict for gate in yard.status.gates] == ["Passed", "Failed"]
    for kind in ("GatesPassed", "Progressing"):
        assert yard.condition(kind) == "False/GatesFailed"
    assert "digits-v4 is refused: gate recall: digits-v3 has no recall on eval" in (
        yard.status.message
    )


def test_gates_that_pass_let_the_rollout_begin():
    yard = Yard(TEN_FIFTY, rollout={"gates": [SAME_IO]}).go()
    assert yard.status.canary.revision == NEXT
    assert yard.condition("GatesPassed") == "True/GatesPassed"


def test_gates_wait_for_the_version_that_serves():
    yard = Yard([], rollout={"gates": [SAME_IO]})
    yard.readable = False
    yard.go()
    assert yard.status.canary is None
    assert yard.condition("GatesPassed") == "Unknown/VersionNotFound"


def test_what_served_before_is_not_gated():
    yard = Yard([], rollout={"warmStableSeconds": 0}).go()
    yard.edit(model_version_name="digits-v3")
    rollout = yard.deployment.spec.rollout
    gate = ReleaseGate.model_validate(RECALL)
    yard.edit(rollout=rollout.model_copy(update={"gates": (gate,)}))
    yard.edit(model_version_name="digits-v4")
    assert yard.status.stable.revision == NEXT


def test_a_version_of_another_model_is_refused():
    yard = Yard([]).edit(model_version_name="cats-v4")
    assert yard.condition("Accepted") == "False/OtherModel"
    assert yard.status.canary is None


@pytest.mark.parametrize("order", [None, "promote"])
def test_steps_that_are_taken_away_mid_flight_still_end_with_all_of_the_traffic(order):
    yard = Yard([*TEN_FIFTY, {"weight": 60, "holdSeconds": 10}]).go()
    yard.go(30)
    rollout = yard.deployment.spec.rollout
    yard.edit(rollout=rollout.model_copy(update={"steps": (), "warm_stable_seconds": 0}))
    if order:
        yard.order(order)
    yard.go(30)
    assert yard.status.stable.revision == NEXT
    assert yard.selections == [EVERY, NEXT]


def test_failed_requests_end_a_rollout_once_they_are_as_many_as_it_may_cost():
    yard = Yard(TEN_FIFTY, rollout={"maxFailedCanaryRequests": 7}).go()
    yard.serve(NEXT, failed=6)
    yard.go()
    assert yard.status.step.index == 0
    yard.serve(NEXT, failed=1)
    yard.go()
    assert yard.rolled_back
    assert yard.condition("RolledBack") == "True/FailedRequestsExceeded"
    assert "7 requests of the new version failed, and maxFailedCanaryRequests is 7" in (
        yard.status.message
    )


def test_counters_are_asked_for_when_something_reads_them():
    yard = Yard(TEN_FIFTY).go()
    assert not judging(yard.deployment)
    assert judging(Yard(TEN_FIFTY, rollout={"maxFailedCanaryRequests": 7}).go().deployment)
