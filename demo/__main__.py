"""`make demo`: from nothing to a served, gated model on a real Kubernetes, with times."""

import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from demo import cluster as clusters
from demo import install, release, steps
from demo.cluster import ROOT, Cluster, StepFailed

CLUSTER = "yard"
FIGURES = ROOT / "figures" / "demo.json"
WELCOME = """\
From an empty machine to a served model, then to the next version, released in steps. The first run
builds Kubernetes and images, in about twenty minutes on two cores. It can be run again."""


def _prepare(timings: steps.Timings) -> Cluster:
    """Bring up cluster, images, store, operator and data."""
    with timings.step("a real Kubernetes on this machine"):
        cluster = clusters.start(CLUSTER)
    with timings.step("images: built from source, loaded into the cluster"):
        clusters.load_images(CLUSTER)
    with timings.step("S3 with credentials (SeaweedFS in a pod)"):
        keys = install.install_store(cluster)
    with timings.step("helm upgrade --install modelyard"):
        install.install_operator(cluster, keys)
    with timings.step("the digits of scikit-learn, uploaded"):
        install.install_tenant(cluster, keys)
        install.upload_digits(cluster, keys)
    return cluster


def _list(console: Console, cluster: Cluster, kind: str) -> None:
    """Show what `kubectl get` shows."""
    listed = cluster.kubectl("-n", install.TENANT, "get", kind).rstrip()
    console.print(listed, highlight=False, soft_wrap=True)


def _train(cluster: Cluster, timings: steps.Timings, console: Console) -> dict[str, Any]:
    """Train, gate and register; return the ModelVersion."""
    with timings.step("kubectl apply -f examples/01-training.yaml (asks for 1 GPU)"):
        steps.apply_example(cluster, "01-training.yaml")
        training = steps.watch_training(cluster, "digits", console)
        if not steps.holds(training, "Complete"):
            raise StepFailed(steps.condition(training, "Failed").get("message", "not complete"))
        _list(console, cluster, "mtrain")
        name = training["status"]["modelVersionName"]
        version = steps.wait_for(
            lambda: cluster.get("-n", install.TENANT, "mver", name),
            lambda v: steps.holds(v, "Verified"),
            seconds=60,
        )
        _list(console, cluster, "mver")
    return version


def _serve(
    cluster: Cluster, timings: steps.Timings, console: Console, version: dict[str, Any]
) -> str:
    """Serve the version and ask it for two predictions; return them in words."""
    with timings.step("kubectl apply -f examples/02-deployment.yaml"):
        steps.apply_example(cluster, "02-deployment.yaml")
        stable = steps.wait_serving(cluster, "digits", version["metadata"]["name"])["status"][
            "stable"
        ]
        _list(console, cluster, "mdep")
        committed = version["spec"]["artifact"]["manifestDigest"]
        if stable["servedDigest"] != committed:
            raise StepFailed(f"the pods serve {stable['servedDigest']}, not {committed}")
    with timings.step("one prediction over REST, one over gRPC, from a pod"):
        answers = steps.predict(cluster, "digits", "digits")
        for protocol in ("rest", "grpc"):
            label, probability = answers[protocol]
            console.print(
                f"    {protocol}: label [bold]{label}[/] with probability {probability:.3f}"
                f" (true label {answers['label']})"
            )
            if label != answers["label"]:
                raise StepFailed(
                    f"{protocol} predicted {label}, the image shows {answers['label']}"
                )
    return f"REST {answers['rest'][0]}, gRPC {answers['grpc'][0]}; {answers['label']}"


def _refuse(cluster: Cluster, timings: steps.Timings, console: Console) -> str:
    """Run a training that must fail its gate; return the reason."""
    with timings.step("kubectl apply -f examples/06-refused.yaml (must fail its gate)"):
        steps.apply_example(cluster, "06-refused.yaml")
        training = steps.watch_training(cluster, "digits-refused", console)
        failed = steps.condition(training, "Failed")
        if failed.get("reason") != "GatesFailed":
            raise StepFailed(f"the gate let it through: {json.dumps(training.get('status'))}")
        console.print(f"    [yellow]refused[/]: {failed['message']}", soft_wrap=True)
    return str(failed["message"])


def _outcome(
    console: Console, version: dict[str, Any], predicted: str, refused: str, requests: str
) -> None:
    """Print what came out."""
    spec = version["spec"]
    artifact = spec["artifact"]
    accuracy = next(m["value"] for m in spec["metrics"] if m["name"] == "accuracy")
    table = Table(title="What came out")
    table.add_column("what")
    table.add_column("value", overflow="fold")
    table.add_row("version", version["metadata"]["name"])
    table.add_row("accuracy on held-out data", accuracy)
    table.add_row("digest, also of what is served", artifact["manifestDigest"])
    table.add_row("size", f"{artifact['bytes']:,} bytes in {artifact['files']} files")
    table.add_row("prediction, true label", predicted)
    table.add_row("the training that must fail", refused)
    table.add_row("requests during the releases", requests)
    console.print(table)


def _times(console: Console, version: dict[str, Any], timings: steps.Timings) -> None:
    """Print how long each step took, and leave all figures as JSON."""
    times = Table(title="Times")
    times.add_column("step")
    times.add_column("seconds", justify="right")
    for title, seconds in timings.seconds.items():
        times.add_row(title, f"{seconds:.1f}")
    times.add_row("[bold]all[/]", f"[bold]{sum(timings.seconds.values()):.1f}[/]")
    console.print(times)
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(figures(version, timings), indent=1) + "\n")


def figures(version: dict[str, Any], timings: steps.Timings) -> dict[str, Any]:
    """Return what the tables show, in the form of the benchmarks."""
    spec = version["spec"]
    whole = {"all": sum(timings.seconds.values())}
    return {
        "bench": "demo",
        "version": version["metadata"]["name"],
        "digest": spec["artifact"]["manifestDigest"],
        "metrics": {m["name"]: m["value"] for m in spec["metrics"] if m["slice"] == "overall"},
        "figures": [
            {"what": title, "value": round(seconds, 1), "unit": "s"}
            for title, seconds in (timings.seconds | whole).items()
        ],
    }


def _next(console: Console, cluster: Cluster) -> None:
    """Print commands to go on with."""
    console.print("[bold]Go on with[/]")
    for line in (
        clusters.kubectl_hint(cluster),
        f"kubectl -n {install.TENANT} get modelyard",
        f"kubectl modelyard why training/digits-refused -n {install.TENANT}",
        f"kubectl modelyard get deployment/digits -n {install.TENANT}    # the tree",
        f"kubectl -n {install.TENANT} port-forward svc/digits 8501 &"
        " sleep 2; curl localhost:8501/v1/models/digits",
        "kubectl explain mtrain.spec.recipe",
        f"cat {FIGURES.relative_to(ROOT)}    # these tables as JSON",
        "make clean    # removes cluster and environment; what was built stays in the cache",
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo; return the exit code."""
    console = Console()
    timings = steps.Timings(console)
    started = time.monotonic()
    console.print(WELCOME, soft_wrap=True)
    try:
        cluster = _prepare(timings)
        version = _train(cluster, timings, console)
        predicted = _serve(cluster, timings, console, version)
        requests = release.release(cluster, timings, console)
        refused = _refuse(cluster, timings, console)
    except StepFailed as failure:
        console.print(f"[bold red]failed[/] after {time.monotonic() - started:.0f} s: {failure}")
        return 1
    _outcome(console, version, predicted, refused, requests)
    _times(console, version, timings)
    _next(console, cluster)
    return 0


if __name__ == "__main__":
    sys.exit(main())
