"""Routes that the API server must accept and refuse."""

from typing import Any

from tests.api.crd_cases import Case, deployment

_GATEWAY = "spec.traffic.gateway"
_COHORTS = "spec.traffic.cohorts"
_BETA = [{"name": "beta", "header": {"name": "x-cohort", "value": "beta"}}]


def _route(*hosts: str, **parent: object) -> dict[str, Any]:
    return {"parentRefs": [{"name": "public", **parent}], "hostnames": list(hosts)}


def _both(rest: dict[str, Any], grpc: dict[str, Any]) -> dict[str, Any]:
    return {_GATEWAY: {"rest": rest, "grpc": grpc}}


_REST = _route("digits.example.com")
_GRPC = _route("digits-grpc.example.com")
_SHARED = (_GATEWAY, "share a host on one listener", "its own hostnames")

ACCEPTED = (
    Case("a route for REST", deployment, {_GATEWAY: {"rest": _REST}}),
    Case("a route for gRPC", deployment, {_GATEWAY: {"grpc": _GRPC}}),
    Case("two routes with a host each", deployment, _both(_REST, _GRPC)),
    Case(
        "two routes with a listener each",
        deployment,
        _both(
            _route("a.example.com", sectionName="web"), _route("a.example.com", sectionName="rpc")
        ),
    ),
    Case(
        "two routes with a port each",
        deployment,
        _both(_route("a.example.com", port=80), _route("a.example.com", port=81)),
    ),
    Case(
        "two routes with a gateway each",
        deployment,
        _both(_route("a.example.com"), _route("a.example.com", namespace="infra")),
    ),
    Case(
        "two listeners of a gateway",
        deployment,
        {
            _GATEWAY: {
                "rest": {
                    "parentRefs": [
                        {"name": "public", "sectionName": "http"},
                        {"name": "public", "sectionName": "https"},
                    ],
                    "hostnames": ["*.example.com"],
                }
            }
        },
    ),
    Case("cohorts", deployment, {_GATEWAY: {"rest": _REST}, _COHORTS: _BETA}),
    Case("no traffic settings", deployment, {"spec.traffic": {}}),
)

REFUSED = (
    Case("a gateway without a route", deployment, {_GATEWAY: {}}, (_GATEWAY, "add rest, grpc")),
    Case("one host for both", deployment, _both(_REST, _REST), _SHARED),
    Case(
        "a host within the other's pattern",
        deployment,
        _both(_route("*.example.com"), _route("a.example.com")),
        _SHARED,
    ),
    Case(
        "a pattern around the other's host",
        deployment,
        _both(_route("a.b.example.com"), _route("*.example.com")),
        _SHARED,
    ),
    Case(
        "one host on a listener that the other has among all",
        deployment,
        _both(_route("a.example.com"), _route("a.example.com", sectionName="web")),
        _SHARED,
    ),
    Case(
        "a gateway twice",
        deployment,
        {
            _GATEWAY: {
                "rest": {
                    "parentRefs": [{"name": "public"}, {"name": "public", "sectionName": "web"}],
                    "hostnames": ["a.example.com"],
                }
            }
        },
        (f"{_GATEWAY}.rest.parentRefs", "names a listener twice", "sectionName of its own"),
    ),
    Case(
        "a route to nowhere",
        deployment,
        {_GATEWAY: {"rest": {"parentRefs": [], "hostnames": ["a.example.com"]}}},
        (f"{_GATEWAY}.rest.parentRefs", "at least 1"),
    ),
    Case(
        "a route for no host",
        deployment,
        {_GATEWAY: {"grpc": _route()}},
        (f"{_GATEWAY}.grpc.hostnames", "at least 1"),
    ),
    Case(
        "an address instead of a host",
        deployment,
        {_GATEWAY: {"rest": _route("http://digits.example.com")}},
        (f"{_GATEWAY}.rest.hostnames[0]", "should match"),
    ),
    Case(
        "cohorts without a gateway",
        deployment,
        {_COHORTS: _BETA},
        ("spec.traffic", "add spec.traffic.gateway"),
    ),
    Case(
        "a cohort that any value makes",
        deployment,
        {
            _GATEWAY: {"rest": _REST},
            _COHORTS: [{"name": "beta", "header": {"name": "x-cohort", "value": ""}}],
        },
        (f"{_COHORTS}[0].header.value", "at least 1"),
    ),
    Case(
        "a header that is none",
        deployment,
        {
            _GATEWAY: {"rest": _REST},
            _COHORTS: [{"name": "beta", "header": {"name": "x cohort", "value": "a"}}],
        },
        (f"{_COHORTS}[0].header.name", "should match"),
    ),
    Case(
        "a cohort twice",
        deployment,
        {_GATEWAY: {"rest": _REST}, _COHORTS: _BETA * 2},
        (f"{_COHORTS}[1]", "Duplicate value"),
    ),
)
