"""What the demo leaves for the README: its times and what came out."""

import json

from rich.console import Console

from demo.__main__ import figures
from demo.steps import Timings


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
