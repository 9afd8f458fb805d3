"""What an answer of the API server means: try again, ask the user, or a bug of ours."""

import json
import time
from collections.abc import Mapping

from modelyard.api.errors import Broken, Refused, Retry
from modelyard.api.reasons import Reason

JSON_PATCH = "application/json-patch+json"
BUSY = frozenset({408, 429})
UNPROCESSABLE = 422
SERVER_ERROR = 500


class Conflict(Retry):
    """Somebody else wrote first: read again, decide again, at once."""


class AlreadyExists(Retry):
    """An object of that name exists; whether it is the wanted one must be looked at."""


class Missing(Retry):
    """The object of a write is gone."""


class Forbearance:
    """Bears refusals for a while: an API server that starts has not read its roles yet."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def answered(self) -> None:
        """Note that something was not refused."""
        self._since = None

    def refused(self, refused: Refused) -> None:
        """Note a refusal.

        Raises:
            Refused: it has been like that for too long; the user must act.
        """
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._seconds:
            raise refused


def _details(body: bytes) -> tuple[str, str]:
    """Return reason and message of a `Status` answer, as far as it is one."""
    try:
        status = json.loads(body)
        return str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        return "", body[:200].decode(errors="replace")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header; a date there is not worth parsing."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def failure_of(
    what: str, status: int, headers: Mapping[str, str], body: bytes, sent: str = ""
) -> Exception:
    """Return the exception for an unsuccessful answer.

    Args:
        what: method and path of the request.
        status: HTTP status, 400 or more.
        headers: the answer's headers.
        body: the answer's body, usually a `Status` object.
        sent: content type of the request.
    """
    reason, message = _details(body)
    text = f"The API server answered {status} {reason} to {what}: {message}"
    if status >= SERVER_ERROR or status in BUSY:
        return Retry(text, _retry_after(headers))
    return _client_error(text, status, reason, sent)


def _client_error(text: str, status: int, reason: str, sent: str) -> Exception:
    """Return the exception for an answer that blames the request."""
    answers: dict[int, Exception] = {
        401: Retry(text, 1),  # the token has rotated under us and is read again
        403: Refused(Reason.FORBIDDEN, f"{text}. Grant the right, or raise the quota."),
        404: Missing(text, 0),
        409: AlreadyExists(text, 0) if reason == "AlreadyExists" else Conflict(text, 0),
        410: Retry(text),  # the pages of a LIST have expired: it begins anew
        422: Refused(Reason.INVALID_SPEC, f"{text}. Correct the spec."),
    }
    if status == UNPROCESSABLE and sent == JSON_PATCH:
        return Conflict(text, 0)  # a `test` of the patch failed: the object has moved on
    return answers.get(status, Broken(text))
