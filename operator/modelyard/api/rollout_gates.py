"""Gates of a release: what the new version must have shown before any of its pods starts."""

from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.meta import DecimalString, DnsLabel, Message, Model, Observed
from modelyard.api.training import Direction


class RegressionGate(Model):
    """A metric of the evaluation, against the stable version's on the very same data."""

    metric: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
    """Metric that is compared."""

    direction: Direction = Direction.MAXIMIZE
    """Whether more or less of it is better."""

    max_regression: DecimalString = "0"
    """How much worse than the stable version's it may be."""

    data_name: DnsLabel = "eval"
    """Data set that both were measured on; one with another digest refuses the release."""

    slice: Annotated[str, Field(min_length=1, max_length=64)] = "overall"
    """Part of the data: `overall`, or `class=<n>`."""


class SignatureGate(Model):
    """Whatever a client sends to the stable version, the new one takes and answers alike."""


class ReleaseGate(Model):
    """One gate: exactly one of evaluation and signatureCompatible."""

    name: DnsLabel
    """Name of the gate."""

    evaluation: RegressionGate | None = None
    """Compare a metric of the evaluation."""

    signature_compatible: SignatureGate | None = None
    """Compare inputs and outputs."""


class ReleaseGateResult(Observed):
    """What one gate says of the version that the spec names."""

    name: DnsLabel
    """Name of the gate."""

    verdict: Literal["Passed", "Failed"]
    """Whether it lets the version through."""

    message: Message
    """What was compared, in plain words."""
