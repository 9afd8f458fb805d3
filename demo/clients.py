"""Clients in a pod of the cluster, for as long as somebody wants them."""

import json
from pathlib import Path
from typing import Any

from demo import steps
from demo.cluster import Cluster

Report = dict[str, dict[str, Any]]
"""What each client reports, by its name."""


def failures_of(report: Report) -> list[str]:
    """Return what went wrong, of all clients."""
    return [failure for client in report.values() for failure in client["failures"]]


class Load:
    """Ask a served model without pause, in three ways (`load.py`)."""

    def __init__(
        self, cluster: Cluster, space: str, host: str, model: str, most_seconds: int
    ) -> None:
        self._cluster, self._space = cluster, space
        arguments = [host, model, steps.one_sample(), str(most_seconds)]
        steps.start_client(cluster, space, Path(__file__).parent / "load.py", arguments)
        steps.wait_for(self._job, lambda job: job["status"].get("ready") == 1, 60)
        steps.wait_for(lambda: {"log": self._log()}, lambda f: "started" in f["log"], 60)

    def stop(self) -> Report:
        """End the clients; return what each of them reports."""
        self._kubectl("exec", "job/load", "--", "touch", "/tmp/stop")  # noqa: S108 - in its pod
        steps.wait_for(self._job, lambda job: bool(steps.condition(job, "Complete")), 60)
        report: Report = json.loads(self._log().splitlines()[-1])
        return report

    def _job(self) -> dict[str, Any] | None:
        return self._cluster.get("-n", self._space, "job", "load")

    def _log(self) -> str:
        return self._kubectl("logs", "job/load")

    def _kubectl(self, *arguments: str) -> str:
        return self._cluster.kubectl("-n", self._space, *arguments)
