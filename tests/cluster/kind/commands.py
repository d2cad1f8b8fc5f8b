"""up, down, status and images for a cluster of kind. With DRY_RUN they print what they would run on a machine with none."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.cluster import tools
from tests.cluster.access import RECORD, Cluster
from tests.cluster.deviceplugin import devices
from tests.cluster.errors import ClusterError
from tests.cluster.gpus import make_gpus
from tests.cluster.images.cache import key
from tests.cluster.kind import node
from tests.cluster.kind.config import Place
from tests.cluster.kind.kubeconfig import unpack
from tests.cluster.kind.plan import Plan, Programs, Tags
from tests.cluster.kind.steps import Runner
from tests.cluster.layout import REPOSITORY, Layout
from tests.cluster.locking import locked, remove_lock
from tests.cluster.nvml import build as nvml
from tests.cluster.settings import write_whole


def up(layout: Layout, gpus: int | None, *, dry: bool) -> Cluster | None:
    """Bring the cluster up with this many fake GPUs (None: as many as it has); None if it was only shown.

    Raises:
        ClusterError: Docker does not answer, or a command failed.
    """
    start = time.monotonic()
    runner = Runner(layout.logs, dry)
    if dry:
        plan = _plan(layout, Programs(Path("kind"), Path("kubectl"), Path("helm")))
        runner.do([*plan.create(), *plan.advertise_gpus(tags().device_plugin, gpus or devices.COUNT)])
        return None
    check_machine()
    plan = _plan(layout, _programs(layout))
    with locked(layout):
        nvml.build(layout.cache)
        for folder in (layout.state, layout.logs, layout.models):
            folder.mkdir(parents=True, exist_ok=True)
        wanted = gpus or len(list(layout.gpus.iterdir()) if layout.gpus.exists() else ()) or devices.COUNT
        make_gpus(layout, wanted)
        if not node.exists(layout):
            runner.do(plan.create())
        elif not node.pid(layout):
            runner.do(plan.restart())
        runner.do(plan.advertise_gpus(tags().device_plugin, wanted))
        address, port = unpack(plan.programs.kubectl, layout)
        folders = [str(each.parent) for each in (plan.programs.kubectl, plan.programs.helm)]
        write_whole(layout.state / RECORD, json.dumps({"node_address": address, "api_port": port, "bin_dirs": folders}))
        cluster = Cluster.find(layout)
    if cluster is None:
        raise ClusterError(f"The node's container {node.name(layout)} has ended: `docker logs {node.name(layout)}`")
    runner.tell(f"The cluster of kind is up after {time.monotonic() - start:.0f} s")
    return cluster


def down(layout: Layout, *, dry: bool) -> None:
    """Remove the cluster and its state folder.

    Raises:
        ClusterError: Docker does not answer, or kind cannot remove the node.
    """
    runner = Runner(layout.logs, dry)
    if dry:
        runner.do(_plan(layout, Programs(Path("kind"), Path("kubectl"), Path("helm"))).delete())
        return
    check_machine()
    with locked(layout):
        runner.do(_plan(layout, _programs(layout)).delete())
        if layout.state.exists():
            shutil.rmtree(layout.state)
        remove_lock(layout)
    runner.tell("The cluster of kind is down")


def status(layout: Layout) -> tuple[str, bool]:
    """The text to print, and whether the node is up and ready."""
    cluster = Cluster.find(layout)
    if cluster is None:
        return f"{node.name(layout)} does not run: `make cluster-up CLUSTER=kind` starts it", False
    command = [str(cluster.kubectl), f"--kubeconfig={cluster.kubeconfig}", "get", "nodes", "--output=wide"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    whole = done.returncode == 0 and " Ready " in done.stdout
    advice = (
        'Use it    eval "$(python3 -m tests.cluster env)"' if whole else "Not whole: `make cluster-up CLUSTER=kind` repairs it"
    )
    return "\n".join((done.stdout.rstrip() or done.stderr.rstrip(), f"State     {layout.state}", advice)), whole


def images(layout: Layout, *, dry: bool) -> None:
    """Build this checkout's images, bring them into the node, and lay down the tiny model.

    Raises:
        ClusterError: no cluster is up, or a command failed.
    """
    runner, owner = Runner(layout.logs, dry), f"{os.getuid()}:{os.getgid()}"
    if dry:
        runner.do(_plan(layout, Programs(Path("kind"), Path("kubectl"), Path("helm"))).fill(tags(), "UID:GID", model=True))
        return
    if Cluster.find(layout) is None:
        raise ClusterError("No cluster is up: `make cluster-up CLUSTER=kind` starts one")
    plan = _plan(layout, _programs(layout))
    runner.do(plan.fill(tags(), owner, model=not (layout.models / "tiny").exists()))
    runner.tell(f"The images are in the cluster. For Helm: --values {layout.state / 'values.yaml'}")


def check_machine() -> None:
    """See that Docker answers.

    Raises:
        ClusterError: it does not; the message holds its words.
    """
    try:
        done = subprocess.run(["docker", "version", "--format={{.Server.Version}}"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ClusterError(
            "Docker is not installed, and a cluster of kind is made of its containers: leave CLUSTER out"
        ) from None
    if done.returncode:
        raise ClusterError(f"Docker does not answer ({done.stderr.strip()}): start it, or leave CLUSTER=kind out")


def tags() -> Tags:
    """The names of this checkout's images, from what they are made of."""
    plugin = REPOSITORY / "tests" / "cluster" / "deviceplugin"
    made_of = {
        "operator": (REPOSITORY / "operator",),
        "vllm-cpu": (REPOSITORY / "runtime" / "images" / "vllm.Dockerfile", REPOSITORY / "runtime" / "agent"),
        "device-plugin": (plugin, REPOSITORY / "tests" / "requirements.txt"),
    }
    named = {name: f"localhost/fairlead/{name}:{key(*paths)}" for name, paths in made_of.items()}
    return Tags(named["operator"], named["vllm-cpu"], named["device-plugin"])


def _plan(layout: Layout, programs: Programs) -> Plan:
    return Plan(Place(layout, nvml.path(layout.cache)), programs)


def _programs(layout: Layout) -> Programs:
    """kind and Helm from the locked modules; kubectl too, unless this machine has one: it takes as long as all of Kubernetes."""
    kubectl = shutil.which("kubectl")
    return Programs(
        kind=tools.program(layout.cache, "kind"),
        kubectl=Path(kubectl) if kubectl else tools.program(layout.cache, "kubectl"),
        helm=tools.program(layout.cache, "helm"),
    )
