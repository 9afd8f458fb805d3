"""What the sentinel believes of its server: a value, and how each observation changes it.

A server that restarts has proved nothing yet, so its golden predictions are due again. A restart is
seen in two ways: nothing listens, or the server's request counter runs backwards.
"""

from dataclasses import dataclass, replace

from modelyard.api.serve import GoldenVerdict
from modelyard.sentinel.server import LoadState

PATIENCE = 3
"""Unanswered looks in a row after which a server that passed loses its readiness: one slow answer
under load must not shift its load to the other pods."""


@dataclass(frozen=True, slots=True)
class Health:
    """The sentinel's belief; a new one is `Pending`."""

    verdict: GoldenVerdict = GoldenVerdict.PENDING
    message: str = "the model server has not been seen yet"
    requests: int = 0
    """The server's request counter at the last look."""
    silences: int = 0
    """Looks in a row without an answer."""
    loaded: bool = False
    """Whether the version was AVAILABLE at the last answered look."""

    @property
    def up(self) -> bool:
        """Whether the last look was answered."""
        return self.silences == 0

    @property
    def ready(self) -> bool:
        """Whether the pod may get traffic."""
        passed = self.verdict is GoldenVerdict.PASSED
        return passed and self.loaded and self.silences < PATIENCE

    @property
    def due(self) -> bool:
        """Whether the golden predictions have to be asked now."""
        return self.loaded and self.up and self.verdict is GoldenVerdict.PENDING


def gone(reason: str) -> Health:
    """Forget everything: whatever listens next is another server."""
    return Health(message=reason, silences=1)


def silent(health: Health, reason: str) -> Health:
    """Count an unanswered look; the verdict stands, it was about the same server."""
    count = health.silences + 1
    shown = reason if health.verdict is not GoldenVerdict.FAILED else health.message
    return replace(health, silences=count, message=shown)


def counted(health: Health, requests: int) -> Health:
    """Take in the request counter; one that ran backwards belongs to another server."""
    if requests < health.requests:
        return Health(message="the model server has restarted", requests=requests)
    return replace(health, requests=requests)


def seen(health: Health, load: LoadState) -> Health:
    """Take in an answered look at the version's state."""
    answered = replace(health, silences=0, loaded=load.available)
    match health.verdict:
        case GoldenVerdict.FAILED:
            return answered
        case GoldenVerdict.PASSED if load.available:
            return replace(answered, message="")
        case _ if load.available:
            return replace(answered, message="the golden predictions are under way")
        case _:
            return replace(answered, verdict=GoldenVerdict.PENDING, message=_loading(load))


def judged(health: Health, fault: str | None, requests: int) -> Health:
    """Record the outcome of the golden predictions (None is a pass) and the counter after them."""
    verdict = GoldenVerdict.PASSED if fault is None else GoldenVerdict.FAILED
    return replace(health, verdict=verdict, message=fault or "", requests=requests)


def _loading(load: LoadState) -> str:
    if load.error:
        return f"the version is {load.state}; the server says: {load.error}"
    return f"the version is {load.state}, waiting for AVAILABLE"
