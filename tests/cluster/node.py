"""containerd, the kubelet and kube-proxy: their settings and command lines."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import pause
from tests.cluster.controlplane import POD_RANGE, ControlPlaneSpec
from tests.cluster.deviceplugin.devices import RESOURCE
from tests.cluster.layout import Layout
from tests.cluster.settings import Settings, write_whole
from tests.cluster.tools import Tools

NAME = "node1"
POD_SUBNET = "10.244.0.0/24"
#: In the node, /run is the cluster's own.
NRI_SOCKET = "/var/run/nri/nri.sock"


@dataclass(frozen=True)
class NodeSpec:
    """The one node of a clone's cluster."""

    layout: Layout
    control_plane: ControlPlaneSpec

    @property
    def tools(self) -> Tools:
        return self.control_plane.tools

    @property
    def address(self) -> str:
        """Of the machine and its node alike: the API server listens there too."""
        return self.control_plane.address

    def prepare(self) -> None:
        """Write settings, certificates and kubeconfigs.

        Raises:
            ClusterError: openssl is missing or refuses.
        """
        self.control_plane.authority.issue("kubelet-serving", user=NAME, hosts=[NAME, "127.0.0.1", self.address])
        self.control_plane.kubeconfig("kubelet", user=f"system:node:{NAME}", group="system:nodes")
        self.control_plane.kubeconfig("kube-proxy", user="system:kube-proxy")
        for settings in (self.containerd_settings, self.kubelet_settings, self.kube_proxy_settings):
            settings.write()
        # containerd reads this one anew by itself.
        write_whole(self.layout.state / "cni" / "conf" / "10-fairlead.conflist", json.dumps(self.cni_config(), indent=1))

    @property
    def containerd_settings(self) -> Settings:
        return Settings(self.layout.state / "containerd", ".toml", self.containerd_config())

    @property
    def kubelet_settings(self) -> Settings:
        return Settings(self.layout.state / "kubelet", ".json", json.dumps(self.kubelet_config(), indent=1))

    @property
    def kube_proxy_settings(self) -> Settings:
        return Settings(self.layout.state / "kube-proxy", ".json", json.dumps(self.kube_proxy_config(), indent=1))

    def containerd(self) -> list[str]:
        return [str(self.tools.path("containerd")), f"--config={self.containerd_settings.path}"]

    def kubelet(self) -> list[str]:
        return [
            str(self.tools.path("kubelet")),
            f"--config={self.kubelet_settings.path}",
            f"--kubeconfig={self.layout.state / 'kubelet.kubeconfig'}",
            f"--hostname-override={NAME}",
            f"--root-dir={self.layout.state / 'kubelet' / 'root'}",
            f"--node-ip={self.address}",
        ]

    def kube_proxy(self) -> list[str]:
        return [str(self.tools.path("kube-proxy")), f"--config={self.kube_proxy_settings.path}"]

    def containerd_config(self) -> str:
        """TOML; its strings are written as JSON's are."""
        home = self.layout.state / "containerd"
        runtime, images = "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"
        runc = f'plugins."{runtime}".containerd.runtimes.runc'
        return "\n".join(
            (
                "version = 3",
                f"root = {_quoted(home / 'root')}",
                f"state = {_quoted(home / 'state')}",
                "[grpc]",
                f"address = {_quoted(self.layout.containerd_socket)}",
                "[ttrpc]",
                f"address = {_quoted(self.layout.containerd_socket.with_name('ttrpc.sock'))}",
                '[plugins."io.containerd.internal.v1.opt"]',
                f"path = {_quoted(home / 'opt')}",
                # By it the agent of NetworkPolicies knows whose an address is before the pod sends its first packet: the API
                # tells it later, and what comes from nobody's address passes. The socket is where the agent looks for it.
                '[plugins."io.containerd.nri.v1.nri"]',
                f"socket_path = {_quoted(NRI_SOCKET)}",
                f"plugin_path = {_quoted(home / 'nri' / 'plugins')}",
                f"plugin_config_path = {_quoted(home / 'nri' / 'conf.d')}",
                # By default 5 s and 2 s: an agent that is late on a busy machine would be asked no more.
                'plugin_registration_timeout = "30s"',
                'plugin_request_timeout = "30s"',
                f'[plugins."{images}".pinned_images]',
                f"sandbox = {_quoted(pause.image_name())}",
                f'[plugins."{runtime}"]',
                # Lowering a score needs CAP_SYS_RESOURCE: without it, and without this line, no sandbox starts.
                "restrict_oom_score_adj = true",
                # Device files of a real GPU on this machine stay out.
                f"cdi_spec_dirs = [{_quoted(home / 'cdi')}]",
                f'[plugins."{runtime}".cni]',
                f"bin_dirs = [{_quoted(self.tools.folders['cni'])}]",
                f"conf_dir = {_quoted(self.layout.state / 'cni' / 'conf')}",
                f"[{runc}]",
                'runtime_type = "io.containerd.runc.v2"',
                f"[{runc}.options]",
                "SystemdCgroup = false",
                "",
            )
        )

    def cni_config(self) -> dict[str, Any]:
        """A bridge; pods keep their own addresses towards each other and the node, and reach nothing beyond it."""
        addresses = {
            "type": "host-local",
            "dataDir": str(self.layout.state / "cni" / "addresses"),
            "ranges": [[{"subnet": POD_SUBNET}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        # hairpinMode: a pod that calls its own Service may be chosen as the backend.
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": addresses}
        ports = {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": "fairlead", "plugins": [bridge, ports]}

    def kubelet_config(self) -> dict[str, Any]:
        pki = self.layout.pki
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{self.layout.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.layout.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            # Lowering its own score needs CAP_SYS_RESOURCE too.
            "oomScoreAdj": 0,
            # New GPUs and their health reach the API with the node's status; every 10 s is the default.
            "nodeStatusUpdateFrequency": "2s",
            "nodeStatusReportFrequency": "5m",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.control_plane.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / "kubelet-serving.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet-serving.key"),
            "podLogsDir": str(self.layout.logs / "pods"),
            "volumePluginDir": str(self.layout.state / "kubelet" / "volume-plugins"),
            # No DNS: with an address where nothing listens, a lookup fails at once rather than after a timeout.
            "clusterDNS": ["127.0.0.1"],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            # A developer's nearly full disk is no reason to evict, nor to remove images that no registry gives back.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
        }

    def kube_proxy_config(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.layout.state / "kube-proxy.kubeconfig")},
            "mode": "nftables",
            "clusterCIDR": POD_RANGE,
            "hostnameOverride": NAME,
            # Zero: leave the kernel's limits alone, they hold for the whole machine.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }


def is_ready(found: dict[str, Any]) -> bool:
    """Does the Node object say so?"""
    conditions = found["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def allocatable_gpus(found: dict[str, Any]) -> int:
    """How many GPUs the Node object offers to pods, those in use included."""
    return int(found["status"].get("allocatable", {}).get(RESOURCE, 0))


def _quoted(path: Path | str) -> str:
    return json.dumps(str(path))
