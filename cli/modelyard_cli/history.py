"""`rollout history`: what was served, who changed it, why, and on what evidence."""

from datetime import UTC, datetime

from rich.text import Text

from modelyard.api.rollout import HistoryEntry
from modelyard.api.rules import DEPLOYMENT
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api
from modelyard_cli.exits import Exit
from modelyard_cli.objects import deployment_of
from modelyard_cli.options import Format
from modelyard_cli.orders import entry_of
from modelyard_cli.views.deployment import CHANGE_HEADS, change_row


async def history(api: Api, name: str, number: int | None, form: Format) -> Exit:
    """Print the changes, newest first, or one with everything that is known of it."""
    found = deployment_of((await kinds.fetch(api, DEPLOYMENT, name)).raw)
    entries = (entry_of(found, number),) if number is not None else found.status.history
    if form in {Format.JSON, Format.YAML}:
        screen.dump([entry.dump() for entry in entries], form)
    elif form is Format.NAME:
        print("\n".join(entry.version for entry in entries))
    elif number is not None or form is Format.WIDE:
        for entry in entries:
            screen.show(screen.table(("", ""), _facts(entry), headed=False))
    elif entries:
        now = datetime.now(UTC)
        screen.show(screen.table(CHANGE_HEADS, (change_row(entry, now) for entry in entries)))
    else:
        screen.note(f"{name} has not served anything yet")
    return Exit.REACHED


def _facts(entry: HistoryEntry) -> list[tuple[Text, str]]:
    facts = {
        "change": f"{entry.number}, {entry.action}",
        "version": f"{entry.version}, revision {entry.revision}",
        "digest": entry.digest,
        "before": entry.from_version or "",
        "by": entry.by,
        "time": f"{entry.time}, after {entry.duration_seconds} s",
        "why": entry.reason,
        "evidence": entry.evidence,
    }
    return [(Text(name, "dim"), text) for name, text in facts.items() if text]
