"""The object store of the simulation: versions by number, runs, and a switch to turn it off."""

from dataclasses import dataclass, field
from typing import Any

from modelyard.api.errors import Refused, Retry
from modelyard.api.manifest import Manifest, canonical_json, digest_of
from modelyard.api.reasons import Reason
from modelyard.plan.core import RemoveArtifact, RemoveRun
from modelyard.plan.observed import ManifestFact, RunFact
from tests.builders import make_manifest

Place = tuple[str, str, int]


@dataclass
class Shelf:
    """What is committed, what is a tombstone, and which runs were removed."""

    down: bool = False
    stuck: bool = False
    """Whether it answers questions and removes nothing."""
    committed: dict[Place, Manifest] = field(default_factory=dict)
    tombstones: set[Place] = field(default_factory=set)
    runs: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    latest: dict[str, int] = field(default_factory=dict)
    tampered: set[Place] = field(default_factory=set)
    incomplete: set[Place] = field(default_factory=set)
    judge: Any = None
    """Told place and digest of each version before it goes."""

    def publish(
        self, training: dict[str, Any], attempt: int, changes: dict[str, Any]
    ) -> tuple[int, str]:
        """Commit a version of a training, once; a later attempt finds the first one's."""
        meta, model = training["metadata"], training["spec"]["modelName"]
        if meta["uid"] in self.closed or self.latest.get(meta["uid"], 0) > attempt:
            raise Retry("the attempt is locked out")
        self.latest[meta["uid"]] = attempt
        number = self.runs.get(meta["uid"])
        if number is None:
            number = self.next_number(meta["namespace"], model)
            source = {"name": meta["name"], "uid": meta["uid"], "attempt": attempt}
            manifest = make_manifest(
                **changes,
                namespace=meta["namespace"],
                modelName=model,
                source=source,
                version=number,
            )
            self.committed[meta["namespace"], model, number] = manifest
            self.runs[meta["uid"]] = number
        place = (meta["namespace"], model, number)
        if place not in self.committed:
            raise Retry("the number was given up")
        return number, digest_for(self.committed[place])

    def next_number(self, namespace: str, model: str) -> int:
        """Return the number that the next version of a model gets."""
        decided = (*self.committed, *self.tombstones, *self.tampered)
        return max((n for ns, m, n in decided if (ns, m) == (namespace, model)), default=0) + 1

    def at(self, place: Place) -> tuple[Manifest, str]:
        """Return the manifest of a version, and its digest."""
        return self.committed[place], digest_for(self.committed[place])

    def tamper(self, place: Place, *, lost: bool) -> None:
        """Lose a manifest, or change it by hand."""
        self.tampered.add(place)
        manifest = self.committed.pop(place)
        if not lost:
            lineage = manifest.lineage.model_copy(update={"seed": 999})
            self.committed[place] = manifest.model_copy(update={"lineage": lineage})

    async def published(
        self, store_name: str, namespace: str, model: str, training_uid: str
    ) -> RunFact:
        """Answer as the operator's store facts do."""
        if self.down:
            return RunFact("Unreachable", message="the store is down")
        number = self.runs.get(training_uid, 0)
        manifest = self.committed.get((namespace, model, number))
        if manifest is None:
            return RunFact("Nothing")
        return RunFact("Committed", number, digest_for(manifest))

    async def manifest(
        self, store_name: str, namespace: str, model: str, version: int, digest: str
    ) -> ManifestFact:
        """Answer as the operator's store facts do."""
        place = (namespace, model, version)
        if self.down:
            return ManifestFact("Unreachable", message="the store is down")
        if place in self.tombstones:
            return ManifestFact("Tombstone")
        manifest = self.committed.get(place)
        if manifest is None:
            return ManifestFact("Missing", message="nothing was committed")
        if digest_for(manifest) != digest:
            return ManifestFact("Mismatch", message="another digest")
        if place in self.incomplete:
            return ManifestFact("Incomplete", message="a file is missing")
        return ManifestFact("Found", manifest, digest)

    async def remove(self, action: RemoveArtifact | RemoveRun) -> None:
        """Delete as the operator's store actions do."""
        if self.down or self.stuck:
            raise Refused(Reason.STORE_UNREACHABLE, "the store is down")
        number: int | None
        if isinstance(action, RemoveRun):
            self.closed.add(action.training_uid)
            number = self.runs.get(action.training_uid)
            if number in (None, action.keep_version):
                return
        else:
            number = action.version
        place = (action.namespace, action.model, number or 0)
        manifest = self.committed.get(place)
        if manifest is not None:
            self.judge(place, digest_for(manifest))
            del self.committed[place]
            self.tombstones.add(place)

    def holds(self, namespace: str, model: str, version: int, digest: str) -> bool:
        """Whether the files of exactly this version are there."""
        manifest = self.committed.get((namespace, model, version))
        return manifest is not None and digest_for(manifest) == digest


def digest_for(manifest: Manifest) -> str:
    return digest_of(canonical_json(manifest.dump()))
