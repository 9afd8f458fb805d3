"""Plain Kubernetes JSON in, a typed resource out; what bypassed admission becomes `Unreadable`.

The CRD schema refuses bad objects at the door. An object that was stored by an older schema, or
while validation was off, still reaches the operator: it gets a condition with the reason, and none
of its children is touched.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from modelyard.api.deployment import ModelDeployment
from modelyard.api.meta import Condition, ObjectMeta
from modelyard.api.names import FINALIZER_ARTIFACT, FINALIZER_RUN_DATA
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.training import ModelTraining
from modelyard.api.version import ModelVersion
from modelyard.plan.clock import timestamp
from modelyard.plan.conditions import TYPES, bounded, complete
from modelyard.plan.core import Event, Plan

Json = dict[str, Any]
Resource = TypeVar("Resource", bound=BaseModel)

_FINALIZERS = (FINALIZER_RUN_DATA, FINALIZER_ARTIFACT)
_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that the operator cannot understand, and why."""

    kind: str
    metadata: ObjectMeta
    message: str
    status: Json = field(default_factory=dict)


def parse_training(raw: Json) -> ModelTraining | Unreadable:
    """Parse a ModelTraining."""
    return _parse(ModelTraining, raw)


def parse_version(raw: Json) -> ModelVersion | Unreadable:
    """Parse a ModelVersion."""
    return _parse(ModelVersion, raw)


def parse_deployment(raw: Json) -> ModelDeployment | Unreadable:
    """Parse a ModelDeployment."""
    return _parse(ModelDeployment, raw)


def plan_unreadable(resource: Unreadable, now: datetime) -> Plan:
    """Say what is wrong with the object; touch nothing else.

    While the object is being deleted its finalizer is given back: nobody could ever repair an
    immutable spec, and what it left in the store is named in an Event.
    """
    if resource.metadata.deletion_timestamp is not None:
        return _let_go(resource)
    status = _with_refusal(resource, now)
    if status == resource.status:
        return Plan()
    event = Event("Warning", Reason.INVALID_SPEC, resource.message)
    return Plan(status=status, events=(event,))


def _parse(model: type[Resource], raw: Json) -> Resource | Unreadable:
    known = {key: raw[key] for key in ("metadata", "spec", "status") if raw.get(key) is not None}
    try:
        return model.model_validate(known)
    except ValidationError as error:
        return Unreadable(
            kind=model.__name__,
            metadata=ObjectMeta.model_validate(raw["metadata"]),
            message=_readable(model, error),
            status=dict(raw.get("status", {})),
        )


def _readable(model: type[BaseModel], error: ValidationError) -> str:
    """Turn pydantic's report into one line: `spec.recipe.epochs: … (got 0)`."""
    problems = error.errors(include_url=False, include_context=False)
    lines = [_problem(tuple(problem["loc"]), problem) for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"and {len(problems) - _MOST_PROBLEMS} more")
    mutable = model is ModelDeployment
    remedy = "Correct the spec." if mutable else "Delete the object and create a corrected one."
    return bounded("; ".join(lines) + f". {remedy}")


def _problem(location: tuple[int | str, ...], problem: Any) -> str:
    path = ".".join(str(part) for part in location)
    got = problem["input"]
    shown = f" (got {got!r})" if isinstance(got, str | int | float | bool) else ""
    return f"{path}: {problem['msg']}{shown[:80]}"


def _with_refusal(resource: Unreadable, now: datetime) -> Json:
    """Return the raw status with Accepted=False; whatever else stands in it stays."""
    present = {c["type"]: c for c in resource.status.get("conditions") or ()}
    before = present.get("Accepted", {})
    generation, since = resource.metadata.generation, timestamp(now)
    refusal = Condition(
        type=ConditionType.ACCEPTED,
        status="False",
        observed_generation=generation,
        last_transition_time=before["lastTransitionTime"] if _refused(before) else since,
        reason=Reason.INVALID_SPEC,
        message=resource.message,
    )
    missing = [kind for kind in TYPES[resource.kind] if kind not in {*present, "Accepted"}]
    return {
        **resource.status,
        "observedGeneration": generation,
        "conditions": [
            refusal.dump(),
            *(condition for kind, condition in present.items() if kind != "Accepted"),
            *(c.dump() for c in complete((), missing, generation, now)),
        ],
    }


def _refused(condition: Json) -> bool:
    return bool(condition.get("status") == "False")


def _let_go(resource: Unreadable) -> Plan:
    held = next((f for f in resource.metadata.finalizers if f in _FINALIZERS), None)
    if held is None:
        return Plan()
    message = (
        f"{resource.message} Its files in the store were not removed: "
        "find them below <prefix><namespace>/<model>/."
    )
    return Plan(
        remove_finalizer=held, events=(Event("Warning", Reason.INVALID_SPEC, bounded(message)),)
    )
