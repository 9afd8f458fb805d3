"""Any exception of an attempt as a failure that the run contract knows."""

import logging

from modelyard.api.errors import Refused, Retry
from modelyard.api.reasons import Reason
from modelyard.store.data import DataError
from modelyard_trainer.failures import (
    BadConfiguration,
    BadData,
    Interrupted,
    OutOfMemory,
    RunFailed,
    StoreFailed,
)

LOG = logging.getLogger(__name__)


def as_failure(error: Exception) -> RunFailed:
    """Return `error` as a RunFailed; what nobody foresaw is logged with its traceback."""
    match error:
        case RunFailed():
            return error
        case Refused() | Retry():
            return _of_store(error)
        case MemoryError():
            return OutOfMemory(_text(error), "Raise compute.resources or lower recipe.batchSize.")
        case _:
            return _unforeseen(error)


def _of_store(error: Refused | Retry) -> RunFailed:
    """Return what the store said: some answers stay the same however often one asks."""
    match error:
        case Refused(reason=Reason.DATA_NOT_ALLOWED):
            return BadConfiguration(str(error), "Use data that the store's readPrefixes allow.")
        case DataError():
            return BadData(str(error), "Correct the data source, or put the file in its place.")
        case Refused(reason=Reason.INTERRUPTED):
            return Interrupted(str(error))
        case _:
            return StoreFailed(str(error), "Check the store and its Secret; then train again.")


def _unforeseen(error: Exception) -> RunFailed:
    """Return what TensorFlow calls exhausted memory, or else a bug."""
    if type(error).__name__ == "ResourceExhaustedError":
        return OutOfMemory(_text(error), "Lower recipe.batchSize or take a larger accelerator.")
    LOG.error("the trainer failed", exc_info=error)
    return RunFailed(_text(error), "The traceback is in the log.")


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
