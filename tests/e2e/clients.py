"""Clients in a pod of the cluster, for as long as a test wants them."""

import json
from pathlib import Path
from typing import Any

from demo import steps
from tests.e2e.yard import Yard


class Load:
    """Ask a served model without pause, in three ways (`load.py`)."""

    def __init__(self, yard: Yard, host: str, model: str, most_seconds: int) -> None:
        self._yard = yard
        arguments = [host, model, steps.one_sample(), str(most_seconds)]
        steps.start_client(yard.cluster, yard.space, Path(__file__).parent / "load.py", arguments)
        yard.until("job", "load", lambda job: job["status"].get("ready") == 1, 60)
        steps.wait_for(lambda: {"log": self._log()}, lambda f: "started" in f["log"], 60)

    def _log(self) -> str:
        return self._yard.kubectl("logs", "job/load")

    def stop(self) -> dict[str, Any]:
        """End the clients; return what each of them reports."""
        pod = self._yard.pod_of("job-name=load")["metadata"]["name"]
        self._yard.kubectl("exec", pod, "--", "touch", "/tmp/stop")
        self._yard.until("job", "load", lambda job: bool(steps.condition(job, "Complete")), 60)
        report: dict[str, Any] = json.loads(self._log().splitlines()[-1])
        return report
