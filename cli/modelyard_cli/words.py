"""Values as people read them: ages, spans, shares, bars; and the marks of states."""

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86400
EIGHTHS = " ▏▎▍▌▋▊▉█"

GOOD, BAD, BUSY, HELD, IDLE = "✔", "✖", "◐", "‖", "·"
STYLES = {GOOD: "green", BAD: "red", BUSY: "cyan", HELD: "yellow", IDLE: "dim"}
"""The marks of states, and their colours."""

PHASES = {
    "Succeeded": GOOD,
    "Ready": GOOD,
    "Healthy": GOOD,
    "Running": BUSY,
    "Starting": BUSY,
    "Evaluating": BUSY,
    "Registering": BUSY,
    "Verifying": BUSY,
    "Progressing": BUSY,
    "Paused": HELD,
    "Interrupted": HELD,
    "Pending": IDLE,
    "Deleting": IDLE,
    "Failed": BAD,
    "Rejected": BAD,
    "Degraded": BAD,
    "Quarantined": BAD,
}


def mark_of(phase: str) -> str:
    """Return the mark of a phase."""
    return PHASES.get(phase, IDLE)


def moment(text: str) -> datetime:
    """Read a time of Kubernetes."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def age(text: str, now: datetime) -> str:
    """Return how long ago a time was.

    >>> age("2026-01-31T11:58:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2m0s'
    """
    return span((now - moment(text)).total_seconds()) if text else ""


def span(seconds: float) -> str:
    """Return a number of seconds as kubectl writes it: two units where the first is small.

    >>> span(9), span(150), span(3600 * 5 + 60), span(86400 * 3), span(-1)
    ('9s', '2m30s', '5h1m', '3d0h', '0s')
    """
    left = max(0, round(seconds))
    if left < 2 * MINUTE:
        return f"{left}s"
    if left < HOUR:
        return f"{left // MINUTE}m{left % MINUTE}s" if left < 10 * MINUTE else f"{left // MINUTE}m"
    if left < 2 * DAY:
        return f"{left // HOUR}h{left % HOUR // MINUTE}m"
    return f"{left // DAY}d{left % DAY // HOUR}h" if left < 8 * DAY else f"{left // DAY}d"


def seconds_of(text: str) -> float:
    """Read a span as kubectl's options take it: `90s`, `5m`, `1h30m`, or plain seconds.

    >>> seconds_of("90s"), seconds_of("1h30m"), seconds_of("7"), seconds_of("0")
    (90.0, 5400.0, 7.0, 0.0)

    Raises:
        ValueError: it is none of these.
    """
    total, digits = 0.0, ""
    units = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
    for letter in text.strip():
        if letter in units and digits:
            total, digits = total + float(digits) * units[letter], ""
        else:
            digits += letter
    if digits or not text.strip():
        total += float(digits)
    return total


def bar(percent: float, width: int = 24) -> str:
    """Return a bar of `width` cells, fine to an eighth of one.

    >>> bar(58, 10), bar(0, 4), bar(100, 4)
    ('▕█████▊    ▏', '▕    ▏', '▕████▏')
    """
    eighths = round(max(0.0, min(100.0, percent)) / 100 * width * 8)
    full, rest = divmod(eighths, 8)
    return "▕" + ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width) + "▏"


def percentage(ratio: str | float) -> str:
    """Return a ratio in percent, to three digits.

    >>> percentage("0.0213"), percentage("0"), percentage(0.5)
    ('2.13 %', '0 %', '50 %')
    """
    return f"{float(ratio) * 100:.3g} %"


def short_digest(digest: str) -> str:
    """Return the first 12 digits of a digest.

    >>> short_digest("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return digest.rpartition(":")[2][:12]
