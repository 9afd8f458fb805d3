"""Judging gates: one comparison, used by the operator's plan and by the trainer on a laptop.

Decimals are compared exactly, as text says them: `0.90` reaches a gate of `0.9`.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from modelyard.api.training import Evaluation, EvaluationStatus, Gate, GateOperator, GateResult
from modelyard.api.version import EvaluationMetric

OVERALL = "overall"


def judge_gates(evaluation: Evaluation, metrics: Iterable[EvaluationMetric]) -> EvaluationStatus:
    """Judge every gate; the model passes if all do, and if there are none."""
    observed = overall(evaluation, metrics)
    results = tuple(judge(gate, observed) for gate in evaluation.gates)
    passed = all(result.verdict == "Passed" for result in results)
    return EvaluationStatus(verdict="Passed" if passed else "Failed", gates=results)


def judge(gate: Gate, metrics: Mapping[str, str]) -> GateResult:
    """Compare a gate's required value with the observed one; a missing metric fails its gate.

    Args:
        gate: the condition.
        metrics: overall values by metric name, as decimal strings.

    >>> judge(Gate(name="floor", metric="accuracy", value="0.9"), {"accuracy": "0.90"}).verdict
    'Passed'
    """
    observed = metrics.get(gate.metric)
    passed = observed is not None and _reaches(observed, gate.operator, gate.value)
    return GateResult(
        name=gate.name,
        metric=gate.metric,
        operator=gate.operator,
        observed=observed,
        required=gate.value,
        verdict="Passed" if passed else "Failed",
    )


def refusal_text(evaluation: EvaluationStatus) -> str:
    """Say which gates refused the model, with observed and required values."""
    return "; ".join(_explain(gate) for gate in evaluation.gates if gate.verdict == "Failed")


def overall(evaluation: Evaluation, metrics: Iterable[EvaluationMetric]) -> dict[str, str]:
    """Return the values that gates look at by name: of all the evaluation data, not of a part."""
    return {
        metric.name: metric.value
        for metric in metrics
        if metric.slice == OVERALL and metric.data_name == evaluation.data_name
    }


def _explain(gate: GateResult) -> str:
    sign = ">=" if gate.operator is GateOperator.GREATER_THAN_OR_EQUAL else "<="
    if gate.observed is None:
        return f"gate {gate.name}: the trainer reported no {gate.metric}"
    return f"gate {gate.name}: {gate.metric} is {gate.observed}, required {sign} {gate.required}"


def _reaches(observed: str, operator: GateOperator, required: str) -> bool:
    """Compare two decimals; equality always reaches."""
    if operator is GateOperator.GREATER_THAN_OR_EQUAL:
        return Decimal(observed) >= Decimal(required)
    return Decimal(observed) <= Decimal(required)
