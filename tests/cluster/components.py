"""The processes of a cluster, in the order in which they start, and how each is told from the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM

from tests.cluster.errors import ClusterError
from tests.cluster.processes import Process
from tests.cluster.progress import tail, wait_until
from tests.cluster.sandbox import Sandbox

#: Component -> a word that only its command line holds, in one of the first MARKED places as a whole or a path's last part.
MARKS = {
    "etcd": "server",
    "apiserver": "kube-apiserver",
    "containerd": "containerd",
    "controller-manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "kubelet": "kubelet",
    "kube-proxy": "kube-proxy",
    "network-policies": "cmd",
    "device-plugin": "tests.cluster.deviceplugin",
}
_MARKED = 3


@dataclass(frozen=True)
class Component:
    """What to run under a name of MARKS."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


def running(name: str, processes: Sequence[Process]) -> Process | None:
    """The component's process, among those of the node."""
    for process in processes:
        words = [word for word in process.argv[:_MARKED] if not word.startswith("-")]
        if MARKS[name] in {Path(word).name for word in words}:
            return process
    return None


def stop(sandbox: Sandbox, name: str) -> None:
    """End the component, where it runs.

    Raises:
        ClusterError: it does not stop.
    """
    process = running(name, sandbox.processes())
    if process is not None:
        process.end(SIGTERM, seconds=30)


def ensure(sandbox: Sandbox, component: Component) -> bool:
    """Start the component unless it runs with this very command line; an older one is stopped first. True if it started.

    Raises:
        ClusterError: it could not be started, or the older one does not stop.
    """
    process = running(component.name, sandbox.processes())
    if process is not None:
        if process.argv == tuple(component.argv):
            return False
        stop(sandbox, component.name)
    sandbox.start(component.name, component.argv, component.env)
    log = sandbox.layout.logs / f"{component.name}.log"
    try:
        wait_until("It", lambda: running(component.name, sandbox.processes()) is not None, seconds=10, every=0.02)
    except ClusterError:
        raise ClusterError(f"{component.name} ended as soon as it started:\n{tail(log)}") from None
    return True
