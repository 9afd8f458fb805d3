"""Who is who in a cluster: every component's certificate and kubeconfig."""

from localcluster.kubeconfig import write_kubeconfig
from localcluster.layout import Layout
from localcluster.pki import Authority, Identity, server_hosts, token_keys

MASTERS = ("system:masters",)


def client_identities(node: str) -> dict[str, Identity]:
    """Return component to the identity it speaks to the API server with."""
    return {
        "admin": Identity("modelyard-admin", MASTERS),
        "kube-controller-manager": Identity("system:kube-controller-manager"),
        "kube-scheduler": Identity("system:kube-scheduler"),
        "kube-proxy": Identity("system:kube-proxy"),
        "coredns": Identity("system:coredns"),
        "kubelet": Identity(f"system:node:{node}", ("system:nodes",)),
    }


def write_identities(layout: Layout) -> None:
    """Write every certificate, key and kubeconfig of a cluster; keep those that exist.

    Resuming a cluster must keep them: running pods hold tokens signed by the old keys.
    """
    if layout.kubeconfig.exists():
        return
    authority = Authority.open(layout.pki, f"modelyard-{layout.names.cluster}")
    token_keys(layout.pki)
    for name, identity in _server_identities(layout).items():
        authority.issue(identity).write(layout.pki, name)
    for component, identity in client_identities(layout.names.node).items():
        if component != "admin":
            path = layout.kubeconfig_of(component)
            write_kubeconfig(path, layout.server, authority.certificate, authority.issue(identity))
    admin = authority.issue(client_identities(layout.names.node)["admin"])
    # Written last: it says that the others are complete.
    write_kubeconfig(layout.kubeconfig, layout.server, authority.certificate, admin)


def _server_identities(layout: Layout) -> dict[str, Identity]:
    addresses = layout.addresses
    node = layout.names.node
    return {
        "apiserver": Identity(
            "kube-apiserver", hosts=server_hosts(addresses.node, addresses.api_service)
        ),
        "kubelet": Identity(f"system:node:{node}", hosts=(node, str(addresses.node))),
        "apiserver-kubelet-client": Identity("kube-apiserver-kubelet-client", MASTERS),
        "front-proxy-client": Identity("front-proxy-client"),
    }
