"""How a new version takes over: in steps, judged while it gets traffic."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.meta import (
    DecimalString,
    DnsLabel,
    Message,
    Model,
    Observed,
    ShortText,
    Timestamp,
)
from modelyard.api.rollout_gates import ReleaseGate


class Pause(Model):
    """Wait for a person."""


class RolloutStep(Model):
    """One step of a rollout: exactly one of weight and pause."""

    weight: Annotated[int, Field(ge=1, le=100)] | None = None
    """Percent of the traffic that the new version gets."""

    hold_seconds: Annotated[int, Field(ge=0, le=604800)] = 0
    """Seconds that a weight is held at least before the next step."""

    pause: Pause | None = None
    """Wait at the present weight until somebody promotes."""


class ErrorRateCheck(Model):
    """Server errors of the new version, against the stable version's at the same time."""

    max: DecimalString = "0.05"
    """Error ratio that the new version must stay below, whatever the stable one does."""

    margin: DecimalString = "0.002"
    """How much higher than the stable version's the error ratio may be."""

    alpha: DecimalString = "0.01"
    """Probability of failing a good version by chance, over the whole rollout."""

    min_samples: Annotated[int, Field(ge=1, le=100_000_000)] = 300
    """Requests that the new version must have answered before it passes."""


class LatencyCheck(Model):
    """Latency of the new version, against the stable version's at the same time."""

    max_slowdown: DecimalString = "1.15"
    """How many times as long as on the stable version a request may take."""

    alpha: DecimalString = "0.001"
    """Probability of failing a good version by chance, over the whole rollout."""

    min_samples: Annotated[int, Field(ge=1, le=100_000_000)] = 300
    """Requests that the new version must have answered before it passes."""


class Check(Model):
    """One check: exactly one of errorRate and latency."""

    name: DnsLabel
    """Name of the check."""

    error_rate: ErrorRateCheck | None = None
    """Compare server errors."""

    latency: LatencyCheck | None = None
    """Compare latencies."""


class OnNoData(StrEnum):
    """What a check says while there is too little traffic to judge."""

    HOLD = "Hold"
    FAIL = "Fail"
    PASS = "Pass"  # noqa: S105 - no password


class Analysis(Model):
    """Statistics that a new version must pass while it gets traffic."""

    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    """Seconds between two looks at the counters of the pods."""

    checks: Annotated[tuple[Check, ...], Field(min_length=1, max_length=8)]
    """What is compared; each must pass before the next step."""

    on_no_data: OnNoData = OnNoData.HOLD
    """What to do when a step was held and there was too little traffic to judge."""


ALL_WEIGHT = 100
"""Percent of the traffic that is all of it."""


class RolloutSpec(Model):
    """How a new version takes over from the stable one."""

    gates: Annotated[tuple[ReleaseGate, ...], Field(max_length=16)] = ()
    """What the new version must have shown, against the stable one, before it is brought up; a
    version that served before passes."""

    steps: Annotated[tuple[RolloutStep, ...], Field(max_length=32)] = ()
    """Steps to 100 percent; none moves all traffic as soon as the new version is proved ready."""

    analysis: Analysis | None = None
    """Checks while the new version gets traffic."""

    max_failed_canary_requests: Annotated[int, Field(ge=1)] | None = None
    """Failed requests that end a rollout, whatever the statistics say: as many as the pods of the
    new version that are there have counted."""

    progress_deadline_seconds: Annotated[int, Field(ge=10, le=2592000)] = 1800
    """Seconds that a step may take beyond its hold; pauses do not count."""

    warm_stable_seconds: Annotated[int, Field(ge=0, le=604800)] = 600
    """Seconds that the previous version stays loaded after a promotion."""

    def whole(self) -> tuple[RolloutStep, ...]:
        """Return the steps as they are taken; the last one is always all of the traffic."""
        if self.steps and self.steps[-1].weight == ALL_WEIGHT:
            return self.steps
        return (*self.steps, RolloutStep(weight=ALL_WEIGHT))


class StepStatus(Observed):
    """Where a rollout is."""

    index: int
    """Present step, counted from 0."""

    of: int
    """Steps in all."""

    shown: ShortText = ""
    """Step and steps as `2/4`, for printing."""

    weight: int = 0
    """Percent of the traffic that the new version is meant to get."""

    ordered: bool = False
    """Whether somebody ordered to skip the steps before: this one is neither held nor judged."""

    restarts: int = 0
    """How often its servers had started again before they got traffic."""

    since: Timestamp
    """When the step began."""

    held_since: Timestamp | None = None
    """When the weight was seen in force: the hold counts from then."""

    waiting_for: ShortText | None = None
    """What the next step waits for, in one word."""


class CheckStatus(Observed):
    """What one check says."""

    name: DnsLabel
    """Name of the check."""

    verdict: Literal["Pass", "Fail", "NeedMoreData"]
    """The answer so far."""

    value: ShortText | None = None
    """What was observed of the new version."""

    bound: ShortText | None = None
    """What it must stay below."""

    evidence: ShortText | None = None
    """How many times likelier the observations are if the new version is worse: an e-value."""

    samples: int = 0
    """Requests of the new version so far."""

    needed: int = 0
    """Requests that suffice for Pass if it goes on like this."""

    eta_seconds: int | None = None
    """Seconds until then at the present rate of requests."""

    message: Message = ""
    """The numbers of both sides in plain words."""


class JudgeRecord(Observed):
    """What the checks remember; whoever leads next goes on from here."""

    time: Timestamp
    """When the counters were last looked at."""

    state: Annotated[str, Field(max_length=4096)] = ""
    """The numbers, as the judge writes them."""


class Verb(StrEnum):
    """What a person can order about a rollout."""

    PROMOTE = "promote"
    PROMOTE_FULL = "promote-full"
    ABORT = "abort"
    RETRY = "retry"
    UNDO = "undo"
    """The spec goes back, in the same write: this only says who does it, and why."""


DONE = "Done"
"""Outcome of an order that was carried out."""


class HandledCommand(Observed):
    """The last order that was looked at; one with the same nonce is not looked at again."""

    nonce: ShortText
    """Value of the annotation `modelyard.dev/command-nonce`."""

    verb: ShortText
    """What was ordered."""

    by: ShortText = ""
    """Who ordered it."""

    reason: ShortText = ""
    """Why."""

    generation: int = 0
    """Generation of the spec that it was ordered about."""

    outcome: ShortText
    """What came of it, in one word."""

    time: Timestamp
    """When it was looked at."""


class HistoryAction(StrEnum):
    """What happened to a version."""

    DEPLOYED = "Deployed"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"


SERVING_ACTIONS = frozenset({HistoryAction.DEPLOYED, HistoryAction.PROMOTED})
"""What happened to a version that has served since."""


class HistoryEntry(Observed):
    """One change of what is served."""

    number: int
    """Counts the changes of this deployment from 1."""

    action: HistoryAction
    """What happened."""

    version: ShortText
    """The ModelVersion that it happened to."""

    revision: Annotated[str, Field(max_length=16)]
    """Its revision."""

    digest: ShortText
    """Its manifest digest."""

    from_version: ShortText | None = None
    """The ModelVersion that served before."""

    by: ShortText
    """Who asked for it, or `modelyard` for what the operator decided."""

    reason: Message = ""
    """Why, in plain words."""

    time: Timestamp
    """When it was decided."""

    duration_seconds: int = 0
    """Seconds since the rollout began."""

    evidence: Message = ""
    """Counts and bounds that it rests on."""
