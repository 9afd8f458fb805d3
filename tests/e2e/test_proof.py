"""What releases may cost: no request. Every planned disturbance, again and again, under load.

Part of `make prove`: `MODELYARD_REQUESTS` and `MODELYARD_ROLLBACKS` say how many. Clients are in a
pod, and go through a gateway of two replicas to pods on two nodes.
"""

import itertools
import json
import os
import time
from collections.abc import Iterator

import pytest

from demo import cluster as clusters
from demo import install, steps
from demo.clients import Load, failures_of
from tests.bench.figures import percentile
from tests.e2e import gateway
from tests.e2e.yard import Yard, deployment, training

SPACE = "proof"
NAME = "hawk"
REQUESTS = int(os.environ.get("MODELYARD_REQUESTS", "3000"))
ROLLBACKS = int(os.environ.get("MODELYARD_ROLLBACKS", "3"))
MOST_SECONDS = 5400
PAUSE = 0.01
ROLLBACK_SECONDS = 5.0
"""From the order to all of the traffic on stable, in 99 of 100 cases."""
ROLLOUT = {
    "steps": [{"weight": 10}, {"weight": 50, "holdSeconds": 5}, {"weight": 100}],
    "warmStableSeconds": 600,
    "progressDeadlineSeconds": 300,
}
pytestmark = [pytest.mark.e2e, pytest.mark.prove, pytest.mark.timeout(6000)]


@pytest.fixture(scope="module")
def versions(yard: Yard) -> list[str]:
    """Two versions of one model, a gateway, and a second node."""
    clusters.localcluster("up", "--name", yard.cluster.name, "--nodes", "2", quiet=True)
    clusters.load_images(yard.cluster.name)
    gateway.install(yard.cluster)
    names = ["hawk-one", "hawk-two"]
    yard.apply(*(training(name, lambda spec: spec.update(modelName=NAME)) for name in names))
    return sorted(yard.completed(name)["status"]["modelVersionName"] for name in names)


class Rounds:
    """What happens to the deployment; each change of the server makes a revision of its own."""

    def __init__(self, yard: Yard, versions: list[str]) -> None:
        self.yard = yard
        self.one, self.two = versions
        self.seconds = itertools.cycle(range(11, 61))
        self.rest = {"modelVersionName": self.one, "server": {"drainSeconds": 10}}

    def disturb(self) -> None:
        """Everything that a platform does on an ordinary day, one after the other."""
        for act in (
            self.promote,
            self.undo,
            self.lose_a_pod,
            self.drain_a_node,
            self.restart_the_operator,
            self.restart_the_gateway,
        ):
            started = time.monotonic()
            act()
            print(f"  {act.__name__}: {time.monotonic() - started:.1f} s", flush=True)

    def promote(self) -> None:
        """Release the other version, through all steps."""
        self._release()
        self._serves(self.two)

    def undo(self) -> None:
        """Go back to the version that is still warm."""
        self.yard.edit(NAME, **self.rest)
        self._serves(self.one)

    def lose_a_pod(self) -> None:
        """Delete one of stable's pods."""
        pod = self._pods()[0]["metadata"]["name"]
        self.yard.kubectl("delete", "pod", pod, "--timeout=120s")
        self._serves(self.one)

    def drain_a_node(self) -> None:
        """Evict the pods from one node, as before its maintenance."""
        node = self._pods()[0]["spec"]["nodeName"]
        selector = f"--pod-selector=modelyard.dev/deployment={NAME}"
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s")
        try:
            self.yard.kubectl("drain", node, selector, *options)
            self._serves(self.one)
        finally:
            self.yard.kubectl("uncordon", node)

    def restart_the_operator(self) -> None:
        """Restart it in the middle of a release."""
        self._release()
        self.yard.until("mdep", NAME, lambda found: found["status"].get("step") is not None, 180)
        system = ("-n", install.SYSTEM, "rollout")
        self.yard.cluster.kubectl(*system, "restart", "deploy/modelyard")
        self.yard.cluster.kubectl(*system, "status", "deploy/modelyard", "--timeout=120s")
        self._serves(self.two)
        self.undo()

    def restart_the_gateway(self) -> None:
        """Replace both of its replicas, one after the other."""
        rollout = ("-n", gateway.SYSTEM, "rollout")
        self.yard.cluster.kubectl(*rollout, "restart", "deploy/traefik")
        self.yard.cluster.kubectl(*rollout, "status", "deploy/traefik", "--timeout=180s")

    def roll_back(self) -> float:
        """Abort a release at half of the traffic; return the seconds until stable has all."""
        self._release()
        half = lambda found: gateway.divides(found, 50, 50)  # noqa: E731
        stable = self.yard.until("mdep", NAME, half, 180)["status"]["stable"]["revision"]
        started = time.monotonic()
        self.yard.order(NAME, "abort")
        while not gateway.taken(self.yard, NAME, {f"{NAME}-{stable}": 100}):
            assert time.monotonic() - started < 60, self.yard.found("mdep", NAME)["status"]
        seconds = time.monotonic() - started
        self.yard.wait("mdep", NAME, "RolledBack", reason="Aborted", seconds=60)
        self.undo()
        return seconds

    def _release(self) -> None:
        changed = {"drainSeconds": next(self.seconds)}
        self.yard.edit(NAME, modelVersionName=self.two, server=changed)

    def _serves(self, version: str) -> None:
        def reached(found: dict[str, object]) -> bool:
            return steps.serves(found, version) and found["status"]["ready"] == "2/2"

        self.yard.until("mdep", NAME, reached, 300)

    def _pods(self) -> list[dict[str, object]]:
        revision = self.yard.found("mdep", NAME)["status"]["stable"]["revision"]
        return self.yard.listed("pods", f"modelyard.dev/version={revision}")


@pytest.fixture
def rounds(yard: Yard, versions: list[str]) -> Iterator[Rounds]:
    """The deployment, served by two pods behind the gateway."""
    found = Rounds(yard, versions)
    spec = {"rollout": ROLLOUT, "replicas": 2, "traffic": gateway.routes(), **found.rest}
    yard.apply(deployment(NAME, versions[0], lambda given: given.update(spec)))
    yard.wait("mdep", NAME, "TrafficProgrammed", seconds=180)
    found.undo()
    yield found
    yard.kubectl("delete", "mdep", NAME, "--timeout=120s")


def test_no_request_fails_and_a_rollback_takes_seconds(yard: Yard, rounds: Rounds) -> None:
    load = Load(yard.cluster, yard.space, (gateway.HOST, NAME), MOST_SECONDS, PAUSE)
    rounds.disturb()
    took = []
    while len(took) < ROLLBACKS:
        took.append(rounds.roll_back())
        print(f"  rollback {len(took)}/{ROLLBACKS}: {took[-1]:.2f} s", flush=True)
    while (asked := load.asked()) < REQUESTS:
        print(f"  {asked}/{REQUESTS} requests", flush=True)
        rounds.disturb()
    report = load.stop()
    print(json.dumps(report, indent=1))
    print(f"{len(took)} rollbacks: p50 {percentile(took, 0.5):.2f} s, p99 ", end="")
    print(f"{percentile(took, 0.99):.2f} s; {asked} requests")
    assert failures_of(report) == []
    assert percentile(took, 0.99) <= ROLLBACK_SECONDS
