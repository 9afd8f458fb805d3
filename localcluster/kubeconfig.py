"""Kubeconfig files."""

import base64
import os
from pathlib import Path

import yaml

from localcluster.pki import Credentials


def write_kubeconfig(path: Path, server: str, authority: bytes, user: Credentials) -> Path:
    """Write a kubeconfig with embedded certificates, readable by the owner alone.

    Args:
        path: the file.
        server: the API server's URL.
        authority: PEM of the authority that signed the server's certificate.
        user: the client's certificate and key.

    Returns:
        The path, for chaining.
    """
    path.touch(mode=0o600)
    os.chmod(path, 0o600)
    path.write_text(yaml.safe_dump(_content(server, authority, user), sort_keys=False))
    return path


def _content(server: str, authority: bytes, user: Credentials) -> dict[str, object]:
    cluster = {"server": server, "certificate-authority-data": _encoded(authority)}
    identity = {
        "client-certificate-data": _encoded(user.certificate),
        "client-key-data": _encoded(user.key),
    }
    name = "modelyard"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": identity}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
