"""Parts that several pictures have: the head line, pods, Jobs, hints."""

from datetime import datetime

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from modelyard.api.meta import ObjectMeta
from modelyard_cli import kinds
from modelyard_cli.connection import Raw
from modelyard_cli.exits import Exit
from modelyard_cli.mirror import Mirror
from modelyard_cli.state import Standing
from modelyard_cli.words import BAD, BUSY, GOOD, IDLE, STYLES, age, mark_of

GUIDE = "bright_black"
INDENT = 2
KIND_OF = {
    kinds.JOBS: "Jobs",
    kinds.PODS: "Pods",
    kinds.WORKLOADS: "Deployments",
    kinds.SERVICES: "Services",
}


def head(kind: str, meta: ObjectMeta, phase: str, now: datetime) -> Text:
    """Return the first line: mark, name, phase, namespace, age."""
    mark = mark_of(phase)
    line = Text(f"{mark} ", STYLES[mark]).append(meta.name, "bold default")
    line.append(f"  {phase}", STYLES[mark])
    line.append(f"   {kind} in {meta.namespace}, {age(meta.creation_timestamp, now)} old", "dim")
    return line


def told(standing: Standing) -> RenderableType:
    """Return where an object stands, with the remedy on a line of its own."""
    style: dict[Exit | None, str] = {
        Exit.REACHED: "green",
        Exit.FAILED: "red",
        Exit.NEEDS_PERSON: "yellow",
    }
    line = Text(standing.line, style.get(standing.exit, ""))
    if standing.remedy:
        line.append(f"\n↳ {standing.remedy}", "cyan")
    return Padding(line, (0, 0, 0, INDENT))


def unread(mirror: Mirror) -> Text | None:
    """Return what is missing from a picture because the user may not read it."""
    if not mirror.refused:
        return None
    names = ", ".join(sorted(KIND_OF[collection] for collection in mirror.refused))
    return Text(f"  {names} are not shown: you may not list them here", "dim italic")


def branch(label: Text | str = "") -> Tree:
    """Return a tree whose lines are quiet."""
    return Tree(label, guide_style=GUIDE)


def leaf(mark: str, name: str, *facts: str) -> Text:
    """Return a line of a tree: mark, name, facts."""
    line = Text(f"{mark} ", STYLES.get(mark, "")).append(name, "default")
    return line.append("   " + "  ".join(fact for fact in facts if fact), "dim")


def pod_leaf(pod: Raw, now: datetime) -> Text:
    """Return the line of a pod."""
    mark, words = pod_state(pod)
    meta, spec = pod["metadata"], pod.get("spec", {})
    restarts = sum(c.get("restartCount", 0) for c in _containers(pod))
    again = f"{restarts} restart{'s' if restarts > 1 else ''}" if restarts else ""
    since = age(meta["creationTimestamp"], now)
    return leaf(mark, f"Pod {meta['name']}", words, since, again, spec.get("nodeName", ""))


def pod_state(pod: Raw) -> tuple[str, str]:
    """Return mark and words for a pod, in kubectl's words.

    >>> pod_state({"metadata": {}, "status": {"phase": "Succeeded"}})
    ('✔', 'Succeeded')
    """
    status = pod.get("status") or {}
    phase = str(status.get("phase", "Pending"))
    if pod["metadata"].get("deletionTimestamp"):
        return IDLE, "Terminating"
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting", {}).get("reason", "")
        if waiting and waiting not in {"ContainerCreating", "PodInitializing"}:
            return BAD, waiting
    if phase == "Running":
        return (GOOD, "Running") if _ready(status) else (BUSY, "not ready")
    marks = {"Succeeded": GOOD, "Failed": BAD}
    return marks.get(phase, BUSY), phase


def _ready(status: Raw) -> bool:
    found = status.get("conditions") or ()
    judged = [c["status"] for c in found if c["type"] == "Ready"]
    return judged == ["True"] or not judged


def _containers(pod: Raw) -> list[Raw]:
    status = pod.get("status") or {}
    groups = ("initContainerStatuses", "containerStatuses")
    return [container for group in groups for container in status.get(group) or ()]


def job_leaf(job: Raw, now: datetime) -> Text:
    """Return the line of a Job."""
    meta, status = job["metadata"], job.get("status") or {}
    ended = {c["type"] for c in status.get("conditions") or () if c["status"] == "True"}
    mark = GOOD if "Complete" in ended else BAD if "Failed" in ended else BUSY
    words = "Complete" if mark == GOOD else "Failed" if mark == BAD else ""
    return leaf(mark, f"Job {meta['name']}", words, age(meta["creationTimestamp"], now))
