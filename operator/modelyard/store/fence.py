"""The fence of a training: which attempt may still write checkpoints and commit.

A pod on a lost node cannot be stopped, only locked out. The operator raises the fence before it
starts the next attempt; older attempts check it and stop.
"""

from typing import Annotated

from pydantic import Field

from modelyard.api.errors import Refused
from modelyard.api.meta import Model
from modelyard.api.reasons import Reason
from modelyard.api.store import ModelKeys
from modelyard.store.documents import create, decode, swap
from modelyard.store.interface import Fetched, Missing, Store

CLOSED = 2**31 - 1
"""A fence that no attempt passes: the training is over."""


class Fence(Model):
    """The lowest attempt that may write."""

    attempt: Annotated[int, Field(ge=1, le=CLOSED)]


def fence_key(keys: ModelKeys, training_uid: str) -> str:
    """Return the key of a training's fence."""
    return f"{keys.run_data(training_uid)}fence"


def read_fence(store: Store, keys: ModelKeys, training_uid: str) -> int:
    """Return the lowest attempt that may write; 1 if no fence was raised."""
    found = _read(store, fence_key(keys, training_uid))
    return found[0].attempt if found else 1


def raise_fence(store: Store, keys: ModelKeys, training_uid: str, attempt: int) -> None:
    """Lock out all attempts before `attempt`; a fence that is already higher stays."""
    key = fence_key(keys, training_uid)
    while True:
        found = _read(store, key)
        if found and found[0].attempt >= attempt:
            return
        wanted = Fence(attempt=attempt)
        # A lost race is looked at again: fences only rise, so this ends.
        if swap(store, key, wanted, found[1].etag) if found else create(store, key, wanted):
            return


def check_fence(store: Store, keys: ModelKeys, training_uid: str, attempt: int) -> None:
    """Return if `attempt` may write.

    Raises:
        Refused: A later attempt took over, or the training is over.
    """
    lowest = read_fence(store, keys, training_uid)
    if attempt < lowest:
        raise locked_out(training_uid, attempt, lowest)


def locked_out(training_uid: str, attempt: int, lowest: int) -> Refused:
    """Return the refusal of an attempt that may no longer write."""
    cause = "the training is over" if lowest == CLOSED else f"attempt {lowest} took over"
    message = f"attempt {attempt} of training {training_uid} is locked out: {cause}; nothing to do"
    return Refused(Reason.INTERRUPTED, message)


def _read(store: Store, key: str) -> tuple[Fence, Fetched] | None:
    try:
        fetched = store.get(key)
    except Missing:
        return None
    return decode(Fence, fetched.content, store.locate(key)), fetched
