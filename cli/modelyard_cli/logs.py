"""`logs`: finds the pod that matters, and follows a training from attempt to attempt."""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.api import names
from modelyard.api.deployment import ModelDeployment
from modelyard.api.rules import DEPLOYMENT, TRAINING
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Raw, Refusal
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.kinds import Subject
from modelyard_cli.objects import deployment_of, training_of
from modelyard_cli.state import standing_of
from modelyard_cli.views.parts import pod_state
from modelyard_cli.words import GOOD

LOOK_SECONDS = 1.0
CONTAINERS = {TRAINING.name: "trainer", DEPLOYMENT.name: "server"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which log, and how much of it."""

    follow: bool = False
    previous: bool = False
    attempt: int | None = None
    """Of a training; the last one if not given."""
    version: str = ""
    """Of a deployment: stable, canary, warm, or the name of a ModelVersion."""
    container: str = ""
    tail: int | None = None


async def logs(api: Api, words: list[str], wanted: Wanted) -> Exit:
    """Print the log of an object's pod."""
    subject = await kinds.find(api, words)
    if subject.kind.name not in CONTAINERS:
        raise Stop(Exit.USAGE, f"{subject} has no pods", "name a training or a deployment")
    if subject.kind is TRAINING:
        return await _training(api, subject, wanted)
    pod = pod_of_deployment(deployment_of(subject.raw), await _pods(api, subject), wanted.version)
    if pod is None:
        raise _no_pod(subject)
    await _print(api, subject, pod, wanted)
    return Exit.REACHED


async def _training(api: Api, subject: Subject, wanted: Wanted) -> Exit:
    """Print the log of an attempt; to follow is to go on with the next one."""
    pod = pod_of_training(await _pods(api, subject), wanted.attempt)
    if pod is None and not wanted.follow:
        return _remembered(subject)
    seen = set[str]()
    while True:
        if pod is not None and pod["metadata"]["uid"] not in seen and _started(pod):
            seen.add(pod["metadata"]["uid"])
            await _print(api, subject, pod, wanted)
        if not wanted.follow or wanted.attempt is not None:
            return Exit.REACHED
        subject = await kinds.fetch(api, TRAINING, subject.name)
        if standing_of(TRAINING, subject.raw).exit is not None:
            return Exit.REACHED if seen else _remembered(subject)
        await asyncio.sleep(LOOK_SECONDS)
        pod = pod_of_training(await _pods(api, subject), None)


def _remembered(subject: Subject) -> Exit:
    """Print the end of the log that the status keeps of an attempt that failed."""
    failure = training_of(subject.raw).status.failure
    if failure is None or not failure.log_tail:
        raise _no_pod(subject)
    screen.note(f"the pod of attempt {failure.attempt} is gone; the end of its log:")
    print(failure.log_tail.rstrip())
    return Exit.REACHED


def pod_of_training(pods: Iterable[Raw], attempt: int | None) -> Raw | None:
    """Return the pod of an attempt, or of the last one."""
    numbered = [(_attempt(pod), pod) for pod in pods]
    wanted = [(n, pod) for n, pod in numbered if attempt is None or n == attempt]
    return max(wanted, key=lambda found: found[0])[1] if wanted else None


def pod_of_deployment(found: ModelDeployment, pods: Iterable[Raw], version: str) -> Raw | None:
    """Return a pod of a version: the first that is in trouble, else the first.

    Without a version it is that of the one coming up, else of the serving one.

    Raises:
        Stop: no such version has pods.
    """
    status = found.status
    roles = {
        "canary": status.canary,
        "stable": status.stable,
        "warm": status.warm.version if status.warm else None,
    }
    known = {role: served for role, served in roles.items() if served is not None}
    chosen = [v for role, v in known.items() if version in {"", role, v.model_version_name}]
    if not chosen:
        text = f"{found.metadata.name} has no pods of {version or 'any version'}"
        there = ", ".join(f"{role} {v.model_version_name}" for role, v in known.items())
        raise Stop(Exit.NOT_FOUND, text, f"there are: {there}" if there else "")
    revision = chosen[0].revision
    own = [pod for pod in pods if _label(pod, names.LABEL_VERSION) == revision]
    own.sort(key=lambda pod: (pod_state(pod)[0] == GOOD, pod["metadata"]["name"]))
    return own[0] if own else None


async def _pods(api: Api, subject: Subject) -> list[Raw]:
    selector = f"{names.LABEL_OWNER_UID}={subject.uid}"
    listed = await api.get(kinds.place(kinds.PODS, api.namespace), labelSelector=selector)
    return list(listed["items"])


async def _print(api: Api, subject: Subject, pod: Raw, wanted: Wanted) -> None:
    name = pod["metadata"]["name"]
    container = wanted.container or CONTAINERS[subject.kind.name]
    screen.note(f"pod {name}, container {container}")
    query = {"container": container}
    if wanted.follow:
        query["follow"] = "true"
    if wanted.previous:
        query["previous"] = "true"
    if wanted.tail is not None:
        query["tailLines"] = str(wanted.tail)
    try:
        async for line in api.lines(kinds.place(kinds.PODS, api.namespace, name, "log"), **query):
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
    except Refusal as refusal:
        if refusal.status != 400:  # noqa: PLR2004 - HTTP; the container waits, or never ran
            raise
        raise Stop(Exit.WRONG_STATE, str(refusal), f"kubectl modelyard why {subject}") from None


def _started(pod: Raw) -> bool:
    return str((pod.get("status") or {}).get("phase", "")) not in {"", "Pending"}


def _attempt(pod: Raw) -> int:
    text = _label(pod, names.LABEL_ATTEMPT)
    return int(text) if text.isdigit() else 0


def _label(raw: Raw, label: str) -> str:
    return str((raw["metadata"].get("labels") or {}).get(label, ""))


def _no_pod(subject: Subject) -> Stop:
    standing = standing_of(subject.kind, subject.raw)
    text = f"{subject} has no pod now. {standing.line}"
    return Stop(Exit.WRONG_STATE, text, f"kubectl modelyard why {subject}")
