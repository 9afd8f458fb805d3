"""The picture of a ModelTraining: progress, measurements, gates, attempts with their pods."""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from modelyard.api.names import LABEL_ATTEMPT
from modelyard.api.training import GateOperator, GateResult, ModelTraining
from modelyard_cli import kinds
from modelyard_cli.connection import Raw
from modelyard_cli.mirror import Mirror
from modelyard_cli.objects import training_of
from modelyard_cli.screen import table
from modelyard_cli.state import training_standing
from modelyard_cli.views import parts
from modelyard_cli.words import BAD, GOOD, STYLES, bar, span

DONE = 100
WIDTH = 20


def training_view(mirror: Mirror, now: datetime) -> RenderableType:
    """Return the picture."""
    found = training_of(mirror.subject.raw)
    standing, progress = training_standing(found), progress_line(found)
    lines: list[RenderableType | None] = [
        parts.head("ModelTraining", found.metadata, found.status.phase, now),
        parts.told(standing) if progress is None or standing.exit is not None else None,
        progress,
        _measurements(found),
        _gates(found),
        Padding(_tree(mirror, found, now), (1, 0, 0, 2)),
        parts.unread(mirror),
        _failure(found),
    ]
    return Group(*(line for line in lines if line is not None))


def progress_line(found: ModelTraining) -> Text | None:
    """Return bar, epoch, time left and speed, None before there is progress."""
    at = found.status.progress
    if at is None:
        return None
    done = found.status.model_version_name is not None
    percent = DONE if done else at.percent
    line = Text(f"  {bar(percent, WIDTH)} {percent:>3} %", "green" if done else "cyan")
    line.append(f"   epoch {at.epoch}/{at.total_epochs}")
    if at.estimated_remaining_seconds is not None and not done:
        line.append(f"   {span(at.estimated_remaining_seconds)} left")
    if at.examples_per_second and not done:
        line.append(f"   {float(at.examples_per_second):.3g} rows/s", "dim")
    return line


def _measurements(found: ModelTraining) -> Text | None:
    if not found.status.metrics:
        return None
    line = Text("  ")
    for metric in found.status.metrics:
        line.append(f"{metric.name} ", "dim").append(f"{float(metric.value):.4g}", "bold")
        if metric.best and metric.best != metric.value:
            line.append(f" (best {float(metric.best):.4g})", "dim")
        line.append("   ")
    line.rstrip()
    return line


def _gates(found: ModelTraining) -> RenderableType | None:
    evaluation = found.status.evaluation
    if evaluation is None or not evaluation.gates:
        return None
    rows = (gate_row(gate) for gate in evaluation.gates)
    heads = ("gate", "verdict", "metric", "observed", "required")
    return Padding(table(heads, rows), (1, 0, 0, 2))


def gate_row(gate: GateResult) -> tuple[str | Text, ...]:
    """Return the row of a gate."""
    mark = GOOD if gate.verdict == "Passed" else BAD
    sign = "≥" if gate.operator is GateOperator.GREATER_THAN_OR_EQUAL else "≤"
    verdict = Text(f"{mark} {gate.verdict}", STYLES[mark])
    return gate.name, verdict, gate.metric, gate.observed or "none", f"{sign} {gate.required}"


def _tree(mirror: Mirror, found: ModelTraining, now: datetime) -> Tree:
    status = found.status
    budget = f"retries {status.retries}/{found.spec.max_retries}"
    if status.interruption_count:
        budget += f", interruptions {status.interruption_count}/{found.spec.max_interruptions}"
    attempt = f"attempt {status.attempt}" if status.attempt else "no attempt yet"
    tree = parts.branch(Text(attempt, "default").append(f"   {budget}", "dim"))
    pods = mirror.children(kinds.PODS)
    for job in mirror.children(kinds.JOBS):
        node = tree.add(parts.job_leaf(job, now))
        for pod in [pod for pod in pods if _attempt(pod) == _attempt(job)]:
            node.add(parts.pod_leaf(pod, now))
            pods.remove(pod)
    for pod in pods:  # its Job is gone already
        tree.add(parts.pod_leaf(pod, now))
    if status.model_version_name:
        tree.add(parts.leaf(GOOD, f"ModelVersion {status.model_version_name}"))
    return tree


def _attempt(raw: Raw) -> str:
    return str((raw["metadata"].get("labels") or {}).get(LABEL_ATTEMPT, ""))


def _failure(found: ModelTraining) -> RenderableType | None:
    """Return what failed last, while it matters."""
    failure = found.status.failure
    if failure is None or found.status.model_version_name:
        return None
    place = f" in pod {failure.pod_name}" if failure.pod_name else ""
    text = Text(f"attempt {failure.attempt} failed{place}: {failure.message}", "red")
    text.append(f"\n↳ {failure.hint}", "cyan")
    if failure.log_tail:
        text.append("\n" + failure.log_tail.rstrip(), "dim")
    return Padding(text, (1, 0, 0, 2))
