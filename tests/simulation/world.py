"""What a schedule acts on: the API server, the store, the cluster, the operator, and the dice."""

import random
from collections import Counter
from datetime import datetime, timedelta

from modelyard.kube.kinds import Raw
from tests.builders import NOW
from tests.simulation.gateway import ROUTE_KINDS, Gateway
from tests.simulation.invariants import Invariants
from tests.simulation.model import ApiModel
from tests.simulation.nodes import Nodes
from tests.simulation.shelf import Shelf
from tests.simulation.twin import WATCHED, Twin

NAMESPACE = "team"
CHILD_KINDS = ("Job", "Pod", "Deployment", "Service", *ROUTE_KINDS)
ROOT_KINDS = ("ModelTraining", "ModelVersion", "ModelDeployment")
HELD = "example.com/hold"
"""A finalizer of somebody else."""


class World:
    """Everything there is, and what has happened to it."""

    def __init__(self, randomness: random.Random) -> None:
        self.random = randomness
        self.time = NOW
        self.set_back = timedelta(0)
        self.api = ApiModel(self.now)
        self.shelf = Shelf()
        self.gateway = Gateway(self.api, randomness)
        self.nodes = Nodes(self.api, self.shelf, randomness, self.gateway)
        self.twin = Twin(self.api, self.shelf, self.now)
        self.invariants = Invariants(self.api, self.shelf, self.nodes, self.away)
        self.trace: list[str] = []
        self.faults: Counter[str] = Counter()
        self.frozen: dict[str, int] = {}
        self.orders = 0

    def now(self) -> datetime:
        return self.time

    def away(self) -> bool:
        """Whether the operator cannot remove anything from the store."""
        return self.shelf.down or self.shelf.stuck or not self.twin.stores

    def pick(self, choices: list[Raw]) -> Raw | None:
        return self.random.choice(choices) if choices else None

    def fault(self, name: str) -> None:
        self.faults[name] += 1

    def hold(self, raw: Raw) -> Raw:
        """Keep an object from vanishing, as `--cascade=foreground` and other operators do."""
        present = raw["metadata"].get("finalizers") or ()
        return self.api.set_finalizers("user", raw, (*(f for f in present if f != HELD), HELD))

    def behind(self) -> list[str]:
        """Return the kinds with events under way, but for watches that hang."""
        return [k for k in WATCHED if self.twin.behind(k) and k not in self.frozen]
