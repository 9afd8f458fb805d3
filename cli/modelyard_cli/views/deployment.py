"""The picture of a ModelDeployment: rollout, checks, versions with their pods, last changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from modelyard.api.deployment import ModelDeployment, ServedVersion
from modelyard.api.names import LABEL_VERSION
from modelyard.api.rollout import ALL_WEIGHT, Check, CheckStatus, HistoryEntry, RolloutStep
from modelyard_cli import kinds
from modelyard_cli.connection import Raw
from modelyard_cli.mirror import Mirror
from modelyard_cli.objects import deployment_of
from modelyard_cli.screen import table
from modelyard_cli.state import deployment_standing
from modelyard_cli.views import parts
from modelyard_cli.words import (
    BAD,
    BUSY,
    GOOD,
    HELD,
    IDLE,
    STYLES,
    age,
    bar,
    percentage,
    short_digest,
    span,
)

CHANGES = 3
MARKS = {"Pass": GOOD, "Fail": BAD, "NeedMoreData": BUSY}


@dataclass(frozen=True, slots=True)
class Role:
    """A version that has pods, and what it is there for."""

    word: str
    version: ServedVersion
    weight: int


def deployment_view(mirror: Mirror, now: datetime) -> RenderableType:
    """Return the picture."""
    found = deployment_of(mirror.subject.raw)
    lines: list[RenderableType | None] = [
        parts.head("ModelDeployment", found.metadata, found.status.phase, now),
        parts.told(deployment_standing(found)),
        _progress(found, now),
        _gates(found),
        _checks(found),
        _padded(_tree(mirror, found, now)),
        parts.unread(mirror),
        _padded(_changes(found.status.history[:CHANGES], now)) if found.status.history else None,
    ]
    return Group(*(line for line in lines if line is not None))


def _padded(inner: RenderableType) -> RenderableType:
    return Padding(inner, (1, 0, 0, 2))


def _progress(found: ModelDeployment, now: datetime) -> Text | None:
    """Return the bar of the weight, and the steps with the present one marked."""
    step = found.status.step
    if step is None:
        return None
    line = Text(f"  {bar(step.weight)} {step.weight:>3} %   ", "cyan")
    for number, planned in enumerate(found.spec.rollout.whole()):
        if number:
            line.append(" ─ ", "bright_black")
        line.append(*_step(planned, number, step.index))
    if step.held_since:
        line.append(f"   for {age(step.held_since, now)}", "dim")
    return line


def _step(planned: RolloutStep, number: int, present: int) -> tuple[str, str]:
    text = HELD if planned.weight is None else f"{planned.weight} %"
    if number == present:
        return f"[{text}]", "bold cyan"
    return text, "green" if number < present else "dim"


def _gates(found: ModelDeployment) -> RenderableType | None:
    if not found.status.gates:
        return None
    rows = []
    for gate in found.status.gates:
        mark = GOOD if gate.verdict == "Passed" else BAD
        rows.append((gate.name, Text(f"{mark} {gate.verdict}", STYLES[mark]), gate.message))
    return _padded(table(("gate", "verdict", "compared"), rows))


def _checks(found: ModelDeployment) -> RenderableType | None:
    if not found.status.analysis:
        return None
    heads = ("check", "verdict", "value", "bound", "requests", "left")
    analysis = found.spec.rollout.analysis
    kinds_of = {check.name: check for check in analysis.checks} if analysis else {}
    rows = [_check(check, kinds_of.get(check.name)) for check in found.status.analysis]
    return _padded(table(heads, rows))


def _check(check: CheckStatus, spec: Check | None) -> tuple[str | Text, ...]:
    mark = MARKS[check.verdict]
    verdict = Text(f"{mark} {check.verdict}", STYLES[mark])
    ratio = spec is not None and spec.error_rate is not None
    of = f"/{check.needed}" if check.verdict == "NeedMoreData" and check.needed < 10**7 else ""
    left = span(check.eta_seconds) if check.eta_seconds is not None else ""
    bound = f"< {_number(check.bound, ratio)}" if check.bound else ""
    return check.name, verdict, _number(check.value, ratio), bound, f"{check.samples}{of}", left


def _number(value: str | None, ratio: bool) -> str:
    """Return an error ratio in percent, a slowdown as a factor."""
    if value is None:
        return ""
    return percentage(value) if ratio else f"{value}x"


def _tree(mirror: Mirror, found: ModelDeployment, now: datetime) -> Tree:
    tree = parts.branch(_service(mirror, found))
    for role in roles(found):
        _grow(tree.add(_role_line(role, found, now)), mirror, role.version.revision, now)
    known = {role.version.revision for role in roles(found)}
    for revision in sorted(_revisions(mirror) - known):
        _grow(tree.add(Text(f"revision {revision}, on its way out", "dim")), mirror, revision, now)
    return tree


def roles(found: ModelDeployment) -> list[Role]:
    """Return the versions that have pods, the newest first, with their shares as ordered."""
    status, made = found.status, []
    weight = status.step.weight if status.step else 0
    if status.canary is not None:
        made.append(Role("canary" if status.stable else "first", status.canary, weight))
    if status.stable is not None:
        made.append(Role("stable", status.stable, ALL_WEIGHT - weight))
    if status.warm is not None:
        made.append(Role("warm", status.warm.version, 0))
    return made


def _service(mirror: Mirror, found: ModelDeployment) -> Text:
    """Return the line of the public Service, which names what it selects."""
    name = found.metadata.name
    raw = next((s for s in _of(mirror, kinds.SERVICES) if s["metadata"]["name"] == name), None)
    line = Text(f"Service {name}", "default")
    if raw is None:
        return line.append("   not there yet" if mirror.subject else "", "dim")
    chosen = (raw["spec"].get("selector") or {}).get(LABEL_VERSION)
    by_revision = {role.version.revision: role for role in roles(found)}
    served = by_revision[chosen].version.model_version_name if chosen in by_revision else chosen
    ports = ", ".join(f"{p.get('name', '')} {p['port']}" for p in raw["spec"].get("ports") or ())
    return line.append(f" → {served or 'every version below'}   {ports}", "dim")


def _role_line(role: Role, found: ModelDeployment, now: datetime) -> Text:
    version = role.version
    style = {"stable": "green", "canary": "cyan", "first": "cyan"}.get(role.word, "yellow")
    line = Text(version.model_version_name, "bold default").append(f"  {role.word}", style)
    if role.word == "warm" and found.status.warm is not None:
        line.append(f" for {span(-_seconds(found.status.warm.until, now))}", style)
    elif found.status.step is not None:
        line.append(f" {role.weight} %{_counted(found, version)}", style)
    line.append(f"   {short_digest(version.digest)}", "dim")
    if version.served_digest not in {None, version.digest}:
        line.append(f" but pods hold {short_digest(version.served_digest or '')}", "bold red")
    return line.append(f"  {version.ready_replicas} ready  {age(version.since, now)}", "dim")


def _counted(found: ModelDeployment, version: ServedVersion) -> str:
    """Return the share of the requests that a version's pods have counted, behind a gateway."""
    shares = found.status.traffic.shares if found.status.traffic else ()
    seen = next((share.observed for share in shares if share.revision == version.revision), None)
    return f", {seen} % counted" if seen else ""


def _seconds(until: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(until.replace("Z", "+00:00"))).total_seconds()


def _grow(node: Tree, mirror: Mirror, revision: str, now: datetime) -> None:
    """Add the Deployment of a revision with its pods."""
    pods = [pod for pod in _of(mirror, kinds.PODS) if _revision(pod) == revision]
    for workload in _of(mirror, kinds.WORKLOADS):
        if _revision(workload) == revision:
            node = node.add(_workload(workload))
    for pod in pods:
        node.add(parts.pod_leaf(pod, now))


def _workload(raw: Raw) -> Text:
    wanted, status = raw["spec"].get("replicas", 1), raw.get("status") or {}
    ready = status.get("readyReplicas", 0)
    mark = GOOD if ready >= wanted else BUSY
    mark = IDLE if not wanted else mark
    return parts.leaf(mark, f"Deployment {raw['metadata']['name']}", f"{ready}/{wanted}")


def _of(mirror: Mirror, collection: str) -> Iterator[Raw]:
    return iter(mirror.children(collection))


def _revisions(mirror: Mirror) -> set[str]:
    found = (*_of(mirror, kinds.WORKLOADS), *_of(mirror, kinds.PODS))
    return {_revision(raw) for raw in found} - {""}


def _revision(raw: Raw) -> str:
    return str((raw["metadata"].get("labels") or {}).get(LABEL_VERSION, ""))


def _changes(history: tuple[HistoryEntry, ...], now: datetime) -> RenderableType:
    return table(CHANGE_HEADS, (change_row(entry, now) for entry in history))


CHANGE_HEADS = ("no", "change", "version", "before", "by", "ago", "took", "why")


def change_row(entry: HistoryEntry, now: datetime) -> tuple[str | Text, ...]:
    """Return the row of one change."""
    good = entry.action in {"Deployed", "Promoted"}
    style = "green" if good else "dim" if entry.action == "Superseded" else "red"
    return (
        str(entry.number),
        Text(entry.action, style),
        Text(entry.version, "bold"),
        entry.from_version or "",
        entry.by,
        age(entry.time, now),
        span(entry.duration_seconds),
        entry.reason,
    )
