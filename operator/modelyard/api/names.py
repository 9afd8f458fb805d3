"""Every name that is spelled more than once: groups, labels, finalizers, child objects.

Child names are a pure function of what they stand for, so that creating one twice is a no-op.
"""

import hashlib

GROUP = "modelyard.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "modelyard"
STATUS_MANAGER = "modelyard-status"

LABEL_OWNER_UID = f"{GROUP}/owner-uid"
LABEL_TRAINING = f"{GROUP}/training"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_DEPLOYMENT = f"{GROUP}/deployment"
LABEL_VERSION = f"{GROUP}/version"
"""On serving children: the revision, never the role."""
LABEL_MODEL = f"{GROUP}/model"
LABEL_COMPONENT = f"{GROUP}/component"
COMPONENT_TRAINER = "trainer"
COMPONENT_SERVER = "server"

ANNOTATION_COMMAND = f"{GROUP}/command"
ANNOTATION_NONCE = f"{GROUP}/command-nonce"
ANNOTATION_REASON = f"{GROUP}/command-reason"
ANNOTATION_BY = f"{GROUP}/command-by"
"""An order about a rollout; executed once for each nonce."""

FINALIZER_RUN_DATA = f"{GROUP}/run-data"
FINALIZER_ARTIFACT = f"{GROUP}/artifact-guard"

STORE_SECRET_PREFIX = "modelyard-store-"  # noqa: S105 - the name of a Secret, not its content

PORT_PROGRESS = 8080
PORT_GRPC = 8500
PORT_REST = 8501
PORT_SENTINEL = 8080

MAX_NAME = 63
MAX_JOB_NAME = 61
"""The pods of an Indexed Job have its name and `-0` for their host name."""


def short_hash(*parts: str, length: int = 8) -> str:
    """Return a stable lower-case hex hash of `parts`, safe in any Kubernetes name."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:length]


def _bounded(stem: str, suffix: str, limit: int = MAX_NAME) -> str:
    """Join stem and suffix within `limit` characters, cutting the stem."""
    return stem[: limit - len(suffix) - 1].rstrip("-.") + "-" + suffix


def job_name(training: str, uid: str, attempt: int) -> str:
    """Name the Job of one attempt; two trainings of one name never share a Job.

    >>> job_name("digits", "6e1c", 2)
    'digits-a2-bda8b381'
    """
    suffix = f"a{attempt}-{short_hash(uid, str(attempt))}"
    return _bounded(training.replace(".", "-"), suffix, MAX_JOB_NAME)


def version_name(model: str, number: int) -> str:
    """Name the ModelVersion of a model's committed version number."""
    return f"{model}-v{number}"


def serving_name(deployment: str, revision: str) -> str:
    """Name the Deployment and the Service of one served revision."""
    return _bounded(deployment, revision)


def store_secret(store: str) -> str:
    """Name the Secret that holds a namespace's credentials for a store."""
    return STORE_SECRET_PREFIX + store
