from modelyard.api.serve import GoldenVerdict
from modelyard.sentinel.health import PATIENCE, Health, counted, gone, judged, seen, silent
from modelyard.sentinel.server import LoadState

LOADED = LoadState("AVAILABLE")


def passed(requests=4):
    return seen(counted(judged(seen(Health(), LOADED), None, 2), requests), LOADED)


def test_a_new_sentinel_is_not_ready_and_has_nothing_to_judge():
    assert not Health().ready
    assert not Health().due


def test_golden_predictions_are_due_once_the_version_is_available():
    assert not seen(Health(), LoadState("LOADING")).due
    assert seen(Health(), LOADED).due


def test_a_pass_is_ready_and_not_due_again():
    health = passed()
    assert health.ready
    assert not health.due
    assert health.message == ""


def test_a_failure_is_final_for_this_server():
    failed = seen(judged(seen(Health(), LOADED), "sample 1 differs", 2), LOADED)
    assert failed.verdict is GoldenVerdict.FAILED
    assert not failed.ready
    assert not failed.due
    assert silent(failed, "slow").message == "sample 1 differs"


def test_a_counter_that_runs_backwards_is_another_server():
    again = seen(counted(passed(requests=4), 3), LOADED)
    assert again.due
    assert not again.ready


def test_a_server_that_went_away_has_to_prove_itself_again():
    assert not gone("refused").ready
    assert seen(gone("refused"), LOADED).due


def test_slow_answers_cost_readiness_only_after_some_patience():
    health = passed()
    for _ in range(PATIENCE - 1):
        health = silent(health, "slow")
        assert health.ready
    health = silent(health, "slow")
    assert not health.ready
    assert health.message == "slow"
    assert seen(health, LOADED).ready, "it is still the server that passed"


def test_golden_predictions_wait_for_an_answering_server():
    assert not silent(seen(Health(), LOADED), "busy").due


def test_a_version_that_is_unloaded_is_not_ready_and_is_judged_when_it_returns():
    health = seen(passed(), LoadState("UNLOADING"))
    assert not health.ready
    assert seen(health, LOADED).due


def test_a_load_error_is_told():
    health = seen(Health(), LoadState("END", "not a SavedModel"))
    assert health.message == "the version is END; the server says: not a SavedModel"
