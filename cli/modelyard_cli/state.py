"""Where an object stands, in one verdict and one line: what `status`, `get` and `train` go by.

Pure: the conditions are the truth, and only those of the present generation count.
"""

from dataclasses import dataclass

from modelyard.api.deployment import ModelDeployment, ServedVersion
from modelyard.api.meta import Condition
from modelyard.api.rules import DEPLOYMENT, TRAINING, Kind
from modelyard.api.training import ModelTraining
from modelyard.api.version import ModelVersion, VersionPhase
from modelyard_cli.connection import Raw
from modelyard_cli.exits import Exit
from modelyard_cli.objects import condition, deployment_of, training_of, version_of
from modelyard_cli.words import span

WAITS = {"Traffic": "ready pods", "Gateway": "the gateway", "Split": "the split to be right"}
"""What a step waits for, where its word alone does not say it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an object is from what its spec asks for."""

    exit: Exit | None
    """How waiting for it ends; None: it is under way."""
    line: str
    """The state in one line."""
    remedy: str = ""
    """What to do, where something is to be done."""


def standing_of(kind: Kind, raw: Raw) -> Standing:
    """Judge an object of any of our kinds."""
    if kind is DEPLOYMENT:
        return deployment_standing(deployment_of(raw))
    if kind is TRAINING:
        return training_standing(training_of(raw))
    return version_standing(version_of(raw))


def deployment_standing(found: ModelDeployment) -> Standing:
    """Judge a deployment: reached once the version of its spec gets all traffic from ready pods."""
    status, name = found.status, found.metadata.name
    if status.observed_generation < found.metadata.generation:
        return Standing(None, "the operator has not seen this spec yet")
    refused = _judged(found, "Accepted")
    if refused.status == "False":
        return Standing(None, f"{refused.reason}: {refused.message}", _why(name))
    if status.canary is not None:
        return _under_way(found, status.canary)
    gated = _judged(found, "GatesPassed")
    if gated.status == "False":
        return Standing(Exit.FAILED, f"{gated.reason}: {gated.message}", _why(name))
    if status.blocked_version is not None:
        failed = condition(status.conditions, "RolledBack")
        if failed.status != "True":
            failed = condition(status.conditions, "Progressing")
        return Standing(Exit.FAILED, f"{failed.reason}: {failed.message}", _why(name))
    return _at_rest(found, status.stable)


def _judged(found: ModelDeployment | ModelTraining, kind: str) -> Condition:
    return condition(found.status.conditions, kind)


def _why(name: str) -> str:
    return f"kubectl modelyard why deployment/{name}"


def _at_rest(found: ModelDeployment, stable: ServedVersion | None) -> Standing:
    if stable is None or stable.model_version_name != found.spec.model_version_name:
        return Standing(None, f"{found.spec.model_version_name} is about to come up")
    ready, routed = _judged(found, "Ready"), _judged(found, "TrafficProgrammed")
    text = f"{stable.model_version_name} serves, {found.status.ready or '0'} pods ready"
    full = found.status.ready_replicas >= found.spec.replicas
    if ready.status != "True" or not full:
        return Standing(None, f"{text}. {ready.message}")
    if found.spec.traffic.gateway is not None and routed.status != "True":
        return Standing(None, f"{text}. {routed.message}", _why(found.metadata.name))
    return Standing(Exit.REACHED, text)


def _under_way(found: ModelDeployment, canary: ServedVersion) -> Standing:
    """Judge a deployment whose next version is coming up."""
    stable, step = found.status.stable, found.status.step
    move = f"{stable.model_version_name} → " if stable else ""
    move += canary.model_version_name
    if step is None:
        obstacle = found.status.message
        return Standing(None, f"{move}: loading" + (f". {obstacle}" if obstacle else ""))
    text = f"{move}: step {step.shown}, {step.weight} % of the traffic"
    if step.waiting_for in {"Promote", "Resume"}:
        order = "promote" if step.waiting_for == "Promote" else "resume"
        remedy = f"kubectl modelyard rollout {order} {found.metadata.name}"
        return Standing(Exit.NEEDS_PERSON, f"{text}, waits for somebody to {order}", remedy)
    word = WAITS.get(step.waiting_for or "", (step.waiting_for or "").lower())
    return Standing(None, f"{text}, waits for {word}" if word else text)


def training_standing(found: ModelTraining) -> Standing:
    """Judge a training: reached once it is complete."""
    status = found.status
    failed, complete = _judged(found, "Failed"), _judged(found, "Complete")
    if complete.status == "True":
        version = status.model_version_name or ""
        metric = f", {status.primary_metric}" if status.primary_metric else ""
        return Standing(Exit.REACHED, f"{status.phase}: {version}{metric}")
    if failed.status == "True":
        hint = status.failure.hint if status.failure else ""
        remedy = hint or f"kubectl modelyard why training/{found.metadata.name}"
        return Standing(Exit.FAILED, f"{failed.reason}: {failed.message}", remedy)
    return Standing(None, _training_line(found))


def _training_line(found: ModelTraining) -> str:
    status, accepted = found.status, _judged(found, "Accepted")
    if accepted.status == "False":
        return f"{accepted.reason}: {accepted.message}"
    parts = [str(status.phase)]
    if status.progress is not None:
        at = status.progress
        parts.append(f"{at.percent} %, epoch {at.epoch}/{at.total_epochs}")
        if at.estimated_remaining_seconds is not None:
            parts.append(f"{span(at.estimated_remaining_seconds)} left")
    if status.primary_metric:
        parts.append(status.primary_metric)
    if status.attempt > 1:
        parts.append(f"attempt {status.attempt}")
    obstacle = _judged(found, "Running")
    if obstacle.status == "False" and status.progress is None and obstacle.message:
        parts.append(obstacle.message)
    return ", ".join(parts)


def version_standing(found: ModelVersion) -> Standing:
    """Judge a version: reached once it is verified and can be served."""
    bad = next((c for c in found.status.conditions if _refutes(c)), None)
    if bad is not None:
        remedy = f"kubectl modelyard why version/{found.metadata.name}"
        return Standing(Exit.FAILED, f"{bad.reason}: {bad.message}", remedy)
    phase = found.status.phase
    if phase is VersionPhase.READY:
        return Standing(Exit.REACHED, f"{phase}, {found.status.primary_metric or 'no metric'}")
    return Standing(None, str(phase))


def _refutes(found: Condition) -> bool:
    judges = found.type in {"Committed", "Verified", "Servable"}
    return judges and found.status == "False"
