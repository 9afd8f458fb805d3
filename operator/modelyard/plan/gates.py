"""Gates: the operator's own verdict on the metrics of a verified manifest.

Decimals are compared exactly, as text says them: `0.95` reaches a gate of `0.95`.
"""

from decimal import Decimal

from modelyard.api.training import Evaluation, EvaluationStatus, Gate, GateOperator, GateResult
from modelyard.api.version import EvaluationMetric

OVERALL = "overall"


def judge_gates(evaluation: Evaluation, metrics: tuple[EvaluationMetric, ...]) -> EvaluationStatus:
    """Judge every gate; the model passes if all do, and if there are none."""
    observed = {
        m.name: m.value
        for m in metrics
        if m.slice == OVERALL and m.data_name == evaluation.data_name
    }
    results = tuple(_result(gate, observed.get(gate.metric)) for gate in evaluation.gates)
    passed = all(result.verdict == "Passed" for result in results)
    return EvaluationStatus(verdict="Passed" if passed else "Failed", gates=results)


def refusal_text(evaluation: EvaluationStatus) -> str:
    """Say which gates refused the model, with observed and required values."""
    return "; ".join(_explain(gate) for gate in evaluation.gates if gate.verdict == "Failed")


def _result(gate: Gate, observed: str | None) -> GateResult:
    passed = observed is not None and reaches(observed, gate.operator, gate.value)
    return GateResult(
        name=gate.name,
        metric=gate.metric,
        operator=gate.operator,
        observed=observed,
        required=gate.value,
        verdict="Passed" if passed else "Failed",
    )


def reaches(observed: str, operator: GateOperator, required: str) -> bool:
    """Compare two decimals; equality always reaches.

    >>> reaches("0.95", GateOperator.GREATER_THAN_OR_EQUAL, "0.950")
    True
    >>> reaches("0.31", GateOperator.LESS_THAN_OR_EQUAL, "3e-1")
    False
    """
    if operator is GateOperator.GREATER_THAN_OR_EQUAL:
        return Decimal(observed) >= Decimal(required)
    return Decimal(observed) <= Decimal(required)


def _explain(gate: GateResult) -> str:
    sign = ">=" if gate.operator is GateOperator.GREATER_THAN_OR_EQUAL else "<="
    if gate.observed is None:
        return f"gate {gate.name}: the trainer reported no {gate.metric}"
    return f"gate {gate.name}: {gate.metric} is {gate.observed}, required {sign} {gate.required}"
