"""The three kinds of failure. Each message says what happened, what was expected, what to do."""

from modelyard.api.reasons import Reason


class Retry(Exception):  # noqa: N818 - an instruction to the caller, named for what it asks
    """A transient failure: the same call may succeed later."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after
        """Seconds to wait at least, when the other side said so."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The user must act: becomes a condition with this reason."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Broken(Exception):  # noqa: N818 - says what the program is
    """Our own bug: gets a traceback, and fails tests."""
