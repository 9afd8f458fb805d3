"""`why`: prints the blocking fact, the remedies, and the warnings that Kubernetes has."""

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Raw, Refusal
from modelyard_cli.exits import Exit
from modelyard_cli.explain import Fact, explain
from modelyard_cli.kinds import Subject
from modelyard_cli.words import GOOD, STYLES, age

WARNINGS = 3


async def why(api: Api, words: list[str]) -> Exit:
    """Explain an object."""
    subject = await kinds.find(api, words)
    now = datetime.now(UTC)
    fact = explain(subject.kind, subject.raw, now)
    warnings = [] if fact.mark == GOOD else await _warnings(api, subject)
    screen.show(picture(subject, fact, warnings, now))
    return Exit.REACHED


async def _warnings(api: Api, subject: Subject) -> list[Raw]:
    """Return the last warnings about an object; none if the user may not read Events."""
    selector = f"involvedObject.uid={subject.uid},type=Warning"
    try:
        listed = await api.get(kinds.place(kinds.EVENTS, api.namespace), fieldSelector=selector)
    except Refusal as refusal:
        if refusal.forbidden:
            return []
        raise
    found = sorted(listed["items"], key=_time)
    return found[-WARNINGS:]


def _time(event: Raw) -> str:
    return str(event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])


def picture(subject: Subject, fact: Fact, warnings: list[Raw], now: datetime) -> RenderableType:
    """Return the explanation: fact, numbers, remedies, warnings."""
    head = (
        Text(f"{fact.mark} ", STYLES[fact.mark])
        .append(f"{subject}: ", "bold")
        .append(fact.headline)
    )
    lines = [head]
    lines += [Text("  " + text.replace("\n", "\n  "), "dim") for text in fact.details if text]
    lines += [Text("  ↳ ", "cyan").append(text, "cyan") for text in fact.remedies]
    if warnings:
        lines.append(Text("  events", "dim"))
    for event in warnings:
        line = Text(f"  {age(_time(event), now):>6}  ", "dim").append(event["reason"], "yellow")
        lines.append(line.append(f"  {event.get('message', '')}", "dim"))
    return Group(*lines)
