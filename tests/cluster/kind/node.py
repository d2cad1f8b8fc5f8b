"""The node of a kind cluster: a container of Docker, found by its name."""

import subprocess

from tests.cluster.layout import Layout

#: What CLUSTER=… may say.
KIND, NATIVE = "kind", "native"
#: In the state folder of a cluster that kind made, from its beginning on.
MARK = "kind.yaml"


def name(layout: Layout) -> str:
    """As kind names it."""
    return f"{layout.name}-control-plane"


def pid(layout: Layout) -> int:
    """The machine's number of its first process; 0 where no such container runs, or Docker does not answer."""
    command = ["docker", "inspect", "--type=container", "--format={{.State.Pid}}", name(layout)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return 0
    return int(done.stdout) if done.returncode == 0 else 0


def exists(layout: Layout) -> bool:
    """Is there such a container, running or not?"""
    command = ["docker", "inspect", "--type=container", name(layout)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def ctr(layout: Layout) -> tuple[str, ...]:
    return ("docker", "exec", "--interactive", name(layout), "ctr", "--namespace=k8s.io")
