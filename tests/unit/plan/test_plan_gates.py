import pytest

from modelyard.api.training import Evaluation
from modelyard.api.version import EvaluationMetric
from modelyard.plan.gates import judge_gates, refusal_text


def metric(value, name="accuracy", data="eval", part="overall"):
    return EvaluationMetric(name=name, value=value, data_name=data, slice=part)


def evaluation(operator="GreaterThanOrEqual", value="0.95", name="accuracy"):
    gate = {"name": "floor", "metric": name, "operator": operator, "value": value}
    return Evaluation.model_validate({"gates": [gate]})


@pytest.mark.parametrize(
    ("metrics", "operator", "value", "verdict"),
    [
        ([metric("0.95")], "GreaterThanOrEqual", "0.95", "Passed"),
        ([metric("0.9499999")], "GreaterThanOrEqual", "0.95", "Failed"),
        ([metric("9.5e-1")], "GreaterThanOrEqual", "0.95", "Passed"),
        ([metric("0.2")], "LessThanOrEqual", "0.2", "Passed"),
        ([metric("0.21")], "LessThanOrEqual", "0.2", "Failed"),
        ([], "GreaterThanOrEqual", "0", "Failed"),
        ([metric("0.99", data="train")], "GreaterThanOrEqual", "0.5", "Failed"),
        ([metric("0.99", part="class=1")], "GreaterThanOrEqual", "0.5", "Failed"),
        ([metric("0.99", name="f1")], "GreaterThanOrEqual", "0.5", "Failed"),
    ],
)
def test_a_gate_compares_the_overall_metric_of_the_evaluation_data(
    metrics, operator, value, verdict
):
    judged = judge_gates(evaluation(operator, value), tuple(metrics))
    assert judged.verdict == judged.gates[0].verdict == verdict
    assert judged.gates[0].required == value


def test_without_gates_every_model_passes():
    assert judge_gates(Evaluation(), ()).verdict == "Passed"


def test_one_failed_gate_refuses_and_is_explained():
    gates = [
        {"name": "floor", "metric": "accuracy", "value": "0.9"},
        {"name": "loss", "metric": "log_loss", "operator": "LessThanOrEqual", "value": "0.1"},
        {"name": "none", "metric": "f1", "value": "0.1"},
    ]
    judged = judge_gates(
        Evaluation.model_validate({"gates": gates}), (metric("0.95"), metric("0.3", "log_loss"))
    )
    assert judged.verdict == "Failed"
    assert [g.verdict for g in judged.gates] == ["Passed", "Failed", "Failed"]
    assert refusal_text(judged) == (
        "gate loss: log_loss is 0.3, required <= 0.1; gate none: the trainer reported no f1"
    )
