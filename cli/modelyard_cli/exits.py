"""How a command ends: one table of exit codes for all, and the exception that carries one."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    REACHED = 0
    """What was asked for is reached."""
    API_ERROR = 1
    """The API server cannot be reached, or answered with an error."""
    USAGE = 2
    """The command line is wrong."""
    FAILED = 3
    """It failed for good: a failed training, a refused gate, a rollout that was rolled back."""
    TIMED_OUT = 4
    """It was not reached in the time given."""
    NEEDS_PERSON = 5
    """Only a person can take it further."""
    FORBIDDEN = 6
    """The user lacks a right."""
    WRONG_STATE = 7
    """The object is not in a state for this: nothing in flight, or it exists already."""
    NOT_FOUND = 8
    """There is no such object."""
    INTERRUPTED = 130
    """Ctrl-C; what was started in the cluster goes on."""


class Stop(Exception):  # noqa: N818 - an ending, not always a fault
    """Ends a command: what happened, and what to do about it."""

    def __init__(self, code: Exit, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.remedy = remedy
