"""CEL rules of `spec.traffic`: what a listener could not tell apart is refused at the door."""

from modelyard.api.cel import Rule

_SAME_GATEWAY = (
    "p.name == q.name && (has(p.__namespace__) ? p.__namespace__ : '')"
    " == (has(q.__namespace__) ? q.__namespace__ : '')"
)
_SAME_SECTION = "(!has(p.sectionName) || !has(q.sectionName) || p.sectionName == q.sectionName)"
_SAME_PORT = "(!has(p.port) || !has(q.port) || p.port == q.port)"
_OVERLAP = f"{_SAME_GATEWAY} && {_SAME_SECTION} && {_SAME_PORT}"
_ONE_LISTENER = f"self.rest.parentRefs.exists(p, self.grpc.parentRefs.exists(q, {_OVERLAP}))"
_ONE_HOST = (
    "self.rest.hostnames.exists(h, self.grpc.hostnames.exists(g, h == g"
    " || (h.startsWith('*.') && g.endsWith(h.substring(1)))"
    " || (g.startsWith('*.') && h.endsWith(g.substring(1)))))"
)


def _distinct(kind: str) -> Rule:
    return Rule(
        f"spec.traffic.gateway.{kind}.parentRefs",
        f"self.all(p, self.exists_one(q, {_OVERLAP}))",
        f"spec.traffic.gateway.{kind}.parentRefs[] names a listener twice: name each Gateway once,"
        " or a sectionName of its own each time",
    )


TRAFFIC_RULES = (
    _distinct("rest"),
    _distinct("grpc"),
    Rule(
        "spec.traffic.gateway",
        "has(self.rest) || has(self.grpc)",
        "spec.traffic.gateway names no route: add rest, grpc or both, or remove it",
    ),
    Rule(
        "spec.traffic.gateway",
        f"!has(self.rest) || !has(self.grpc) || !{_ONE_LISTENER} || !{_ONE_HOST}",
        "spec.traffic.gateway.rest and .grpc share a host on one listener, which accepts only one"
        " of them: give each its own hostnames, or its own sectionName",
    ),
    Rule(
        "spec.traffic",
        "has(self.gateway) || !has(self.cohorts) || self.cohorts.size() == 0",
        "spec.traffic.cohorts are told apart by a gateway: add spec.traffic.gateway, or remove"
        " them",
    ),
)
"""What relates the fields of `spec.traffic`."""
