"""One look at a rollout: close an interval if there is enough in it, and judge what is known."""

from dataclasses import dataclass, replace

from modelyard.plan.judge import errors, latency
from modelyard.plan.judge.counters import Counters
from modelyard.plan.judge.errors import ErrorLimits
from modelyard.plan.judge.latency import LatencyLimits
from modelyard.plan.judge.state import JudgeState
from modelyard.plan.judge.verdicts import Finding

HANDFUL = 5
"""Requests that an interval must hold on either side before it is tested; until then it grows."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The checks of a rollout; a check that is None is not made."""

    errors: ErrorLimits | None = None
    latency: LatencyLimits | None = None


def look(
    state: JudgeState, stable: Counters, canary: Counters, seconds: float, limits: Limits
) -> JudgeState:
    """Take in a read of both sides, `seconds` after the last one that closed an interval.

    Servers that came, went or started again make a new beginning: what they answered since the
    last read is left out, because nobody can tell how much of it was lost.
    """
    old, new = stable.since(state.stable), canary.since(state.canary)
    if old is None or new is None:
        return replace(state, stable=stable, canary=canary)
    if min(old.requests, new.requests) < HANDFUL:
        return state
    return replace(
        state,
        stable=stable,
        canary=canary,
        looks=state.looks + 1,
        seconds=state.seconds + seconds,
        errors=errors.take(state.errors, old, new, limits.errors)
        if limits.errors
        else state.errors,
        latency=latency.take(state.latency, old, new, limits.latency)
        if limits.latency
        else state.latency,
    )


def failing(state: JudgeState, limits: Limits) -> bool:
    """Tell whether the evidence against the canary suffices, without the numbers for people."""
    by_errors = limits.errors and errors.refuted(state.errors, limits.errors)
    by_latency = limits.latency and latency.refuted(state.latency, limits.latency)
    return bool(by_errors or by_latency)


def findings(state: JudgeState, limits: Limits) -> dict[str, Finding]:
    """Judge everything that is known, by check."""
    found = {}
    if limits.errors:
        found["errors"] = errors.judge(state.errors, limits.errors)
    if limits.latency:
        found["latency"] = latency.judge(state.latency, limits.latency)
    return found
