"""CEL rules of a rollout: steps that rise, checks that compare something."""

from modelyard.api.cel import Rule, listed
from modelyard.api.measures import LOSSES, METRICS

_WEIGHTS = "self.filter(s, has(s.weight)).map(s, s.weight)"

ROLLOUT_RULES = (
    Rule(
        "spec.rollout.gates[]",
        "has(self.evaluation) != has(self.signatureCompatible)",
        "spec.rollout.gates[] must have exactly one of evaluation and signatureCompatible: make two"
        " gates of it",
    ),
    Rule(
        "spec.rollout.gates[].evaluation",
        f"self.metric in {listed(METRICS)}",
        "spec.rollout.gates[].evaluation.metric is not measured: use one of " + ", ".join(METRICS),
    ),
    Rule(
        "spec.rollout.gates[].evaluation",
        f"!(self.metric in {listed(LOSSES)}) || self.direction == 'Minimize'",
        "spec.rollout.gates[].evaluation.direction must be Minimize for a loss: less is better",
    ),
    Rule(
        "spec.rollout.gates[].evaluation",
        "double(self.maxRegression) >= 0.0",
        "spec.rollout.gates[].evaluation.maxRegression is negative, which asks for progress: use 0"
        " or more, for instance 0.002",
    ),
    Rule(
        "spec.rollout.steps[]",
        "has(self.weight) != has(self.pause)",
        "spec.rollout.steps[] must have exactly one of weight and pause: make two steps of it",
    ),
    Rule(
        "spec.rollout.steps[]",
        "has(self.weight) || !has(self.holdSeconds) || self.holdSeconds == 0",
        "spec.rollout.steps[].holdSeconds goes with a weight: a pause waits for a person",
    ),
    Rule(
        "spec.rollout.steps",
        f"{_WEIGHTS}.isSorted()"
        f" && {_WEIGHTS}.all(w, self.exists_one(s, has(s.weight) && s.weight == w))",
        "spec.rollout.steps[].weight must rise from step to step: put the weights in order, each"
        " one once",
    ),
    Rule(
        "spec.rollout",
        "!has(self.analysis) || (has(self.steps)"
        " && self.steps.exists(s, has(s.weight) && s.weight < 100))",
        "spec.rollout.analysis compares two versions that both get traffic: add a step with a"
        " weight below 100, or remove it",
    ),
    Rule(
        "spec.rollout.analysis.checks[]",
        "has(self.errorRate) != has(self.latency)",
        "spec.rollout.analysis.checks[] must have exactly one of errorRate and latency: make two"
        " checks of it",
    ),
    Rule(
        "spec.rollout.analysis.checks",
        "self.filter(c, has(c.errorRate)).size() <= 1"
        " && self.filter(c, has(c.latency)).size() <= 1",
        "spec.rollout.analysis.checks[] has two of a kind: keep the stricter one",
    ),
    Rule(
        "spec.rollout.analysis.checks[].errorRate",
        "double(self.max) > 0.0 && double(self.max) < 1.0",
        "spec.rollout.analysis.checks[].errorRate.max must lie between 0 and 1: write 0.05 for five"
        " percent",
    ),
    Rule(
        "spec.rollout.analysis.checks[].errorRate",
        "double(self.margin) >= 0.0 && double(self.margin) < 0.5",
        "spec.rollout.analysis.checks[].errorRate.margin must be at least 0 and below 0.5: write"
        " 0.002 for a fifth of a percent",
    ),
    Rule(
        "spec.rollout.analysis.checks[].errorRate",
        "double(self.alpha) > 0.0 && double(self.alpha) <= 0.2",
        "spec.rollout.analysis.checks[].errorRate.alpha must be above 0 and at most 0.2: it is the"
        " probability of a false alarm",
    ),
    Rule(
        "spec.rollout.analysis.checks[].latency",
        "double(self.maxSlowdown) >= 1.0 && double(self.maxSlowdown) <= 16.0",
        "spec.rollout.analysis.checks[].latency.maxSlowdown must lie between 1 and 16: write 1.15"
        " for fifteen percent slower",
    ),
    Rule(
        "spec.rollout.analysis.checks[].latency",
        "double(self.alpha) > 0.0 && double(self.alpha) <= 0.2",
        "spec.rollout.analysis.checks[].latency.alpha must be above 0 and at most 0.2: it is the"
        " probability of a false alarm",
    ),
)
"""What relates the fields of `spec.rollout`."""
