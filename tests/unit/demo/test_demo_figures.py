"""What the demo shows while it runs, and leaves for the README: its times and what came out."""

import io
import json

from rich.console import Console

from demo.__main__ import figures
from demo.steps import Timings, watch_training


def test_the_demos_figures_are_its_steps_and_their_sum() -> None:
    version = {
        "metadata": {"name": "digits-v1"},
        "spec": {
            "artifact": {"manifestDigest": "sha256:0"},
            "metrics": [
                {"name": "accuracy", "value": "0.97", "slice": "overall"},
                {"name": "recall", "value": "0.9", "slice": "3"},
            ],
        },
    }
    timings = Timings(Console(quiet=True), {"train": 12.34, "serve": 5.0})
    found = json.loads(json.dumps(figures(version, timings)))
    assert found["version"] == "digits-v1"
    assert found["metrics"] == {"accuracy": "0.97"}
    assert {f["what"]: f["value"] for f in found["figures"]} == {
        "train": 12.3,
        "serve": 5.0,
        "all": 17.3,
    }


class _Trainings:
    """Answers like a cluster in which a training goes on."""

    def __init__(self, *statuses: dict[str, object]) -> None:
        self._left = list(statuses)

    def get(self, *_: str) -> dict[str, object]:
        return {"metadata": {"generation": 1}, "status": self._left.pop(0)}


def test_a_log_without_a_moving_bar_tells_each_phase_once() -> None:
    done = [{"type": "Complete", "status": "True", "observedGeneration": 1}]
    running = {"phase": "Running", "progress": {"percent": 40}}
    cluster = _Trainings({}, running, running, {"phase": "Succeeded", "conditions": done})
    written = io.StringIO()
    watch_training(cluster, "digits", Console(file=written))
    told = [line.split() for line in written.getvalue().splitlines()]
    assert told == [["Pending", "0", "%"], ["Running", "40", "%"], ["Succeeded", "100", "%"]]
