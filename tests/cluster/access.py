"""What tests need to know of the running cluster of this clone."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import Api
from tests.cluster.layout import Layout
from tests.cluster.pki import Pair
from tests.cluster.sandbox import Sandbox

#: In the state folder: what `up` chose, for all who come later.
RECORD = "cluster.json"

API_PORT = 6443


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up. Paths are the host's.

    Pods and Services are reached from the node's network only: `nsenter --net=<netns_path> curl …`. The API server, logs,
    exec and port-forward work from the host with `kubeconfig`.
    """

    name: str
    state: Path
    kubeconfig: Path
    bin_dirs: tuple[Path, ...]
    netns_path: Path
    node_address: str
    audit_log: Path
    containerd_socket: Path
    gpus: Path
    #: UUIDs of GPUs that the device plugin shall call unhealthy, one a line; may be missing.
    unhealthy_gpus: Path
    models: Path

    @classmethod
    def find(cls, layout: Layout | None = None) -> "Cluster | None":
        """This clone's cluster; None if it is not up (or its `up` has not come to its end)."""
        layout = layout or Layout.of_this_clone()
        try:
            record = json.loads((layout.state / RECORD).read_text())
        except FileNotFoundError:
            return None
        if not Sandbox(layout).whole():
            return None
        return cls(
            name=layout.name,
            state=layout.state,
            kubeconfig=layout.kubeconfig,
            bin_dirs=tuple(Path(each) for each in record["bin_dirs"]),
            netns_path=layout.netns,
            node_address=record["node_address"],
            audit_log=layout.audit_log,
            containerd_socket=layout.containerd_socket,
            gpus=layout.gpus,
            unhealthy_gpus=layout.unhealthy_gpus,
            models=layout.models,
        )

    def program(self, name: str) -> Path:
        """Where a program of the tools lies.

        Raises:
            FileNotFoundError: no module builds one of that name.
        """
        for folder in self.bin_dirs:
            if (folder / name).exists():
                return folder / name
        raise FileNotFoundError(name)

    @property
    def kubectl(self) -> Path:
        return self.program("kubectl")

    @property
    def helm(self) -> Path:
        return self.program("helm")

    @property
    def ctr(self) -> tuple[str, ...]:
        """What a ctr command starts with to speak to this cluster's containerd, in the namespace that the kubelet uses."""
        return (str(self.program("ctr")), f"--address={self.containerd_socket}", "--namespace=k8s.io")

    @property
    def api(self) -> Api:
        """As administrator."""
        pki = self.state / "pki"
        return Api(self.node_address, API_PORT, pki / "ca.crt", Pair(pki / "admin.crt", pki / "admin.key"))
