"""Ask again what may succeed later, for a bounded time."""

import logging
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from modelyard.api.errors import Retry
from modelyard_trainer.failures import Interrupted

LOG = logging.getLogger(__name__)
DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between two tries: about a minute in all, longer than a store takes to restart."""

T = TypeVar("T")


def patiently(call: Callable[[], T], stop: Event, delays: tuple[float, ...] = DELAYS) -> T:
    """Return what `call` returns, calling it again after each Retry.

    Raises:
        Retry: it still failed after the last delay.
        Interrupted: `stop` was set while the store was away.
    """
    for delay in delays:
        try:
            return call()
        except Retry as error:
            LOG.warning("%s; trying again", error)
            if stop.wait(max(delay, error.after or 0)):
                raise Interrupted(f"Stopped on request while waiting: {error}") from error
    return call()
