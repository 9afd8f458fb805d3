"""What the CRDs say beyond the models: CEL rules, printer columns, names, list keys.

Pure data, read by `modelyard.codegen`. The rules repeat nothing that a type can say; they hold
what relates two fields, what may not change, and what the metrics of a task are called.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from modelyard.api.cel import Rule, listed
from modelyard.api.deployment import ModelDeployment
from modelyard.api.measures import LOSSES, METRICS, SCORES
from modelyard.api.meta import Observed
from modelyard.api.rollout_rules import ROLLOUT_RULES
from modelyard.api.traffic_rules import TRAFFIC_RULES
from modelyard.api.training import ModelTraining
from modelyard.api.version import ModelVersion

MAX_TRAINING_NAME = 52
MAX_DEPLOYMENT_NAME = 40
DEPLOYMENT_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"

LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "Check": ("name",),
    "CheckStatus": ("name",),
    "Cohort": ("name",),
    "Condition": ("type",),
    "DataSource": ("name",),
    "DatasetLineage": ("name",),
    "EvaluationMetric": ("name", "dataName", "slice"),
    "Gate": ("name",),
    "GateResult": ("name",),
    "HistoryEntry": ("number",),
    "MetricValue": ("name",),
    "ReleaseGate": ("name",),
    "ReleaseGateResult": ("name",),
    "Signature": ("name",),
    "TensorSpec": ("name",),
    "TrafficShare": ("revision",),
}
"""Fields that identify an element in a list of such models; other lists are replaced whole."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    path: str
    description: str
    type: Literal["string", "integer", "date"] = "string"
    wide: bool = False
    """Whether only `-o wide` shows it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One custom resource."""

    model: type[Observed]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    selectable_fields: tuple[str, ...] = ()
    scale: bool = False

    @property
    def name(self) -> str:
        """Kind as manifests write it."""
        return self.model.__name__


_AGE = Column("Age", ".metadata.creationTimestamp", "When the object was created.", "date")

_MODEL = Column("Model", ".spec.modelName", "Model that a version is made of.")

_IMAGES_ONLY = "spec.recipe.task ImageClassification reads spec.data[].format Npz only"

_TRAINING_RULES = (
    Rule(
        "",
        f"self.metadata.name.size() <= {MAX_TRAINING_NAME}",
        f"metadata.name has more than {MAX_TRAINING_NAME} characters, and Jobs and pods are named"
        " after it: choose a shorter name",
    ),
    Rule(
        "spec",
        "self == oldSelf",
        "spec is immutable, it is the record of what was trained: create a new ModelTraining",
    ),
    Rule(
        "spec",
        "self.data.exists(d, d.name == 'train')",
        "spec.data has no entry named train: add the data set to train on under that name",
    ),
    Rule(
        "spec",
        "self.data.exists(d, d.name == self.evaluation.dataName)",
        "spec.evaluation.dataName names no entry of spec.data: add it, or name another",
        computed='"spec.data has no entry named " + self.evaluation.dataName + ", which'
        ' spec.evaluation.dataName names: add it, or name another"',
    ),
    Rule(
        "spec.evaluation.dataName",
        "self != 'train'",
        "spec.evaluation.dataName is train, which the model has seen: name held-out data",
    ),
    Rule(
        "spec",
        "self.recipe.task != 'ImageClassification' || self.data.all(d, d.format == 'Npz')",
        f"{_IMAGES_ONLY}: convert the images to one array in an .npz file",
    ),
    Rule(
        "spec.recipe",
        "self.architecture.name != 'CNN' || self.task == 'ImageClassification'",
        "spec.recipe.architecture.name CNN needs images: set spec.recipe.task to"
        " ImageClassification, or use MLP",
    ),
    Rule(
        "spec.data[]",
        "self.format != 'Npz' || self.schema.features.size() == 1",
        "spec.data[].schema.features must name exactly one array for format Npz: stack the inputs"
        " into one array, or use Csv",
    ),
    Rule(
        "spec.recipe.architecture",
        "self.name != 'CNN' || (has(self.convolutions) && self.convolutions.size() > 0)",
        "spec.recipe.architecture.convolutions is empty, and a CNN has at least one: add"
        " {filters: 32}, or use MLP",
    ),
    Rule(
        "spec.recipe.architecture",
        "self.name != 'MLP' || !has(self.convolutions) || self.convolutions.size() == 0",
        "spec.recipe.architecture.convolutions is not used by an MLP: remove it, or use CNN",
    ),
    Rule(
        "spec.recipe.regularization.dropout",
        "double(self) >= 0.0 && double(self) < 1.0",
        "spec.recipe.regularization.dropout must be at least 0 and below 1: it is the share of"
        " units dropped, for instance 0.3",
    ),
    Rule(
        "spec.recipe.regularization.l2",
        "double(self) >= 0.0",
        "spec.recipe.regularization.l2 is negative, which rewards large weights: use 0 or more,"
        " for instance 0.0001",
    ),
    Rule(
        "spec.recipe.optimizer.learningRate",
        "double(self) > 0.0",
        "spec.recipe.optimizer.learningRate must be above 0: try 0.001",
    ),
    Rule(
        "spec.evaluation.primaryMetric",
        f"self.name in {listed(METRICS)}",
        "spec.evaluation.primaryMetric.name is not measured for this task: use one of "
        + ", ".join(METRICS),
    ),
    Rule(
        "spec.evaluation.primaryMetric",
        f"!(self.name in {listed(LOSSES)}) || self.direction == 'Minimize'",
        "spec.evaluation.primaryMetric.direction must be Minimize for a loss: less is better",
    ),
    Rule(
        "spec.evaluation.gates[]",
        f"self.metric in {listed(METRICS)}",
        "spec.evaluation.gates[].metric is not measured for this task: use one of "
        + ", ".join(METRICS),
    ),
    Rule(
        "spec.evaluation.gates[]",
        f"!(self.metric in {listed(LOSSES)}) || self.operator == 'LessThanOrEqual'",
        "spec.evaluation.gates[].operator must be LessThanOrEqual for a loss: less is better",
    ),
    Rule(
        "spec.evaluation.gates[]",
        f"!(self.metric in {listed(SCORES)})"
        " || (double(self.value) >= 0.0 && double(self.value) <= 1.0)",
        "spec.evaluation.gates[].value must lie between 0 and 1 for this metric: write 0.95, not"
        " 95",
    ),
)

_SUFFIX = "self.metadata.name.substring(self.spec.modelName.size() + 2)"
_LAST_PART = "self.artifact.path.find('[0-9]+/$')"

# CEL's string(int) has no bound that the API server's cost estimate knows: these compare numbers.
_VERSION_RULES = (
    Rule(
        "",
        "self.metadata.name.startsWith(self.spec.modelName + '-v')"
        f" && {_SUFFIX}.matches('^[1-9][0-9]{{0,15}}$') && int({_SUFFIX}) == self.spec.version",
        "metadata.name must be <spec.modelName>-v<spec.version>: rename the object",
    ),
    Rule(
        "spec",
        "self == oldSelf",
        "spec is immutable, it records a published artifact: train a new version instead",
    ),
    Rule(
        "spec",
        f"self.artifact.path.endsWith('/' + self.modelName + '/' + {_LAST_PART})"
        f" && int({_LAST_PART}.replace('/', '')) == self.version",
        "spec.artifact.path must end in /<spec.modelName>/<spec.version>/: point it at this"
        " version's own files",
    ),
)

_DEPLOYMENT_RULES = (
    Rule(
        "",
        f"self.metadata.name.size() <= {MAX_DEPLOYMENT_NAME}",
        f"metadata.name has more than {MAX_DEPLOYMENT_NAME} characters, and Services are named"
        " after it: choose a shorter name",
    ),
    Rule(
        "",
        f"self.metadata.name.matches('{DEPLOYMENT_NAME}')",
        "metadata.name must be a DNS label that starts with a letter, since a Service gets the"
        " same name: use a-z, 0-9 and - only",
    ),
)

TRAINING = Kind(
    model=ModelTraining,
    plural="modeltrainings",
    short_name="mtrain",
    rules=_TRAINING_RULES,
    selectable_fields=(".spec.modelName",),
    columns=(
        _MODEL,
        Column("Phase", ".status.phase", "Where the training is."),
        Column("Progress", ".status.progress.percent", "Steps done in percent.", "integer"),
        Column("ETA", ".status.progress.estimatedRemainingSeconds", "Seconds left.", "integer"),
        Column("Epoch", ".status.progress.epoch", "Epoch under way.", "integer"),
        Column("Metric", ".status.primaryMetric", "The primary metric, as last measured."),
        Column("Version", ".status.modelVersionName", "The version that came of it."),
        Column("Attempt", ".status.attempt", "Number of the present attempt.", "integer"),
        _AGE,
        Column(
            "GPUs", ".spec.compute.accelerator.count", "Devices requested.", "integer", wide=True
        ),
        Column("Node", ".status.nodeName", "Node of the present attempt.", wide=True),
        Column("Step/s", ".status.progress.stepsPerSecond", "Speed of training.", wide=True),
        Column(
            "Reason",
            '.status.conditions[?(@.type=="Failed")].reason',
            "Why it failed, if it did.",
            wide=True,
        ),
    ),
)

MODEL_VERSION = Kind(
    model=ModelVersion,
    plural="modelversions",
    short_name="mver",
    rules=_VERSION_RULES,
    selectable_fields=(".spec.modelName",),
    columns=(
        _MODEL,
        Column("Version", ".spec.version", "Number within the model.", "integer"),
        Column("Phase", ".status.phase", "Where the version is."),
        Column("Metric", ".status.primaryMetric", "The primary metric, as evaluated."),
        Column("Digest", ".status.shortDigest", "Identity of the version, 12 digits of it."),
        Column(
            "In-Use",
            '.status.conditions[?(@.type=="InUse")].status',
            "Whether a ModelDeployment needs it.",
        ),
        Column("Size", ".status.size", "Size of all files."),
        _AGE,
        Column("Training", ".spec.source.training.name", "Where it came from.", wide=True),
    ),
)

DEPLOYMENT = Kind(
    model=ModelDeployment,
    plural="modeldeployments",
    short_name="mdep",
    rules=_DEPLOYMENT_RULES + ROLLOUT_RULES + TRAFFIC_RULES,
    scale=True,
    columns=(
        Column("Ready", ".status.ready", "Ready and wanted pods."),
        Column("Stable", ".status.stable.modelVersionName", "Version that gets the traffic."),
        Column("Canary", ".status.canary.modelVersionName", "Version that is coming up."),
        Column("Weight", ".status.step.weight", "Percent of traffic it should get.", "integer"),
        Column("Step", ".status.step.shown", "Step and steps of the rollout."),
        Column("Phase", ".status.phase", "Where the deployment is."),
        Column(
            "Reason",
            '.status.conditions[?(@.type=="Ready")].reason',
            "Why it is ready, or is not.",
        ),
        _AGE,
        Column("Digest", ".status.stable.servedDigest", "What the pods serve.", wide=True),
        Column("Blocked", ".status.blockedVersion", "Version that failed.", wide=True),
    ),
)

KINDS = (TRAINING, MODEL_VERSION, DEPLOYMENT)
"""The three kinds, in the order the data goes."""
