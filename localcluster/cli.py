"""The commands of `python -m localcluster`: thin calls of the other modules."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from localcluster import binaries, current, gateway_api, images, prerequisites, status
from localcluster.cluster import NativeCluster, load_archive
from localcluster.envtest import run_until_interrupted
from localcluster.errors import Refused
from localcluster.naming import MAX_NODES
from localcluster.state import read_state

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Name = Annotated[str, typer.Option("--name", help="The cluster's name.")]
Node = Annotated[int, typer.Option("--node", help="The node's number, counted from 1.")]
ImageNames = Annotated[list[str], typer.Argument(help="Image names, or `all`.")]
DEFAULT = "yard"


class Provider(StrEnum):
    """Where the cluster comes from."""

    NATIVE = "native"
    CURRENT = "current"


@app.command()
def up(
    name: Name = DEFAULT,
    provider: Annotated[Provider, typer.Option(help="native or current")] = Provider.NATIVE,
    nodes: Annotated[
        int, typer.Option(min=1, max=MAX_NODES, help="With `native`: at least so many nodes.")
    ] = 1,
    registry: Annotated[str, typer.Option(help="With `current`: push images here.")] = "",
    load_command: Annotated[
        str, typer.Option(help="With `current`: how to load `{archive}`, an OCI archive.")
    ] = "",
) -> None:
    """Start the cluster, or find it running, and print how to reach it."""
    if provider is Provider.CURRENT:
        current.adopt(name, registry, load_command)
    else:
        NativeCluster(name, say).up(nodes)
    env(name)


@app.command()
def down(name: Name = DEFAULT) -> None:
    """End the cluster; nothing of it stays except what was built."""
    state = read_state(name)
    if state and state.provider == Provider.CURRENT:
        current.forget(name)
    else:
        NativeCluster(name, say).down()
    say(f"cluster {name} is gone")


@app.command("status")
def show_status(name: Name = DEFAULT) -> None:
    """Say whether the cluster runs; ends with 1 if it does not."""
    if not status.show(name):
        raise typer.Exit(1)


@app.command()
def env(name: Name = DEFAULT) -> None:
    """Print the exports that point kubectl at the cluster."""
    exports = status.exports(name)
    for key, value in exports.items():
        print(f'export {key}="{value}"')


@app.command()
def build() -> None:
    """Build Kubernetes and its runtime, unless they are in the cache."""
    for modules in (binaries.kubernetes(), binaries.runtime()):
        print(binaries.Builder(modules, say).ensure())


@app.command("prerequisites")
def install_prerequisites() -> None:
    """Install the Debian packages that clusters and image builds need."""
    programs = prerequisites.NODE_PROGRAMS | prerequisites.IMAGE_PROGRAMS
    prerequisites.install(programs, say)
    binaries.go_version()
    say("nothing is missing")


@app.command("images")
def build_images(names: ImageNames) -> None:
    """Build images, unless their inputs are unchanged."""
    for name in images.select(names):
        print(images.reference(name), images.build(name, say))


@app.command()
def load(names: ImageNames, name: Name = DEFAULT) -> None:
    """Put images into the cluster, built first if needed; what it has is skipped."""
    state = read_state(name)
    for image in images.select(names):
        archive = images.build(image, say)
        if state and state.provider == Provider.CURRENT:
            current.load(state, image, archive)
            loaded = True
        else:
            loaded = load_archive(NativeCluster(name, say), archive)
        say(f"{images.reference(image)} {'loaded' if loaded else 'is there already'}")


@app.command()
def push(
    names: ImageNames,
    registry: Annotated[str, typer.Option(help="Where to, such as registry.example/modelyard.")],
) -> None:
    """Push images to a registry."""
    for image in images.select(names):
        print(images.push(image, registry, say))


@app.command("gateway-crds")
def gateway_crds() -> None:
    """Print the files of the Gateway API's CRDs, fetched once."""
    for file in gateway_api.definitions(say):
        print(file)


@app.command("fake-gpus")
def fake_gpus(count: int, name: Name = DEFAULT, node: Node = 1) -> None:
    """Let a node claim COUNT GPUs: Jobs that ask for some are scheduled, and run on the CPU."""
    NativeCluster(name, say).fake_gpus(count, node)
    say(f"node {node} of {name} offers {count} GPUs")


@app.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
def execute(command: list[str], name: Name = DEFAULT, node: Node = 1) -> None:
    """Run a command in a node's network, mount and pid namespaces, as in `exec -- kubectl …`."""
    inside = NativeCluster(name, say).inside(*command, number=node)
    os.execvp(inside[0], inside)  # noqa: S606 - the user's command, as an argument list


@app.command()
def envtest(
    controller_manager: Annotated[bool, typer.Option(help="Also run the controllers.")] = False,
) -> None:
    """Run an API server and etcd on loopback ports until interrupted; needs no root."""
    run_until_interrupted(controller_manager)


def say(line: str) -> None:
    """Print one line of progress; standard output is kept for results."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Run the command line; what a person must fix is one line, not a traceback."""
    try:
        app(prog_name="python -m localcluster")
    except Refused as refused:
        say(f"localcluster: {refused}")
        sys.exit(1)
