"""What the pods of one side have answered, and the difference of two reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter

from modelyard.api.serve import LATENCY_BUCKETS, ServerCounters


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of one side, added up over its servers."""

    servers: str = ""
    """Names this very set of server processes: other processes count from 0 again."""
    requests: int = 0
    server_errors: int = 0
    client_errors: int = 0
    latency: tuple[int, ...] = (0,) * LATENCY_BUCKETS

    def since(self, before: "Counters") -> "Counters | None":
        """Return what was answered after `before`; None if these are other servers."""
        if self.servers != before.servers or self.requests < before.requests:
            return None
        return Counters(
            self.servers,
            self.requests - before.requests,
            max(0, self.server_errors - before.server_errors),
            max(0, self.client_errors - before.client_errors),
            tuple(max(0, new - old) for new, old in zip(self.latency, before.latency, strict=True)),
        )


def added(servers: Iterable[tuple[str, ServerCounters]]) -> Counters:
    """Add up the counters of one side's servers, each with the name of its process.

    >>> one, two = ServerCounters(requests=10, server_errors=1), ServerCounters(requests=5)
    >>> added([("a/0", one), ("b/0", two)]).requests
    15
    """
    chosen = sorted(servers, key=itemgetter(0))
    if not chosen:
        return Counters()
    counters = [counter for _, counter in chosen]
    return Counters(
        sha256(",".join(name for name, _ in chosen).encode()).hexdigest()[:8],
        sum(counter.requests for counter in counters),
        sum(counter.server_errors for counter in counters),
        sum(counter.client_errors for counter in counters),
        tuple(map(sum, zip(*(counter.latency for counter in counters), strict=True))),
    )
