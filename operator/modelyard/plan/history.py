"""The history of a deployment: what was served, who changed it, why, and on what evidence."""

from dataclasses import dataclass

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.api.rollout import HistoryAction, HistoryEntry
from modelyard.plan.clock import seconds_since, timestamp
from modelyard.plan.conditions import bounded
from modelyard.plan.draft import Draft

OPERATOR = "modelyard"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something happened, and by whom."""

    action: HistoryAction
    reason: str = ""
    by: str = OPERATOR


def remembered(
    deployment: ModelDeployment,
    draft: Draft[ModelDeploymentStatus],
    version: ServedVersion,
    cause: Cause,
) -> Draft[ModelDeploymentStatus]:
    """Return the draft with one entry more, and no more than the spec wants to keep."""
    status = draft.status
    last = status.history[0].number if status.history else 0
    entry = HistoryEntry(
        number=last + 1,
        action=cause.action,
        version=version.model_version_name,
        revision=version.revision,
        digest=version.digest,
        from_version=status.stable.model_version_name if status.stable else None,
        by=cause.by or OPERATOR,
        reason=bounded(cause.reason),
        time=timestamp(draft.now),
        duration_seconds=round(seconds_since(version.since, draft.now)),
        evidence=bounded("; ".join(check.message for check in status.analysis)),
    )
    kept = (entry, *status.history)[: deployment.spec.revision_history_limit]
    return draft.set(history=kept)
