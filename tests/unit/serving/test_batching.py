"""Runs and batches: what is merged, what is not, and that nobody notices."""

import asyncio
import math
import threading

import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode

from modelyard_serving.batching import SHORT_SECONDS, STRETCH_SECONDS, Runner
from modelyard_serving.configuration import Batching
from modelyard_serving.errors import RequestError
from modelyard_serving.metrics import Metrics
from modelyard_serving.pace import SHAPES, Pace
from modelyard_serving.servable import Program, Servable, SessionSettings
from modelyard_serving.signatures import DEFAULT_SIGNATURE

pytest_plugins = ["tests.plugins.standin"]


class Graph:
    """A program in Python that records the batches it computes; it waits while `gate` is shut."""

    def __init__(self, *, batchable=True, pace=None):
        self.sizes = []
        self.threads = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.program = Program(self._run, (), (), batchable, pace=pace)

    def _run(self, x):
        self.begun.set()
        self.gate.wait(60)
        self.sizes.append(len(x))
        self.threads.append(threading.current_thread())
        if (x < 0).any():
            raise tf.errors.InvalidArgumentError(None, None, "x is negative")
        return [2 * x]


@pytest.fixture
def runner():
    made = []

    def make(batching=None):
        made.append(Runner(Metrics(), batching))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def queued(runner, graph, *feeds):
    """Start runs while the worker is held up by a first one; return their tasks and open it."""
    graph.gate.clear()
    first = asyncio.create_task(runner.run(graph.program, (np.zeros((1, 1)),)))
    await asyncio.to_thread(graph.begun.wait, 60)
    tasks = [asyncio.create_task(runner.run(graph.program, (feed,))) for feed in feeds]
    await asyncio.sleep(0)  # every task has queued its run
    graph.gate.set()
    await first
    return tasks


def rows(*values):
    return np.array(values, np.float64)[:, None]


async def test_what_waits_together_runs_together_padded(runner):
    graph = Graph()
    tasks = await queued(runner(Batching()), graph, rows(1), rows(2, 3), rows(4, 5))
    found = [(await task).outputs[0].ravel().tolist() for task in tasks]
    assert found == [[2.0], [4.0, 6.0], [8.0, 10.0]]
    assert graph.sizes == [1, 8]


async def test_an_idle_server_runs_a_request_as_it_is(runner):
    graph, idle = Graph(), runner(Batching())
    await idle.run(graph.program, (rows(1),))
    await idle.run(graph.program, (rows(1, 2),))
    assert graph.sizes == [1, 2]


async def test_without_batching_every_request_runs_alone(runner):
    graph = Graph()
    await asyncio.gather(*await queued(runner(), graph, rows(1), rows(2)))
    assert graph.sizes == [1, 1, 1]


@pytest.mark.parametrize(
    ("batchable", "feeds", "sizes"),
    [
        (True, [np.ones((1, 2)), np.ones((1, 3)), np.ones((2, 2))], [1, 4, 1]),
        (False, [rows(1), rows(1)], [1, 1, 1]),
        (True, [np.ones((0, 1)), rows(1)], [1, 0, 1]),
    ],
)
async def test_only_runs_of_one_kind_are_merged(runner, batchable, feeds, sizes):
    graph = Graph(batchable=batchable)
    await asyncio.gather(*await queued(runner(Batching()), graph, *feeds))
    assert graph.sizes == sizes


async def test_a_bad_request_fails_alone(runner):
    graph = Graph()
    tasks = await queued(runner(Batching()), graph, rows(1), rows(-1), rows(3))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0].outputs[0].tolist() == [[2.0]]
    assert isinstance(results[1], RequestError)
    assert results[1].code == StatusCode.INVALID_ARGUMENT
    assert results[2].outputs[0].tolist() == [[6.0]]


async def test_outputs_that_do_not_count_rows_are_not_split(runner):
    sums = Program(lambda x: [x.sum(axis=0)], (), (), batchable=True)
    busy = runner(Batching())
    outcomes = await asyncio.gather(*(busy.run(sums, (rows(n, n),)) for n in range(4)))
    assert [one.outputs[0].tolist() for one in outcomes] == [[0.0], [2.0], [4.0], [6.0]]


async def test_a_batch_holds_at_most_the_largest_size(runner):
    graph = Graph()
    small = runner(Batching(max_batch_size=2))
    await asyncio.gather(*await queued(small, graph, *[rows(n) for n in range(5)]))
    assert graph.sizes == [1, 2, 2, 1]


async def test_more_than_the_queue_holds_is_unavailable(runner):
    graph = Graph()
    full = runner(Batching(max_batch_size=2, max_enqueued_batches=1))
    tasks = await queued(full, graph, rows(1), rows(2), rows(3))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[2].code == StatusCode.UNAVAILABLE
    with pytest.raises(RequestError, match="Task size 3 is larger than maximum input batch size 2"):
        await full.run(graph.program, (rows(1, 2, 3),))
    assert (await full.run(graph.program, (rows(1),))).outputs[0].tolist() == [[2.0]]


async def test_a_timeout_waits_for_company(runner):
    graph = Graph()
    patient = runner(Batching(max_batch_size=3, batch_timeout_micros=60_000_000))
    runs = [patient.run(graph.program, (rows(n),)) for n in range(3)]
    await asyncio.wait_for(asyncio.gather(*runs), 10)  # full, so nobody waits the minute
    assert graph.sizes == [3]
    brief = runner(Batching(batch_timeout_micros=1000))
    await asyncio.wait_for(brief.run(graph.program, (rows(1),)), 10)
    assert graph.sizes == [3, 1]


async def test_a_run_nobody_waits_for_is_dropped(runner):
    graph = Graph()
    busy = runner()
    graph.gate.clear()
    first = asyncio.create_task(busy.run(graph.program, (rows(1),)))
    second = asyncio.create_task(busy.run(graph.program, (rows(2),)))
    await asyncio.sleep(0)
    second.cancel()
    graph.gate.set()
    await first
    await busy.run(graph.program, (rows(3),))
    assert len(graph.sizes) == 2


SHORT, LONG = SHORT_SECONDS / 2, SHORT_SECONDS * 2


def graph_known_for(seconds):
    """Return a graph whose runs of one row are known to take so long."""
    pace = Pace()
    pace.record((rows(1),), seconds)
    return Graph(pace=pace)


@pytest.mark.parametrize("batching", [None, Batching()])
@pytest.mark.parametrize(("seconds", "here"), [(SHORT, True), (LONG, False)])
async def test_a_run_stays_on_the_event_loop_if_it_is_known_to_be_short(
    runner, batching, seconds, here
):
    graph = graph_known_for(seconds)
    outcome = await runner(batching).run(graph.program, (rows(1),))
    assert outcome.outputs[0].tolist() == [[2.0]]
    assert (graph.threads == [threading.main_thread()]) is here


async def test_what_was_never_run_or_depends_on_values_goes_to_a_worker(runner):
    idle, unknown, dependent = runner(), Graph(pace=Pace()), Graph()
    for graph in (unknown, dependent, dependent):
        await idle.run(graph.program, (rows(1),))
    assert threading.main_thread() not in unknown.threads + dependent.threads
    assert unknown.program.pace.expected((rows(1),)) < math.inf


async def test_short_runs_that_arrive_together_are_merged_up_to_a_stretch(runner):
    few, many = graph_known_for(SHORT), graph_known_for(SHORT)
    busy = runner(Batching())
    await asyncio.gather(*(busy.run(few.program, (rows(n),)) for n in range(3)))
    assert (few.sizes, few.threads) == ([4], [threading.main_thread()])
    count = int(STRETCH_SECONDS / SHORT) + 1
    await asyncio.gather(*(busy.run(many.program, (rows(n),)) for n in range(count)))
    assert threading.main_thread() not in many.threads


async def test_a_short_run_waits_behind_a_long_one(runner):
    busy, long, short = runner(), Graph(), graph_known_for(SHORT)
    long.gate.clear()
    first = asyncio.create_task(busy.run(long.program, (rows(0),)))
    await asyncio.to_thread(long.begun.wait, 60)
    second = asyncio.create_task(busy.run(short.program, (rows(1),)))
    await asyncio.sleep(0)  # it has queued its run
    assert short.sizes == []
    long.gate.set()
    await asyncio.gather(first, second)
    assert threading.main_thread() not in short.threads


async def test_a_short_run_that_fails_is_its_callers_fault_alone(runner):
    graph = graph_known_for(SHORT)
    busy = runner(Batching())
    runs = (busy.run(graph.program, (rows(n),)) for n in (1, -1, 3))
    first, second, third = await asyncio.gather(*runs, return_exceptions=True)
    assert [one.outputs[0].tolist() for one in (first, third)] == [[[2.0]], [[6.0]]]
    assert second.code == StatusCode.INVALID_ARGUMENT


def test_the_shortest_time_counts_and_shapes_are_told_apart():
    pace = Pace()
    for seconds in (0.3, 0.1, 0.2):
        pace.record((rows(1),), seconds)
    assert pace.expected((rows(5),)) == 0.1
    assert pace.expected((rows(1, 2),)) == math.inf
    for count in range(2, SHAPES + 2):
        pace.record((np.zeros((count, 1)),), 0.1)
    assert pace.expected((rows(1),)) == math.inf, "the memory is bounded"


def test_only_graphs_without_loops_have_a_pace(model_folder):
    for name, steady in (("mlp/1", True), ("conformance/3", False)):
        servable = Servable(1, model_folder / name, SessionSettings())
        signature = servable.signature(DEFAULT_SIGNATURE)
        tensors = (list(signature.inputs.values()), list(signature.outputs.values()))
        program = servable.program(*tensors, batchable=True)
        assert (program.pace is not None) is steady
        feeds = (np.ones((2, signature.inputs["x"].shape[1]), np.float32),)
        (pooled,), (here,) = program.run(feeds), program.run(feeds, here=True)
        np.testing.assert_array_equal(pooled, here)


async def test_batched_predictions_equal_single_ones(runner, model_folder):
    servable = Servable(1, model_folder / "mlp" / "1", SessionSettings())
    signature = servable.signature(DEFAULT_SIGNATURE)
    tensors = (list(signature.inputs.values()), list(signature.outputs.values()))
    program = servable.program(*tensors, batchable=signature.batchable)
    inputs = np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32)
    feeds = [inputs[n : n + 1 + n % 3] for n in range(97)]
    metrics = Metrics()
    busy = Runner(metrics, Batching())
    merged = await asyncio.gather(*(busy.run(program, (feed,)) for feed in feeds))
    busy.close()
    for feed, outcome in zip(feeds, merged, strict=True):
        np.testing.assert_allclose(outcome.outputs[0], program.run((feed,))[0], atol=1e-6)
    assert ":tensorflow:serving:batching_session:processed_batch_size_count{} " in (
        metrics.exposition()
    )
    batches = sum(
        one.counts[-1] + sum(one.counts[:-1])
        for one in (metrics.processed_batch_size._values.values())
    )
    assert batches < len(feeds) / 2
