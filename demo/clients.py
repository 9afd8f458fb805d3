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


PAUSE = 0.04
"""Seconds that a client waits between two requests."""


class Load:
    """Ask a served model all the time, in three ways (`load.py`)."""

    def __init__(
        self,
        cluster: Cluster,
        space: str,
        target: tuple[str, str],
        most_seconds: int,
        pause: float = PAUSE,
    ) -> None:
        """Start the clients; `target` is the host that they call and the model that they ask."""
        self._cluster, self._space = cluster, space
        arguments = [*target, steps.one_sample(), str(most_seconds), str(pause)]
        steps.start_client(cluster, space, Path(__file__).parent / "load.py", arguments)
        steps.wait_for(self._job, lambda job: job["status"].get("ready") == 1, 60)
        steps.wait_for(lambda: {"log": self._log()}, lambda f: "started" in f["log"], 60)

    def asked(self) -> int:
        """Return how many requests were sent, as of a few seconds ago."""
        told = [line for line in self._log().splitlines() if line.endswith(" requests")]
        return int(told[-1].split()[0]) if told else 0

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
