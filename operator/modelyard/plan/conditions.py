"""Conditions: set one aspect at a time, keep what did not change, tell which changes matter.

Only a change of `status` moves `lastTransitionTime`; only a new judgement moves
`observedGeneration`. Called by every planner through `Draft`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from modelyard.api.meta import Condition
from modelyard.api.reasons import ConditionType, FailureCategory, Reason
from modelyard.plan.clock import timestamp
from modelyard.plan.core import Event

Conditions = tuple[Condition, ...]
State = Literal["True", "False", "Unknown"]

TYPES: Mapping[str, tuple[ConditionType, ...]] = {
    "ModelTraining": (
        ConditionType.ACCEPTED,
        ConditionType.RUNNING,
        ConditionType.PROGRESSING,
        ConditionType.CHECKPOINT_READY,
        ConditionType.EVALUATED,
        ConditionType.REGISTERED,
        ConditionType.COMPLETE,
        ConditionType.FAILED,
    ),
    "ModelVersion": (
        ConditionType.COMMITTED,
        ConditionType.VERIFIED,
        ConditionType.SERVABLE,
        ConditionType.IN_USE,
    ),
    "ModelDeployment": (
        ConditionType.ACCEPTED,
        ConditionType.PROGRESSING,
        ConditionType.GATES_PASSED,
        ConditionType.MODEL_LOADED,
        ConditionType.PAUSED,
        ConditionType.ROLLED_BACK,
        ConditionType.TRAFFIC_PROGRAMMED,
        ConditionType.READY,
    ),
}
"""The conditions of each kind; whatever is written first has them all, so that nobody who waits for
one finds it missing."""

MAX_MESSAGE = 1024

_SILENT = frozenset(
    {
        Reason.PENDING,
        Reason.NOT_STARTED,
        Reason.NONE_YET,
        Reason.STEPS_ADVANCING,
        Reason.PULLING_IMAGE,
        Reason.FETCHING_DATA,
        Reason.PUBLISHING,
        Reason.NOT_PAUSED,
        Reason.NOT_ROLLED_BACK,
        Reason.PROGRAMMING,
        Reason.NO_ENDPOINTS,
        Reason.REPLICA_WEIGHTED,
    }
)
_GOOD_WHEN_FALSE = frozenset(
    {
        Reason.SCHEDULING,
        Reason.FINISHED,
        Reason.PROMOTED,
        Reason.NOT_SERVED,
        Reason.NOT_PAUSED,
        Reason.NOT_ROLLED_BACK,
    }
)
_BAD_WHEN_TRUE = frozenset({ConditionType.FAILED, ConditionType.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is now thought of one aspect."""

    type: ConditionType
    status: State
    reason: Reason | FailureCategory
    message: str = ""


def yes(kind: ConditionType, reason: Reason | FailureCategory, message: str = "") -> Judgement:
    """Judge that the aspect holds."""
    return Judgement(kind, "True", reason, message)


def no(kind: ConditionType, reason: Reason | FailureCategory, message: str = "") -> Judgement:
    """Judge that the aspect does not hold."""
    return Judgement(kind, "False", reason, message)


def unknown(kind: ConditionType, reason: Reason, message: str = "") -> Judgement:
    """Judge that nobody can tell."""
    return Judgement(kind, "Unknown", reason, message)


def state(conditions: Conditions, kind: ConditionType) -> State:
    """Return the status of a condition; one that is not there yet is Unknown."""
    return next((c.status for c in conditions if c.type == kind), "Unknown")


def holds(conditions: Conditions, kind: ConditionType) -> bool:
    """Tell whether the condition is there and True."""
    return state(conditions, kind) == "True"


def judged(
    conditions: Conditions, judgements: Iterable[Judgement], generation: int, now: datetime
) -> Conditions:
    """Return the conditions with each judgement in its place; new types come last."""
    result = {c.type: c for c in conditions}
    for judgement in judgements:
        before = result.get(judgement.type)
        result[str(judgement.type.value)] = _condition(before, judgement, generation, now)
    return tuple(result.values())


def complete(
    conditions: Conditions, types: Iterable[ConditionType], generation: int, now: datetime
) -> Conditions:
    """Return the conditions with every missing type added as Unknown."""
    present = {c.type for c in conditions}
    missing = (unknown(kind, Reason.PENDING) for kind in types if kind not in present)
    return judged(conditions, missing, generation, now)


def transitions(before: Conditions, after: Conditions) -> Iterator[Event]:
    """Yield an Event for every condition whose status or reason changed and is worth a line.

    Conditions that say the same make one Event together.
    """
    yield from dict.fromkeys(_changes(before, after))


def _changes(before: Conditions, after: Conditions) -> Iterator[Event]:
    old = {c.type: (c.status, c.reason) for c in before}
    for condition in after:
        changed = old.get(condition.type) != (condition.status, condition.reason)
        if changed and condition.reason not in _SILENT:
            yield Event(_severity(condition), condition.reason, _sentence(condition))


def _condition(
    before: Condition | None, judgement: Judgement, generation: int, now: datetime
) -> Condition:
    same = before is not None and before.status == judgement.status
    return Condition(
        type=judgement.type.value,
        status=judgement.status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and same else timestamp(now),
        reason=judgement.reason.value,
        message=bounded(judgement.message),
    )


def bounded(text: str, limit: int = MAX_MESSAGE) -> str:
    """Cut a text to what the schema takes, with a visible mark.

    >>> bounded("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _severity(condition: Condition) -> Literal["Normal", "Warning"]:
    if condition.status == "True":
        return "Warning" if condition.type in _BAD_WHEN_TRUE else "Normal"
    return "Normal" if condition.reason in _GOOD_WHEN_FALSE else "Warning"


def _sentence(condition: Condition) -> str:
    return condition.message or f"{condition.type} is {condition.status}"
