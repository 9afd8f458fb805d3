"""The provider `current`: use the cluster that the present kubeconfig names, such as kind."""

import os
import shlex
import shutil
from pathlib import Path

from localcluster import images
from localcluster.commands import run
from localcluster.errors import Refused
from localcluster.folders import cluster_folder
from localcluster.naming import check_name
from localcluster.state import ClusterState


def adopt(name: str, registry: str, load_command: str) -> Path:
    """Remember the present kubeconfig's cluster under a name; return the kubeconfig kept for it.

    Raises:
        Refused: kubectl is missing, or the cluster does not answer.
    """
    folder = cluster_folder(check_name(name))
    run("kubectl", "get", "--raw=/readyz", "--request-timeout=10s")
    config = run("kubectl", "config", "view", "--raw", "--minify", "--flatten")
    ClusterState("current", registry=registry, load_command=load_command).write(name)
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    os.chmod(kubeconfig, 0o600)
    kubeconfig.write_text(config)
    return kubeconfig


def forget(name: str) -> None:
    """Forget a cluster; the cluster itself goes on."""
    shutil.rmtree(cluster_folder(name), ignore_errors=True)


def load(state: ClusterState, image: str, archive: Path) -> None:
    """Bring an image to the cluster: with the user's command, else by a push.

    Raises:
        Refused: neither was given to `up`.
    """
    if state.load_command:
        words = shlex.split(state.load_command)
        run(*(word.replace("{archive}", str(archive)) for word in words))
    elif state.registry:
        images.push(image, state.registry)
    else:
        raise Refused(
            "this cluster's images cannot be reached",
            "run `up` again with --load-command 'kind load image-archive {archive}' or --registry",
        )
