"""Configuration files of the node's daemons, as text. Pure: a layout in, file contents out."""

import json
from typing import Any

import yaml

from localcluster.layout import CONTAINERD_SOCKET, Layout

PAUSE_IMAGE = "localhost/modelyard/pause:dev"
CLUSTER_DOMAIN = "cluster.local"


def config_files(layout: Layout) -> dict[str, str]:
    """Return file name (below the layout's config folder) to content."""
    files = {
        "containerd.toml": containerd(layout),
        "cni/10-modelyard.conflist": json.dumps(pod_network(layout), indent=2),
        "kubelet.yaml": yaml.safe_dump(kubelet(layout), sort_keys=False),
        "kube-proxy.yaml": yaml.safe_dump(kube_proxy(layout), sort_keys=False),
        "node-resolv.conf": node_resolver(layout),
        # Pods with `dnsPolicy: Default` get an empty file: there is no network to resolve in.
        "pod-resolv.conf": "",
        "firewall.nft": firewall(layout),
    }
    if layout.first:
        files["Corefile"] = corefile(layout)
        files["dns.yaml"] = yaml.safe_dump_all(dns_objects(layout), sort_keys=False)
    return files


def containerd(layout: Layout) -> str:
    """Return containerd's configuration.

    `restrict_oom_score_adj` lets pods start where root lacks CAP_SYS_RESOURCE.
    """
    runtime = 'plugins."io.containerd.cri.v1.runtime"'
    return f"""version = 3
root = "{layout.storage("containerd")}"
state = "/run/containerd"
temp = "{layout.storage("temporary")}"
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"
[{runtime}]
restrict_oom_score_adj = true
[{runtime}.cni]
bin_dirs = ["{layout.programs.runtime / "cni"}"]
conf_dir = "{layout.config / "cni"}"
[{runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{runtime}.containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def pod_network(layout: Layout) -> dict[str, Any]:
    """Return the CNI chain: a bridge without masquerading, and host ports."""
    addresses = {
        "type": "host-local",
        "dataDir": str(layout.storage("pod-addresses")),
        "ranges": [[{"subnet": str(layout.addresses.node_pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": addresses,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "modelyard", "plugins": [bridge, ports]}


def kubelet(layout: Layout) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    authority = str(layout.authority)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": authority},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.names.cgroup}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [str(layout.addresses.dns_service)],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(layout.config / "pod-resolv.conf"),
        # A developer's disk is often nearly full; pods must not be evicted for that.
        "evictionHard": {
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "memory.available": "100Mi",
        },
        # Images exist only here: what the collector deletes cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "maxPods": 250,
        "serializeImagePulls": False,
    }


def kube_proxy(layout: Layout) -> dict[str, Any]:
    """Return kube-proxy's configuration: nftables, and no writes to the machine's conntrack."""
    conntrack = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s"}
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig_of("kube-proxy"))},
        "clusterCIDR": str(layout.addresses.pods),
        "hostnameOverride": layout.names.node,
        "mode": "nftables",
        "conntrack": {**conntrack, "tcpCloseWaitTimeout": "0s"},
    }


def corefile(layout: Layout) -> str:
    """Return CoreDNS's configuration: the cluster's own names and nothing else."""
    return f""".:53 {{
  bind {layout.addresses.node}
  errors
  kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
    kubeconfig {layout.kubeconfig_of("coredns")}
    pods insecure
  }}
  cache 5
}}
"""


def node_resolver(layout: Layout) -> str:
    """Return the node's resolv.conf, so that `exec` can use Service names."""
    searched = f"svc.{CLUSTER_DOMAIN} {CLUSTER_DOMAIN}"
    return f"search {searched}\nnameserver {layout.addresses.first.node}\noptions ndots:5\n"


def firewall(layout: Layout) -> str:
    """Return rules that keep the cluster's traffic inside.

    Only the first node itself may answer the machine. Without this, a pod's packet to the machine
    would be answered along the machine's default route, into a real network. In the output chain a
    packet that kube-proxy sent on to a pod still shows the link it was first routed to. The link of
    another node leads to the first node, and carries what is for nodes and pods.
    """
    addresses = layout.addresses
    forwarded = "" if layout.first else f"ip daddr != {{ {addresses.nodes}, {addresses.pods} }} "
    near = addresses.link if layout.first else addresses.nodes
    return f"""table inet modelyard {{
  chain forward {{
    type filter hook forward priority filter;
    oifname "eth0" {forwarded}reject
  }}
  chain output {{
    type filter hook output priority filter;
    oifname "eth0" ip daddr != {{ {near}, {addresses.pods} }} reject
  }}
}}
"""


def dns_objects(layout: Layout) -> list[dict[str, Any]]:
    """Return the Service of CoreDNS, which is a process of the node, and its rights."""
    name = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**name, "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": str(layout.addresses.dns_service), "ports": ports},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**name, "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [str(layout.addresses.node)]}],
    }
    return [service, endpoints, *_dns_rights()]


def _dns_rights() -> list[dict[str, Any]]:
    read = ["list", "watch"]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": read},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        ],
    }
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "system:coredns"}],
    }
    return [role, binding]
