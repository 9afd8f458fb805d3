"""How fast, how large, and how chatty the operator is, against a real API server.

`make bench ONLY=operator` takes about eight minutes on two cores. With fewer scenarios:
`python -m tests.bench.bench_operator singles burst`.
`--profile` runs the operators under cProfile and prints where their time went; figures are then
about twice as large.
"""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from operator import sub
from pathlib import Path

sys.path[:0] = [str(root := Path(__file__).parents[2]), str(root / "operator")]

from tests.bench.api import Api  # noqa: E402
from tests.bench.figures import Figure, percentile, run  # noqa: E402
from tests.bench.yard import (  # noqa: E402
    Operator,
    Yard,
    import_mib,
    leader,
    until_calm,
    yard,
)

SINGLES = 200
BURST = 500
LARGE_BURST = 2000
IDLE_SECONDS = 60


async def imports(_: bool) -> list[Figure]:
    """What the imports alone cost."""
    return [
        Figure(
            "RSS of `import modelyard.__main__`", import_mib("import modelyard.__main__"), "MiB"
        ),
        Figure("RSS of `import kopf`", import_mib("import kopf"), "MiB"),
        Figure("RSS of an empty Python", import_mib("pass"), "MiB"),
    ]


async def floor(_: bool) -> list[Figure]:
    """What the API server and one client need on this machine, without any operator."""
    async with yard(False) as place:
        await until_calm("the API server", place.api.cpu_seconds, 0.15)
        figures = []
        kinds = (("plain Jobs", place.api.submit_job), ("trainings", place.api.submit))
        for what, submit in kinds:
            spent, started = await place.api.cpu_seconds(), time.monotonic()
            await place.api.submit_all([f"plain-{number}" for number in range(BURST)], submit)
            wall = time.monotonic() - started
            spent = await place.api.cpu_seconds() - spent
            title = f"{BURST} {what} created by one client, no operator"
            figures += [
                Figure(title, wall, "s"),
                Figure("  CPU of the API server for each", spent / BURST * 1000, "ms"),
            ]
        return figures


async def singles(profiled: bool) -> list[Figure]:
    """One training after the other."""
    async with yard(profiled) as place:
        await leader(place)
        waits = []
        for number in range(SINGLES):
            name = f"single-{number}"
            sent = await place.api.submit(name)
            await place.api.wait_for_jobs([name], 30)
            waits.append((place.api.jobs.at[name] - sent) * 1000)
    return [
        Figure(f"one training, {SINGLES} times: p50", percentile(waits, 0.5), "ms", 50),
        Figure(f"one training, {SINGLES} times: p99", percentile(waits, 0.99), "ms", 150),
    ]


async def burst(profiled: bool) -> list[Figure]:
    """500 at once, then the quiet after it."""
    async with yard(profiled) as place:
        operator = await leader(place)
        idle = Figure("RSS idle", operator.resident_mib, "MiB", 100)
        before = await _spent(operator, place.api)
        figures = await _submit_many(place.api, BURST, (5, 2, 4))
        spent, served, writes = map(sub, await _spent(operator, place.api), before)
        await until_calm("the operator", operator.cpu_seconds)
        return [
            idle,
            *figures,
            Figure("CPU per training until its Job exists", spent / BURST * 1000, "ms", 15),
            Figure("  CPU of the API server meanwhile", served / BURST * 1000, "ms"),
            *_writes_per_training(writes),
            Figure(f"RSS with {BURST} trainings", operator.resident_mib, "MiB", 120),
            await _idle_writes(place.api),
        ]


async def large_burst(profiled: bool) -> list[Figure]:
    """2,000 at once."""
    async with yard(profiled) as place:
        operator = await leader(place)
        figures = await _submit_many(place.api, LARGE_BURST, (20, None, None))
        await until_calm("the operator", operator.cpu_seconds)
        memory = Figure(f"RSS with {LARGE_BURST} trainings", operator.resident_mib, "MiB", 160)
        return [*figures, memory]


async def failover(profiled: bool) -> list[Figure]:
    """SIGTERM and SIGKILL to the leader beside a warm standby, and a cold start, with 500."""
    async with yard(profiled) as place:
        first = await leader(place)
        names = [f"old-{number}" for number in range(BURST)]
        await place.api.submit_all(names, place.api.submit)
        await place.api.wait_for_jobs(names, 120)
        second = place.operator("second")
        await until_calm("the first operator", first.cpu_seconds)
        await until_calm("the standby", second.cpu_seconds)
        revision = await place.api.revision()
        stopped = await _first_effect(place.api, "after-sigterm", first.end)
        writes = await place.api.changes(revision, "after-sigterm")
        third = place.operator("third")
        await until_calm("the standby", third.cpu_seconds)
        killed = await _first_effect(place.api, "after-sigkill", lambda: second.end(signal.SIGKILL))
        await third.end()
        cold = await _cold_start(place)
    return [
        Figure("SIGTERM to the leader: first effect of the standby", stopped, "s", 1.5),
        Figure("  writes from the signal to that effect", writes, "", 4),
        Figure("SIGKILL to the leader: first effect of the standby", killed, "s"),
        Figure(f"cold start with {BURST} trainings: first effect", cold, "s"),
    ]


async def _spent(operator: Operator, api: Api) -> tuple[float, float, Counter[str]]:
    """Return the CPU seconds of operator and API server, and the writes so far."""
    writes = await api.writes()
    return await operator.cpu_seconds(), await api.cpu_seconds(), writes


async def _submit_many(api: Api, count: int, targets: tuple[float | None, ...]) -> list[Figure]:
    """Submit `count` trainings at once; targets are for all, p50 and p99."""
    names = [f"burst-{number}" for number in range(count)]
    started = time.monotonic()
    sent = await api.submit_all(names, api.submit)
    await api.wait_for_jobs(names, 300)
    waits = [api.jobs.at[name] - sent[name] for name in names]
    values = (max(api.jobs.at.values()) - started, percentile(waits, 0.5), percentile(waits, 0.99))
    labels = ("all Jobs exist after", "p50", "p99")
    return [
        Figure(f"{count} trainings at once: {label}", value, "s", target)
        for label, value, target in zip(labels, values, targets, strict=True)
    ]


async def _idle_writes(api: Api) -> Figure:
    before = await api.writes()
    await asyncio.sleep(IDLE_SECONDS)
    writes = (await api.writes() - before).total()
    return Figure(f"writes in {IDLE_SECONDS} idle s with {BURST} trainings", writes, "", 0)


def _writes_per_training(writes: Counter[str]) -> list[Figure]:
    """Return the sum, and what it consists of: verb, resource, and status of the answer."""
    whole = Figure("writes per training until its Job exists", writes.total() / BURST, "", 3)
    return [whole, *(Figure(f"  {what}", count / BURST, "") for what, count in writes.items())]


async def _first_effect(api: Api, name: str, end: Callable[[], Awaitable[float]]) -> float:
    """End the leader, submit one training once it is gone; return seconds from signal to Job."""
    signalled = await end()
    await api.submit(name)
    await api.wait_for_jobs([name], 60)
    return api.jobs.at[name] - signalled


async def _cold_start(place: Yard) -> float:
    """Start an operator where none is, with one training waiting; return seconds to its Job."""
    await place.api.submit("cold")
    started = time.monotonic()
    operator = place.operator("cold")
    await place.api.wait_for_jobs(["cold"], 60)
    await operator.end()
    return place.api.jobs.at["cold"] - started


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (imports, floor, singles, burst, large_burst, failover)
}


if __name__ == "__main__":
    sys.exit(run("operator", __doc__, SCENARIOS))
