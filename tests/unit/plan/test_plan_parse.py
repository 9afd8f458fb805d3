import pytest

from modelyard.api import names
from modelyard.plan.conditions import TYPES
from modelyard.plan.core import Plan
from modelyard.plan.parse import (
    Unreadable,
    parse_deployment,
    parse_training,
    parse_version,
    plan_unreadable,
)
from tests.builders import (
    NOW,
    conditions,
    later,
    make_deployment,
    make_training,
    make_version,
    raw_training,
)


def test_a_valid_object_parses_whatever_the_server_adds():
    raw = raw_training(meta={"managedFields": [], "labels": {"a": "b"}})
    assert parse_training(raw) == make_training(meta={"labels": {"a": "b"}})


@pytest.mark.parametrize(
    ("parse", "resource"),
    [(parse_version, make_version()), (parse_deployment, make_deployment())],
)
def test_each_kind_survives_the_round_trip(parse, resource):
    assert parse(resource.model_dump(mode="json", by_alias=True, exclude_none=True)) == resource


def test_an_invalid_spec_names_field_and_value():
    raw = raw_training(modelName="Digits!", maxRetries=-1)
    parsed = parse_training(raw)
    assert isinstance(parsed, Unreadable)
    assert "spec.modelName" in parsed.message
    assert "'Digits!'" in parsed.message
    assert "spec.maxRetries" in parsed.message
    assert "Delete the object" in parsed.message


def test_a_spec_that_can_be_corrected_is_not_to_be_deleted():
    raw = make_deployment().model_dump(mode="json", by_alias=True, exclude_none=True)
    parsed = parse_deployment({**raw, "spec": {**raw["spec"], "replicas": -1}})
    assert isinstance(parsed, Unreadable)
    assert parsed.message.endswith("(got -1). Correct the spec.")


def test_many_problems_are_counted_and_the_message_is_bounded():
    parsed = parse_training(raw_training(data=[{"name": "!" * 5000} for _ in range(9)]))
    assert isinstance(parsed, Unreadable)
    assert "more" in parsed.message
    assert len(parsed.message) <= 1024


def test_the_refusal_is_written_once_and_keeps_the_rest_of_the_status():
    status = {
        "attempt": 2,
        "futureField": {"x": 1},
        "conditions": conditions(Running="True/Training"),
    }
    parsed = parse_training(raw_training(status, maxRetries=-1))
    plan = plan_unreadable(parsed, NOW)
    assert plan.actions == ()
    assert plan.status["attempt"] == 2
    assert plan.status["futureField"] == {"x": 1}
    refused, running, *unknown = plan.status["conditions"]
    assert (refused["type"], refused["status"], refused["reason"]) == (
        "Accepted",
        "False",
        "InvalidSpec",
    )
    assert [running] == conditions(Running="True/Training")
    assert {c["type"] for c in plan.status["conditions"]} == set(TYPES["ModelTraining"])
    assert {c["status"] for c in unknown} == {"Unknown"}
    again = parse_training(raw_training(plan.status, maxRetries=-1))
    assert plan_unreadable(again, later(60)) == Plan()


def test_a_deleted_unreadable_object_is_let_go_and_says_what_it_leaves():
    meta = {"deletionTimestamp": "2026-01-31T12:00:00Z", "finalizers": ["other/one"]}
    held = {**meta, "finalizers": ["other/one", names.FINALIZER_RUN_DATA]}
    plan = plan_unreadable(parse_training(raw_training(meta=held, maxRetries=-1)), NOW)
    assert plan.remove_finalizer == names.FINALIZER_RUN_DATA
    assert "not removed" in plan.events[0].message
    free = parse_training(raw_training(meta=meta, maxRetries=-1))
    assert plan_unreadable(free, NOW) == Plan()
