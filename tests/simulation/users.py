"""What users do: train, deploy, edit, hold, delete; now and then what admission would refuse."""

from typing import Any

from modelyard.api import names
from modelyard.kube.kinds import Key, Raw, key_of
from modelyard.plan.manifests.model_version import model_version
from tests.builders import DIGEST, make_manifest, make_training, raw_training, training_spec
from tests.simulation.nodes import condition, is_true
from tests.simulation.world import CHILD_KINDS, HELD, NAMESPACE, ROOT_KINDS, World

FLOOR = {"name": "floor", "metric": "accuracy", "value": "0.95"}
EVALUATIONS: tuple[dict[str, Any], ...] = (
    {"gates": [FLOOR]},
    {"gates": [FLOOR]},
    {"gates": [FLOOR], "primaryMetric": {"name": "f1"}},
    {"gates": [FLOOR, {"name": "none", "metric": "recall", "value": "0.1"}]},
)
SERVERS: tuple[dict[str, Any], ...] = (
    {"drainSeconds": 1},
    {"drainSeconds": 2},
    {"image": "own-server:1"},
    {"loadDeadlineSeconds": 30},
)
STEPS = [{"weight": 10, "holdSeconds": 30}, {"weight": 50, "holdSeconds": 60}]
PAUSED = [{"weight": 25}, {"pause": {}}, {"weight": 100}]
ERRORS = {"name": "errors", "errorRate": {"minSamples": 100, "alpha": "0.1"}}
LATENCY = {"name": "latency", "latency": {"minSamples": 100}}
GATES = [
    {"name": "io", "signatureCompatible": {}},
    {"name": "better", "evaluation": {"metric": "accuracy", "maxRegression": "0.01"}},
]
ROLLOUTS: tuple[dict[str, Any], ...] = (
    {},
    {"warmStableSeconds": 0},
    {"steps": STEPS, "progressDeadlineSeconds": 60},
    {"steps": STEPS, "analysis": {"checks": [ERRORS]}, "progressDeadlineSeconds": 60},
    {"steps": STEPS, "analysis": {"checks": [ERRORS, LATENCY]}, "progressDeadlineSeconds": 600},
    {"steps": STEPS, "analysis": {"checks": [LATENCY], "onNoData": "Pass"}},
    {"steps": STEPS, "analysis": {"checks": [ERRORS], "onNoData": "Fail"}},
    {"steps": STEPS, "maxFailedCanaryRequests": 20, "progressDeadlineSeconds": 60},
    {"gates": GATES, "warmStableSeconds": 0},
    {"gates": GATES[1:], "steps": STEPS},
    {"steps": PAUSED, "warmStableSeconds": 60},
    {"steps": [{"pause": {}}, {"weight": 50}, {"pause": {}}]},
    {"steps": [*STEPS, {"weight": 100, "holdSeconds": 30}], "analysis": {"checks": [ERRORS]}},
)
COHORTS = [{"name": "beta", "header": {"name": "x-cohort", "value": "beta"}}]


def _route(host: str, **parent: Any) -> dict[str, Any]:
    return {"parentRefs": [{"name": "public", **parent}], "hostnames": [f"{host}.example.com"]}


def traffics(name: str) -> tuple[dict[str, Any], ...]:
    """Return how a deployment of that name may be reached; some share a host with others."""
    rest, grpc = _route(name), _route(f"{name}-grpc", namespace="infra", sectionName="rpc")
    shared = {"parentRefs": grpc["parentRefs"], "hostnames": ["shared.example.com"]}
    return (
        *({},) * 4,
        {"gateway": {"rest": rest}},
        {"gateway": {"grpc": grpc}},
        {"gateway": {"rest": rest, "grpc": grpc}},
        {"gateway": {"rest": rest, "grpc": grpc}, "cohorts": COHORTS},
        {"gateway": {"rest": rest, "grpc": shared}},
        {"gateway": {"rest": _route("shared", port=80), "grpc": grpc}},
    )


IMAGE = {"name": "image", "dtype": "float32", "shape": [-1, 8, 8, 1]}
LABEL = {"name": "label", "dtype": "int64", "shape": [-1]}


def _signature(name: str = "serving_default", **changes: Any) -> dict[str, Any]:
    return {"name": name, "inputs": [IMAGE], "outputs": [IMAGE], **changes}


SIGNATURES = (
    [_signature(), _signature("embed")],
    [_signature(inputs=[IMAGE, LABEL])],
    [_signature(outputs=[LABEL])],
    [_signature(inputs=[{**IMAGE, "shape": [8, 8, 8, 1]}])],
    [_signature(method="tensorflow/serving/regress")],
)
OTHER_DATA = [{"name": "eval", "uri": "s3://b/e.npz", "digest": DIGEST, "rows": 9}]
VERBS = ("promote", "promote", "promote-full", "abort", "retry", "undo", "destroy", "")


def deployment(name: str, version: str, **spec: Any) -> Raw:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"modelVersionName": version, "replicas": 1, **spec},
    }


def _warm(raw: Raw) -> Raw:
    warm: Raw = ((raw.get("status") or {}).get("warm") or {}).get("version") or {}
    return warm


class Users(World):
    """Moves of people who mean well."""

    def history(self) -> None:
        """Put versions in place that earlier trainings left behind."""
        for number in range(1, self.random.randint(2, 4)):
            past = make_training(meta={"name": f"past-{number}", "uid": f"past-{number}"})
            raw = past.model_dump(mode="json", by_alias=True)
            self.shelf.publish(raw, 1, self._past_manifest())
            manifest, digest = self.shelf.at((NAMESPACE, "digits", number))
            self.api.create("user", model_version(past, manifest, digest, None))
        if self.random.random() < 0.35:
            self._strange_version()

    def _past_manifest(self) -> dict[str, Any]:
        """Return what sets a version apart from the usual one; often nothing."""
        usual = make_manifest(self.random.choice(("0.97", "0.95"))).dump()
        changes = (
            {"goldenSet": None},
            {"metrics": []},
            {"lineage": {**usual["lineage"], "datasets": OTHER_DATA}},
            {"signatures": self.random.choice(SIGNATURES)},
            {"signatures": self.random.choice(SIGNATURES)},
        )
        return {"metrics": usual["metrics"], **self.random.choice(({}, {}, {}, {}, *changes))}

    def _strange_version(self) -> None:
        """Create a version that stands for nothing, or that nobody can understand."""
        number = self.random.randint(2, 5)
        source = {"name": "gone", "uid": "gone", "attempt": 1}
        manifest = make_manifest(version=number, source=source)
        raw = model_version(make_training(), manifest, DIGEST, None)
        match self.random.choice(("nothing", "unreadable", "misplaced", "copied")):
            case "unreadable":
                raw["spec"]["artifact"]["files"] = 0
            case "copied":
                copied, digest = self.shelf.at((NAMESPACE, "digits", 1))
                self.shelf.committed.setdefault((NAMESPACE, "digits", number), copied)
                raw["spec"]["artifact"] = {**raw["spec"]["artifact"], "manifestDigest": digest}
            case "misplaced":
                _, digest = self.shelf.at((NAMESPACE, "digits", 1))
                artifact = {"manifestDigest": digest, "path": "elsewhere/digits/1/"}
                raw["spec"] = {**raw["spec"], "version": 1}
                raw["spec"]["artifact"] = {**raw["spec"]["artifact"], **artifact}
                raw["metadata"]["name"] = "digits-v01"
        if key_of(raw) not in self.api.objects:
            created = self.api.create("user", raw)
            self.invariants.strange.add(created["metadata"]["uid"])

    def user_trains(self) -> None:
        name = f"t{self.random.randint(1, 2)}"
        if Key("ModelTraining", NAMESPACE, name) in self.api.objects:
            return
        raw = raw_training(
            meta={"name": name},
            maxRetries=self.random.randint(0, 2),
            maxInterruptions=self.random.randint(0, 3),
            evaluation=self.random.choice(EVALUATIONS),
            compute={"accelerator": {"count": self.random.choice((0, 0, 1))}},
        )
        raw["spec"].update(self._mistake())
        del raw["status"]
        self.api.create("user", raw)

    def _mistake(self) -> dict[str, Any]:
        """Return what makes a spec one that cannot run; mostly nothing."""
        foreign = [{**source, "uri": "s3://secrets/x.npz"} for source in training_spec()["data"]]
        mistakes: list[dict[str, Any]] = [
            {"storeName": "elsewhere"},
            {"data": foreign},
            {"maxRetries": -1},
            {"data": [{"name": "!"}] * 3},
        ]
        return self.random.choice([*mistakes, *[{}] * 36])

    def user_deploys(self) -> None:
        name = self.random.choice(("web", "app"))
        if Key("ModelDeployment", NAMESPACE, name) not in self.api.objects:
            self.deploy(name, self._some_version())

    def deploy(self, name: str, version: str) -> None:
        """Create a deployment of a version."""
        spec = {
            "replicas": self.random.choice((1, 1, 2)),
            "rollout": self.random.choice(ROLLOUTS),
            "traffic": self.random.choice(traffics(name)),
        }
        self.api.create("user", deployment(name, version, **spec))

    def _some_version(self) -> str:
        made = [raw["metadata"]["name"] for raw in self.api.all("ModelVersion")]
        return self.random.choice([*made, *made, "digits-v1", "digits-v2", "digits-v9"])

    def user_edits(self) -> None:
        raw = self.pick(self.api.all("ModelDeployment"))
        if raw is not None:
            self._edit(raw)

    def user_releases_version(self) -> None:
        """Name another version that is there, in steps more often than not."""
        raw = self.pick(self.api.all("ModelDeployment"))
        made = [version["metadata"]["name"] for version in self.api.all("ModelVersion")]
        if raw is not None and made:
            change = {
                "modelVersionName": self.random.choice(made),
                "rollout": self.random.choice(ROLLOUTS[2:]),
            }
            self.api.change("user", key_of(raw), spec={**raw["spec"], **change})

    def user_goes_back(self) -> None:
        """Name the version that served before and is still loaded."""
        kept = [raw for raw in self.api.all("ModelDeployment") if _warm(raw)]
        raw = self.pick(kept)
        if raw is not None:
            warm = _warm(raw)
            change = {"modelVersionName": warm["modelVersionName"], "server": warm["server"]}
            self.api.change("user", key_of(raw), spec={**raw["spec"], **change})

    def user_wavers(self) -> None:
        """Edit a deployment again and again, while the operator still works on the last edit."""
        raw = self.pick(self.api.all("ModelDeployment"))
        for _ in range(3 if raw else 0):
            key = key_of(raw)
            self._edit(self.api.get(key))
            while self.twin.behind(key.kind):
                self.twin.deliver(key.kind)
            for _ in range(self.random.randint(1, 3)):
                self.twin.reconcile(key)

    def _edit(self, raw: Raw) -> None:
        change = self.random.choice(
            (
                {"modelVersionName": self._some_version()},
                {"modelVersionName": self._some_version()},
                {"replicas": self.random.randint(0, 3)},
                {"replicas": self.random.choice((1, -1))},
                {"server": self.random.choice(SERVERS)},
                {"rollout": self.random.choice(ROLLOUTS)},
                {"paused": self.random.random() < 0.5},
                {"traffic": self.random.choice(traffics(raw["metadata"]["name"]))},
            )
        )
        self.trace[-1] += f" {key_of(raw)} {change}"
        self.api.change("user", key_of(raw), spec={**raw["spec"], **change})

    def user_orders(self) -> None:
        raw = self.pick(self.api.all("ModelDeployment"))
        if raw is not None:
            self.order(raw, self.random.choice(VERBS))

    def order(self, raw: Raw, verb: str) -> None:
        """Give an order as the command line does: by annotations, with a nonce of its own."""
        self.trace[-1] += f" {key_of(raw)} {verb}"
        self.orders += 1
        nonce = self.random.choice((self.orders, self.orders, 1))
        annotations = {names.ANNOTATION_COMMAND: verb, names.ANNOTATION_NONCE: str(nonce)}
        self.api.change("user", key_of(raw), metadata={"annotations": annotations})

    def resume(self) -> None:
        """Let somebody come who ends every pause."""
        for raw in self.api.all("ModelDeployment"):
            if is_true(raw, "Paused") and condition(raw, "Accepted")["reason"] != "InvalidSpec":
                self.api.change("user", key_of(raw), spec={**raw["spec"], "paused": False})
                self.order(self.api.get(key_of(raw)), "promote-full")

    def user_deletes(self) -> None:
        raw = self.pick(self.api.all(self.random.choice(ROOT_KINDS)))
        strange = self.pick(self._strange_ones())
        if strange is not None and self.random.random() < 0.5:
            raw = strange
        if raw is not None:
            self.trace[-1] += f" {key_of(raw)}"
            self.invariants.unguarded(raw)
            self.api.delete("user", key_of(raw))

    def _strange_ones(self) -> list[Raw]:
        """Return the versions that catch the eye of somebody who tidies up."""
        known = self.invariants.strange
        found = [raw for raw in self.api.all("ModelVersion") if raw["metadata"]["uid"] in known]
        return [raw for raw in found if not raw["metadata"].get("deletionTimestamp")]

    def user_holds(self) -> None:
        kinds = [kind for kind in (*ROOT_KINDS, *CHILD_KINDS) if kind != "Pod"]
        raw = self.pick(self.api.all(self.random.choice(kinds)))
        if raw is not None and not raw["metadata"].get("deletionTimestamp"):
            self.trace[-1] += f" {key_of(raw)}"
            self.hold(raw)

    def user_releases(self) -> None:
        for raw in list(self.api.objects.values()):
            present = raw["metadata"].get("finalizers") or ()
            if HELD in present:
                self.api.set_finalizers("user", raw, tuple(f for f in present if f != HELD))
