"""How requests reach a deployment, and how they are divided while a new version takes over."""

from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.meta import (
    DecimalString,
    DnsLabel,
    Model,
    ObjectName,
    Observed,
    ShortText,
    Timestamp,
)

RouteKind = Literal["HTTPRoute", "GRPCRoute"]

Hostname = Annotated[
    str,
    Field(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        min_length=1,
        max_length=253,
    ),
]
"""A host name as Gateway API routes take it: the first label may be `*`."""


class ParentRef(Model):
    """A Gateway, or one listener of it; its `allowedRoutes` decides who may attach."""

    name: ObjectName
    """Name of the Gateway."""

    namespace: DnsLabel | None = None
    """Namespace of the Gateway; the deployment's own if absent."""

    section_name: ObjectName | None = None
    """Listener of the Gateway; every one that fits if absent."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of the listeners; every one if absent."""


class RouteSpec(Model):
    """One route of the Gateway API: where it attaches, and which hosts it answers for."""

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=4)]
    """Gateways that take the route, in this namespace or another."""

    hostnames: Annotated[tuple[Hostname, ...], Field(min_length=1, max_length=8)]
    """Hosts whose requests go to this deployment, and to no other route of the listener."""


class GatewaySpec(Model):
    """Routes to this deployment: at least one of rest and grpc."""

    rest: RouteSpec | None = None
    """An HTTPRoute to the REST port."""

    grpc: RouteSpec | None = None
    """A GRPCRoute to the gRPC port; on a listener it shares no host with the HTTPRoute."""


class CohortHeader(Model):
    """A header of a request, compared letter by letter."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$", max_length=256)]
    """Name of the header, in any case."""

    value: Annotated[str, Field(min_length=1, max_length=256)]
    """What the header must say."""


class Cohort(Model):
    """Callers who meet a new version first."""

    name: DnsLabel
    """Name of the cohort."""

    header: CohortHeader
    """The header that their requests carry."""


class TrafficSpec(Model):
    """How requests reach the serving versions."""

    gateway: GatewaySpec | None = None
    """Routes that divide requests by weight; without, weights are numbers of pods."""

    cohorts: Annotated[tuple[Cohort, ...], Field(max_length=8)] = ()
    """Callers whose requests all go to the new version while there is one."""

    def routes(self) -> tuple[tuple[RouteKind, RouteSpec], ...]:
        """Return the routes that are asked for, by kind; none without a gateway."""
        if self.gateway is None:
            return ()
        rest = (("HTTPRoute", self.gateway.rest),) if self.gateway.rest else ()
        grpc = (("GRPCRoute", self.gateway.grpc),) if self.gateway.grpc else ()
        return (*rest, *grpc)


class TrafficShare(Observed):
    """What one version gets of the requests that come through the gateway."""

    model_version_name: ObjectName
    """The ModelVersion."""

    revision: Annotated[str, Field(max_length=16)]
    """Its revision."""

    weight: int
    """Percent that the routes give it; all shares together are 100."""

    observed: DecimalString | None = None
    """Percent of the requests that its pods have answered since the weight is in force."""


class SplitCount(Observed):
    """Where the counting of requests began."""

    time: Timestamp
    """When the counters were last looked at."""

    servers: Annotated[str, Field(max_length=64)]
    """Names the server processes of both versions: other processes count from 0 again."""

    stable: int
    """Requests that the stable version's servers had answered at the beginning."""

    canary: int
    """Requests that the new version's servers had answered at the beginning."""


class TrafficStatus(Observed):
    """What the routes say, whether the gateways have taken it, and what came of it."""

    shares: Annotated[tuple[TrafficShare, ...], Field(max_length=2)] = ()
    """What each version is meant to get, stable first."""

    since: Timestamp
    """Since when it is meant so."""

    programmed_since: Timestamp | None = None
    """When every gateway had taken it; absent while one has not."""

    verdict: Literal["Agrees", "Differs", "NeedMoreData"] = "NeedMoreData"
    """Whether the requests that the pods counted are divided as the weights say."""

    samples: int = 0
    """Requests that the observed shares rest on."""

    needed: int = 0
    """Requests that suffice to tell."""

    counted: SplitCount | None = None
    """Where the counting began; whoever leads next goes on from here."""

    message: ShortText = ""
    """The comparison in plain words."""
