"""Knows which runs are so short that handing them to a thread would take longer than they do."""

import math
from collections.abc import Sequence

from modelyard_serving.signatures import Array

SHAPES = 64
"""Shapes of inputs that are remembered; more of them are learnt anew."""

Shapes = tuple[tuple[int, ...], ...]


class Pace:
    """Remembers how long runs of one program take, by the shapes of their inputs.

    The shortest time counts: whatever else goes on in the machine only adds to it.
    """

    def __init__(self) -> None:
        self._seconds: dict[Shapes, float] = {}

    def expected(self, feeds: Sequence[Array]) -> float:
        """Return the seconds that a run will take; infinite if none of its shapes was seen."""
        return self._seconds.get(_shapes(feeds), math.inf)

    def record(self, feeds: Sequence[Array], seconds: float) -> None:
        """Remember a run."""
        shapes = _shapes(feeds)
        if len(self._seconds) >= SHAPES and shapes not in self._seconds:
            self._seconds.clear()
        self._seconds[shapes] = min(seconds, self._seconds.get(shapes, math.inf))


def _shapes(feeds: Sequence[Array]) -> Shapes:
    return tuple(feed.shape for feed in feeds)
