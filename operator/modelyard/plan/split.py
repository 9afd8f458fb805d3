"""The observed split: are requests really divided as the routes say?

A gateway that accepts a route may still not follow it. The pods' own counters tell: what both
versions answered since the weight is in force must agree with it before the next step.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.api.traffic import SplitCount, TrafficShare, TrafficStatus
from modelyard.plan.analysis import counters_of
from modelyard.plan.clock import seconds_since, timestamp
from modelyard.plan.draft import Draft
from modelyard.plan.judge.counters import Counters
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.rollout import facts_of

DEVIATIONS = 4
"""Standard deviations by which a split may miss its weight: a gateway that draws lots for each
request is beyond by chance once in 16,000 looks."""
FEWEST = 30
"""Requests that the version with less must be due before the split is judged: then none at all is
further away than chance and slack allow."""
SLACK = 0.1
"""Share of the smaller weight that is allowed for reading the counters one after the other."""
STRAGGLERS = 2
"""Requests that may have been under way when the weight came into force."""
LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a number of requests says of a weight."""

    verdict: Literal["Agrees", "Differs", "NeedMoreData"]
    needed: int


def compare(weight: int, stable: int, canary: int, *, more_is_fine: bool = False) -> Comparison:
    """Compare requests of both versions with the canary's weight in percent.

    Args:
        weight: what the canary should get, 1 to 100.
        stable: requests that stable answered.
        canary: requests that the canary answered.
        more_is_fine: whether the canary may get more, for instance from cohorts.

    >>> compare(10, 1800, 200).verdict, compare(10, 1900, 100).verdict, compare(10, 90, 10)
    ('Agrees', 'Differs', Comparison(verdict='NeedMoreData', needed=300))
    """
    share, total = weight / 100, stable + canary
    smaller = min(share, 1 - share)
    needed = ceil(FEWEST / smaller) if smaller else FEWEST
    if total < needed:
        return Comparison("NeedMoreData", needed)
    allowed = DEVIATIONS * sqrt(total * share * (1 - share)) + STRAGGLERS
    allowed += SLACK * total * (smaller or SLACK)
    missed = canary - total * share
    agrees = abs(missed) <= allowed or (more_is_fine and missed > 0)
    return Comparison("Agrees" if agrees else "Differs", needed)


def split_looked(
    deployment: ModelDeployment, draft: Draft[ModelDeploymentStatus], observed: DeploymentObserved
) -> Draft[ModelDeploymentStatus]:
    """Return the draft after a look at the split, if one is due and every pod has told."""
    status, traffic = draft.status, draft.status.traffic
    if traffic is None or status.stable is None or status.canary is None:
        return draft
    if traffic.counted and seconds_since(traffic.counted.time, draft.now) < _interval(deployment):
        return draft
    stable = _fresh(status.stable, traffic, observed)
    canary = _fresh(status.canary, traffic, observed)
    if stable is None or canary is None:
        return draft
    began = _began(stable, canary, timestamp(draft.now))
    if not traffic.counted or traffic.counted.servers != began.servers:
        return draft.set(traffic=traffic.model_copy(update={"counted": began}))
    return draft.set(traffic=_counted(deployment, traffic, began))


def _interval(deployment: ModelDeployment) -> float:
    analysis = deployment.spec.rollout.analysis
    return analysis.interval_seconds if analysis else LOOK_SECONDS


def _fresh(
    version: ServedVersion, traffic: TrafficStatus, observed: DeploymentObserved
) -> Counters | None:
    """Return a version's counters if all were read after the weight came into force."""
    since = traffic.programmed_since
    facts = facts_of(version, observed)
    if since is None or not all(fact.time > since for fact in facts):
        return None
    return counters_of(version, observed)


def _began(stable: Counters, canary: Counters, time: str) -> SplitCount:
    return SplitCount(
        time=time,
        servers=f"{stable.servers}/{canary.servers}",
        stable=stable.requests,
        canary=canary.requests,
    )


def _counted(deployment: ModelDeployment, traffic: TrafficStatus, now: SplitCount) -> TrafficStatus:
    """Compare what was answered since the counting began; a split that differs is counted anew."""
    before = traffic.counted or now
    stable, canary = now.stable - before.stable, now.canary - before.canary
    weight = next((s.weight for s in traffic.shares[1:]), traffic.shares[0].weight)
    cohorts = bool(deployment.spec.traffic.cohorts)
    found = compare(weight, stable, canary, more_is_fine=cohorts)
    verdict = traffic.verdict if found.verdict == "NeedMoreData" else found.verdict
    anew = found.verdict == "Differs"
    start = now if anew else before.model_copy(update={"time": now.time})
    return traffic.model_copy(
        update={
            "shares": _observed(traffic.shares, stable, canary),
            "verdict": verdict,
            "samples": stable + canary,
            "needed": found.needed,
            "counted": start,
            "message": f"{canary} of {stable + canary} requests, {weight} % are meant",
        }
    )


def _observed(
    shares: tuple[TrafficShare, ...], stable: int, canary: int
) -> tuple[TrafficShare, ...]:
    """Write down what each version got; a single share is that of the canary at 100 percent."""
    total = stable + canary
    if not total:
        return shares
    counts = (stable, canary)[-len(shares) :]
    return tuple(
        share.model_copy(update={"observed": f"{100 * count / total:.1f}"})
        for share, count in zip(shares, counts, strict=True)
    )
