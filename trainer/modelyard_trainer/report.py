"""What a laptop run prints at its end: metrics, gates, and where the version lies."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from modelyard.api.training import EvaluationStatus, GateOperator
from modelyard_trainer.decimals import decimal_text

if TYPE_CHECKING:
    from modelyard_trainer.attempt import Outcome

SIGNS = {GateOperator.GREATER_THAN_OR_EQUAL: ">=", GateOperator.LESS_THAN_OR_EQUAL: "<="}


def print_report(
    console: Console, outcome: "Outcome", verdict: EvaluationStatus, place: str
) -> None:
    """Print the verdict with every value it rests on."""
    console.print(_metrics(outcome))
    if verdict.gates:
        console.print(_gates(verdict))
    word = "passed its gates" if verdict.verdict == "Passed" else "was refused by a gate"
    console.print(f"Version {outcome.published.version} {word}.", highlight=False)
    console.print(f"Stored in {place}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"Manifest {outcome.published.manifest_digest}", highlight=False, soft_wrap=True)


def _metrics(outcome: "Outcome") -> Table:
    table = Table("metric", "value", title=f"Measured on {outcome.evaluation.data_name}")
    for name, value in outcome.evaluation.overall.items():
        table.add_row(name, decimal_text(value))
    return table


def _gates(verdict: EvaluationStatus) -> Table:
    table = Table("gate", "metric", "observed", "", "required", "verdict", title="Gates")
    for gate in verdict.gates:
        observed = gate.observed if gate.observed is not None else "not reported"
        sign = SIGNS[gate.operator]
        table.add_row(gate.name, gate.metric, observed, sign, gate.required, gate.verdict)
    return table
