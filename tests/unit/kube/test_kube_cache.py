"""The cache: newest version wins, the dead stay dead, indexes follow."""

import json
from typing import Any

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.handlers.references import affected, references, users_of
from modelyard.kube.cache import Cache, owned_by
from modelyard.kube.kinds import Key, key_of
from modelyard.kube.slim import slim


def make(kind: str, name: str, version: int = 1, **meta: Any) -> dict[str, Any]:
    given = {"name": name, "namespace": "team", "uid": f"{name}-uid"}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {**given, "resourceVersion": str(version), **meta},
    }


def make_child(kind: str, name: str, owner: str, version: int = 1, **meta: Any) -> dict[str, Any]:
    return make(kind, name, version, labels={LABEL_OWNER_UID: owner}, **meta)


def make_deployment(name: str, version_name: str, rv: int = 1, **status: Any) -> dict[str, Any]:
    raw = make("ModelDeployment", name, rv)
    return {**raw, "spec": {"modelVersionName": version_name}, "status": status}


def test_an_older_event_does_not_roll_back_our_own_write() -> None:
    cache = Cache()
    assert cache.put(make("ModelTraining", "a", 7, labels={"written": "by-us"}))
    assert not cache.put(make("ModelTraining", "a", 6))
    assert not cache.put(make("ModelTraining", "a", 7))
    known = cache.get(Key("ModelTraining", "team", "a"))
    assert known is not None
    assert known["metadata"]["labels"] == {"written": "by-us"}


def test_versions_are_compared_as_numbers() -> None:
    cache = Cache()
    cache.put(make("ModelTraining", "a", 9))
    assert cache.put(make("ModelTraining", "a", 10))


def test_the_dead_stay_dead_and_a_namesake_lives() -> None:
    cache = Cache()
    job = make_child("Job", "j", "owner", 5)
    cache.put(job)
    assert cache.remove(key_of(job), "j-uid")
    assert not cache.put(make_child("Job", "j", "owner", 9))
    assert cache.put(make_child("Job", "j", "owner", 10, uid="second"))
    assert not cache.remove(key_of(job), "j-uid")
    assert [raw["metadata"]["uid"] for raw in cache.children("owner", "Job")] == ["second"]


def test_only_an_owner_that_appeared_under_our_lease_is_surely_childless() -> None:
    cache = Cache()
    cache.put(make("ModelTraining", "old", 1))
    cache.lead()
    cache.put(make("ModelTraining", "old", 2))
    cache.put(make("ModelTraining", "new", 3))
    cache.put({**make("ModelTraining", "new", 4), "status": {"attempt": 1}})
    assert not cache.childless("old-uid")
    assert cache.childless("new-uid")
    cache.expect_child(make_child("Job", "j", "new-uid"))
    assert not cache.childless("new-uid")


def test_children_follow_their_label_and_only_references_are_proof() -> None:
    cache = Cache()
    ours = make_child("Job", "a", "one", ownerReferences=[{"uid": "one"}])
    forged = make_child("Job", "b", "one", ownerReferences=[{"uid": "other"}])
    cache.put(ours)
    cache.put(forged)
    assert [owned_by(raw, "one") for raw in cache.children("one", "Job")] == [True, False]
    cache.put(make_child("Job", "a", "two", 2))
    assert [raw["metadata"]["name"] for raw in cache.children("one", "Job")] == ["b"]
    assert [raw["metadata"]["name"] for raw in cache.children("two", "Job")] == ["a"]


def test_users_of_a_version_are_who_names_serves_or_loads_it() -> None:
    cache = Cache(references)
    cache.put(make_deployment("named", "v1"))
    cache.put(make_deployment("served", "v2", stable={"modelVersionName": "v1"}))
    cache.put(make_deployment("other", "v2"))
    version = make("ModelVersion", "v1")
    assert users_of(cache, version) == ("named", "served")
    cache.put(make_deployment("served", "v2", 2, stable={"modelVersionName": "v2"}))
    cache.remove(Key("ModelDeployment", "team", "named"), "named-uid")
    assert users_of(cache, version) == ()


def test_listeners_hear_of_a_released_version_too() -> None:
    cache = Cache(references)
    heard: set[Key] = set()
    cache.put(make_deployment("d", "v1"))
    cache.listen(lambda key, raw: heard.update(affected(cache, key, raw)))
    cache.put(make_deployment("d", "v2", 2))
    versions = {key.name for key in heard if key.kind == "ModelVersion"}
    assert versions == {"v1", "v2"}


def test_a_version_concerns_its_training_and_its_deployments() -> None:
    cache = Cache(references)
    cache.put(make("ModelTraining", "run"))
    cache.put(make_deployment("d", "v1"))
    version = make("ModelVersion", "v1")
    version["spec"] = {"source": {"training": {"name": "run", "uid": "run-uid"}}}
    assert set(affected(cache, key_of(version), version)) == {
        Key("ModelVersion", "team", "v1"),
        Key("ModelTraining", "team", "run"),
        Key("ModelDeployment", "team", "d"),
    }


def test_a_child_concerns_its_owner() -> None:
    cache = Cache(references)
    cache.put(make("ModelTraining", "run"))
    pod = make_child("Pod", "p", "run-uid")
    assert list(affected(cache, key_of(pod), pod)) == [Key("ModelTraining", "team", "run")]


def test_what_no_decision_reads_is_not_kept() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "x"}
    pod = make("Pod", "p", managedFields=[{}], annotations=annotations)
    pod["spec"] = {"nodeName": "n", "containers": [{"env": []}]}
    kept = slim(pod)
    assert kept["spec"] == {"nodeName": "n"}
    assert kept["metadata"]["annotations"] == {"mine": "x"}
    assert "managedFields" not in kept["metadata"]


def test_a_spec_is_shared_until_its_generation_changes() -> None:
    first = {**make("ModelTraining", "a", generation=1), "spec": {"seed": 1}}
    again = {**make("ModelTraining", "a", 2, generation=1), "spec": {"seed": 1}}
    changed = {**make("ModelTraining", "a", 3, generation=2), "spec": {"seed": 2}}
    known = slim(first)
    assert slim(again, known)["spec"] is known["spec"]
    assert slim(changed, known)["spec"] == {"seed": 2}


def test_a_namesake_does_not_share_the_spec() -> None:
    first = {**make("ModelTraining", "a", generation=1), "spec": {"seed": 1}}
    other = {**make("ModelTraining", "a", 9, generation=1, uid="other"), "spec": {"seed": 2}}
    assert slim(other, slim(first))["spec"] == {"seed": 2}


def test_equal_texts_of_objects_are_kept_once() -> None:
    text = json.dumps(make("Job", "a", labels={"app": "some text"}))
    first, second = (slim(json.loads(text)) for _ in range(2))
    assert first["metadata"]["labels"]["app"] is second["metadata"]["labels"]["app"]
