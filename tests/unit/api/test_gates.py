"""Gates compare decimals as they are written."""

import pytest

from modelyard.api.gates import judge, judge_gates, refusal_text
from modelyard.api.training import Evaluation, Gate
from modelyard.api.version import EvaluationMetric

AT_LEAST, AT_MOST = "GreaterThanOrEqual", "LessThanOrEqual"


@pytest.mark.parametrize(
    ("operator", "observed", "required", "verdict"),
    [
        (AT_LEAST, "0.95", "0.95", "Passed"),
        (AT_LEAST, "0.95", "0.9500", "Passed"),
        (AT_LEAST, "0.9499999", "0.95", "Failed"),
        (AT_LEAST, "1e0", "0.95", "Passed"),
        (AT_MOST, "0.3", "0.3", "Passed"),
        (AT_MOST, "3e-2", "0.3", "Passed"),
        (AT_MOST, "0.31", "0.3", "Failed"),
        (AT_LEAST, None, "0", "Failed"),
        (AT_MOST, None, "1", "Failed"),
    ],
)
def test_a_gate_holds_or_not(operator, observed, required, verdict):
    gate = Gate(name="gate", metric="f1", operator=operator, value=required)
    metrics = {} if observed is None else {"f1": observed}
    found = judge(gate, metrics)
    assert found.verdict == verdict
    assert (found.observed, found.required) == (observed, required)


def metric(value, **changes):
    return EvaluationMetric(**({"name": "f1", "value": value, "data_name": "eval"} | changes))


def test_only_overall_values_of_the_evaluation_data_count():
    evaluation = Evaluation(gates=[Gate(name="floor", metric="f1", value="0.9")])
    others = (metric("1", data_name="train"), metric("1", slice="class=0"))
    assert judge_gates(evaluation, others).verdict == "Failed"
    assert judge_gates(evaluation, (*others, metric("0.9"))).verdict == "Passed"


def test_one_failed_gate_refuses_and_no_gate_passes():
    gates = [Gate(name="low", metric="f1", value="0.1"), Gate(name="high", metric="f1", value="1")]
    assert judge_gates(Evaluation(gates=gates), (metric("0.5"),)).verdict == "Failed"
    assert judge_gates(Evaluation(), ()).verdict == "Passed"


def test_a_refusal_says_what_was_seen_and_what_was_required():
    gates = [
        {"name": "floor", "metric": "f1", "value": "0.9"},
        {"name": "loss", "metric": "log_loss", "operator": AT_MOST, "value": "0.1"},
        {"name": "high", "metric": "recall", "value": "0.5"},
        {"name": "none", "metric": "accuracy", "value": "0.1"},
    ]
    evaluation = Evaluation.model_validate({"gates": gates})
    measured = (metric("0.95"), metric("0.3", name="log_loss"), metric("0.4", name="recall"))
    assert refusal_text(judge_gates(evaluation, measured)) == (
        "gate loss: log_loss is 0.3, required <= 0.1; "
        "gate high: recall is 0.4, required >= 0.5; "
        "gate none: the trainer reported no accuracy"
    )
