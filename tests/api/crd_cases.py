"""What the API server must accept and refuse: valid objects, and one spoilt field per case."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

API_VERSION = "modelyard.dev/v1alpha1"
DIGEST = "sha256:" + "a" * 64


@dataclass(frozen=True)
class Case:
    """One object, made from a valid one by `change`, and the words its refusal must hold."""

    title: str
    make: Callable[[], Manifest]
    changes: Mapping[str, Any]
    """New values by dotted path; digits index lists; `...` removes."""
    words: tuple[str, ...] = ()
    """Field, and remedy or bound; empty means that the object is accepted."""

    def manifest(self) -> Manifest:
        """Return the changed object."""
        manifest = self.make()
        for path, value in self.changes.items():
            put(manifest, path, value)
        return manifest


def put(manifest: Manifest, path: str, value: object) -> None:
    """Set the value at a dotted path, or remove it if the value is `...`."""
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    node: Any = manifest
    for step in parents:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    if value is ...:
        del node[last]
    else:
        node[last] = value


def _data(name: str) -> Manifest:
    schema = {"features": ["image"], "label": "label"}
    uri = f"s3://modelyard/digits/{name}.npz"
    return {"name": name, "uri": uri, "format": "Npz", "schema": schema}


def training() -> Manifest:
    """Return the smallest useful training."""
    architecture = {"name": "CNN", "convolutions": [{"filters": 8}]}
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelTraining",
        "metadata": {"name": "digits", "namespace": "default"},
        "spec": {
            "modelName": "digits",
            "recipe": {"task": "ImageClassification", "architecture": architecture},
            "data": [_data("train"), _data("eval")],
            "evaluation": {"gates": [{"name": "floor", "metric": "accuracy", "value": "0.9"}]},
        },
    }


def version() -> Manifest:
    """Return a version as the operator creates it."""
    tensor = {"name": "image", "dtype": "float32", "shape": [-1, 8, 8]}
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": "digits-v3", "namespace": "default"},
        "spec": {
            "modelName": "digits",
            "version": 3,
            "source": {"training": {"name": "digits", "uid": "6e1c", "attempt": 1}},
            "artifact": {
                "storeName": "default",
                "path": "default/digits/3/",
                "manifestDigest": DIGEST,
                "files": 4,
                "bytes": 1000,
            },
            "signatures": [{"name": "serving_default", "inputs": [tensor], "outputs": [tensor]}],
            "metrics": [
                {"name": "accuracy", "value": "0.97", "dataName": "eval"},
                {"name": "recall", "value": "0.9", "dataName": "eval", "slice": "class=0"},
                {"name": "recall", "value": "0.8", "dataName": "eval", "slice": "class=1"},
            ],
            "lineage": {"recipeDigest": DIGEST, "seed": 42},
            "goldenSet": {"path": "assets.extra/golden.json", "samples": 8},
        },
    }


def deployment() -> Manifest:
    """Return the smallest deployment."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": "digits", "namespace": "default"},
        "spec": {"modelVersionName": "digits-v3"},
    }


_ARCHITECTURE = "spec.recipe.architecture"
_GATE = "spec.evaluation.gates.0"
_MLP = {f"{_ARCHITECTURE}.name": "MLP", f"{_ARCHITECTURE}.convolutions": ...}
_TABLE = {
    **_MLP,
    "spec.recipe.task": "TabularClassification",
    "spec.data.0.format": "Csv",
    "spec.data.1.format": "Csv",
    "spec.data.0.schema.features": ["age", "income"],
    "spec.data.1.schema.features": ["age", "income"],
}

ACCEPTED = (
    Case("a CNN on images", training, {}),
    Case("an MLP on images", training, _MLP),
    Case("an MLP on a table", training, _TABLE),
    Case("a name of 52 characters", training, {"metadata.name": "a" * 52}),
    Case(
        "an empty list where it is unused", training, {**_MLP, f"{_ARCHITECTURE}.convolutions": []}
    ),
    Case("dropout just below 1", training, {"spec.recipe.regularization.dropout": "0.99"}),
    Case(
        "a small rate in scientific form", training, {"spec.recipe.optimizer.learningRate": "1e-5"}
    ),
    Case(
        "a gate on a loss",
        training,
        {_GATE: {"name": "l", "metric": "log_loss", "operator": "LessThanOrEqual", "value": "1.5"}},
    ),
    Case(
        "a loss as primary metric",
        training,
        {"spec.evaluation.primaryMetric": {"name": "log_loss", "direction": "Minimize"}},
    ),
    Case("no gates", training, {"spec.evaluation": ...}),
    Case("a version", version, {}),
    Case(
        "a model that ends like a version",
        version,
        {
            "metadata.name": "a-v1-v12",
            "spec.modelName": "a-v1",
            "spec.version": 12,
            "spec.artifact.path": "team/a-v1/12/",
        },
    ),
    Case("a deployment", deployment, {}),
    Case("a deployment without pods", deployment, {"spec.replicas": 0}),
    Case("a name of 40 characters", deployment, {"metadata.name": "a" * 40}),
)

REFUSED = (
    Case("name too long", training, {"metadata.name": "a" * 53}, ("metadata.name", "shorter name")),
    Case("no train", training, {"spec.data.0.name": "pool"}, ("spec.data", "named train: add")),
    Case(
        "no evaluation data",
        training,
        {"spec.evaluation.dataName": "holdout"},
        ("spec.data has no entry named holdout", "spec.evaluation.dataName", "add it"),
    ),
    Case(
        "evaluated on training data",
        training,
        {"spec.evaluation.dataName": "train"},
        ("spec.evaluation.dataName", "name held-out data"),
    ),
    Case(
        "images from a table",
        training,
        {"spec.data.1.format": "Csv"},
        ("spec.data[].format", "convert the images"),
    ),
    Case(
        "a CNN on a table",
        training,
        {"spec.recipe.task": "TabularClassification"},
        (f"{_ARCHITECTURE}.name CNN", "use MLP"),
    ),
    Case(
        "two arrays in Npz",
        training,
        {"spec.data.0.schema.features": ["image", "mask"]},
        ("spec.data[].schema.features", "stack the inputs"),
    ),
    Case(
        "a CNN without convolutions",
        training,
        {f"{_ARCHITECTURE}.convolutions": ...},
        (f"{_ARCHITECTURE}.convolutions", "add {filters: 32}"),
    ),
    Case(
        "a CNN with an empty list",
        training,
        {f"{_ARCHITECTURE}.convolutions": []},
        (f"{_ARCHITECTURE}.convolutions", "add {filters: 32}"),
    ),
    Case(
        "an MLP with convolutions",
        training,
        {f"{_ARCHITECTURE}.name": "MLP"},
        (f"{_ARCHITECTURE}.convolutions", "remove it"),
    ),
    Case(
        "dropout of 1",
        training,
        {"spec.recipe.regularization.dropout": "1.0"},
        ("spec.recipe.regularization.dropout", "for instance 0.3"),
    ),
    Case(
        "negative dropout",
        training,
        {"spec.recipe.regularization.dropout": "-0.1"},
        ("spec.recipe.regularization.dropout", "at least 0"),
    ),
    Case(
        "negative l2",
        training,
        {"spec.recipe.regularization.l2": "-1"},
        ("spec.recipe.regularization.l2", "use 0 or more"),
    ),
    Case(
        "a rate of 0",
        training,
        {"spec.recipe.optimizer.learningRate": "0.0"},
        ("spec.recipe.optimizer.learningRate", "try 0.001"),
    ),
    Case(
        "a rate in words",
        training,
        {"spec.recipe.optimizer.learningRate": "small"},
        ("spec.recipe.optimizer.learningRate", "should match"),
    ),
    Case(
        "an unknown metric in a gate",
        training,
        {f"{_GATE}.metric": "acuracy"},
        ("spec.evaluation.gates[].metric", "use one of accuracy"),
    ),
    Case(
        "a gate in percent",
        training,
        {f"{_GATE}.value": "95"},
        ("spec.evaluation.gates[].value", "write 0.95"),
    ),
    Case(
        "a loss gated from below",
        training,
        {f"{_GATE}.metric": "log_loss"},
        ("spec.evaluation.gates[].operator", "LessThanOrEqual"),
    ),
    Case(
        "an unknown primary metric",
        training,
        {"spec.evaluation.primaryMetric": {"name": "rmse"}},
        ("spec.evaluation.primaryMetric.name", "use one of accuracy"),
    ),
    Case(
        "a loss to be maximised",
        training,
        {"spec.evaluation.primaryMetric": {"name": "loss"}},
        ("spec.evaluation.primaryMetric.direction", "Minimize"),
    ),
    Case(
        "an unknown architecture",
        training,
        {f"{_ARCHITECTURE}.name": "RNN"},
        (f"{_ARCHITECTURE}.name", '"MLP", "CNN"'),
    ),
    Case("no data", training, {"spec.data": []}, ("spec.data", "at least 1 items")),
    Case(
        "a name twice",
        training,
        {"spec.data.1.name": "train", "spec.evaluation.dataName": "train"},
        ("spec.data[1]", "Duplicate value"),
    ),
    Case("a file on disk", training, {"spec.data.0.uri": "file:///etc/passwd"}, ("uri", "s3://")),
    Case("a typo", training, {"spec.recipe.epoch": 3}, ("unknown field", "spec.recipe.epoch")),
    Case(
        "a model in capitals", training, {"spec.modelName": "Digits"}, ("spec.modelName", "[a-z]")
    ),
    Case("another name", version, {"metadata.name": "digits-3"}, ("metadata.name", "rename")),
    Case("another number", version, {"metadata.name": "digits-v4"}, ("metadata.name", "rename")),
    Case("a padded number", version, {"metadata.name": "digits-v03"}, ("metadata.name", "rename")),
    Case("another model", version, {"metadata.name": "fraud-v3"}, ("metadata.name", "rename")),
    Case(
        "files of another version",
        version,
        {"spec.artifact.path": "default/digits/4/"},
        ("spec.artifact.path", "point it at"),
    ),
    Case(
        "files of another model",
        version,
        {"spec.artifact.path": "default/fraud/3/"},
        ("spec.artifact.path", "point it at"),
    ),
    Case(
        "a path upwards",
        version,
        {"spec.artifact.path": "../digits/3/"},
        ("spec.artifact.path", "should match"),
    ),
    Case(
        "a short digest",
        version,
        {"spec.artifact.manifestDigest": "sha256:abc"},
        ("spec.artifact.manifestDigest", "{64}"),
    ),
    Case("version 0", version, {"spec.version": 0}, ("spec.version", "greater than or equal to 1")),
    Case("no signature", version, {"spec.signatures": []}, ("spec.signatures", "at least 1 items")),
    Case("no lineage", version, {"spec.lineage": ...}, ("spec.lineage", "Required value")),
    Case(
        "a metric twice",
        version,
        {"spec.metrics.1.slice": "class=1"},
        ("spec.metrics[2]", "Duplicate value"),
    ),
    Case("name too long", deployment, {"metadata.name": "a" * 41}, ("metadata.name", "shorter")),
    Case(
        "a name that starts with a digit",
        deployment,
        {"metadata.name": "2fast"},
        ("metadata.name", "starts with a letter"),
    ),
    Case("a dot", deployment, {"metadata.name": "a.b"}, ("metadata.name", "a-z, 0-9 and - only")),
    Case(
        "no version",
        deployment,
        {"spec.modelVersionName": ...},
        ("spec.modelVersionName", "Required value"),
    ),
    Case(
        "a negative number of pods",
        deployment,
        {"spec.replicas": -1},
        ("spec.replicas", "greater than or equal to 0"),
    ),
    Case(
        "an impatient deadline",
        deployment,
        {"spec.server.loadDeadlineSeconds": 1},
        ("spec.server.loadDeadlineSeconds", "greater than or equal to 10"),
    ),
    Case(
        "an unknown server",
        deployment,
        {"spec.server.runtime": "Triton"},
        ("spec.server.runtime", '"TensorFlowServing"'),
    ),
    Case(
        "memory in words",
        deployment,
        {"spec.server.resources.requests.memory": "much"},
        ("spec.server.resources.requests.memory", "should match"),
    ),
    Case(
        "a pod template",
        deployment,
        {"spec.template": {"spec": {"hostNetwork": True}}},
        ("unknown field", "spec.template"),
    ),
)

FROZEN = (
    Case("another epoch count", training, {"spec.recipe.epochs": 5}, ("spec is immutable", "new")),
    Case("gates removed", training, {"spec.evaluation": ...}, ("spec is immutable", "new")),
    Case("a gate lowered", training, {f"{_GATE}.value": "0.1"}, ("spec is immutable", "new")),
    Case(
        "another digest",
        version,
        {"spec.artifact.manifestDigest": "sha256:" + "b" * 64},
        ("spec is immutable", "train a new version"),
    ),
    Case("golden set removed", version, {"spec.goldenSet": ...}, ("spec is immutable", "new")),
    Case("a metric improved", version, {"spec.metrics.0.value": "1"}, ("spec is immutable", "new")),
)
