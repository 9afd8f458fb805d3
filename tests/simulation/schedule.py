"""One schedule: a seeded sequence of steps and faults, then peace, and what must be true in it."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.api import names
from modelyard.kube.kinds import Key, Raw, key_of
from modelyard.plan.manifests.model_version import model_version
from tests.builders import NOW, make_training, raw_training
from tests.simulation.invariants import Invariants, condition, is_true, require, role, terminal
from tests.simulation.model import ApiModel
from tests.simulation.nodes import Nodes
from tests.simulation.shelf import Shelf, digest_for
from tests.simulation.twin import WATCHED, Twin

NAMESPACE = "team"
FEWEST_STEPS, MOST_STEPS = 60, 140
PEACE_ROUNDS = 400
CHILD_KINDS = ("Job", "Pod", "Deployment", "Service")


@dataclass(frozen=True)
class Outcome:
    """What a schedule was like."""

    steps: int
    faults: Counter[str]
    reconciles: int
    writes: int
    trace: tuple[str, ...]


class Schedule:
    """A world, an operator in it, and a source of mishaps."""

    def __init__(self, randomness: random.Random) -> None:
        self.random = randomness
        self.time = NOW
        self.api = ApiModel(self.now)
        self.shelf = Shelf()
        self.nodes = Nodes(self.api, self.shelf, randomness)
        self.invariants = Invariants(self.api, self.shelf, self.nodes)
        self.twin = Twin(self.api, self.shelf, self.now)
        self.trace: list[str] = []
        self.faults: Counter[str] = Counter()
        self.frozen: dict[str, int] = {}

    def now(self) -> datetime:
        return self.time

    def run(self) -> Outcome:
        """Run the whole schedule; an AssertionError carries what broke."""
        steps = self.random.randint(FEWEST_STEPS, MOST_STEPS)
        if self.random.random() < 0.6:
            self.history()
        self.user_trains()
        self.user_deploys()
        for _ in range(steps):
            self.step()
        self.peace()
        self.verify()
        return Outcome(
            steps, self.faults, len(self.twin.plans), self.twin.client.writes, tuple(self.trace)
        )

    def step(self) -> None:
        """Take one weighted step."""
        self.frozen = {kind: left - 1 for kind, left in self.frozen.items() if left > 1}
        moves = self.moves()
        move = self.random.choices(list(moves), list(moves.values()))[0]
        self.trace.append(move.__name__)
        move()

    def moves(self) -> dict[Callable[[], None], int]:
        return {
            self.reconcile: 34,
            self.deliver: 26,
            self.cluster: 30,
            self.bustle: 40,
            self.poll: 8,
            self.collect: 4,
            self.nodes.zombie: 2,
            self.time_passes: 8,
            self.user_trains: 1,
            self.user_deploys: 1,
            self.user_edits: 3,
            self.user_deletes: 2,
            self.fault_crash: 3,
            self.fault_error: 2,
            self.fault_hang: 3,
            self.fault_drop: 2,
            self.fault_duplicate: 2,
            self.fault_clock: 1,
            self.fault_store: 2,
            self.fault_stuck: 1,
            self.fault_forbidden: 1,
            self.fault_child: 4,
            self.fault_service: 1,
            self.fault_foreign: 1,
            self.fault_data: 1,
        }

    def pick(self, choices: list[Raw]) -> Raw | None:
        return self.random.choice(choices) if choices else None

    # ordinary life

    def reconcile(self) -> None:
        self.twin.wake()
        if self.twin.dirty:
            key = self.random.choice(list(self.twin.dirty))
            self.trace[-1] += f" {key} {self.twin.reconcile(key)}"

    def behind(self) -> list[str]:
        """Return the kinds with events under way, but for watches that hang."""
        return [k for k in WATCHED if self.twin.behind(k) and k not in self.frozen]

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
        self.poll()
        for key in list(self.twin.dirty):
            self.twin.reconcile(key)

    def collect(self) -> None:
        for key in self.api.orphans()[:1]:
            self.api.delete("garbage-collector", key)

    def time_passes(self) -> None:
        self.time += timedelta(seconds=self.random.choice((1, 5, 15, 60, 400)))

    def history(self) -> None:
        """Put versions in place that earlier trainings left behind."""
        for number in range(1, self.random.randint(2, 4)):
            past = make_training(meta={"name": f"past-{number}", "uid": f"past-{number}"})
            raw = past.model_dump(mode="json", by_alias=True)
            _, digest = self.shelf.publish(raw, 1, "0.97")
            manifest = self.shelf.committed[NAMESPACE, "digits", number]
            self.api.create("user", model_version(past, manifest, digest, None))

    # users

    def user_trains(self) -> None:
        name = f"t{self.random.randint(1, 2)}"
        if Key("ModelTraining", NAMESPACE, name) in self.api.objects:
            return
        spec = {
            "maxRetries": self.random.randint(0, 2),
            "maxInterruptions": self.random.randint(0, 3),
        }
        if self.random.random() < 0.05:
            spec["storeName"] = "elsewhere"
        raw = raw_training(meta={"name": name}, **spec)
        self.api.create("user", raw)

    def user_deploys(self) -> None:
        name = self.random.choice(("web", "app"))
        if Key("ModelDeployment", NAMESPACE, name) in self.api.objects:
            return
        self.api.create(
            "user",
            {
                "apiVersion": names.API_VERSION,
                "kind": "ModelDeployment",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"modelVersionName": self._some_version(), "replicas": 1},
            },
        )

    def _some_version(self) -> str:
        made = [raw["metadata"]["name"] for raw in self.api.all("ModelVersion")]
        return self.random.choice([*made, *made, "digits-v1", "digits-v2"])

    def user_edits(self) -> None:
        raw = self.pick(self.api.all("ModelDeployment"))
        if raw is None:
            return
        change = self.random.choice(
            (
                {"modelVersionName": self._some_version()},
                {"modelVersionName": self._some_version()},
                {"replicas": self.random.randint(0, 3)},
                {"server": {"drainSeconds": self.random.randint(1, 3)}},
            )
        )
        self.trace[-1] += f" {key_of(raw)} {change}"
        self.api.change("user", key_of(raw), spec={**raw["spec"], **change})

    def user_deletes(self) -> None:
        kinds = ("ModelTraining", "ModelVersion", "ModelDeployment")
        raw = self.pick(self.api.all(self.random.choice(kinds)))
        if raw is not None:
            self.trace[-1] += f" {key_of(raw)}"
            self.api.delete("user", key_of(raw))

    # faults

    def fault(self, name: str) -> None:
        self.faults[name] += 1

    def fault_crash(self) -> None:
        self.fault("crash")
        self.twin.faults.crash_in = self.random.randint(0, 2)
        self.twin.faults.after = self.random.random() < 0.5

    def fault_error(self) -> None:
        self.fault("api-error")
        self.twin.faults.errors = self.random.randint(1, 2)

    def fault_hang(self) -> None:
        """One watch hangs for a while: the operator sees one kind as it was."""
        self.fault("watch-hangs")
        self.frozen[self.random.choice(WATCHED)] = self.random.randint(5, 25)

    def fault_drop(self) -> None:
        behind = self.behind()
        if behind:
            self.fault("dropped-event")
            self.twin.drop(self.random.choice(behind))

    def fault_duplicate(self) -> None:
        self.fault("stale-event")
        self.twin.replay(self.random.choice(WATCHED), self.random)

    def fault_clock(self) -> None:
        self.fault("clock-jump")
        self.time += timedelta(seconds=self.random.choice((-3600, -60, 3600)))

    def fault_store(self) -> None:
        self.fault("store-outage")
        self.shelf.down = not self.shelf.down

    def fault_stuck(self) -> None:
        """The store answers questions and removes nothing, or does again."""
        self.fault("store-stuck")
        self.shelf.stuck = not self.shelf.stuck

    def fault_forbidden(self) -> None:
        """The API server refuses the operator's next writes, as a full quota does."""
        self.fault("forbidden")
        self.twin.faults.refusals = self.random.randint(1, 3)

    def fault_child(self) -> None:
        raw = self.pick([raw for kind in CHILD_KINDS for raw in self.api.all(kind)])
        if raw is not None:
            self.fault("child-deleted")
            self.trace[-1] += f" {key_of(raw)}"
            self.api.delete("user", key_of(raw))

    def fault_service(self) -> None:
        raw = self.pick(self.api.all("Service"))
        if raw is not None:
            self.fault("service-edited")
            selector = {**raw["spec"]["selector"], names.LABEL_VERSION: "nothing"}
            self.api.change("user", key_of(raw), spec={**raw["spec"], "selector": selector})

    def fault_foreign(self) -> None:
        """Somebody takes a name that the operator is going to need."""
        name = self.random.choice(("web", "app"))
        if Key("Service", NAMESPACE, name) in self.api.objects:
            return
        self.fault("name-taken")
        self.api.create(
            "user",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {}},
                "spec": {"selector": {"app": "other"}},
            },
        )

    def fault_data(self) -> None:
        places = sorted(self.shelf.committed)
        if places:
            self.fault("file-lost")
            self.shelf.incomplete.add(self.random.choice(places))

    # peace

    def peace(self) -> None:
        """Let faults stop and everything settle; it must, within a bounded number of rounds."""
        self.trace.append("peace")
        self.nodes.kind, self.shelf.down, self.shelf.stuck = True, False, False
        self.frozen.clear()
        self.shelf.incomplete.clear()
        self.twin.faults.clear()
        for raw in self.api.all("Service"):
            if not raw["metadata"].get("ownerReferences"):
                self.api.delete("user", key_of(raw))
        for kind in WATCHED:
            self.twin.relist(kind)
        self.twin.resync()
        quiet = 0
        for _ in range(PEACE_ROUNDS):
            before = self.api.revision
            self._round()
            quiet = 0 if self.api.revision != before or self.twin.dirty else quiet + 1
            if quiet > 4:
                return
        raise AssertionError("it never settles")

    def _round(self) -> None:
        self.bustle()
        for key in self.api.orphans():
            self.api.delete("garbage-collector", key)
        self.time += timedelta(seconds=120)
        self.twin.wake()

    def _cluster_round(self) -> None:
        for job in self.api.all("Job"):
            self.nodes.job(job)
        for pod in self.api.all("Pod"):
            if key_of(pod) in self.api.objects and _simulated(pod):
                self.nodes.pod(pod)
        for workload in self.api.all("Deployment"):
            self.nodes.deployment(workload)

    def verify(self) -> None:
        """Check what must be true once everything has settled."""
        for training in self.api.all("ModelTraining"):
            refused = condition(training, "Accepted")["status"] == "False"
            require(terminal(training) or refused, f"{key_of(training)} never ends")
            require(not training["metadata"].get("deletionTimestamp"), "a training is stuck")
        for version in self.api.all("ModelVersion"):
            self._version(version)
        for deployment in self.api.all("ModelDeployment"):
            self._deployment(deployment)
        self._leaks()
        self._still()

    def _leaks(self) -> None:
        """Whatever is in the store has an owner: a version, or the training that it came from."""
        owners = {raw["metadata"]["uid"] for raw in self.api.all("ModelTraining")}
        guarded = {
            raw["spec"]["artifact"]["manifestDigest"] for raw in self.api.all("ModelVersion")
        }
        for place, manifest in self.shelf.committed.items():
            owner = manifest.source.uid
            known = owner in owners | self.invariants.left or digest_for(manifest) in guarded
            require(known, f"I5: {place} of training {owner} was left behind")

    def _version(self, version: Raw) -> None:
        if version["metadata"].get("deletionTimestamp"):
            require(is_true(version, "InUse"), f"{key_of(version)} is stuck")
            return
        spec = version["spec"]
        place = (version["metadata"]["namespace"], spec["modelName"], spec["version"])
        held = self.shelf.holds(*place, spec["artifact"]["manifestDigest"])
        require(held and is_true(version, "Verified"), f"{key_of(version)} is not verified")

    def _deployment(self, raw: Raw) -> None:
        stable, name = role(raw, "stable"), raw["spec"]["modelVersionName"]
        target = self.api.objects.get(Key("ModelVersion", NAMESPACE, name))
        blocked = (raw["status"].get("blockedVersion") or "").startswith(f"{name}/")
        going = target is not None and target["metadata"].get("deletionTimestamp")
        require(not role(raw, "canary"), f"{key_of(raw)} still has a canary")
        if target is not None and not blocked and not going:
            require(stable.get("modelVersionName") == name, f"{key_of(raw)} does not serve {name}")
        if target is None:
            reason = condition(raw, "Accepted")["reason"]
            require(reason == "VersionNotFound", f"{key_of(raw)} says {reason}")
        if stable:
            self._serves(raw, stable)

    def _serves(self, raw: Raw, stable: Raw) -> None:
        uid = raw["metadata"]["uid"]
        public = self.api.get(Key("Service", NAMESPACE, raw["metadata"]["name"]))
        selected = public["spec"]["selector"][names.LABEL_VERSION]
        require(selected == stable["revision"], "the Service does not select stable")
        live = {
            w["metadata"]["labels"][names.LABEL_VERSION]
            for w in self.api.all("Deployment")
            if w["metadata"]["labels"][names.LABEL_OWNER_UID] == uid
        }
        require(live <= {stable["revision"]}, f"{live} were left behind")
        if stable["modelVersionName"] == raw["spec"]["modelVersionName"] and live:
            require(is_true(raw, "Ready"), f"{key_of(raw)} is not ready")

    def _still(self) -> None:
        """I7: in a quiet world a reconcile writes nothing."""
        before = self.api.revision
        self.twin.resync()
        for key in list(self.twin.dirty):
            self.twin.reconcile(key)
        for raw in self.api.objects.values():
            if raw["kind"] in {"ModelTraining", "ModelVersion", "ModelDeployment"}:
                self.twin.reconcile(key_of(raw))
        require(self.api.revision == before, "I7: a quiet world was written to")


def _simulated(raw: Raw) -> bool:
    return bool((raw["metadata"].get("labels") or {}).get(names.LABEL_OWNER_UID))
