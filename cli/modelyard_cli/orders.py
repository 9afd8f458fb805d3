"""Orders about a rollout: checked against its state, written once, and acknowledged.

promote, abort and retry are annotations that the operator looks at once for each nonce; pause,
resume and undo change the spec.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from modelyard.api import names
from modelyard.api.deployment import ModelDeployment
from modelyard.api.rollout import DONE, SERVING_ACTIONS, HandledCommand, HistoryEntry, Verb
from modelyard.api.rules import DEPLOYMENT, MODEL_VERSION
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Raw
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.kinds import Subject
from modelyard_cli.mirror import mirrored
from modelyard_cli.objects import deployment_of, version_of
from modelyard_cli.state import deployment_standing

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` writes; the operator leaves it alone."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants of a rollout."""

    name: str
    """Name of the deployment."""
    reason: str = ""
    dry_run: bool = False
    seconds: float = 30.0
    """How long to wait for the operator's answer."""


async def promote(api: Api, order: Order, full: bool) -> Exit:
    """End the present step, or go to all of the traffic at once."""
    found = await _deployment(api, order)
    if found.status.step is None:
        raise _idle(found, "nothing to promote")
    return await _ordered(api, order, Verb.PROMOTE_FULL if full else Verb.PROMOTE)


async def abort(api: Api, order: Order) -> Exit:
    """End the rollout: all traffic to the stable version, and the new one is blocked."""
    found = await _deployment(api, order)
    if found.status.canary is None:
        raise _idle(found, "nothing to abort")
    return await _ordered(api, order, Verb.ABORT)


async def retry(api: Api, order: Order) -> Exit:
    """Try a version again that failed."""
    found = await _deployment(api, order)
    if found.status.blocked_version is None:
        raise _idle(found, "no version is blocked")
    return await _ordered(api, order, Verb.RETRY)


async def hold(api: Api, order: Order, paused: bool) -> Exit:
    """Hold a rollout where it is, or let it go on; doing it twice changes nothing."""
    found = await _deployment(api, order)
    word = "paused" if paused else "resumed"
    if found.spec.paused != paused:
        await _patch(api, order, {"spec": {"paused": paused}})
    return _told(order, word)


async def undo(api: Api, order: Order, target: str) -> Exit:
    """Name another version in the spec: one that served, or any (`--to`); else the one before."""
    found = await _deployment(api, order)
    version = _chosen(found, target) if target else _before(found)
    if version == found.spec.model_version_name:
        raise Stop(Exit.WRONG_STATE, f"{order.name} names {version} already")
    await _check_version(api, version)
    nonce, annotations = await _annotations(api, order, Verb.UNDO)
    change = {"metadata": {"annotations": annotations}, "spec": {"modelVersionName": version}}
    raw = await _patch(api, order, change)
    if not order.dry_run:
        await _acknowledged(api, order, Subject(DEPLOYMENT, order.name, raw), nonce)
    return _told(order, f"goes back to {version}")


async def restart(api: Api, order: Order) -> Exit:
    """Replace the pods of the serving version one by one, as `kubectl rollout restart` does."""
    found = await _deployment(api, order)
    stable = found.status.stable
    if stable is None or found.status.canary is not None:
        text = "a rollout is under way" if stable else "nothing serves yet"
        raise Stop(Exit.WRONG_STATE, f"{order.name} cannot restart: {text}")
    name = names.serving_name(order.name, stable.revision)
    stamp = {RESTARTED: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    path = kinds.place(kinds.WORKLOADS, api.namespace, name)
    await api.write("PATCH", path, body, order.dry_run)
    return _told(order, f"restarts the pods of {stable.model_version_name}")


async def _deployment(api: Api, order: Order) -> ModelDeployment:
    return deployment_of((await kinds.fetch(api, DEPLOYMENT, order.name)).raw)


def _idle(found: ModelDeployment, text: str) -> Stop:
    """Return why an order makes no sense now."""
    standing = deployment_standing(found)
    where = f"{found.metadata.name}: {text}; {standing.line}"
    return Stop(Exit.WRONG_STATE, where, standing.remedy)


async def _ordered(api: Api, order: Order, verb: Verb) -> Exit:
    """Write the annotations of an order, and wait for what comes of it."""
    nonce, annotations = await _annotations(api, order, verb)
    raw = await _patch(api, order, {"metadata": {"annotations": annotations}})
    if order.dry_run:
        return _told(order, f"{verb} would be ordered")
    answer = await _acknowledged(api, order, Subject(DEPLOYMENT, order.name, raw), nonce)
    if answer.outcome != DONE:
        text = f"{order.name}: the operator looked at {verb} and found {answer.outcome}"
        raise Stop(Exit.WRONG_STATE, text, f"kubectl modelyard get deployment/{order.name}")
    return _told(order, f"{verb} done, ordered by {answer.by}")


async def _annotations(api: Api, order: Order, verb: Verb) -> tuple[str, dict[str, str]]:
    """Return an order as annotations, with its nonce."""
    review = await api.write("POST", WHOAMI, REVIEW)
    nonce = uuid4().hex
    return nonce, {
        names.ANNOTATION_COMMAND: verb.value,
        names.ANNOTATION_NONCE: nonce,
        names.ANNOTATION_BY: review["status"]["userInfo"]["username"],
        names.ANNOTATION_REASON: order.reason,
    }


async def _patch(api: Api, order: Order, change: Raw) -> Raw:
    path = kinds.path_of(DEPLOYMENT, api.namespace, order.name)
    return await api.write("PATCH", path, change, order.dry_run)


async def _acknowledged(api: Api, order: Order, subject: Subject, nonce: str) -> HandledCommand:
    """Wait until the operator has looked at an order.

    Raises:
        Stop: it does not within the time.
    """
    try:
        async with asyncio.timeout(order.seconds), mirrored(api, subject, alone=True) as mirror:
            while True:
                answer = deployment_of(mirror.subject.raw).status.last_handled_command
                if answer is not None and answer.nonce == nonce:
                    return answer
                await mirror.changed(order.seconds)
    except TimeoutError:
        text = f"the operator has not looked at it within {order.seconds:g} s; it stands and will"
        remedy = "kubectl modelyard doctor tells whether an operator runs"
        raise Stop(Exit.TIMED_OUT, text + " be", remedy) from None


def _told(order: Order, text: str) -> Exit:
    mark = " (server dry run)" if order.dry_run else ""
    screen.tell(f"{order.name}: {text}{mark}")
    return Exit.REACHED


def _before(found: ModelDeployment) -> str:
    """Return what `undo` without a target goes back to.

    Raises:
        Stop: nothing served before.
    """
    stable = found.status.stable
    if stable is None:
        raise Stop(Exit.WRONG_STATE, f"{found.metadata.name}: nothing served before")
    if stable.model_version_name != found.spec.model_version_name:
        return stable.model_version_name
    if found.status.warm is not None and found.status.warm.version.server == stable.server:
        return found.status.warm.version.model_version_name
    for entry in found.status.history:
        began = entry.action in SERVING_ACTIONS and entry.revision == stable.revision
        if began and entry.from_version:
            return entry.from_version
    text = f"{found.metadata.name}: the history has no version before {stable.model_version_name}"
    raise Stop(Exit.WRONG_STATE, text, "name one: --to VERSION")


def _chosen(found: ModelDeployment, target: str) -> str:
    """Return the version that `--to` means.

    Raises:
        Stop: the history has no such change, or the version did not serve in it.
    """
    if not target.isdigit():
        return target
    entry = entry_of(found, int(target))
    if entry.action not in SERVING_ACTIONS:
        text = f"change {target} was {entry.action}: {entry.version} did not serve"
        raise Stop(Exit.WRONG_STATE, text, "choose a change that is Deployed or Promoted")
    return entry.version


def entry_of(found: ModelDeployment, number: int) -> HistoryEntry:
    """Return a change of the history.

    Raises:
        Stop: there is none of that number.
    """
    entry = next((e for e in found.status.history if e.number == number), None)
    if entry is None:
        kept = ", ".join(str(e.number) for e in found.status.history) or "nothing"
        name = found.metadata.name
        raise Stop(Exit.NOT_FOUND, f"the history of {name} has no change {number}", f"kept: {kept}")
    return entry


async def _check_version(api: Api, name: str) -> None:
    """Check that a version can be served: going back must not fail later.

    Raises:
        Stop: it cannot.
    """
    version = version_of((await kinds.fetch(api, MODEL_VERSION, name)).raw)
    if version.metadata.deletion_timestamp or version.status.phase != "Ready":
        text = f"{name} is {version.status.phase} and cannot be served"
        raise Stop(Exit.WRONG_STATE, text, f"kubectl modelyard why version/{name}")
