"""How many predictions per second the stand-in server answers over gRPC, and how soon.

`make bench ONLY=serving`, or `python tests/bench/bench_serving.py [ROUNDS]`. Server and client are
processes of their own and share the machine.
When a target is missed, the server is run once more under a profiler.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from tests.standin import StandIn, environment, write_models  # noqa: E402

TARGETS = {1: 500, 8: 1200, 32: 1500}
LARGE = (512, 1024, 1024, 1024, 1024, 10)
"""4.7 million parameters: large enough for batches to matter."""

WARM_SECONDS, SECONDS, ROUNDS = 1.0, 5.0, 2
METHOD = "/tensorflow.serving.PredictionService/Predict"
PROFILED_LINES = 25


@dataclass(frozen=True)
class Figure:
    """One line of the table; times in milliseconds, CPU per request in milliseconds too."""

    model: str
    batching: bool
    clients: int
    rps: float
    p50: float
    p99: float
    server_cpu: float
    target: int | None

    def line(self):
        goal = "" if self.target is None else f"{self.target:>7} {self.verdict}"
        return (
            f"{self.model:<6} {'on' if self.batching else 'off':<9} {self.clients:>7} "
            f"{self.rps:>8.0f} {self.p50:>8.2f} {self.p99:>8.2f} {self.server_cpu:>10.2f} {goal}"
        )

    @property
    def missed(self):
        return self.target is not None and self.rps < self.target

    @property
    def verdict(self):
        """`met`, `missed`, or None where nothing was aimed at."""
        if self.target is None:
            return None
        return "missed" if self.missed else "met"


def main(rounds):
    """Measure, print the table and one JSON line; return how many targets were missed."""
    figures = []
    print("model  batching  clients      rps   p50 ms   p99 ms  server CPU  target", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        write_models(base / "mlp" / "1", "write_mlp")
        write_models(base / "large" / "1", "write_mlp", LARGE)
        for model, width in (("mlp", 64), ("large", LARGE[0])):
            for batching in (False, True):
                figures += measured(base, model, width, batching, rounds)
        if any(figure.missed for figure in figures):
            profile(base)
    results = [asdict(figure) | {"verdict": figure.verdict} for figure in figures]
    print(json.dumps({"bench": "serving", "rounds": rounds, "results": results}))
    return sum(figure.missed for figure in figures)


def measured(base, model, width, batching, rounds):
    """Yield the figures of one server; the best of some rounds, since the machine is shared."""
    flags = ["--enable_batching"] if batching else []
    server = StandIn(base / f"{model}.log", base / model, *flags, model=model).wait_ready()
    try:
        for clients, wanted in TARGETS.items():
            found = [one_round(server, model, width, clients) for _ in range(rounds)]
            best = max(found, key=lambda one: one["rps"])
            target = wanted if model == "mlp" else None
            figure = Figure(model, batching, clients, **best, target=target)
            print(figure.line(), flush=True)
            yield figure
    finally:
        server.stop()


def one_round(server, model, width, clients):
    """Run the client in a process of its own; return its figures and the server's CPU time."""
    before = cpu_seconds(server.process.pid)
    arguments = [str(item) for item in (server.grpc, model, width, clients)]
    found = json.loads(
        subprocess.run(
            [sys.executable, __file__, "client", *arguments],
            check=True,
            capture_output=True,
            env=environment(),
        ).stdout
    )
    used = cpu_seconds(server.process.pid) - before
    return {
        "rps": found["rps"],
        "p50": found["p50"],
        "p99": found["p99"],
        "server_cpu": used * 1000 / found["requests"],
    }


def cpu_seconds(pid):
    """Return the CPU time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def request_bytes(model, width):
    """Return a PredictRequest of one row, written by hand: the client needs no TensorFlow."""
    import struct

    def field(number, content):
        return bytes([number << 3 | 2, *varint(len(content))]) + content

    def varint(value):
        while value > 0x7F:
            yield value & 0x7F | 0x80
            value >>= 7
        yield value

    dims = b"".join(field(2, b"\x08" + bytes(varint(size))) for size in (1, width))
    values = struct.pack(f"<{width}f", *(index % 7 / 7 for index in range(width)))
    tensor = b"\x08\x01" + field(2, dims) + field(4, values)
    return field(1, field(1, model.encode())) + field(2, field(1, b"x") + field(2, tensor))


async def client(target, model, width, clients):
    """Ask without pause from `clients` tasks; print rates and quantiles as JSON."""
    import grpc

    body = request_bytes(model, int(width))
    took = []

    async def ask(call, until):
        while (started := time.perf_counter()) < until:
            await call(body)
            took.append(time.perf_counter() - started)

    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary(METHOD)
        for seconds in (WARM_SECONDS, SECONDS):
            took.clear()
            until = time.perf_counter() + seconds
            await asyncio.gather(*(ask(call, until) for _ in range(int(clients))))
    took.sort()
    quantiles = {f"p{q}": took[int(len(took) * q / 100)] * 1000 for q in (50, 99)}
    # The warm-up's requests count for the server's CPU time, in proportion to its share of time.
    requests = len(took) * (1 + WARM_SECONDS / SECONDS)
    print(json.dumps({"rps": len(took) / SECONDS, "requests": requests, **quantiles}))


def profile(base):
    """Print where the server's time goes with 32 clients."""
    code = (
        "import cProfile, pstats, sys\n"
        "from modelyard_serving import server\n"
        "from modelyard_serving.__main__ import main\n"
        "profiler = cProfile.Profile()\n"
        "profiler.runcall(main, sys.argv[1:])\n"
        f"pstats.Stats(profiler).sort_stats('tottime').print_stats({PROFILED_LINES})\n"
    )
    server = StandIn(base / "profile.log", base / "mlp", model="mlp", run=("-c", code))
    server.wait_ready()
    one_round(server, "mlp", 64, 32)
    server.stop()
    text = server.log.read_text()
    print("a target was missed; the server's event loop under cProfile, 32 clients:")
    print(text[text.find("function calls") - 20 :])


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        asyncio.run(client(*sys.argv[2:]))
    else:
        sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS) > 0)
