"""Routes of the Gateway API as values, wanted ones and those that are there."""

from dataclasses import dataclass

from modelyard.api.traffic import ParentRef, RouteKind


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service that gets requests."""

    service: str
    port: int
    weight: int


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Who gets the requests, of all of them or of those with a header."""

    backends: tuple[Backend, ...]
    header: tuple[str, str] | None = None
    """Name and value that select the requests."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a route says; parents always name their namespace."""

    kind: RouteKind
    parents: tuple[ParentRef, ...]
    hostnames: tuple[str, ...]
    rules: tuple[RouteRule, ...]

    def services(self) -> frozenset[str]:
        """Return the Services that get something."""
        return frozenset(b.service for rule in self.rules for b in rule.backends if b.weight)


@dataclass(frozen=True, slots=True)
class Said:
    """One condition of a gateway about a route."""

    holds: bool
    generation: int
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ParentView:
    """What one controller says of a route at one parent."""

    parent: ParentRef
    accepted: Said | None = None
    resolved: Said | None = None


@dataclass(frozen=True, slots=True)
class RouteView:
    """One route of a deployment."""

    name: str
    uid: str
    route: Route
    generation: int = 1
    parents: tuple[ParentView, ...] = ()
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class EndpointsView:
    """One EndpointSlice of a version's Service."""

    service: str
    ready: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A host at a listener that a deployment wants for itself."""

    parent: ParentRef
    hostname: str
    age: str
    """When the deployment was created: the older one has the host."""
    namespace: str
    name: str
