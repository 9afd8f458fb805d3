"""The programs of a node and their arguments, in the order they start. Pure."""

from dataclasses import dataclass

from localcluster.layout import Layout
from localcluster.naming import API_PORT

ISSUER = "https://kubernetes.default.svc.cluster.local"
WORKER = "localcluster/worker"
"""Label of all nodes but the first: what must survive their loss asks for nodes without it."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """One program that `localcluster.init` keeps running.

    Attributes:
        name: names the log file.
        command: program and arguments.
        needs_api: start it only once the API server is ready, so that it does not back off.
    """

    name: str
    command: tuple[str, ...]
    needs_api: bool = False


def node_daemons(layout: Layout) -> list[Daemon]:
    """Return what a node runs; the control plane runs on the first."""
    own = [
        Daemon("containerd", ("containerd", "--config", str(layout.config / "containerd.toml"))),
        _kubelet(layout),
        Daemon("kube-proxy", ("kube-proxy", f"--config={layout.config}/kube-proxy.yaml"), True),
    ]
    if not layout.first:
        return own
    dns = Daemon("coredns", ("coredns", "-conf", str(layout.config / "Corefile")), True)
    plane = [_controller_manager(layout), _scheduler(layout)]
    return [_etcd(layout), _api_server(layout), *own, *plane, dns]


def etcd_flags(data: str, client: str, peer: str) -> tuple[str, ...]:
    """Return the flags of a single etcd whose data may be lost with the machine."""
    return (
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def token_flags(pki: str) -> tuple[str, ...]:
    """Return the API server's flags for clients and ServiceAccount tokens."""
    return (
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
    )


def controller_flags(pki: str, kubeconfig: str) -> tuple[str, ...]:
    """Return the controller manager's flags that do not depend on the network."""
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--leader-elect=false",
    )


def _etcd(layout: Layout) -> Daemon:
    data = str(layout.storage("etcd"))
    flags = etcd_flags(data, "http://127.0.0.1:2379", "http://127.0.0.1:2380")
    return Daemon("etcd", ("etcd", *flags))


def _api_server(layout: Layout) -> Daemon:
    pki = str(layout.pki)
    return Daemon(
        "kube-apiserver",
        (
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={layout.addresses.node}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={layout.addresses.services}",
            *token_flags(pki),
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            # By default the server would resolve the node's name, and there is no DNS for it.
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--requestheader-client-ca-file={pki}/ca.crt",
            f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
            f"--proxy-client-key-file={pki}/front-proxy-client.key",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ),
    )


def _controller_manager(layout: Layout) -> Daemon:
    kubeconfig = str(layout.kubeconfig_of("kube-controller-manager"))
    flags = controller_flags(str(layout.pki), kubeconfig)
    more = (
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=false",
        f"--cluster-cidr={layout.addresses.pods}",
    )
    name = "kube-controller-manager"
    return Daemon(name, (name, *flags, *more), needs_api=True)


def _scheduler(layout: Layout) -> Daemon:
    kubeconfig = layout.kubeconfig_of("kube-scheduler")
    options = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    flags = [f"--{option}={kubeconfig}" for option in options]
    return Daemon("kube-scheduler", ("kube-scheduler", *flags, "--leader-elect=false"), True)


def _kubelet(layout: Layout) -> Daemon:
    return Daemon(
        "kubelet",
        (
            "kubelet",
            f"--config={layout.config}/kubelet.yaml",
            f"--kubeconfig={layout.kubeconfig_of('kubelet')}",
            f"--hostname-override={layout.names.node}",
            f"--node-ip={layout.addresses.node}",
            *([] if layout.first else [f"--node-labels={WORKER}=true"]),
            f"--root-dir={layout.storage('kubelet')}",
            f"--cert-dir={layout.pki}",
        ),
        needs_api=True,
    )
