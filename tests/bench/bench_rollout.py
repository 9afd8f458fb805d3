"""How fast a release begins and ends, and what it costs, against a real API server.

`make bench ONLY=rollout` takes about six minutes on two cores. With fewer scenarios:
`python -m tests.bench.bench_rollout cycles`.
`--profile` runs the operators under cProfile and prints where their time went; figures are then
about twice as large.
Kubelets and the controllers of Kubernetes are played: every Deployment has a ready pod at once.
"""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path[:0] = [str(root := Path(__file__).parents[2]), str(root / "operator")]

from modelyard.plan.traffic import EVERY_REVISION  # noqa: E402
from tests.bench.api import Api, until  # noqa: E402
from tests.bench.figures import Figure, percentile, run  # noqa: E402
from tests.bench.release import (  # noqa: E402
    DEPLOYMENTS,
    Kubelet,
    abort,
    child,
    create_version,
    deploy,
    kubelet,
    name_version,
    revision,
)
from tests.bench.yard import Operator, Yard, leader, until_calm, yard  # noqa: E402

CYCLES = 100
MANY = 500
IDLE_SECONDS = 60
PAUSE_SECONDS = 0.5
"""Between two cycles, so that none pays for what the last one left to do."""
POLL_SECONDS = 0.2
"""How often the operator asks new pods: in production 5, which no figure here contains."""
WEB = "web"


async def cycles(profiled: bool) -> list[Figure]:
    """Release a version, give it a fifth of the traffic, abort it; again and again."""
    async with yard(profiled) as place, kubelet(place.api) as nodes:
        for number in (1, 2, 3):
            await create_version(place.api, WEB, number)
        operator = await leader(place, progressIntervalSeconds=POLL_SECONDS)
        await deploy(place.api, WEB)
        await until("the first version serves", lambda: _phase_is(place.api, WEB, "Healthy"))
        await until_calm("the operator", operator.cpu_seconds)
        before = await place.api.writes()
        taken = [await _cycle(place.api, nodes, 2 + number % 2) for number in range(CYCLES)]
        await until_calm("the operator", operator.cpu_seconds)
        writes = await place.api.writes() - before
    begun, ended = zip(*taken, strict=True)
    update, back = "new version named: its Deployment exists", "abort: all traffic on stable"
    return [
        Figure(f"{update}, {CYCLES} times: p50", percentile(list(begun), 0.5), "ms", 20),
        Figure(f"{update}, {CYCLES} times: p99", percentile(list(begun), 0.99), "ms", 40),
        Figure(f"{back}, {CYCLES} times: p50", percentile(list(ended), 0.5), "ms", 100),
        Figure(f"{back}, {CYCLES} times: p99", percentile(list(ended), 0.99), "ms", 200),
        *_writes_each("release and abort", writes, CYCLES, 15),
    ]


async def _cycle(api: Api, nodes: Kubelet, number: int) -> tuple[float, float]:
    """Return the milliseconds from order to effect, of a release and of its abort."""
    canary, stable = child(WEB, number), f"{WEB} {revision(1)}"
    nodes.forget()
    released = time.monotonic()
    await name_version(api, WEB, number)
    await nodes.made.wait([canary], 30)
    await nodes.routed.wait([f"{WEB} {EVERY_REVISION}"], 30)
    await until("it waits for a person", lambda: _phase_is(api, WEB, "Paused"))
    begun = nodes.made.at[canary] - released
    nodes.forget()
    aborted = time.monotonic()
    await abort(api, WEB, nonce=str(aborted))
    await nodes.routed.wait([stable], 30)
    await nodes.gone.wait([canary], 30)
    await asyncio.sleep(PAUSE_SECONDS)
    return begun * 1000, (nodes.routed.at[stable] - aborted) * 1000


async def many(profiled: bool) -> list[Figure]:
    """500 at once, each of a model of its own; then their quiet, and leaders that go."""
    async with yard(profiled) as place, kubelet(place.api) as nodes:
        models = [f"model-{number}" for number in range(MANY)]
        await place.api.submit_all(models, lambda model: _prepared(place.api, model))
        operator = await leader(place)
        nodes.works.clear()
        before = await place.api.writes()
        figures = await _deploy_many(place.api, nodes, models)
        await until_calm("the operator", operator.cpu_seconds, 0.2)
        writes = await place.api.writes() - before
        nodes.works.set()
        await until("all of them serve", lambda: _all_healthy(place.api), 300)
        await until_calm("the operator", operator.cpu_seconds)
        return [
            *figures,
            *_writes_each("ModelDeployment until its version loads", writes, MANY, None),
            Figure(f"RSS with {MANY} ModelDeployments", operator.resident_mib, "MiB", 100),
            await _idle(place.api),
            *await _successions(place, nodes, operator),
        ]


async def _prepared(api: Api, model: str) -> float:
    """Create the first version of a model; return when that began."""
    begun = time.monotonic()
    await create_version(api, model, 1)
    return begun


async def _deploy_many(api: Api, nodes: Kubelet, models: list[str]) -> list[Figure]:
    async def submit(model: str) -> float:
        sent = time.monotonic()
        await deploy(api, model)
        return sent

    wanted = {model: child(model, 1) for model in models}
    started = time.monotonic()
    sent = await api.submit_all(models, submit)
    await nodes.made.wait(wanted.values(), 300)
    seen = nodes.made.at
    waits = [seen[name] - sent[model] for model, name in wanted.items()]
    what = f"{MANY} ModelDeployments at once"
    return [
        Figure(f"{what}: all Deployments exist after", max(seen.values()) - started, "s", 6),
        Figure(f"{what}: p50", percentile(waits, 0.5), "s"),
        Figure(f"{what}: p99", percentile(waits, 0.99), "s"),
    ]


async def _idle(api: Api) -> Figure:
    before = await api.writes()
    await asyncio.sleep(IDLE_SECONDS)
    writes = (await api.writes() - before).total()
    return Figure(f"writes in {IDLE_SECONDS} idle s with {MANY}", writes, "", 0)


async def _successions(place: Yard, nodes: Kubelet, first: Operator) -> list[Figure]:
    """End the leader in the ways that pods end; see when a release begins that comes then."""
    effect = partial(_first_effect, place.api, nodes)
    rolled = await effect("model-0", first, lambda: _restarted(first, signal.SIGTERM))
    crashed = await effect("model-1", first, lambda: _restarted(first, signal.SIGKILL))
    second = place.operator("second")
    await until_calm("the standby", second.cpu_seconds)
    followed = await effect("model-2", second, lambda: first.end(signal.SIGKILL))
    return [
        Figure("leader told to stop, and started again: first effect", rolled, "s"),
        Figure("leader killed, and started again in its pod: first effect", crashed, "s"),
        Figure("leader killed: first effect of the standby", followed, "s"),
    ]


async def _restarted(operator: Operator, with_signal: signal.Signals) -> float:
    """End an operator and start it again, as a kubelet does; return when it was ended."""
    signalled = await operator.end(with_signal)
    operator.start()
    return signalled


async def _first_effect(
    api: Api,
    nodes: Kubelet,
    model: str,
    heir: Operator,
    end: Callable[[], Awaitable[float]],
) -> float:
    """Return the seconds from the end of a leader to the Deployment of a release after it."""
    await create_version(api, model, 2)
    await until_calm("the leader", heir.cpu_seconds)
    signalled, name = await end(), child(model, 2)
    await name_version(api, model, 2)
    await nodes.made.wait([name], 60)
    await until_calm("the new leader", heir.cpu_seconds)
    return nodes.made.at[name] - signalled


async def _phase_is(api: Api, name: str, phase: str) -> bool:
    found = await api.send("GET", f"{DEPLOYMENTS}/{name}")
    return bool((found.get("status") or {}).get("phase") == phase)


async def _all_healthy(api: Api) -> bool:
    await asyncio.sleep(1)  # listing 500 costs the API server something
    found: list[Any] = (await api.send("GET", DEPLOYMENTS))["items"]
    return all((raw.get("status") or {}).get("phase") == "Healthy" for raw in found)


def _writes_each(what: str, writes: Counter[str], count: int, target: float | None) -> list[Figure]:
    """Return the sums with and without Events, and what they consist of."""
    events = sum(number for kind, number in writes.items() if kind.split()[1] == "events")
    whole = writes.total()
    return [
        Figure(f"writes per {what}, Events apart", (whole - events) / count, "", target),
        Figure("  with Events", whole / count, ""),
        *(Figure(f"  {kind}", number / count, "") for kind, number in writes.most_common()),
    ]


SCENARIOS = {scenario.__name__: scenario for scenario in (cycles, many)}


if __name__ == "__main__":
    sys.exit(run("rollout", __doc__, SCENARIOS))
