"""What `status.traffic` and the condition `TrafficProgrammed` say of the routes.

Waiting for a gateway is normal for a moment; after `PATIENCE_SECONDS` the condition names the
gateway that has not answered, and what to look at.
"""

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.traffic import ParentRef, TrafficShare, TrafficStatus
from modelyard.plan.claims import lost
from modelyard.plan.clock import seconds_since, timestamp
from modelyard.plan.conditions import Judgement, no, unknown, yes
from modelyard.plan.draft import DeploymentDraft
from modelyard.plan.gateway import (
    Answer,
    Share,
    answers,
    kinds_of,
    may_write,
    programmed,
    shares_of,
    view_of,
    wanted_routes,
)
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.route import Claim, Route
from modelyard.plan.traffic import EVERY_REVISION, canary_pods, given_weight, split

PATIENCE_SECONDS = 30
KIND = ConditionType.TRAFFIC_PROGRAMMED


def with_traffic(
    deployment: ModelDeployment, draft: DeploymentDraft, observed: DeploymentObserved
) -> DeploymentDraft:
    """Return the draft with what the routes and their gateways tell."""
    if draft.status.stable is None:
        return draft.set(traffic=None).judge(
            unknown(KIND, Reason.PENDING, "No version serves yet.")
        )
    if deployment.spec.traffic.gateway is None:
        return draft.set(traffic=None).judge(_by_pods(deployment, draft.status))
    draft = draft.set(traffic=_traffic(deployment, draft, observed))
    return draft.judge(_obstacle(deployment, draft, observed) or _through(draft.status, deployment))


def _traffic(
    deployment: ModelDeployment, draft: DeploymentDraft, observed: DeploymentObserved
) -> TrafficStatus:
    """Return the record of the present weights; what was counted under others is forgotten."""
    before, now = draft.status.traffic, timestamp(draft.now)
    wanted = shares_of(deployment, draft.status, observed)
    taken = programmed(deployment, draft.status, observed)
    if before is None or _weights(before) != [(s.version.revision, s.weight) for s in wanted]:
        shares = tuple(map(_share, wanted))
        return TrafficStatus(shares=shares, since=now, programmed_since=now if taken else None)
    if taken == (before.programmed_since is not None):
        return before
    if taken:
        return before.model_copy(update={"programmed_since": now})
    return TrafficStatus(shares=before.shares, since=now)


def _weights(traffic: TrafficStatus) -> list[tuple[str, int]]:
    return [(share.revision, share.weight) for share in traffic.shares]


def _share(share: Share) -> TrafficShare:
    version = share.version
    return TrafficShare(
        model_version_name=version.model_version_name,
        revision=version.revision,
        weight=share.weight,
    )


def _by_pods(deployment: ModelDeployment, status: ModelDeploymentStatus) -> Judgement:
    """Say what weights mean without a gateway."""
    if split(deployment, status).selection != EVERY_REVISION or status.step is None:
        text = "The public Service selects one version."
        return yes(KIND, Reason.REPLICA_WEIGHTED, text)
    replicas, weight = deployment.spec.replicas, status.step.weight
    canary, given = canary_pods(replicas, weight), given_weight(replicas, weight)
    text = (
        f"The public Service selects {replicas} pods of the stable version and {canary} of the new"
        f" one, which gets {given} % of the connections where {weight} % are meant."
    )
    return yes(KIND, Reason.REPLICA_WEIGHTED, text)


def _through(status: ModelDeploymentStatus, deployment: ModelDeployment) -> Judgement:
    traffic = status.traffic
    shares = traffic.shares if traffic else ()
    text = " and ".join(f"{s.model_version_name} {s.weight} %" for s in shares)
    if status.canary and traffic and traffic.verdict == "Differs":
        service = deployment.metadata.name
        message = (
            f"The routes give {text}, and the new version answered {traffic.message}. Find out"
            f" whether requests come past the gateway, through the Service {service}."
        )
        return no(KIND, Reason.SPLIT_DIFFERS, message)
    return yes(KIND, Reason.PROGRAMMED, f"The gateways give {text}.")


def _obstacle(
    deployment: ModelDeployment, draft: DeploymentDraft, observed: DeploymentObserved
) -> Judgement | None:
    """Return why the routes are not in force, None if they are."""
    missing = [kind for kind in kinds_of(deployment) if kind not in observed.offered]
    if missing:
        return no(KIND, Reason.GATEWAY_API_MISSING, _not_served(missing[0]))
    foreign = lost(deployment, observed.claims)
    if foreign:
        return no(KIND, Reason.HOSTNAME_CONFLICT, _conflict(*next(iter(foreign.items()))))
    for route in wanted_routes(deployment, draft.status, observed):
        found = _route(deployment, draft, observed, route)
        if found is not None:
            return found
    return None


def _route(
    deployment: ModelDeployment, draft: DeploymentDraft, observed: DeploymentObserved, route: Route
) -> Judgement | None:
    """Return why one route is not in force."""
    view = view_of(route, observed)
    if view is None or view.route != route:
        if not may_write(deployment, route, observed):
            text = f"{route.kind} waits until every Service in it has a ready pod."
            return unknown(KIND, Reason.NO_ENDPOINTS, text)
        return unknown(KIND, Reason.PROGRAMMING, f"{route.kind} is being written.")
    open_ones = [answer for answer in answers(view) if not answer.taken]
    if not open_ones:
        return None
    return _unanswered(deployment, draft, route, open_ones[0])


def _unanswered(
    deployment: ModelDeployment, draft: DeploymentDraft, route: Route, answer: Answer
) -> Judgement:
    place, name = _place(answer.parent), f"{route.kind} {deployment.metadata.name}"
    if answer.refusal is not None:
        said = f"{answer.refusal.reason}: {answer.refusal.message}"
        text = f"{place} does not take {name}: {said} Correct the Gateway or spec.traffic.gateway."
        return no(KIND, Reason.ROUTE_REFUSED, text)
    traffic = draft.status.traffic
    if traffic is None or seconds_since(traffic.since, draft.now) < PATIENCE_SECONDS:
        return unknown(KIND, Reason.PROGRAMMING, f"{place} has not taken {name} yet.")
    namespace = deployment.metadata.namespace
    text = (
        f"{place} has not taken {name} within {PATIENCE_SECONDS} s. See that it exists, that its"
        f" controller runs, and that a listener of it allows routes from namespace {namespace}"
        f" for {route.hostnames[0]}; or correct spec.traffic.gateway."
    )
    return no(KIND, Reason.GATEWAY_SILENT, text)


def _place(parent: ParentRef) -> str:
    listener = f", listener {parent.section_name}" if parent.section_name else ""
    return f"Gateway {parent.namespace}/{parent.name}{listener}"


def _not_served(kind: str) -> str:
    return (
        f"The cluster does not serve {kind} of gateway.networking.k8s.io/v1: install the Gateway"
        " API's CRDs and a gateway, or remove spec.traffic.gateway."
    )


def _conflict(hostname: str, claim: Claim) -> str:
    return (
        f"Host {hostname} at {_place(claim.parent)} belongs to ModelDeployment"
        f" {claim.namespace}/{claim.name}, which is older: use another host, or remove it there."
    )
