"""Times as Kubernetes writes them: RFC 3339 in UTC, whole seconds."""

from datetime import UTC, datetime


def timestamp(moment: datetime) -> str:
    """Write a time zone aware moment as `2026-01-31T12:00:00Z`.

    >>> timestamp(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str) -> datetime:
    """Read what `timestamp` or the API server wrote; fractions of a second are kept.

    >>> moment_of("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    True
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def seconds_since(text: str, now: datetime) -> float:
    """Return how long ago `text` was; negative if the clock went back."""
    return (now - moment_of(text)).total_seconds()
