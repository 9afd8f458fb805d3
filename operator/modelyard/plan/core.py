"""The plan: what one reconcile wants done, in order, as values.

Whoever executes a plan does finalizers first, then actions in order (stopping at the first that
fails), then status, then Events. A status that counts something (attempt, role) is planned alone,
before the effect it announces.
"""

from dataclasses import dataclass
from typing import Any, Literal

from modelyard.api import names
from modelyard.api.reasons import Reason

Manifest = dict[str, Any]
"""A Kubernetes object as plain JSON."""


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object once and never change it; an equal one of ours counts as success.

    `identity` names the paths (dotted) that must equal the existing object's, besides the owner's
    uid; a difference is refused with NameConflict and nothing is touched.
    """

    manifest: Manifest
    identity: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Apply:
    """Create or change an object by server-side apply; one that we do not own is refused.

    `field_manager` is the applier's name: a second name owns a single field of an object whose
    other fields must stay as they were created.
    """

    manifest: Manifest
    field_manager: str = names.FIELD_MANAGER


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a child in the background; `uid` guards against deleting a namesake."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RemoveArtifact:
    """Delete the files of a version by its manifest, leaving a tombstone at the commit key."""

    store_name: str
    namespace: str
    model: str
    version: int
    manifest_digest: str


@dataclass(frozen=True, slots=True)
class RemoveRun:
    """Delete checkpoints of a training, and what it published unless a ModelVersion has it.

    No attempt of the training can publish any more before anything is deleted; its logs and the
    evidence of its version stay.
    """

    store_name: str
    namespace: str
    model: str
    training_uid: str
    keep_version: int | None = None
    """Number of the version that a ModelVersion guards from now on."""


Action = Create | Apply | Delete | RemoveArtifact | RemoveRun


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event about the planned object."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one reconcile wants."""

    status: Manifest | None = None
    """The complete desired status, or None to leave it as it is."""

    actions: tuple[Action, ...] = ()
    """What to do, in order, before the status is written."""

    add_finalizer: str | None = None
    """A finalizer to add before anything else."""

    remove_finalizer: str | None = None
    """A finalizer to remove after everything else."""

    events: tuple[Event, ...] = ()
    """Events to emit once all else succeeded."""

    requeue_after: float | None = None
    """Seconds until the object should be looked at again although nothing changed."""

    @property
    def empty(self) -> bool:
        """Whether executing the plan writes nothing."""
        return self == Plan(requeue_after=self.requeue_after)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the last plan could not be executed: feeds the next planning as an observation."""

    reason: Reason
    message: str
