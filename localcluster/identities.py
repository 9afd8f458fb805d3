"""Who is who in a cluster: every component's certificate and kubeconfig."""

from localcluster.kubeconfig import write_kubeconfig
from localcluster.layout import Layout
from localcluster.pki import Authority, Identity, server_hosts, token_keys

MASTERS = ("system:masters",)


ADMINISTRATOR = Identity("modelyard-admin", MASTERS)
PLANE = {
    "kube-controller-manager": Identity("system:kube-controller-manager"),
    "kube-scheduler": Identity("system:kube-scheduler"),
    "coredns": Identity("system:coredns"),
}
"""Component of the control plane to the identity it speaks to the API server with."""


def node_identities(node: str) -> dict[str, Identity]:
    """Return the identities that a node speaks to the API server with, the kubelet's last."""
    return {
        "kube-proxy": Identity("system:kube-proxy"),
        "kubelet": Identity(f"system:node:{node}", ("system:nodes",)),
    }


def write_identities(layout: Layout) -> None:
    """Write every certificate, key and kubeconfig of a node; keep those that exist.

    Resuming a cluster must keep them: running pods hold tokens signed by the old keys.
    """
    last = layout.kubeconfig if layout.first else layout.kubeconfig_of("kubelet")
    if last.exists():
        return
    authority = Authority.open(layout.authority.parent, f"modelyard-{layout.names.cluster}")
    servers, clients = _kubelet_server(layout), node_identities(layout.names.node)
    if layout.first:
        token_keys(layout.pki)
        servers |= _server_identities(layout)
        clients = {**PLANE, **clients}
    for name, identity in servers.items():
        authority.issue(identity).write(layout.pki, name)
    for component, identity in clients.items():
        path = layout.kubeconfig_of(component)
        write_kubeconfig(path, layout.server, authority.certificate, authority.issue(identity))
    if layout.first:
        # Written last: it says that the others are complete.
        admin = authority.issue(ADMINISTRATOR)
        write_kubeconfig(layout.kubeconfig, layout.server, authority.certificate, admin)


def _kubelet_server(layout: Layout) -> dict[str, Identity]:
    node = layout.names.node
    hosts = (node, str(layout.addresses.node))
    return {"kubelet": Identity(f"system:node:{node}", hosts=hosts)}


def _server_identities(layout: Layout) -> dict[str, Identity]:
    addresses = layout.addresses
    return {
        "apiserver": Identity(
            "kube-apiserver", hosts=server_hosts(addresses.node, addresses.api_service)
        ),
        "apiserver-kubelet-client": Identity("kube-apiserver-kubelet-client", MASTERS),
        "front-proxy-client": Identity("front-proxy-client"),
    }
