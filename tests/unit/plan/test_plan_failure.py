import pytest

from modelyard.api.reasons import FailureCategory
from modelyard.plan.failure import HINTS, Done, Failed, Interrupted, ending_of
from modelyard.plan.observed import JobView
from tests.builders import DIGEST, ended_pod, make_pod, make_trainer, result_text

RESULT = result_text(
    exit_code=1, version=None, manifest_digest=None, category="StoreError", message="403", hint="h"
)


@pytest.mark.parametrize(
    ("pod", "category", "permanent"),
    [
        (ended_pod(64), "InvalidConfiguration", True),
        (ended_pod(65), "DataError", True),
        (ended_pod(70), "Diverged", True),
        (ended_pod(65, disrupted="EvictionByEvictionAPI"), "DataError", True),
        (ended_pod(1), "ApplicationError", False),
        (ended_pod(2, message="Traceback"), "ApplicationError", False),
        (ended_pod(1, message=RESULT), "StoreError", False),
        (ended_pod(137, reason="OOMKilled"), "OutOfMemory", False),
        (ended_pod(1, reason="OOMKilled"), "OutOfMemory", False),
        (ended_pod(0), "ResultMissing", False),
        (ended_pod(0, message="done"), "ResultMissing", False),
        (ended_pod(0, message=result_text(version=None)), "ResultMissing", False),
        (ended_pod(0, message=result_text(manifest_digest=None)), "ResultMissing", False),
    ],
)
def test_a_failure_has_category_message_and_hint(pod, category, permanent):
    ending = ending_of(pod, None)
    assert isinstance(ending, Failed)
    assert (ending.category, ending.permanent) == (category, permanent)
    assert ending.message
    assert ending.hint


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (None, "PodLost"),
        (ended_pod(75), "Exit75"),
        (ended_pod(137), "Exit137"),
        (ended_pod(143), "Exit143"),
        (ended_pod(1, disrupted="PreemptionByScheduler"), "PreemptionByScheduler"),
        (ended_pod(137, reason="OOMKilled", disrupted="TerminationByKubelet"), None),
        (make_pod(1, make_trainer(), phase="Failed"), "PodLost"),
        (make_pod(1, make_trainer(name="other"), phase="Failed"), "PodLost"),
    ],
)
def test_what_is_not_the_programs_fault_is_an_interruption(pod, reason):
    ending = ending_of(pod, None)
    assert isinstance(ending, Interrupted)
    assert reason in {ending.reason, None}


def _job(message):
    return JobView("fraud-a1", "uid", 1, failed=True, failure_message=message)


SAID = "Container trainer for pod team/fraud-a1-0 failed with exit code {} matching FailJob rule at"


@pytest.mark.parametrize(("code", "reason"), [(75, "Exit75"), (None, "PodLost")])
def test_a_job_tells_of_a_pod_that_is_gone(code, reason):
    job = _job(f"{SAID.format(code)} index 0" if code else "Job has reached the backoff limit")
    assert ending_of(None, job) == Interrupted(reason)


def test_a_permanent_failure_is_known_without_its_pod():
    ending = ending_of(None, _job(f"{SAID.format(65)} index 0"))
    assert isinstance(ending, Failed)
    assert (ending.category, ending.permanent, ending.exit_code) == ("DataError", True, 65)
    assert "fraud-a1" in ending.message
    assert ending.hint


def test_done_names_version_and_digest():
    ending = ending_of(ended_pod(0, message=result_text()), None)
    assert isinstance(ending, Done)
    assert (ending.version, ending.manifest_digest) == (3, DIGEST)


def test_the_trainers_own_words_win_and_raw_text_becomes_the_log():
    told = ending_of(ended_pod(1, message=RESULT), None)
    assert (told.message, told.hint, told.log_tail) == ("403", "h", "")
    raw = ending_of(ended_pod(1, message="Traceback …"), None)
    assert raw.log_tail == "Traceback …"
    assert raw.exit_code == 1


def test_every_category_has_a_hint():
    assert set(HINTS) == set(FailureCategory)
    assert "memory" in HINTS[FailureCategory.OUT_OF_MEMORY]
