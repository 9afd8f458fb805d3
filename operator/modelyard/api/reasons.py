"""Condition types and reasons: the words that programs may rely on."""

from enum import StrEnum


class ConditionType(StrEnum):
    """The aspects that a status reports."""

    ACCEPTED = "Accepted"
    RUNNING = "Running"
    PROGRESSING = "Progressing"
    CHECKPOINT_READY = "CheckpointReady"
    EVALUATED = "Evaluated"
    REGISTERED = "Registered"
    COMPLETE = "Complete"
    FAILED = "Failed"
    COMMITTED = "Committed"
    VERIFIED = "Verified"
    SERVABLE = "Servable"
    IN_USE = "InUse"
    READY = "Ready"
    MODEL_LOADED = "ModelLoaded"


class Reason(StrEnum):
    """Why a condition has its status."""

    PENDING = "Pending"
    ACCEPTED = "SpecAccepted"
    INVALID_SPEC = "InvalidSpec"
    STORE_NOT_FOUND = "StoreNotFound"
    STORE_UNREACHABLE = "StoreUnreachable"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    NAME_CONFLICT = "NameConflict"
    FORBIDDEN = "Forbidden"
    DATA_NOT_ALLOWED = "DataNotAllowed"

    UNSCHEDULABLE = "Unschedulable"
    IMAGE_NOT_FOUND = "ImageNotFound"
    SCHEDULING = "Scheduling"
    PULLING_IMAGE = "PullingImage"
    FETCHING_DATA = "FetchingData"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    PUBLISHING = "Publishing"
    FINISHED = "Finished"
    STEPS_ADVANCING = "StepsAdvancing"
    PROGRESS_UNREACHABLE = "ProgressUnreachable"
    NOT_STARTED = "NotStarted"
    SAVED = "Saved"
    NONE_YET = "NoneYet"
    INTERRUPTED = "Interrupted"
    RETRYING = "Retrying"

    GATES_PASSED = "GatesPassed"
    GATES_FAILED = "GatesFailed"
    VERSION_CREATED = "ModelVersionCreated"
    REJECTED = "Rejected"
    SUCCEEDED = "Succeeded"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    INTERRUPTIONS_EXHAUSTED = "InterruptionsExhausted"
    RESULT_MISSING = "ResultMissing"

    MANIFEST_WRITTEN = "ManifestWritten"
    MANIFEST_MISSING = "ManifestMissing"
    DIGESTS_MATCH = "DigestsMatch"
    DIGEST_MISMATCH = "DigestMismatch"
    SIGNATURE_FOUND = "SignatureFound"
    SIGNATURE_MISSING = "SignatureMissing"
    SERVED = "Served"
    NOT_SERVED = "NotServed"

    VERSION_NOT_FOUND = "VersionNotFound"
    VERSION_NOT_READY = "VersionNotReady"
    LOADING = "Loading"
    LOADED = "Loaded"
    LOAD_FAILED = "LoadFailed"
    LOAD_DEADLINE_EXCEEDED = "LoadDeadlineExceeded"
    GOLDEN_MISMATCH = "GoldenMismatch"
    ROLLING_OUT = "RollingOut"
    PROMOTED = "Promoted"
    AVAILABLE = "Available"
    UNAVAILABLE = "Unavailable"


class FailureCategory(StrEnum):
    """What kind of failure ended an attempt; the hint depends on it."""

    INVALID_CONFIGURATION = "InvalidConfiguration"
    DATA_ERROR = "DataError"
    DIVERGED = "Diverged"
    OUT_OF_MEMORY = "OutOfMemory"
    INTERRUPTED = "Interrupted"
    POD_LOST = "PodLost"
    STORE_ERROR = "StoreError"
    APPLICATION_ERROR = "ApplicationError"
    NAME_CONFLICT = "NameConflict"
    RESULT_MISSING = "ResultMissing"
