"""One schedule: a seeded sequence of steps and faults, then peace, and what must be true in it."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate

from modelyard.api import names
from modelyard.kube.kinds import OPTIONAL, Raw, key_of
from tests.simulation.mishaps import Mishaps
from tests.simulation.nodes import is_true
from tests.simulation.settled import Settled
from tests.simulation.twin import STORES, WATCHED
from tests.simulation.users import Users

FEWEST_STEPS, MOST_STEPS = 50, 110
RELEASING = 0.4
"""Share of the schedules whose users care for releases most of all."""
PEACE_ROUNDS = 400
QUIET_ROUNDS = 4
SHORT_ROUND = timedelta(seconds=120)
LONGEST_WAIT = timedelta(seconds=2400)
"""Longer than anything waits without a write, on a clock that was never put back: a step has 1800
seconds until its traffic must be in force."""


@dataclass(frozen=True)
class Outcome:
    """What a schedule was like."""

    steps: int
    faults: Counter[str]
    reconciles: int
    writes: int
    trace: tuple[str, ...]


class Schedule(Users, Mishaps, Settled):
    """A world, an operator in it, and a source of mishaps."""

    def __init__(self, randomness: random.Random) -> None:
        super().__init__(randomness)
        weights = self._moves()
        self.releasing = self.random.random() < RELEASING
        if self.releasing:
            weights |= self._release_moves()
        self.moves, self.weights = tuple(weights), tuple(accumulate(weights.values()))

    def run(self) -> Outcome:
        """Run the whole schedule; an AssertionError carries what broke."""
        steps = self.random.randint(FEWEST_STEPS, MOST_STEPS)
        if self.releasing:
            self.history()
            self.serve()
        elif self.random.random() < 0.6:
            self.history()
        self.user_trains()
        self.user_deploys()
        if self.releasing or self.random.random() < 0.5:
            self.release()
        for _ in range(steps):
            self.step()
        self.peace()
        self.verify()
        return Outcome(
            steps, self.faults, len(self.twin.plans), self.twin.client.writes, tuple(self.trace)
        )

    def serve(self) -> None:
        """Deploy a version that is there and good."""
        for _ in range(2):
            self.bustle()
        raw = self.pick([raw for raw in self.api.all("ModelVersion") if is_true(raw, "Verified")])
        if raw is not None:
            self.nodes.verdicts[raw["spec"]["artifact"]["manifestDigest"]] = "good"
            self.deploy("web", raw["metadata"]["name"])

    def release(self) -> None:
        """Let a deployment serve undisturbed, then name another version: a rollout begins."""
        for _ in range(8):
            self.bustle()
            self.time += timedelta(seconds=5)
        self.user_releases_version()
        for _ in range(self.random.choice((2, 5, 10, 40))):
            self.bustle()
            self.time += timedelta(seconds=self.random.choice((2, 12, 40)))

    def step(self) -> None:
        """Take one weighted step."""
        self.frozen = {kind: left - 1 for kind, left in self.frozen.items() if left > 1}
        move = self.random.choices(self.moves, cum_weights=self.weights)[0]
        self.trace.append(move.__name__)
        move()

    def _moves(self) -> dict[Callable[[], None], int]:
        return {
            self.reconcile: 34,
            self.deliver: 26,
            self.cluster: 30,
            self.gateway.work: 6,
            self.bustle: 40,
            self.poll: 8,
            self.collect: 4,
            self.nodes.zombie: 2,
            self.nodes.late_pod: 1,
            self.time_passes: 8,
            self.user_trains: 1,
            self.user_deploys: 1,
            self.user_edits: 3,
            self.user_wavers: 1,
            self.user_orders: 3,
            self.user_goes_back: 2,
            self.user_deletes: 3,
            self.user_holds: 2,
            self.user_releases: 1,
            self.fault_crash: 3,
            self.fault_error: 2,
            self.fault_answer: 1,
            self.fault_forbidden: 2,
            self.fault_hang: 3,
            self.fault_drop: 2,
            self.fault_duplicate: 2,
            self.fault_clock: 1,
            self.fault_config: 1,
            self.fault_store: 2,
            self.fault_stuck: 1,
            self.fault_data: 1,
            self.fault_registry: 1,
            self.fault_child: 3,
            self.fault_copy: 1,
            self.fault_evicted: 1,
            self.fault_service: 1,
            self.fault_scaled: 1,
            self.fault_gateway: 1,
            self.fault_gateway_api: 1,
            self.fault_route: 2,
            self.fault_unguarded: 1,
            self.fault_foreign: 2,
        }

    def _release_moves(self) -> dict[Callable[[], None], int]:
        return {
            self.look: 90,
            self.user_orders: 8,
            self.user_goes_back: 8,
            self.user_releases_version: 8,
            self.user_deletes: 1,
            self.user_wavers: 0,
        }

    # ordinary life

    def look(self) -> None:
        """Let everybody work, and long enough pass for the judge to look again."""
        self.bustle()
        self.time += timedelta(seconds=12)

    def reconcile(self) -> None:
        self.twin.wake()
        if self.twin.dirty:
            key = self.random.choice(list(self.twin.dirty))
            self.trace[-1] += f" {key} {self.twin.reconcile(key)}"

    def deliver(self) -> None:
        behind = self.behind()
        if behind:
            kind = self.random.choice(behind)
            for _ in range(self.random.randint(1, self.twin.behind(kind))):
                self.twin.deliver(kind)

    def cluster(self) -> None:
        kinds = {"Job": self.nodes.job, "Pod": self.nodes.pod, "Deployment": self.nodes.deployment}
        raw = self.pick([raw for kind in kinds for raw in self.api.all(kind) if _simulated(raw)])
        if raw is not None:
            self.trace[-1] += f" {key_of(raw)}"
            kinds[raw["kind"]](raw)

    def poll(self) -> None:
        pods = {pod["metadata"]["uid"]: pod for pod in self.api.all("Pod")}
        for uid, key in list(self.twin.polls.wishes.items()):
            self.twin.dirty[key] = None
            pod = pods.get(uid)
            if pod is None:
                self.twin.hear(uid, None)
            elif names.LABEL_TRAINING in pod["metadata"]["labels"]:
                self.twin.hear(uid, self.nodes.report(pod))
            else:
                fact = self.nodes.fact(pod)
                if fact is not None:
                    self.twin.polls.facts[uid] = fact

    def bustle(self) -> None:
        """Let everybody work for a while, so that schedules also reach what takes many steps."""
        for kind in self.behind():
            while self.twin.behind(kind):
                self.twin.deliver(kind)
        self._cluster_round()
        self.gateway.work()
        self.poll()
        for key in list(self.twin.dirty):
            self.twin.reconcile(key)

    def collect(self) -> None:
        for key in self.api.orphans()[:1]:
            self.api.delete("garbage-collector", key)

    def time_passes(self) -> None:
        self.time += timedelta(seconds=self.random.choice((1, 5, 15, 60, 400)))

    # peace

    def peace(self) -> None:
        """Let faults stop and everything settle; it must, within a bounded number of rounds."""
        self.trace.append("peace")
        self.nodes.kind, self.shelf.down, self.shelf.stuck = True, False, False
        self.gateway.kind, self.gateway.absent = True, False
        self.twin.offered.kinds = OPTIONAL
        self.frozen.clear()
        self.shelf.incomplete.clear()
        self.user_releases()
        self.twin.faults.clear()
        if not self.twin.stores:
            self.twin.stores = STORES
            self.twin.start()
        for kind in ("Service", "Job", "HTTPRoute"):
            for raw in self.api.all(kind):
                if not raw["metadata"].get("ownerReferences"):
                    self.api.delete("user", key_of(raw))
        for kind in WATCHED:
            self.twin.relist(kind)
        self.twin.resync()
        self._settle()

    def _settle(self) -> None:
        quiet, long_round = 0, (LONGEST_WAIT + self.set_back) / QUIET_ROUNDS
        for _ in range(PEACE_ROUNDS):
            before = self.api.revision
            self._round(SHORT_ROUND if quiet < QUIET_ROUNDS else long_round)
            quiet = 0 if self.api.revision != before else quiet + 1
            if quiet > 2 * QUIET_ROUNDS:
                return
        raise AssertionError("it never settles")

    def _round(self, length: timedelta) -> None:
        self.bustle()
        self.resume()
        for key in self.api.orphans():
            self.api.delete("garbage-collector", key)
        self.time += length
        self.twin.wake()

    def _cluster_round(self) -> None:
        kinds = {"Job": self.nodes.job, "Pod": self.nodes.pod, "Deployment": self.nodes.deployment}
        for kind, look in kinds.items():
            for raw in self.api.all(kind):
                if key_of(raw) in self.api.objects and _simulated(raw):
                    look(raw)


def _simulated(raw: Raw) -> bool:
    return bool((raw["metadata"].get("labels") or {}).get(names.LABEL_OWNER_UID))
