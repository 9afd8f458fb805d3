"""What must be true once faults have stopped and everything has settled."""

from modelyard.api import names
from modelyard.kube.kinds import Key, Raw, key_of
from tests.simulation.gateway import weights_of
from tests.simulation.invariants import require, role, terminal
from tests.simulation.nodes import condition, is_true
from tests.simulation.shelf import digest_for
from tests.simulation.world import NAMESPACE, ROOT_KINDS, World


def unreadable(raw: Raw) -> bool:
    return bool(condition(raw, "Accepted")["reason"] == "InvalidSpec")


def artifact(version: Raw) -> tuple[str, str, int]:
    spec = version["spec"]
    return version["metadata"]["namespace"], spec["modelName"], spec["version"]


class Settled(World):
    """The checks at the end of a schedule."""

    def verify(self) -> None:
        for training in self.api.all("ModelTraining"):
            refused = condition(training, "Accepted")["status"] == "False"
            require(terminal(training) or refused, f"{key_of(training)} never ends")
            require(not training["metadata"].get("deletionTimestamp"), "a training is stuck")
        for version in self.api.all("ModelVersion"):
            self._version(version)
        for deployment in self.api.all("ModelDeployment"):
            if not unreadable(deployment):
                self._deployment(deployment)
        self._leaks()
        self._still()

    def _leaks(self) -> None:
        """Whatever is in the store has an owner: a version, or the training that it came from."""
        owners = {raw["metadata"]["uid"] for raw in self.api.all("ModelTraining")}
        versions = self.api.all("ModelVersion")
        guarded = {raw["spec"]["artifact"]["manifestDigest"] for raw in versions}
        for place, manifest in self.shelf.committed.items():
            owner = manifest.source.uid
            known = owner in owners | self.invariants.left or digest_for(manifest) in guarded
            excused = place in self.shelf.tampered
            require(known or excused, f"I5: {place} of training {owner} was left behind")

    def _odd(self, version: Raw) -> bool:
        """Whether somebody made or broke it by hand."""
        strange = version["metadata"]["uid"] in self.invariants.strange
        return strange or artifact(version) in self.shelf.tampered

    def _version(self, version: Raw) -> None:
        if version["metadata"].get("deletionTimestamp"):
            require(is_true(version, "InUse"), f"{key_of(version)} is stuck")
            return
        held = self.shelf.holds(*artifact(version), version["spec"]["artifact"]["manifestDigest"])
        good = held and is_true(version, "Verified")
        require(good or self._odd(version), f"{key_of(version)} is not verified")

    def _deployment(self, raw: Raw) -> None:
        stable, name = role(raw, "stable"), raw["spec"]["modelVersionName"]
        target = self.api.objects.get(Key("ModelVersion", NAMESPACE, name))
        if target is not None and unreadable(target):
            target = None
        blocked = (raw["status"].get("blockedVersion") or "").startswith(f"{name}/")
        gated = condition(raw, "GatesPassed")["status"] == "False"
        require(not gated or raw["spec"]["rollout"].get("gates"), "no gates, and yet they failed")
        require(not role(raw, "canary"), f"{key_of(raw)} still has a canary")
        if target is not None and not blocked and not gated and self._servable(target):
            require(stable.get("modelVersionName") == name, f"{key_of(raw)} does not serve {name}")
        if target is None:
            reason = condition(raw, "Accepted")["reason"]
            require(reason == "VersionNotFound", f"{key_of(raw)} says {reason}")
        if stable:
            self._serves(raw, stable)

    def _servable(self, target: Raw) -> bool:
        going, odd = target["metadata"].get("deletionTimestamp"), self._odd(target)
        return not going and not odd and is_true(target, "Verified") and is_true(target, "Servable")

    def _serves(self, raw: Raw, stable: Raw) -> None:
        uid = raw["metadata"]["uid"]
        public = self.api.get(Key("Service", NAMESPACE, raw["metadata"]["name"]))
        selected = public["spec"]["selector"][names.LABEL_VERSION]
        require(selected == stable["revision"], "the Service does not select stable")
        warm = (raw["status"].get("warm") or {}).get("version")
        require(not warm, f"{key_of(raw)} keeps something warm for ever")
        live = {
            w["metadata"]["labels"][names.LABEL_VERSION]
            for w in self.api.all("Deployment")
            if w["metadata"]["labels"][names.LABEL_OWNER_UID] == uid
        }
        place = (NAMESPACE, stable["modelName"], stable["version"])
        held = self.shelf.holds(*place, stable["digest"])
        alone = live == {stable["revision"]}
        kept = bool((raw["spec"].get("traffic") or {}).get("gateway")) and not held
        require(alone or kept, f"{live} are there, and {stable['revision']} serves")
        if held:
            require(is_true(raw, "Ready"), f"{key_of(raw)} is not ready")
            self._routed(raw, stable)

    def _routed(self, raw: Raw, stable: Raw) -> None:
        """Every route gives everything to stable; a host of an older deployment has none here."""
        gateway = (raw["spec"].get("traffic") or {}).get("gateway") or {}
        reason = condition(raw, "TrafficProgrammed")["reason"]
        if reason == "HostnameConflict" or not raw["spec"]["replicas"]:
            return
        service = names.serving_name(raw["metadata"]["name"], stable["revision"])
        for kind, part in (("HTTPRoute", "rest"), ("GRPCRoute", "grpc")):
            route = self.api.objects.get(Key(kind, NAMESPACE, raw["metadata"]["name"]))
            wanted = {service: 100} if part in gateway else None
            weights = weights_of(route) if route else None
            require(weights == wanted, f"{kind} says {weights}, not {wanted}")
        require(is_true(raw, "TrafficProgrammed"), f"TrafficProgrammed: {reason}")

    def _still(self) -> None:
        """I7: in a quiet world a reconcile writes nothing."""
        before = self.api.revision
        self.twin.resync()
        roots = [key_of(raw) for kind in ROOT_KINDS for raw in self.api.all(kind)]
        for key in dict.fromkeys([*self.twin.dirty, *roots]):
            self.twin.reconcile(key)
        require(self.api.revision == before, "I7: a quiet world was written to")
