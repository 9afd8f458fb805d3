"""What must hold after every single write, whoever made it (research 04 §2.2: I1 to I8).

The checks look at the true state of the model, never at what the operator believes.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from modelyard.api import names
from modelyard.kube.kinds import ROOT_NAMES, Key, Raw, key_of
from modelyard.plan.clock import seconds_since
from modelyard.plan.conditions import TYPES
from modelyard.plan.route_views import SERVICE_NAME
from tests.simulation.gateway import weights_of
from tests.simulation.model import ApiModel
from tests.simulation.nodes import Nodes, condition, finished, is_true
from tests.simulation.shelf import Place, Shelf
from tests.simulation.twin import ACTOR

GATE = Decimal("0.95")
PATIENCE = 600
ALL = 100


class ViolationError(AssertionError):
    """An invariant does not hold."""


def require(holds: bool, text: str) -> None:
    if not holds:
        raise ViolationError(text)


def terminal(raw: Raw) -> bool:
    return is_true(raw, "Complete") or is_true(raw, "Failed")


def role(raw: Raw, name: str) -> Raw:
    return (raw.get("status") or {}).get(name) or {}


def roles(deployment: Raw) -> dict[str, Raw]:
    """Return the versions of a deployment that may have pods."""
    warm = role(deployment, "warm").get("version") or {}
    return {
        "stable": role(deployment, "stable"),
        "canary": role(deployment, "canary"),
        "warm": warm,
    }


def revisions(deployment: Raw) -> set[str | None]:
    return {version.get("revision") for version in roles(deployment).values()}


class Invariants:
    """The checks, hooked into the model and the shelf."""

    def __init__(self, api: ApiModel, shelf: Shelf, nodes: Nodes, away: Callable[[], bool]) -> None:
        self.gateway = nodes.gateway
        self.most_ready: Counter[tuple[str, str]] = Counter()
        """Most ready pods that a Service ever had, by namespace and name."""
        self.fewest: dict[str, int] = {}
        """Fewest replicas that a deployment was ever to have, by its uid."""
        self.api, self.shelf, self.nodes, self.away = api, shelf, nodes, away
        self.roots: set[str] = set()
        self.proved: set[tuple[str, str]] = set()
        self.edited: set[str] = set()
        self.verbs: Counter[str] = Counter()
        self.strange: set[str] = set()
        """Versions that somebody made by hand."""
        self.left: set[str] = set()
        """Trainings that went while their store was away, or whose finalizer somebody took."""
        api.hook = self.wrote
        shelf.judge = self.removes

    def wrote(self, actor: str, verb: str, before: Raw | None, after: Raw | None) -> None:
        """Judge one write."""
        raw: Any = after or before
        kind = raw["kind"]
        if actor != ACTOR:
            self._note(verb, before, after)
            return
        self.verbs[f"{verb} {kind}"] += 1
        if kind not in ROOT_NAMES:
            self._ours(raw)
            if before is not None:
                self._ours(before)
        check = getattr(self, f"_{verb}_{kind}".lower(), None)
        if check is not None:
            check(before, after)

    def _note(self, verb: str, before: Raw | None, after: Raw | None) -> None:
        raw: Any = after or before
        if raw["kind"] in ROOT_NAMES and verb == "create":
            self.roots.add(raw["metadata"]["uid"])
        if raw["kind"] == "EndpointSlice" and after is not None:
            self._note_ready(after)
        if raw["kind"] == "ModelDeployment" and after is not None:
            uid, replicas = raw["metadata"]["uid"], max(0, after["spec"]["replicas"])
            self.fewest[uid] = min(self.fewest.get(uid, replicas), replicas)
        if raw["kind"] == "Service" and after is not None:
            self.edited.add(raw["metadata"]["uid"])
        if raw["kind"] == "Pod" and after is not None and is_true(after, "Ready"):
            labels = after["metadata"]["labels"]
            self.proved.add((labels[names.LABEL_OWNER_UID], labels[names.LABEL_VERSION]))

    def _note_ready(self, raw: Raw) -> None:
        key = (raw["metadata"]["namespace"], raw["metadata"]["labels"][SERVICE_NAME])
        ready = sum(bool(e["conditions"]["ready"]) for e in raw["endpoints"])
        self.most_ready[key] = max(self.most_ready[key], ready)

    def _ours(self, raw: Raw) -> None:
        owners = raw["metadata"].get("ownerReferences") or []
        mine = any(o["uid"] in self.roots for o in owners)
        require(mine, f"I8: wrote {key_of(raw)}, which is not ours")

    def _owner(self, raw: Raw, kind: str, label: str) -> Raw | None:
        meta = raw["metadata"]
        return self.api.objects.get(Key(kind, meta["namespace"], meta["labels"][label]))

    # trainings

    def _create_job(self, _: Raw | None, job: Raw) -> None:
        uid = job["metadata"]["labels"][names.LABEL_OWNER_UID]
        training = self._owner(job, "ModelTraining", names.LABEL_TRAINING)
        if training is None or training["metadata"]["uid"] != uid:
            return  # deleted meanwhile: garbage collection takes the Job
        attempt = job["metadata"]["labels"][names.LABEL_ATTEMPT]
        require(
            str((training.get("status") or {}).get("attempt") or 1) == attempt,
            f"a Job of attempt {attempt} was created before its status was written",
        )
        require(not terminal(training), "a Job was created for a training that has ended")
        live = [pod for pod in self._children("Pod", uid) if not finished(pod)]
        require(not live, f"I1: attempt {attempt} starts while {len(live)} pods still run")
        others = [
            other
            for other in self._children("Job", uid)
            if other is not job
            and key_of(other) != key_of(job)
            and not other.get("status", {}).get("conditions")
        ]
        require(not others, f"I1: attempt {attempt} starts while another Job is live")

    def _delete_job(self, before: Raw, _: Raw | None) -> None:
        training = self._owner(before, "ModelTraining", names.LABEL_TRAINING)
        if training is None or training["metadata"].get("deletionTimestamp"):
            return
        meta, status = before["metadata"], training.get("status") or {}
        current = training["metadata"]["uid"] == meta["labels"][names.LABEL_OWNER_UID]
        present = current and meta["name"] == status.get("jobName")
        require(not present, "the present Job was deleted")

    _remove_job = _delete_job

    def _status_modeltraining(self, before: Raw, after: Raw) -> None:
        self._status(before, after)
        old, new = before.get("status") or {}, after["status"]
        if condition(after, "Accepted")["reason"] == "InvalidSpec":
            return
        step = new.get("attempt", 0) - old.get("attempt", 0)
        require(step in (0, 1), f"the attempt went from {old.get('attempt')} by {step}")
        require(not (is_true(after, "Complete") and is_true(after, "Failed")), "both ends")
        spec = after["spec"]
        retries, interruptions = new.get("retries", 0), new.get("interruptionCount", 0)
        require(retries <= spec["maxRetries"], "more retries than allowed")
        require(interruptions <= spec["maxInterruptions"] + 1, "more interruptions than allowed")
        require(new["attempt"] <= 1 + retries + interruptions, "an attempt without a cause")
        if terminal(before):
            kept = ("phase", "attempt", "version", "retries", "modelVersionName", "completionTime")
            same = all(old.get(name) == new.get(name) for name in kept)
            require(same and terminal(after), "an ended training came back to life")
        if is_true(after, "Complete") and not is_true(before, "Complete"):
            self._registered(after)
        if condition(after, "Failed")["reason"] == "GatesFailed":
            require(not new.get("modelVersionName"), "a refused model has a version")

    def _registered(self, training: Raw) -> None:
        status, meta = training["status"], training["metadata"]
        place = (meta["namespace"], training["spec"]["modelName"], status["version"])
        manifest = self.shelf.committed.get(place)
        if manifest is None:
            require(place in self.shelf.tombstones, "registered what was never committed")
            return
        value = next((m.value for m in manifest.metrics if m.name == "accuracy"), "0")
        require(Decimal(value) >= GATE, f"a model with accuracy {value} passed the gate")

    def _create_modelversion(self, _: Raw | None, after: Raw) -> None:
        self.roots.add(after["metadata"]["uid"])
        spec = after["spec"]
        place = (after["metadata"]["namespace"], spec["modelName"], spec["version"])
        digest = spec["artifact"]["manifestDigest"]
        require(self.shelf.holds(*place, digest), "a ModelVersion without an artifact")

    def _finalizers_modeltraining(self, before: Raw, after: Raw) -> None:
        if names.FINALIZER_RUN_DATA not in after["metadata"].get("finalizers", []):
            self._let_go(before)

    def _let_go(self, training: Raw) -> None:
        """Nothing stays in the store, unless the store has been away for ten minutes."""
        uid, held = training["metadata"]["uid"], condition(training, "Accepted")
        if uid in self.shelf.closed:
            return
        refused = self.away() and held["status"] == "False"
        require(refused, "I5: let go before the run was removed")
        waited = seconds_since(held["lastTransitionTime"], self.api.clock())
        require(waited >= PATIENCE, f"I5: let go after {waited} seconds of trying")
        self.left.add(uid)

    def unguarded(self, raw: Raw) -> None:
        """Excuse what an object leaves that is deleted without a finalizer of ours."""
        ours = {names.FINALIZER_RUN_DATA, names.FINALIZER_ARTIFACT}
        if not ours & set(raw["metadata"].get("finalizers") or ()):
            source = raw["spec"].get("source", {}).get("training", {})
            self.left |= {raw["metadata"]["uid"], source.get("uid", "")}

    def _remove_modeltraining(self, before: Raw, _: Raw | None) -> None:
        uid = before["metadata"]["uid"]
        self._let_go(before)
        live = [pod for pod in self._children("Pod", uid) if not finished(pod)]
        require(not live, "I5: let go while a pod could still write")

    # versions

    def _remove_modelversion(self, before: Raw, _: Raw | None) -> None:
        spec = before["spec"]
        if before["metadata"]["name"] != names.version_name(spec["modelName"], spec["version"]):
            return  # a second object for files that the first one guards
        place = (before["metadata"]["namespace"], spec["modelName"], spec["version"])
        held = self.shelf.holds(*place, spec["artifact"]["manifestDigest"])
        require(not held, "I5: a version was let go before its artifact was removed")

    def _status_modelversion(self, before: Raw, after: Raw) -> None:
        self._status(before, after)

    def removes(self, place: Place, digest: str) -> None:
        """Judge the removal of a version from the store."""
        namespace, model, number = place
        name = names.version_name(model, number)
        if place in self.shelf.tampered:
            return  # what stands there now is nobody's version
        for deployment in self.api.all("ModelDeployment"):
            for kind, used in roles(deployment).items():
                same = used.get("modelVersionName") == name
                require(not same, f"I2: {name} was removed while it is {kind}")
        version = self.api.objects.get(Key("ModelVersion", namespace, name))
        if version is None or version["metadata"].get("deletionTimestamp"):
            return
        guarded = version["spec"]["artifact"]["manifestDigest"]
        require(digest != guarded, f"I2: {name} lost its artifact")

    # deployments

    def _status_modeldeployment(self, before: Raw, after: Raw) -> None:
        self._status(before, after)
        old, new = role(before, "stable"), role(after, "stable")
        if not new or old.get("revision") == new["revision"]:
            require(not old or bool(new), "stable was forgotten")
            return
        require(
            role(before, "canary").get("revision") == new["revision"],
            "I4: promoted what was never a canary",
        )
        proved = (after["metadata"]["uid"], new["revision"]) in self.proved
        require(proved, "I3: promoted what was never ready")
        verdict = self.nodes.verdicts.get(new["digest"])
        check = {"failing": "errorRate", "slow": "latency"}.get(verdict or "")
        good = verdict == "good" or (check is not None and not self._judged(before, check))
        require(good, f"I3: promoted a version whose servers are {verdict}")

    @staticmethod
    def _judged(deployment: Raw, kind: str) -> bool:
        """Tell whether a check had to see the canary's requests before its promotion."""
        step, analysis = role(deployment, "step"), deployment["spec"]["rollout"].get("analysis", {})
        checked = any(kind in check for check in analysis.get("checks", ()))
        unseen = analysis.get("onNoData") == "Pass"
        return bool(step) and not step.get("ordered") and checked and not unseen

    def _create_deployment(self, _: Raw | None, after: Raw) -> None:
        revision = after["metadata"]["labels"][names.LABEL_VERSION]
        owner = self._owner(after, "ModelDeployment", names.LABEL_DEPLOYMENT)
        if owner is None or not any(o["uid"] == owner["metadata"]["uid"] for o in _owners(after)):
            return
        require(revision in revisions(owner), "pods were created before their role was recorded")
        live = self._children("Deployment", owner["metadata"]["uid"])
        require(len(live) <= 2, f"I3: {len(live)} revisions at once")

    def _remove_deployment(self, before: Raw, _: Raw | None) -> None:
        revision = before["metadata"]["labels"][names.LABEL_VERSION]
        owner = self._owner(before, "ModelDeployment", names.LABEL_DEPLOYMENT)
        if owner is None:
            return
        require(revision not in revisions(owner), "I3: the pods of a role were removed")
        if role(owner, "stable"):
            public = self.api.objects.get(
                Key("Service", owner["metadata"]["namespace"], owner["metadata"]["name"])
            )
            selected = (public or {"spec": {"selector": {}}})["spec"]["selector"]
            mine = public is not None and public["metadata"]["uid"] not in self.edited
            selects = selected.get(names.LABEL_VERSION) == revision
            require(not (mine and selects), "I3: removed what the Service selects")
            meta, service = owner["metadata"], before["metadata"]["name"]
            sent = self.gateway.sends_to(meta["namespace"], meta["name"], service)
            require(not sent, "I3: removed what the gateway sends requests to")

    def _apply_httproute(self, before: Raw | None, after: Raw) -> None:
        """Weights sum to 100; the canary's is within its step, and what ready pods carry."""
        weights = weights_of(after)
        require(sum(weights.values()) == ALL, f"weights sum to {sum(weights.values())}")
        owner = self._owner(after, "ModelDeployment", names.LABEL_DEPLOYMENT)
        uid = after["metadata"]["labels"][names.LABEL_OWNER_UID]
        if owner is None or owner["metadata"]["uid"] != uid:
            return
        self._weighted(owner, weights)
        old = set(weights_of(before)) if before and before["spec"].get("rules") else set()
        for service in set(weights) - old:
            ready = self.most_ready[after["metadata"]["namespace"], service]
            found = ready or not self.fewest[uid]
            require(bool(found), f"{service} gets requests and never had a ready pod")

    _create_httproute = _apply_httproute
    _apply_grpcroute = _apply_httproute
    _create_grpcroute = _apply_httproute

    def _weighted(self, owner: Raw, weights: dict[str, int]) -> None:
        meta, stable, canary = owner["metadata"], role(owner, "stable"), role(owner, "canary")
        service = names.serving_name(meta["name"], canary.get("revision", ""))
        known = {names.serving_name(meta["name"], stable.get("revision", "")), service}
        require(set(weights) <= known, "I3: a route names what has no role")
        if canary:
            weight = weights.get(service, 0)
            meant = role(owner, "step").get("weight", 0)
            require(weight <= meant, f"I3: the canary gets {weight} %, and {meant} % are meant")
            ready = self.most_ready[meta["namespace"], service]
            carried = ALL * ready / max(1, self.fewest[meta["uid"]])
            require(weight <= carried, f"I3: {weight} % for {ready} ready pods")

    def _apply_service(self, before: Raw | None, after: Raw) -> None:
        self.edited.discard(after["metadata"]["uid"])
        self._selects(after)

    def _create_service(self, before: Raw | None, after: Raw) -> None:
        self._selects(after)

    def _selects(self, service: Raw) -> None:
        owner = self._owner(service, "ModelDeployment", names.LABEL_DEPLOYMENT)
        if owner is None or owner["metadata"]["name"] != service["metadata"]["name"]:
            return
        revision = service["spec"]["selector"].get(names.LABEL_VERSION)
        if owner["metadata"]["uid"] == service["metadata"]["labels"][names.LABEL_OWNER_UID]:
            stable, canary = role(owner, "stable"), role(owner, "canary")
            weight = role(owner, "step").get("weight", 0)
            allowed = {
                stable.get("revision"): True,
                canary.get("revision"): weight == ALL,
                None: 0 < weight < ALL,
            }
            require(allowed.get(revision, False), "I3: the public Service selects what it must not")

    # all

    def _status(self, before: Raw, after: Raw) -> None:
        generation = after["metadata"]["generation"]
        old = (before.get("status") or {}).get("observedGeneration", 0)
        new = after["status"].get("observedGeneration", 0)
        require(old <= new <= generation, "I6: observedGeneration is not monotone")
        types = [c["type"] for c in after["status"]["conditions"]]
        require(len(types) == len(set(types)), "a condition stands twice")
        missing = [kind.value for kind in TYPES[after["kind"]] if kind not in types]
        require(not missing, f"conditions are missing: {', '.join(missing)}")
        for entry in after["status"]["conditions"]:
            require(len(entry.get("message", "")) <= 1024, "a message is too long")

    def _children(self, kind: str, uid: str) -> list[Raw]:
        return [
            raw
            for raw in self.api.all(kind)
            if raw["metadata"]["labels"].get(names.LABEL_OWNER_UID) == uid
        ]


def _owners(raw: Raw) -> list[Raw]:
    return raw["metadata"].get("ownerReferences") or []
