"""One story that takes the operator through everything it does, told the same way every time.

    train ─► version 1 ─► serve it ─► train again ─► version 2 ─► serve that ─► delete it all

Whatever befalls the operator on the way, the world must look the same at each of the three stops,
and every object must have been made and deleted as often as in the golden run.
"""

import json
import re
import time
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from modelyard.api import names
from modelyard.kube.kinds import DEPLOYMENT, JOB, ROOTS, SERVICE, Raw
from modelyard.plan.revision import revision_of
from tests.api.operators import SERVER, deployment, place, training
from tests.api.proxy import Request
from tests.api.recorder import Recorder
from tests.api.stage import Stage

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
ADDRESS = re.compile(r"\b(10\.0\.0\.|127\.\d+\.\d+\.)\d+\b")
KINDS = (*ROOTS, JOB, DEPLOYMENT, SERVICE)
ATTEMPTS = 4
SHORT = 12
"""Digits of a digest that a status shows."""
QUIET_SECONDS = 1.5

Stop = dict[str, Any]
"""The world at a stop: every object by kind and name, and the keys in the store."""


@dataclass(frozen=True)
class Story:
    """What a journey saw."""

    stops: tuple[Stop, ...]
    made: dict[str, int]
    """How often an object was created."""
    deleted: dict[str, int]
    """How often one was deleted."""


@dataclass(frozen=True)
class Golden:
    """The story without any fault, and the writes that it took."""

    story: Story
    writes: tuple[Request, ...]


@dataclass
class Journey:
    """Tells the story on one stage."""

    stage: Stage
    golden: Story | None = None
    stops: list[Stop] = field(default_factory=list)
    _words: dict[str, str] = field(default_factory=dict)

    def tell(self) -> Story:
        """Go all the way; return what was seen."""
        self.stage.begin()
        self._serve_first()
        self._stop()
        self._serve_second()
        self._stop()
        self._delete_all()
        self._stop()
        return Story(tuple(self.stops), *map(self._counted, self._counts()))

    def _serve_first(self) -> None:
        self.stage.tier.cluster.create(training("first", self.stage.namespace))
        self.stage.tier.cluster.create(deployment("web", self.stage.namespace, "digits-v1"))
        self.stage.wait("version 1 serves", lambda: self._serves("digits-v1"))

    def _serve_second(self) -> None:
        self.stage.tier.cluster.create(training("second", self.stage.namespace))
        path = place("ModelDeployment", self.stage.namespace, "web")
        self.stage.tier.cluster.call("PATCH", path, {"spec": {"modelVersionName": "digits-v2"}})
        self.stage.wait("version 2 serves", lambda: self._serves("digits-v2"))

    def _delete_all(self) -> None:
        self._delete("ModelVersion", "digits-v2")
        self.stage.wait(
            "version 2 is held", lambda: self.stage.phase("ModelVersion", "digits-v2") == "Deleting"
        )
        self._delete("ModelVersion", "digits-v1")
        self.stage.wait(
            "version 1 is gone", lambda: not self.stage.live("ModelVersion", "digits-v1")
        )
        self._delete("ModelDeployment", "web")
        self.stage.wait(
            "version 2 is gone", lambda: not self.stage.live("ModelVersion", "digits-v2")
        )
        for name in ("first", "second"):
            self._delete("ModelTraining", name)
        self.stage.wait("nothing is left", lambda: not any((*self._all(), *self._pods())))

    def _delete(self, kind: str, name: str) -> None:
        self.stage.tier.cluster.delete(kind, self.stage.namespace, name)

    @property
    def _recorder(self) -> Recorder:
        return self.stage.tier.recorder

    def _all(self) -> list[Raw]:
        return [raw for kind in KINDS for raw in self._recorder.of(self.stage.namespace, kind.name)]

    def _pods(self) -> list[Raw]:
        return self._recorder.of(self.stage.namespace, "Pod")

    def _serves(self, version: str) -> bool:
        status = self.stage.live("ModelDeployment", "web").get("status") or {}
        stable = (status.get("stable") or {}).get("modelVersionName")
        workloads = self._recorder.of(self.stage.namespace, "Deployment")
        return (stable, status.get("phase"), len(workloads)) == (version, "Healthy", 1)

    def _stop(self) -> None:
        """Wait until the world looks as in the golden run; without one, until all is quiet."""
        self._learn()
        number = len(self.stops)
        if self.golden is None:
            self.stage.wait("all is quiet", self._quiet)
        else:
            wanted = self.golden.stops[number]
            self.stage.wait(
                f"stop {number} looks as in the golden run",
                lambda: self._seen() == wanted,
                lambda: "\n".join(differences(wanted, self._seen())),
            )
        self.stops.append(self._seen())

    def _quiet(self) -> bool:
        before = self._recorder.changes[self.stage.namespace]
        time.sleep(QUIET_SECONDS)
        return self._recorder.changes[self.stage.namespace] == before

    def _seen(self) -> Stop:
        seen = {f"{raw['kind']} {self._said(raw['metadata']['name'])}": raw for raw in self._all()}
        found: Stop = {name: json.loads(self._said(outline(raw))) for name, raw in seen.items()}
        keys = self.stage.store.list_keys(f"{self.stage.namespace}/")
        found["keys"] = sorted(self._said(key) for key in keys)
        return found

    def _learn(self) -> None:
        """Learn the words that differ from run to run, before their objects are gone."""
        self._words[self.stage.namespace] = "<namespace>"
        for raw in self._all():
            self._words.update(_own_words(raw))
        for raw in self._all():
            meta = raw["metadata"]
            self._words[meta["uid"]] = self._said(f"<uid of {raw['kind']} {meta['name']}>")

    def _said(self, text: str) -> str:
        for word, meaning in self._words.items():
            text = text.replace(word, meaning)
        return ADDRESS.sub("<address>", TIME.sub("<time>", text))

    def _counts(self) -> tuple[Counter[Any], Counter[Any]]:
        recorder = self._recorder
        return recorder.births[self.stage.namespace], recorder.deaths[self.stage.namespace]

    def _counted(self, counts: Counter[Any]) -> dict[str, int]:
        return dict(sorted((self._said(f"{k.kind} {k.name}"), n) for k, n in counts.items()))


def _own_words(raw: Raw) -> dict[str, str]:
    """Return the names that follow from an object's uid or digest, and what they mean."""
    meta = raw["metadata"]
    if raw["kind"] == "ModelTraining":
        return {
            names.job_name(meta["name"], meta["uid"], attempt): f"<Job {attempt} of {meta['name']}>"
            for attempt in range(1, ATTEMPTS)
        }
    if raw["kind"] == "ModelVersion":
        digest = raw["spec"]["artifact"]["manifestDigest"]
        return {
            digest: f"<digest of {meta['name']}>",
            digest.removeprefix("sha256:")[:SHORT]: f"<short digest of {meta['name']}>",
            revision_of(digest, SERVER): f"<revision of {meta['name']}>",
        }
    return {}


def outline(raw: Raw) -> str:
    """Return what must be equal in every run, as JSON with conditions sorted."""
    meta = raw["metadata"]
    kept = ("labels", "finalizers", "ownerReferences", "generation")
    status = deepcopy(raw.get("status") or {})
    if "conditions" in status:
        status["conditions"] = sorted(status["conditions"], key=lambda c: str(c["type"]))
    for entry in status.get("history") or ():
        entry.pop("durationSeconds")  # how long it took is no matter of what came of it
    found = {"metadata": {name: meta.get(name) for name in kept}, "status": status}
    return json.dumps({**found, "spec": raw.get("spec")}, sort_keys=True)


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Return the places where two JSON values differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        names_ = sorted({*wanted, *found})
        return [
            line for n in names_ for line in differences(wanted.get(n), found.get(n), f"{path}/{n}")
        ]
    if wanted == found:
        return []
    return [f"{path}: golden {json.dumps(wanted)}, here {json.dumps(found)}"]
