"""What the judge remembers between two looks: small enough for a status, exact enough to go on.

Mechanics of the state: the planner reads it from status and writes it back before a verdict acts,
so a leader that starts anew continues with the very numbers of the last one.
"""

import json
from dataclasses import astuple, dataclass, field
from typing import Any

from modelyard.plan.judge.counters import Counters
from modelyard.plan.judge.errors import Comparison, ErrorState
from modelyard.plan.judge.latency import LatencyState
from modelyard.plan.statistics.dispersion import Moments
from modelyard.plan.statistics.ranks import Ranks
from modelyard.plan.statistics.rates import Evidence

DIGITS = 9
"""Significant digits that are kept of a number."""


@dataclass(frozen=True, slots=True)
class JudgeState:
    """Everything that later verdicts depend on."""

    stable: Counters = field(default_factory=Counters)
    canary: Counters = field(default_factory=Counters)
    """The last read: where the open interval begins."""
    looks: int = 0
    """Intervals that were closed."""
    seconds: float = 0.0
    """How long they lasted in all."""
    errors: ErrorState = field(default_factory=ErrorState)
    latency: LatencyState = field(default_factory=LatencyState)

    def dump(self) -> str:
        """Write it as compact JSON, below 4 KiB for counters of up to eight digits."""
        return json.dumps(_rounded(astuple(self)), separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "JudgeState":
        """Read what `dump` wrote.

        Raises:
            ValueError: It is something else.

        >>> state = JudgeState(stable=Counters("a1", 100, 2), looks=3)
        >>> JudgeState.load(state.dump()) == state
        True
        """
        try:
            stable, canary, looks, seconds, errors, latency = json.loads(text)
            return cls(
                _counters(stable),
                _counters(canary),
                looks,
                seconds,
                ErrorState(*map(_comparison, errors)),
                LatencyState(Ranks(*latency[0]), tuple(latency[1]), tuple(latency[2])),
            )
        except (TypeError, IndexError, KeyError) as error:
            raise ValueError(f"no state of a judge: {error}") from error


def _counters(values: list[Any]) -> Counters:
    servers, requests, server_errors, client_errors, latency = values
    return Counters(servers, requests, server_errors, client_errors, tuple(latency))


def _comparison(values: list[Any]) -> Comparison:
    stable, canary, evidence = values
    return Comparison(Moments(*stable), Moments(*canary), Evidence(*map(tuple, evidence)))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, tuple):
        return [_rounded(item) for item in value]
    return value
