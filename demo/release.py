"""Part two of the demo: a better version released in steps, undo by hand, a slow one caught."""

import subprocess

from rich.console import Console

from demo import steps
from demo.clients import Load, Report, failures_of
from demo.cluster import ROOT, Cluster, StepFailed
from demo.install import TENANT

NAME = "digits"
REACHED, FAILED = 0, 3
"""Exit codes of `kubectl modelyard rollout status`."""
MOST_SECONDS = 900


def release(cluster: Cluster, timings: steps.Timings, console: Console) -> str:
    """Release two versions under load; return what became of the requests, in words."""
    better = _version(cluster, timings, console, "03-better.yaml", "digits-better")
    _say(cluster, console, "compare", "digits-v1", better)
    load = Load(cluster, TENANT, (NAME, NAME), MOST_SECONDS)
    with timings.step("kubectl apply -f examples/04-canary.yaml (released in steps, under load)"):
        text = (ROOT / "examples/04-canary.yaml").read_text()
        cluster.apply(text.replace("digits-v2", better), "--namespace", TENANT)
        _follow(cluster, console, REACHED)
    with timings.step("kubectl modelyard rollout undo digits (back, and back again)"):
        for _ in range(2):
            _say(cluster, console, "rollout", "undo", NAME, "--reason", "to show that it is quick")
            _follow(cluster, console, REACHED)
    slow = _version(cluster, timings, console, "05-slow.yaml", "digits-slow")
    with timings.step(f"{slow} released likewise: it must be caught, and rolled back"):
        _release(cluster, console, slow)
        _follow(cluster, console, FAILED)
        _say(cluster, console, "why", f"deployment/{NAME}")
        _say(cluster, console, "rollout", "history", NAME)
    return _lost(load.stop())


def _version(
    cluster: Cluster, timings: steps.Timings, console: Console, file: str, name: str
) -> str:
    """Train a version; return its name."""
    with timings.step(f"kubectl apply -f examples/{file}"):
        steps.apply_example(cluster, file)
        training = steps.watch_training(cluster, name, console)
        if not steps.holds(training, "Complete"):
            raise StepFailed(steps.condition(training, "Failed").get("message", "not complete"))
        made = str(training["status"]["modelVersionName"])
        steps.wait_for(
            lambda: cluster.get("-n", TENANT, "mver", made),
            lambda version: steps.holds(version, "Verified"),
            seconds=60,
        )
    return made


def _release(cluster: Cluster, console: Console, version: str) -> None:
    """Name a version, which is all that a release edits."""
    steps.edit(cluster, TENANT, NAME, modelVersionName=version)
    console.print(f"    spec.modelVersionName: {version}", highlight=False)


def _follow(cluster: Cluster, console: Console, expected: int) -> None:
    """Show a rollout until it ends, as it must."""
    code = _say(cluster, console, "rollout", "status", NAME, "--timeout", "5m", checked=False)
    if code != expected:
        raise StepFailed(f"kubectl modelyard rollout status ended with {code}, not {expected}")


def _say(cluster: Cluster, console: Console, *words: str, checked: bool = True) -> int:
    """Run `kubectl modelyard` before the user's eyes; return its exit code."""
    console.print(f"    [dim]$ kubectl modelyard {' '.join(words)}[/]", soft_wrap=True)
    command = ["kubectl", "modelyard", *words, "--namespace", TENANT]
    done = subprocess.run(command, env=cluster.env, check=False)  # noqa: S603 - our own program
    if checked and done.returncode:
        raise StepFailed(f"kubectl modelyard {words[0]} ended with {done.returncode}")
    return done.returncode


def _lost(report: Report) -> str:
    """Return how many requests failed, in words; one is too many."""
    failures = failures_of(report)
    asked = sum(client["requests"] for client in report.values())
    if failures:
        raise StepFailed(f"{len(failures)} of {asked} requests failed: {failures[:3]}")
    return f"{asked:,} by three clients over REST and gRPC; none failed"
