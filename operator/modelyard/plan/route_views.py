"""Plain JSON of the Gateway API and of EndpointSlices in, what planners read out.

What a field left out means is written by the API server (defaults of the CRDs); a field that nobody
here writes is not read, and somebody who set it may keep it.
"""

from collections.abc import Iterator
from typing import Any

from modelyard.api.traffic import ParentRef
from modelyard.plan.route import (
    Backend,
    EndpointsView,
    ParentView,
    Route,
    RouteRule,
    RouteView,
    Said,
)

Json = dict[str, Any]

SERVICE_NAME = "kubernetes.io/service-name"


def route_view(raw: Json) -> RouteView:
    """Read an HTTPRoute or a GRPCRoute."""
    meta, spec, namespace = raw["metadata"], raw.get("spec", {}), raw["metadata"]["namespace"]
    said = raw.get("status", {}).get("parents", ())
    return RouteView(
        name=meta["name"],
        uid=meta.get("uid", ""),
        route=Route(
            kind=raw["kind"],
            parents=tuple(_parent(ref, namespace) for ref in spec.get("parentRefs", ())),
            hostnames=tuple(spec.get("hostnames", ())),
            rules=tuple(map(_rule, spec.get("rules", ()))),
        ),
        generation=meta.get("generation", 0),
        parents=tuple(_said(entry, namespace) for entry in said),
        deleting=bool(meta.get("deletionTimestamp")),
    )


def endpoints_view(raw: Json) -> EndpointsView:
    """Read an EndpointSlice: what is ready in it; one that does not say is ready."""
    service = raw["metadata"].get("labels", {}).get(SERVICE_NAME, "")
    conditions = (entry.get("conditions", {}) for entry in raw.get("endpoints") or ())
    return EndpointsView(service, sum(found.get("ready") is not False for found in conditions))


def _parent(ref: Json, namespace: str) -> ParentRef:
    return ParentRef.model_construct(
        name=ref.get("name", ""),
        namespace=ref.get("namespace", namespace),
        section_name=ref.get("sectionName"),
        port=ref.get("port"),
    )


def _rule(rule: Json) -> RouteRule:
    backends = (
        Backend(ref.get("name", ""), ref.get("port", 0), ref.get("weight", 1))
        for ref in rule.get("backendRefs", ())
    )
    return RouteRule(tuple(backends), next(_headers(rule), None))


def _headers(rule: Json) -> Iterator[tuple[str, str]]:
    for match in rule.get("matches", ()):
        for header in match.get("headers", ()):
            yield header.get("name", ""), header.get("value", "")


def _said(entry: Json, namespace: str) -> ParentView:
    conditions = {c["type"]: c for c in entry.get("conditions", ())}
    return ParentView(
        _parent(entry.get("parentRef", {}), namespace),
        _condition(conditions.get("Accepted")),
        _condition(conditions.get("ResolvedRefs")),
    )


def _condition(found: Json | None) -> Said | None:
    if found is None:
        return None
    return Said(
        holds=found["status"] == "True",
        generation=found.get("observedGeneration", 0),
        reason=found.get("reason", ""),
        message=found.get("message", ""),
    )
