import pytest

from modelyard.api.reasons import ConditionType, Reason
from modelyard.plan.conditions import (
    complete,
    holds,
    judged,
    no,
    state,
    transitions,
    unknown,
    yes,
)
from tests.builders import NOW, later, text

READY = ConditionType.READY


def test_a_new_object_gets_every_condition_unknown():
    given = complete((), (READY, ConditionType.ACCEPTED), 4, NOW)
    assert [(c.type, c.status, c.observed_generation) for c in given] == [
        ("Ready", "Unknown", 4),
        ("Accepted", "Unknown", 4),
    ]
    assert complete(given, (READY,), 5, later(9)) == given


def test_only_a_change_of_status_moves_the_time():
    first = judged((), [no(READY, Reason.LOADING, "a")], 1, NOW)
    second = judged(first, [no(READY, Reason.UNAVAILABLE, "b")], 2, later(5))
    third = judged(second, [yes(READY, Reason.AVAILABLE)], 2, later(9))
    assert second[0].last_transition_time == text(NOW)
    assert (second[0].reason, second[0].observed_generation) == ("Unavailable", 2)
    assert third[0].last_transition_time == text(later(9))
    assert holds(third, READY)
    assert state(third, ConditionType.ACCEPTED) == "Unknown"


def test_a_judgement_keeps_the_order_and_the_other_conditions():
    given = complete((), (READY, ConditionType.ACCEPTED), 1, NOW)
    after = judged(given, [yes(READY, Reason.AVAILABLE)], 2, NOW)
    assert [c.type for c in after] == ["Ready", "Accepted"]
    assert after[1] == given[1]


def test_a_long_message_is_cut_to_what_the_schema_takes():
    given = judged((), [no(READY, Reason.LOADING, "x" * 5000)], 1, NOW)
    assert len(given[0].message) == 1024
    assert given[0].message.endswith("…")


@pytest.mark.parametrize(
    ("judgement", "severity"),
    [
        (yes(READY, Reason.AVAILABLE), "Normal"),
        (yes(ConditionType.FAILED, Reason.GATES_FAILED), "Warning"),
        (no(READY, Reason.UNAVAILABLE), "Warning"),
        (no(ConditionType.RUNNING, Reason.SCHEDULING), "Normal"),
        (unknown(ConditionType.RUNNING, Reason.INTERRUPTED), "Warning"),
        (unknown(READY, Reason.PENDING), None),
    ],
)
def test_events_follow_transitions(judgement, severity):
    after = judged((), [judgement], 1, NOW)
    assert [event.type for event in transitions((), after)] == ([severity] if severity else [])
    assert list(transitions(after, after)) == []
