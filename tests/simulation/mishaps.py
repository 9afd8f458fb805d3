"""What goes wrong: with the operator's process, its connections, the store, and other people."""

from datetime import timedelta

from modelyard.api import names
from modelyard.kube.kinds import OPTIONAL, Key, key_of
from modelyard.plan.manifests.model_version import model_version
from tests.builders import OTHER_DIGEST, make_manifest, make_training
from tests.simulation.gateway import ROUTE_KINDS
from tests.simulation.nodes import finished
from tests.simulation.twin import STORES, WATCHED
from tests.simulation.world import CHILD_KINDS, HELD, NAMESPACE, World

MOST_JOBS = 6


class Mishaps(World):
    """Moves that nobody wished for."""

    def fault_crash(self) -> None:
        self.fault("crash")
        self.twin.faults.crash_in = self.random.randint(0, 2)
        self.twin.faults.after = self.random.random() < 0.5

    def fault_error(self) -> None:
        self.fault("api-error")
        self.twin.faults.errors = self.random.randint(1, 2)

    def fault_answer(self) -> None:
        """The API server writes, and its answer gets lost."""
        self.fault("answer-lost")
        self.twin.faults.lost_answers = self.random.randint(1, 2)

    def fault_forbidden(self) -> None:
        """The API server refuses the operator's next writes, as a full quota does."""
        self.fault("forbidden")
        self.twin.faults.refusals = self.random.randint(1, 3)

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
        jump = timedelta(seconds=self.random.choice((-3600, -60, 3600)))
        self.time += jump
        self.set_back += max(timedelta(0), -jump)

    def fault_config(self) -> None:
        """An administrator removes the stores from the operator's configuration, or adds them."""
        self.fault("store-unconfigured")
        self.twin.stores = () if self.twin.stores else STORES
        self.twin.start()

    def fault_store(self) -> None:
        self.fault("store-outage")
        self.shelf.down = not self.shelf.down

    def fault_stuck(self) -> None:
        """The store answers questions and removes nothing, or does again."""
        self.fault("store-stuck")
        self.shelf.stuck = not self.shelf.stuck

    def fault_data(self) -> None:
        places = sorted(self.shelf.committed)
        if places:
            self.fault("file-lost")
            self.shelf.incomplete.add(self.random.choice(places))

    def fault_registry(self) -> None:
        """Somebody changes the registry by hand."""
        places = sorted(self.shelf.committed)
        if places:
            self.fault("manifest-changed")
            self.shelf.tamper(self.random.choice(places), lost=self.random.random() < 0.5)

    def fault_child(self) -> None:
        raw = self.pick([raw for kind in CHILD_KINDS for raw in self.api.all(kind)])
        if raw is not None:
            self.fault("child-deleted")
            self.trace[-1] += f" {key_of(raw)}"
            if not raw["metadata"].get("deletionTimestamp") and self.random.random() < 0.3:
                self.hold(raw)
            self.api.delete("user", key_of(raw))

    def fault_copy(self) -> None:
        """Somebody starts a copy of a Job, labels and owner included."""
        raw = self.pick([job for job in self.api.all("Job") if job["metadata"].get("labels")])
        if raw is not None and len(self.api.all("Job")) < MOST_JOBS:
            self.fault("job-copied")
            kept = ("namespace", "labels", "ownerReferences")
            meta = {name: raw["metadata"][name] for name in kept}
            meta["name"] = f"{raw['metadata']['name']}-copy-{self.api.uids}"
            self.api.create("user", {**raw, "metadata": meta, "status": {}})

    def fault_evicted(self) -> None:
        """A node throws a pod out; what is left of it says little."""
        pod = self.pick([pod for pod in self.api.all("Pod") if not finished(pod)])
        if pod is not None:
            self.fault("evicted")
            status = {"phase": "Failed", "conditions": [], "reason": "Evicted"}
            self.api.change("kubelet", key_of(pod), status=status)

    def fault_service(self) -> None:
        raw = self.pick(self.api.all("Service"))
        if raw is not None:
            self.fault("service-edited")
            selector = {**raw["spec"]["selector"], names.LABEL_VERSION: "nothing"}
            self.api.change("user", key_of(raw), spec={**raw["spec"], "selector": selector})

    def fault_scaled(self) -> None:
        raw = self.pick(self.api.all("Deployment"))
        if raw is not None:
            self.fault("scaled-by-hand")
            spec = {**raw["spec"], "replicas": self.random.randint(0, 3)}
            self.api.change("user", key_of(raw), spec=spec)

    def fault_gateway(self) -> None:
        """The gateway stops looking at routes, or begins to."""
        self.fault("gateway-absent")
        self.gateway.absent = not self.gateway.absent

    def fault_gateway_api(self) -> None:
        """Somebody removes the kinds of the Gateway API and with them all routes, or adds them."""
        self.fault("gateway-api-removed")
        if self.twin.offered.kinds:
            for kind in ROUTE_KINDS:
                for raw in self.api.all(kind):
                    self.api.vanish("user", key_of(raw))
        self.twin.offered.kinds = () if self.twin.offered.kinds else OPTIONAL

    def fault_route(self) -> None:
        """Somebody takes a version out of a route, or all of its weight."""
        raw = self.pick([raw for kind in ROUTE_KINDS for raw in self.api.all(kind)])
        if raw is not None and raw["spec"].get("rules"):
            self.fault("route-edited")
            *others, last = raw["spec"]["rules"][-1]["backendRefs"]
            refs = [last] if self.random.random() < 0.5 else [*others, {**last, "weight": 0}]
            rules = [*raw["spec"]["rules"][:-1], {"backendRefs": refs}]
            self.api.change("user", key_of(raw), spec={**raw["spec"], "rules": rules})

    def fault_unguarded(self) -> None:
        """Somebody takes our finalizer from an object."""
        kinds = ("ModelTraining", "ModelVersion")
        raw = self.pick(self.api.all(self.random.choice(kinds)))
        if raw is not None and not raw["metadata"].get("deletionTimestamp"):
            self.fault("finalizer-taken")
            present = raw["metadata"].get("finalizers") or ()
            self.api.set_finalizers("user", raw, tuple(f for f in present if f == HELD))

    def fault_foreign(self) -> None:
        """Somebody takes a name that the operator is going to need."""
        match self.random.choice(("Service", "Job", "ModelVersion", "HTTPRoute")):
            case "HTTPRoute":
                name = self.random.choice(("web", "app"))
                self._take("HTTPRoute", "gateway.networking.k8s.io/v1", name, {})
            case "Service":
                name = self.random.choice(("web", "app"))
                self._take("Service", "v1", name, {"selector": {"app": "other"}})
            case "Job":
                self._take_job()
            case "ModelVersion":
                self._take_version()

    def _take(self, kind: str, version: str, name: str, spec: dict[str, object]) -> None:
        if Key(kind, NAMESPACE, name) not in self.api.objects:
            self.fault("name-taken")
            meta = {"name": name, "namespace": NAMESPACE, "labels": {}}
            raw = {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
            self.api.create("user", raw)

    def _take_job(self) -> None:
        raw = self.pick(self.api.all("ModelTraining"))
        if raw is not None:
            meta, attempt = raw["metadata"], (raw.get("status") or {}).get("attempt", 0)
            name = names.job_name(meta["name"], meta["uid"], attempt + 1)
            self._take("Job", "batch/v1", name, {})

    def _take_version(self) -> None:
        number = self.shelf.next_number(NAMESPACE, "digits")
        manifest = make_manifest(version=number, source={"name": "x", "uid": "x", "attempt": 1})
        raw = model_version(make_training(), manifest, OTHER_DIGEST, None)
        if key_of(raw) not in self.api.objects:
            self.fault("name-taken")
            created = self.api.create("user", raw)
            self.invariants.strange.add(created["metadata"]["uid"])
