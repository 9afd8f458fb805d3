"""What a check of a rollout says."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The answer of one check at one look."""

    PASS = "Pass"  # noqa: S105 - no password
    FAIL = "Fail"
    NEED_MORE_DATA = "NeedMoreData"


LEANING = 3.0
"""From this e-value on the evidence leans against the canary: it is not passed, but watched on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the numbers it rests on."""

    verdict: Verdict
    message: str
    value: float | None = None
    """What was observed of the canary."""
    bound: float | None = None
    """What it must stay below."""
    log_e: float = 0.0
    """Log of the evidence against the canary; `log(1 / alpha)` makes it fail."""
    samples: int = 0
    """Canary requests so far."""
    needed: int = 0
    """Canary requests that suffice for Pass if it goes on like this."""
