"""A stage for one operator: namespace, the chart's rights, a door of the proxy, a real store."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from modelyard.api.store import StoreSettings
from modelyard.kube.kinds import ROOTS, key_of
from modelyard.store.client import S3Store
from tests.api.chart import install_identity, kubeconfig
from tests.api.nodes import Play
from tests.api.operators import (
    LEASE_NAME,
    LONG_LEASE,
    Operator,
    condition,
    deployment,
    training,
    until,
)
from tests.api.proxy import Door
from tests.api.tier import Tier
from tests.seaweed import Seaweed

NAMESPACES = count(1)
ENDS = (0, -signal.SIGKILL, -signal.SIGTERM)
"""Exit codes at the end of a test: one that was just killed, or just started again, is fine."""
SWIFT = {"progressIntervalSeconds": 0.2, "resyncSeconds": 4}
"""Settings that let a test see within seconds what heals by itself within minutes."""


@dataclass(frozen=True)
class Stage:
    """An operator that is about to start, and what surrounds it."""

    tier: Tier
    namespace: str
    door: Door
    operator: Operator
    store: S3Store
    play: Play

    def start(self, lasting: Mapping[str, float] = LONG_LEASE) -> None:
        """Start the operator with a Lease that, unless it is short, it loses only by ending."""
        lease = {"name": LEASE_NAME, "namespace": self.namespace, **lasting}
        self.operator.settings = {**self.operator.settings, "lease": lease}
        self.operator.start()

    def begin(self) -> None:
        """Let Jobs and Deployments come to life."""
        self.tier.background.run(self.tier.nodes.begin(self.namespace, self.play))

    def publish(self) -> None:
        """Begin, and train version 1 of the model digits."""
        self.begin()
        self.tier.cluster.create(training("run", self.namespace))
        self.wait("it is trained", lambda: self._complete("run"))

    def _complete(self, training: str) -> bool:
        return self.judged("ModelTraining", training, "Complete")[0] == "True"

    def serve(self, version: str = "digits-v1") -> None:
        """Let the deployment `web` serve a version."""
        self.tier.cluster.create(deployment("web", self.namespace, version))
        self.wait("it serves", lambda: self.phase("ModelDeployment", "web") == "Healthy")

    def live(self, kind: str, name: str) -> Any:
        """Return an object as it is now, empty if there is none."""
        return self.tier.recorder.get(kind, self.namespace, name) or {}

    def phase(self, kind: str, name: str) -> str:
        """Return the phase of an object of ours, empty if it has none."""
        return str((self.live(kind, name).get("status") or {}).get("phase", ""))

    def judged(self, kind: str, name: str, aspect: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        return condition(self.live(kind, name), aspect)

    def wait(
        self, what: str, found: Callable[[], object], show: Callable[[], str] = lambda: ""
    ) -> None:
        """Wait for something; the operator is started again if it ends."""

        def look() -> object:
            self.operator.revive()
            return found()

        until(f"{self.namespace}: {what}", look, lambda: f"{show()}\n{self._shown()}")

    def _shown(self) -> str:
        kinds = [kind.name for kind in ROOTS]
        found = [raw for kind in kinds for raw in self.tier.recorder.of(self.namespace, kind)]
        states = {key_of(raw).name: raw.get("status") for raw in found}
        return f"{json.dumps(states, indent=1)}\n{self.operator.log_tail()}"


@dataclass(frozen=True)
class Workshop:
    """Makes stages."""

    tier: Tier
    seaweed: Seaweed
    bucket: str
    model: Path
    """What trainers publish."""
    folder: Path

    @property
    def settings(self) -> StoreSettings:
        """The store as operators and pods are told of it."""
        return self.seaweed.settings(self.bucket, read_prefixes=("modelyard/datasets/",))

    @contextmanager
    def stage(self, name: str, without: str = "", **play: Any) -> Iterator[Stage]:
        """Set up a stage; at the end its operator stops, and its log must be clean.

        Args:
            name: begins the namespace's name.
            without: a resource that the operator has no rights on, though the chart grants them.
            play: how the trainers behave, see `nodes.Play`.
        """
        namespace = self.tier.cluster.namespace(f"{name}-{next(NAMESPACES)}")
        folder = self.folder / namespace
        folder.mkdir()
        token = install_identity(self.tier.cluster, namespace, without)
        with self.tier.door() as door:
            config = kubeconfig(folder / "kubeconfig", door.url, b"", token)
            operator = Operator(
                self.tier.cluster,
                namespace,
                folder,
                "operator",
                config,
                settings={**SWIFT, "stores": [self.settings.dump()]},
                environment=self._environment(),
            )
            store = self.seaweed.store(self.bucket)
            played = Play(self.model, self.seaweed.credentials, **play)
            try:
                yield Stage(self.tier, namespace, door, operator, store, played)
            finally:
                code = operator.end() if operator.starts else 0
                self.tier.background.run(self.tier.nodes.end(namespace))
            assert code in ENDS, operator.log_tail()
            complaints = operator.complaints()
            assert not complaints, "\n".join(complaints)

    def _environment(self) -> dict[str, str]:
        keys = self.seaweed.credentials
        return {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "MODELYARD_CREDENTIALS": os.devnull,
        }
