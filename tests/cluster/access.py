"""What tests need to know of the running cluster of this clone."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import Api
from tests.cluster.kind import node
from tests.cluster.layout import Layout
from tests.cluster.pki import Pair
from tests.cluster.sandbox import Sandbox

#: In the state folder: what `up` chose, for all who come later.
RECORD = "cluster.json"

API_PORT = 6443


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up, made of processes of our own or by kind. Paths are the host's.

    Pods and Services are reached from the node's network only: `nsenter --net=<netns_path> curl …`. The API server, logs,
    exec and port-forward work from the host with `kubeconfig`.
    """

    name: str
    state: Path
    kubeconfig: Path
    bin_dirs: tuple[Path, ...]
    netns_path: Path
    #: Where the API server listens.
    node_address: str
    api_port: int
    audit_log: Path
    #: What a ctr command starts with to speak to this cluster's containerd, in the namespace that the kubelet uses.
    ctr: tuple[str, ...]
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
        bin_dirs = tuple(Path(each) for each in record["bin_dirs"])
        if made_by(layout) == node.KIND:
            pid = node.pid(layout)
            if not pid:
                return None
            netns, ctr = Path(f"/proc/{pid}/ns/net"), node.ctr(layout)
        else:
            if not Sandbox(layout).whole():
                return None
            netns = layout.netns
            ctr = (_program("ctr", bin_dirs), f"--address={layout.containerd_socket}", "--namespace=k8s.io")
        return cls(
            name=layout.name,
            state=layout.state,
            kubeconfig=layout.kubeconfig,
            bin_dirs=bin_dirs,
            netns_path=netns,
            node_address=record["node_address"],
            api_port=record.get("api_port", API_PORT),
            audit_log=layout.audit_log,
            ctr=ctr,
            gpus=layout.gpus,
            unhealthy_gpus=layout.unhealthy_gpus,
            models=layout.models,
        )

    def program(self, name: str) -> Path:
        """Where a program of the tools lies.

        Raises:
            FileNotFoundError: no module builds one of that name.
        """
        return Path(_program(name, self.bin_dirs))

    @property
    def kubectl(self) -> Path:
        return self.program("kubectl")

    @property
    def helm(self) -> Path:
        return self.program("helm")

    @property
    def api(self) -> Api:
        """As administrator."""
        pki = self.state / "pki"
        return Api(self.node_address, self.api_port, pki / "ca.crt", Pair(pki / "admin.crt", pki / "admin.key"))


def made_by(layout: Layout) -> str | None:
    """Who made the cluster whose state folder lies there: node.KIND or node.NATIVE; None where there is none."""
    if not layout.state.exists():
        return None
    return node.KIND if (layout.state / node.MARK).exists() else node.NATIVE


def _program(name: str, folders: tuple[Path, ...]) -> str:
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    raise FileNotFoundError(name)
