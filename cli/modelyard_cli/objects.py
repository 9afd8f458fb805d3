"""Objects of ours as typed values; what a newer operator has added is ignored, not refused."""

from functools import cache

from modelyard.api.deployment import ModelDeployment
from modelyard.api.meta import Condition, Observed
from modelyard.api.training import ModelTraining
from modelyard.api.version import ModelVersion
from modelyard_cli.connection import Raw

NOTHING = Condition(
    type="None", status="Unknown", last_transition_time="1970-01-01T00:00:00Z", reason=""
)
"""Stands for a condition that was never written."""


def training_of(raw: Raw) -> ModelTraining:
    """Read a ModelTraining."""
    return ModelTraining.model_validate(raw, extra="ignore")


def version_of(raw: Raw) -> ModelVersion:
    """Read a ModelVersion."""
    return ModelVersion.model_validate(raw, extra="ignore")


def deployment_of(raw: Raw) -> ModelDeployment:
    """Read a ModelDeployment."""
    return ModelDeployment.model_validate(raw, extra="ignore")


def condition(found: tuple[Condition, ...], kind: str) -> Condition:
    """Return a condition, one without a reason if there is none."""
    return next((c for c in found if c.type == kind), NOTHING)


@cache
def known_fields(model: type[Observed], part: str) -> frozenset[str]:
    """Return the fields of a kind's spec or status, as manifests write them."""
    inner = model.model_fields[part].annotation
    fields = getattr(inner, "model_fields", {})
    return frozenset(field.alias or name for name, field in fields.items())
