"""The node's programs in the order in which they start: their command lines and the files these name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.node.layout import (
    ADDRESS,
    API_PORT,
    BRIDGE,
    CGROUP,
    CONTAINERD_SOCKET,
    FIRST_POD,
    METRICS_PORT,
    NAME,
    POD_SUBNET,
    SERVICE_SUBNET,
    Layout,
)

PAUSE_IMAGE = "localhost/tollway/pause:1"
DOMAIN = "cluster.local"
_CNI_PLUGINS = "/usr/lib/cni"  # Debian's containernetworking-plugins


@dataclass(frozen=True)
class Component:
    command: list[str]
    ready: str = ""  # a path of the API server that answers when it is time to go on


def components(layout: Layout, binaries: Mapping[str, Path]) -> dict[str, Component]:
    """By name. Their configuration has been written when this returns."""
    made = {
        "etcd": _etcd(layout),
        "kube-apiserver": _apiserver(layout),
        "kube-controller-manager": _controller_manager(layout),
        "kube-scheduler": Component([f"--kubeconfig={layout.kubeconfig}", "--leader-elect=false"]),
        "containerd": Component(["--config", str(_containerd_config(layout, binaries))]),
        "coredns": Component(["-conf", str(_corefile(layout))]),
        "kubelet": _kubelet(layout),
        "kube-proxy": Component(
            [
                f"--kubeconfig={layout.kubeconfig}",
                "--proxy-mode=iptables",
                "--conntrack-max-per-core=0",
                f"--hostname-override={NAME}",
                # All pods are on one bridge: an answer would otherwise go past the rules that sent the question.
                "--masquerade-all",
            ]
        ),
        "metrics-server": _metrics_server(layout),
    }
    return {
        name: Component([str(binaries[name]), *component.command], component.ready)
        for name, component in made.items()
    }


def _etcd(layout: Layout) -> Component:
    return Component(
        [
            "--name=default",
            f"--data-dir={layout.root}/etcd",
            "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=default=http://127.0.0.1:2380",
            "--log-level=error",
        ]
    )


def _apiserver(layout: Layout) -> Component:
    keys = layout.certificates
    return Component(
        [
            "--etcd-servers=http://127.0.0.1:2379",
            f"--bind-address={ADDRESS}",
            f"--advertise-address={ADDRESS}",
            f"--secure-port={API_PORT}",
            f"--tls-cert-file={keys}/apiserver.crt",
            f"--tls-private-key-file={keys}/apiserver.key",
            f"--service-cluster-ip-range={SERVICE_SUBNET}",
            "--allow-privileged=true",
            "--authorization-mode=RBAC",
            f"--token-auth-file={keys}/tokens.csv",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys}/sa.pub",
            f"--service-account-signing-key-file={keys}/sa.key",
            "--kubelet-preferred-address-types=InternalIP",
            # What it says of callers to those that serve a part of its API, such as metrics-server.
            f"--requestheader-client-ca-file={keys}/ca.crt",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={keys}/front-proxy.crt",
            f"--proxy-client-key-file={keys}/front-proxy.key",
        ],
        ready="/readyz",
    )


def _controller_manager(layout: Layout) -> Component:
    return Component(
        [
            f"--kubeconfig={layout.kubeconfig}",
            "--leader-elect=false",
            f"--service-account-private-key-file={layout.certificates}/sa.key",
            f"--root-ca-file={layout.certificates}/ca.crt",
            "--horizontal-pod-autoscaler-sync-period=5s",
        ],
        ready="/api/v1/namespaces/default/serviceaccounts/default",
    )


def _containerd_config(layout: Layout, binaries: Mapping[str, Path]) -> Path:
    network = {
        "cniVersion": "1.0.0",
        "name": "tollway",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_SUBNET, "rangeStart": FIRST_POD, "gateway": ADDRESS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    _write(layout.configuration / "cni" / "tollway.conflist", json.dumps(network))
    shim = binaries["containerd-shim-runc-v2"]
    return _write(
        layout.configuration / "containerd.toml",
        f"""\
version = 3
root = "{layout.root}/containerd"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins.'io.containerd.cri.v1.images']
pinned_images = {{ sandbox = "{PAUSE_IMAGE}" }}

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true # where CAP_SYS_RESOURCE is missing, runc may not lower it
netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{_CNI_PLUGINS}"]
conf_dir = "{layout.configuration}/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = "{shim}"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
""",
    )


def _corefile(layout: Layout) -> Path:
    text = f"""\
.:53 {{
    bind {ADDRESS}
    errors
    kubernetes {DOMAIN} {{
        kubeconfig {layout.kubeconfig}
    }}
    cache 5
}}
"""
    return _write(layout.configuration / "Corefile", text)


def _kubelet(layout: Layout) -> Component:
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "resolvConf": "",
        "clusterDNS": [ADDRESS],
        "clusterDomain": DOMAIN,
        "localStorageCapacityIsolation": False,
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "syncFrequency": "10s",  # how late a mounted Secret is renewed
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        # The disk is the whole machine's, and how full it is says nothing about the node.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    }
    path = _write(layout.configuration / "kubelet.yaml", yaml.safe_dump(config))
    return Component(
        [
            f"--config={path}",
            f"--kubeconfig={layout.kubeconfig}",
            f"--hostname-override={NAME}",
            f"--node-ip={ADDRESS}",
        ],
        ready=f"/api/v1/nodes/{NAME}",
    )


def _metrics_server(layout: Layout) -> Component:
    return Component(
        [
            f"--kubeconfig={layout.kubeconfig}",
            f"--authentication-kubeconfig={layout.kubeconfig}",
            f"--authorization-kubeconfig={layout.kubeconfig}",
            f"--bind-address={ADDRESS}",
            f"--secure-port={METRICS_PORT}",
            f"--cert-dir={layout.configuration}/metrics-server",
            "--kubelet-insecure-tls",
            "--kubelet-preferred-address-types=InternalIP",
            "--metric-resolution=10s",  # the least it takes, which must be more than the next
            "--kubelet-request-timeout=5s",
        ]
    )


def metrics_api() -> list[dict[str, Any]]:
    """The objects by which the API server finds metrics-server, which is no pod here."""
    place = {"name": "metrics-server", "namespace": "kube-system"}
    api = {
        "group": "metrics.k8s.io", "version": "v1beta1", "service": place, "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100, "versionPriority": 100,
    }  # fmt: skip
    of_service = {**place, "labels": {"kubernetes.io/service-name": "metrics-server"}}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": {"ports": [{"port": 443}]}},
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": of_service,
            "addressType": "IPv4", "endpoints": [{"addresses": [ADDRESS]}], "ports": [{"port": METRICS_PORT}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": api,
        },
    ]  # fmt: skip


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
