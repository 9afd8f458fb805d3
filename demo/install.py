"""Put store, operator and data on a cluster, as a platform team would."""

import io
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from botocore.config import Config
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from demo.cluster import ROOT, Cluster, image_content

SYSTEM = "modelyard-system"
STORE = "modelyard-store"
TENANT = "demo"
BUCKET = "modelyard"
ENDPOINT = f"http://seaweedfs.{STORE}.svc.cluster.local:8333"


def install_store(cluster: Cluster) -> tuple[str, str]:
    """Start SeaweedFS with credentials of its own; return access key and secret key."""
    cluster.apply(Path(__file__).parent / "manifests/store.yaml")
    keys = _store_keys(cluster)
    cluster.kubectl("-n", STORE, "rollout", "status", "deploy/seaweedfs", "--timeout=120s")
    return keys


def _store_keys(cluster: Cluster) -> tuple[str, str]:
    """Return the store's credentials, making them the first time."""
    found = cluster.get("-n", STORE, "secret", "seaweedfs")
    if found:
        identity = json.loads(b64decode(found["data"]["s3.json"]))["identities"][0]
        return identity["credentials"][0]["accessKey"], identity["credentials"][0]["secretKey"]
    access, secret = secrets.token_hex(10), secrets.token_hex(20)
    identity = {
        "name": "modelyard",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    document = json.dumps({"identities": [identity]}).encode()
    cluster.apply(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "seaweedfs", "namespace": STORE},
                "data": {"s3.json": b64encode(document).decode()},
            }
        )
    )
    return access, secret


def store_secret(namespace: str, name: str, keys: tuple[str, str]) -> str:
    """Return the Secret that pods of a namespace take their store credentials from."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]},
        }
    )


def namespace(cluster: Cluster, name: str) -> None:
    """Make a namespace under Pod Security `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))


def install_operator(cluster: Cluster, keys: tuple[str, str], *settings: str) -> None:
    """Install or upgrade the chart with the locally built images, and wait for it."""
    namespace(cluster, SYSTEM)
    cluster.apply(store_secret(SYSTEM, "modelyard-store-operator", keys))
    values = ROOT / "demo/values.yaml"
    chart = str(ROOT / "charts/modelyard")
    flags = ("--namespace", SYSTEM, "--values", str(values), "--wait", "--timeout", "60s")
    # The tag stays the same when the image changes: other content needs other pods.
    content = ("--set-string", f"podAnnotations.image={image_content('operator')}")
    cluster.helm("upgrade", "--install", "modelyard", chart, *flags, *content, *settings)


def install_tenant(cluster: Cluster, keys: tuple[str, str], name: str = TENANT) -> None:
    """Make a tenant's namespace with its credentials for the store `default`."""
    namespace(cluster, name)
    cluster.apply(store_secret(name, "modelyard-store-default", keys))


def digits() -> dict[str, bytes]:
    """Return scikit-learn's digits as two Npz files; every fourth image is held out."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8).astype(np.float32)
    parts = train_test_split(
        images, labels.astype(np.int64), test_size=0.25, random_state=7, stratify=labels
    )
    train_x, eval_x, train_y, eval_y = parts
    return {"train": _npz(train_x, train_y), "eval": _npz(eval_x, eval_y)}


def _npz(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Return the two arrays as the bytes of one Npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, image=images, label=labels)
    return buffer.getvalue()


@contextmanager
def store_client(cluster: Cluster, keys: tuple[str, str]) -> Iterator[Any]:
    """Yield a client of the store, reached through the API server."""
    with cluster.port_forward(STORE, "deploy/seaweedfs", 8333) as port:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
        yield client
        client.close()


def upload_digits(cluster: Cluster, keys: tuple[str, str]) -> int:
    """Put the digits below `datasets/digits/` unless they are there; return bytes uploaded."""
    sent = 0
    with store_client(cluster, keys) as s3:
        for name, content in digits().items():
            key = f"datasets/digits/{name}.npz"
            if not s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["KeyCount"]:
                s3.put_object(Bucket=BUCKET, Key=key, Body=content)
                sent += len(content)
    return sent
