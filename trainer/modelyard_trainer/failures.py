"""How an attempt can end early: each failure knows its exit code, its category and a remedy."""

from typing import ClassVar

from modelyard.api.reasons import FailureCategory
from modelyard.api.run import ExitCode


class RunFailed(Exception):  # noqa: N818 - says what happened to the run
    """The attempt ends; what the program can say about it goes into the run's result."""

    exit_code: ClassVar[int] = 1
    category: ClassVar[FailureCategory] = FailureCategory.APPLICATION_ERROR

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        """What the user can do about it."""


class BadConfiguration(RunFailed):
    """The run contract or the recipe asks for something impossible; retrying cannot help."""

    exit_code = ExitCode.BAD_CONFIGURATION
    category = FailureCategory.INVALID_CONFIGURATION


class BadData(RunFailed):
    """A data file is not what its schema says; retrying cannot help."""

    exit_code = ExitCode.DATA_ERROR
    category = FailureCategory.DATA_ERROR


class Diverged(RunFailed):
    """The loss stopped being a number; the same seed would diverge again."""

    exit_code = ExitCode.DIVERGED
    category = FailureCategory.DIVERGED


class Interrupted(RunFailed):
    """The pod was asked to stop; the state is saved and the next attempt continues from it."""

    exit_code = ExitCode.INTERRUPTED
    category = FailureCategory.INTERRUPTED


class StoreFailed(RunFailed):
    """The store could not be reached or refused us; a later attempt may succeed."""

    category = FailureCategory.STORE_ERROR


class OutOfMemory(RunFailed):
    """The machine or the device has too little memory for this recipe."""

    category = FailureCategory.OUT_OF_MEMORY
