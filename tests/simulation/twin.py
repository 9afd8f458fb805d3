"""The operator of the simulation: the real planners, observer, executor and cache.

Only the process around them is a model: a queue without threads, watch events that arrive when the
schedule says so, and a client that may fail, or take the whole process down, around any write.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from modelyard.api.config import OperatorConfig
from modelyard.api.errors import Refused, Retry
from modelyard.api.names import FIELD_MANAGER
from modelyard.api.reasons import Reason
from modelyard.api.run import ProgressReport
from modelyard.api.store import StoreSettings
from modelyard.handlers.observe import Observer
from modelyard.handlers.references import affected, references
from modelyard.kube.apply import Executor
from modelyard.kube.cache import Cache
from modelyard.kube.client import Listing
from modelyard.kube.failures import Missing
from modelyard.kube.kinds import CHILDREN, OPTIONAL, ROOT_NAMES, ROOTS, Key, Kind, Raw, key_of
from modelyard.plan.core import Event, Plan, Refusal
from modelyard.plan.deployment import plan_deployment
from modelyard.plan.observed import PodView, ProgressFact, SentinelFact
from modelyard.plan.parse import (
    Unreadable,
    parse_deployment,
    parse_training,
    parse_version,
    plan_unreadable,
)
from modelyard.plan.training import plan_training
from modelyard.plan.version import plan_version
from tests.builders import STORE, text
from tests.simulation.gateway import ROUTE_KINDS
from tests.simulation.model import ApiModel
from tests.simulation.shelf import Shelf

ACTOR = "operator"
STORES = (STORE.model_copy(update={"name": "other"}), STORE)
WATCHED = [kind.name for kind in (*CHILDREN, *OPTIONAL, *ROOTS)]


class Crash(BaseException):
    """The operator's process is gone; nothing of its memory survives."""


def now_or_never(coroutine: Any) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the simulation must not wait")


@dataclass
class Faults:
    """What is going to happen around the next writes."""

    crash_in: int | None = None
    after: bool = False
    errors: int = 0
    refusals: int = 0
    lost_answers: int = 0

    def clear(self) -> None:
        self.crash_in, self.errors, self.refusals, self.lost_answers = None, 0, 0, 0

    def before_write(self) -> None:
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0 and not self.after:
                raise Crash
        if self.errors:
            self.errors -= 1
            raise Retry("503")
        if self.refusals:
            self.refusals -= 1
            raise Refused(Reason.FORBIDDEN, "exceeded quota")

    def after_write(self) -> None:
        if self.crash_in is not None and self.crash_in < 0 and self.after:
            raise Crash
        if self.lost_answers:
            self.lost_answers -= 1
            raise Retry("504")


@dataclass
class FakeOffered:
    """Whether the cluster has the Gateway API."""

    kinds: tuple[Kind, ...] = OPTIONAL

    @property
    def names(self) -> frozenset[str]:
        return frozenset(kind.name for kind in self.kinds)


@dataclass
class FakeClient:
    """The client's methods, against the model."""

    api: ApiModel
    faults: Faults
    writes: int = 0
    offered: FakeOffered = field(default_factory=FakeOffered)

    def _write(self, act: Callable[[], Any]) -> Any:
        self.faults.before_write()
        self.writes += 1
        result = act()
        self.faults.after_write()
        return result

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        return self.api.objects.get(Key(kind.name, namespace, name))

    async def list_objects(self, kind: Kind, namespace: str, label: str) -> Listing:
        name, value = label.split("=")
        found = self.api.all(kind.name)
        labelled = (r for r in found if (r["metadata"].get("labels") or {}).get(name) == value)
        return Listing(tuple(labelled), self.api.revision)

    async def log_tail(self, namespace: str, pod: str, container: str, limit: int) -> str:
        if self.faults.errors or self.faults.refusals:
            raise Retry("the log is gone")
        return "the end of the log"

    async def create(self, manifest: Raw) -> Raw:
        if manifest["kind"] == "Event":
            return manifest
        return self._write(lambda: self.api.create(ACTOR, manifest, FIELD_MANAGER))

    async def apply(self, manifest: Raw, manager: str = FIELD_MANAGER) -> Raw:
        assert manifest["kind"] not in ROUTE_KINDS or self.offered.kinds, "404"
        return self._write(lambda: self.api.apply(ACTOR, manifest, manager))

    async def apply_status(self, owner: Raw, status: Raw) -> Raw:
        return self._write(lambda: self.api.apply_status(ACTOR, owner, status))

    async def set_finalizers(self, owner: Raw, finalizers: tuple[str, ...]) -> Raw:
        return self._write(lambda: self.api.set_finalizers(ACTOR, owner, finalizers))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Raw | None:
        try:
            return self._write(lambda: self.api.delete(ACTOR, Key(kind.name, namespace, name), uid))
        except Missing:
            return None


@dataclass
class FakePolls:
    """Answers of pods as of the last poll, and who wants to know them."""

    reports: dict[str, ProgressFact] = field(default_factory=dict)
    facts: dict[str, SentinelFact] = field(default_factory=dict)
    wishes: dict[str, Key] = field(default_factory=dict)

    def progress(self, key: Key, pod: PodView) -> ProgressFact | None:
        self.wishes[pod.uid] = key
        return self.reports.get(pod.uid)

    def sentinels(
        self, key: Key, pods: tuple[PodView, ...], judging: bool
    ) -> tuple[SentinelFact, ...]:
        for pod in pods:
            self.wishes[pod.uid] = key
        return tuple(self.facts[pod.uid] for pod in pods if pod.uid in self.facts)


class FakeEvents:
    """Takes Events and forgets them: nothing may depend on one."""

    def post(self, owner: Raw, event: Event) -> None:
        assert event.message


class Twin:
    """One operator process and its successors."""

    def __init__(self, api: ApiModel, shelf: Shelf, clock: Callable[[], datetime]) -> None:
        self.api, self.shelf, self.clock = api, shelf, clock
        self.faults = Faults()
        self.offered = FakeOffered()
        self.client = FakeClient(api, self.faults, offered=self.offered)
        self.crashes = 0
        self.stores: tuple[StoreSettings, ...] = STORES
        self.plans: list[tuple[Key, Plan]] = []
        self.start()

    def start(self) -> None:
        """Begin with an empty memory and a complete list."""
        self.cache = Cache(references)
        self.polls = FakePolls()
        self.dirty: dict[Key, None] = {}
        self.timers: dict[Key, datetime] = {}
        self.cursors = {kind: len(self.api.logs[kind]) for kind in WATCHED}
        self.cache.listen(self._notice)
        self.faults.clear()
        config = OperatorConfig(stores=self.stores)
        observer: Any = Observer
        self.observer = observer(
            config, self.client, self.cache, self.shelf, self.polls, self.offered
        )
        executor: Any = Executor
        self.executor = executor(self.client, self.cache, self.shelf, FakeEvents())
        for kind in WATCHED:
            self.relist(kind)
        self.cache.lead()

    def reconcile(self, key: Key) -> str:
        """Do what the reconcile loop does with one key."""
        self.dirty.pop(key, None)
        self.timers.pop(key, None)
        try:
            return self._reconcile(key)
        except Retry:
            self._later(key, 1)
            return "retry"
        except Crash:
            self.crashes += 1
            self.start()
            return "crashed"

    def _reconcile(self, key: Key) -> str:
        """Execute one plan; a refusal is answered by one more, and tried again later."""
        try:
            plan = self._execute(key, None)
        except Refused as refused:
            self._later(key, 1)
            try:
                self._execute(key, Refusal(refused.reason, str(refused)))
            except Refused:
                return "refused twice"
            return "refused"
        if plan.requeue_after is not None:
            self._later(key, plan.requeue_after)
        return "done"

    def _execute(self, key: Key, refusal: Refusal | None) -> Plan:
        raw = self.cache.get(key)
        if raw is None:
            return Plan()
        plan = self._plan(key, raw, refusal)
        self.plans.append((key, plan))
        now_or_never(self.executor.execute(raw, plan))
        return plan

    def _plan(self, key: Key, raw: Raw, refusal: Refusal | None) -> Plan:
        parse, observe, plan = {
            "ModelTraining": (parse_training, self.observer.training, plan_training),
            "ModelVersion": (parse_version, self.observer.version, plan_version),
            "ModelDeployment": (parse_deployment, self.observer.deployment, plan_deployment),
        }[key.kind]
        resource: Any = parse(raw)
        now = self.clock()
        if isinstance(resource, Unreadable):
            return plan_unreadable(resource, now)
        observed = now_or_never(observe(key, raw, resource, refusal))
        decided: Plan = plan(resource, observed, now)  # type: ignore[operator]
        return decided

    def _later(self, key: Key, seconds: float) -> None:
        due = self.clock() + timedelta(seconds=seconds)
        self.timers[key] = min(due, self.timers.get(key, due))

    def wake(self) -> None:
        """Queue the keys whose time has come."""
        now = self.clock()
        for key in [key for key, due in self.timers.items() if due <= now]:
            del self.timers[key]
            self.dirty[key] = None

    def _notice(self, key: Key, raw: Raw) -> None:
        for concerned in sorted(set(affected(self.cache, key, raw))):
            if concerned.kind in ROOT_NAMES:
                self.dirty[concerned] = None

    def behind(self, kind: str) -> int:
        """Return how many events of a kind have not arrived."""
        return len(self.api.logs[kind]) - self.cursors[kind]

    def deliver(self, kind: str) -> None:
        """Let the next event of a kind arrive."""
        self._file(*self.api.logs[kind][self.cursors[kind]])
        self.cursors[kind] += 1

    def drop(self, kind: str) -> None:
        """Lose the next event of a kind, as a broken watch does."""
        self.cursors[kind] += 1

    def replay(self, kind: str, randomness: random.Random) -> None:
        """Let an old event arrive again."""
        log = self.api.logs[kind][: self.cursors[kind]]
        if log:
            self._file(*randomness.choice(log))

    def relist(self, kind: str) -> None:
        """Read everything of a kind, and forget what is not there."""
        self.cursors[kind] = len(self.api.logs[kind])
        alive = {key_of(raw): raw for raw in self.api.all(kind)}
        for key in sorted(self.cache.keys(kind)):
            known = self.cache.get(key)
            live = alive.get(key)
            if known and (live is None or live["metadata"]["uid"] != known["metadata"]["uid"]):
                self.cache.remove(key, known["metadata"]["uid"])
        for raw in alive.values():
            self.cache.put(raw)

    def resync(self) -> None:
        """Queue every object of ours."""
        for kind in sorted(ROOT_NAMES):
            for key in sorted(self.cache.keys(kind)):
                self.dirty[key] = None

    def _file(self, verb: str, raw: Raw) -> None:
        if verb == "DELETED":
            self.cache.remove(key_of(raw), raw["metadata"]["uid"])
        else:
            self.cache.put(raw)

    def hear(self, pod_uid: str, report: ProgressReport | None) -> None:
        """Take in what a trainer answered, or that it did not."""
        before = self.polls.reports.get(pod_uid)
        if report is not None:
            self.polls.reports[pod_uid] = ProgressFact(report, text(self.clock()))
        elif before is not None:
            self.polls.reports[pod_uid] = ProgressFact(before.report, before.time, False)
