"""A status in the making: every planner starts one, judges aspects, and ends with a Plan."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from modelyard.api.deployment import ModelDeploymentStatus
from modelyard.api.meta import Condition, ObjectMeta
from modelyard.api.reasons import ConditionType
from modelyard.api.training import ModelTrainingStatus
from modelyard.api.version import ModelVersionStatus
from modelyard.plan import conditions
from modelyard.plan.conditions import Judgement
from modelyard.plan.core import Action, Plan

Status = TypeVar("Status", ModelTrainingStatus, ModelVersionStatus, ModelDeploymentStatus)


@dataclass(frozen=True)
class Draft(Generic[Status]):
    """The status as it was, as it should be, and when."""

    metadata: ObjectMeta
    before: Status
    status: Status
    now: datetime

    def set(self, **fields: object) -> "Draft[Status]":
        """Return a draft with these status fields."""
        return replace(self, status=self.status.model_copy(update=fields))

    def judge(self, *judgements: Judgement) -> "Draft[Status]":
        """Return a draft with these conditions."""
        return self.set(
            conditions=conditions.judged(
                self.status.conditions, judgements, self.metadata.generation, self.now
            )
        )

    def with_all(self, types: Iterable[ConditionType]) -> "Draft[Status]":
        """Return a draft in which every type has a condition, Unknown if it had none."""
        return self.set(
            conditions=conditions.complete(
                self.status.conditions, types, self.metadata.generation, self.now
            )
        )

    def condition(self, kind: ConditionType) -> Condition:
        """Return the drafted condition of that type; `with_all` has made sure that there is one."""
        return next(c for c in self.status.conditions if c.type == kind)

    def state(self, kind: ConditionType) -> conditions.State:
        """Return the drafted status of that condition."""
        return conditions.state(self.status.conditions, kind)

    def holds(self, kind: ConditionType) -> bool:
        """Tell whether the drafted condition is True."""
        return conditions.holds(self.status.conditions, kind)

    def plan(self, *actions: Action, requeue_after: float | None = None) -> Plan:
        """Return the plan that does `actions`, then writes the status if it differs."""
        after = self.status.model_copy(update={"observed_generation": self.metadata.generation})
        if after == self.before:
            return Plan(actions=actions, requeue_after=requeue_after)
        events = conditions.transitions(self.before.conditions, after.conditions)
        return Plan(
            status=after.dump(), actions=actions, events=tuple(events), requeue_after=requeue_after
        )


DeploymentDraft = Draft[ModelDeploymentStatus]
