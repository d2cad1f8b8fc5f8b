"""A cluster without machines: real etcd, API server, controllers and scheduler, nodes played by KWOK, the chart."""

import math
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, Kind
from tests.audit import Audit
from tests.cluster.controlplane import ControlPlane, control_plane_alone, environment
from tests.cluster.layout import cache_root
from tests.cluster.model_volume import model_volume
from tests.cluster.progress import step, tail
from tests.cluster.tools import ensure
from tests.objects import NAMESPACE, Object, Objects
from tests.unit.chart.helm import CHART, VALUES
from tests.waiting import until

SYSTEM = "fairlead-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:fairlead-operator"
TOOLS = ("k8s", "etcd", "helm", "kwok")
KWOK_STAGES = Path(__file__).with_name("kwok.yaml")
GPUS = 100
"""Of a node, and so the pods that it takes: few nodes, for each tells its state every 20 s, which is not what is measured."""
PER_NAMESPACE = 50
REPLICAS = 2
CLAIM = "models"

_NODE = Kind("", "v1", "Node", "nodes")
_VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes")
_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")


@dataclass(frozen=True)
class Crowd:
    """Room for so many ModelDeployments."""

    plane: ControlPlane
    objects: Objects
    folder: Path
    count: int

    def audit(self, user: str = OPERATOR) -> Audit:
        return Audit(self.plane.audit_log, user)

    def place(self, number: int) -> tuple[str, str]:
        """Namespace and name of the ModelDeployment of that number."""
        return f"models-{number // PER_NAMESPACE:03}", f"model-{number:05}"

    @property
    def namespaces(self) -> list[str]:
        return sorted({self.place(number)[0] for number in range(self.count)})


@contextmanager
def crowd(folder: Path, count: int) -> Iterator[Crowd]:
    """Start it, and stop it at the end of the block."""
    tools = ensure(cache_root(), TOOLS)
    with ExitStack() as stack:
        with step("Starting a control plane, nodes and the chart"):
            plane = stack.enter_context(control_plane_alone(folder / "plane", tools, crowded=True))
            objects = Objects(plane.api)
            stack.callback(objects.close)
            log = folder / "kwok.log"
            stack.enter_context(_kwok(tools.path("kwok"), plane, folder, log))
            _nodes(objects, math.ceil(count * REPLICAS / GPUS) + 1, log)
            _install(tools.path("helm"), plane)
            made = Crowd(plane, objects, folder, count)
            _namespaces(made)
        yield made


@contextmanager
def _kwok(program: Path, plane: ControlPlane, folder: Path, log: Path) -> Iterator[None]:
    command = [str(program), f"--kubeconfig={plane.kubeconfig}", f"--config={KWOK_STAGES}", "--manage-all-nodes"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            # It keeps a folder of its own in its home.
            env={**environment(), "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _nodes(objects: Objects, count: int, log: Path) -> None:
    room = {"cpu": "10000", "memory": "100Ti", "ephemeral-storage": "100Ti", "pods": "250", "nvidia.com/gpu": str(GPUS)}
    for number in range(count):
        subnet = f"10.244.{number}.0/24"
        node: Object = {
            "metadata": {
                "name": f"node-{number}",
                "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": f"node-{number}"},
            },
            "spec": {"podCIDR": subnet, "podCIDRs": [subnet]},
            "status": {"capacity": room, "allocatable": room},
        }
        objects.create(_NODE, None, node)

    def schedulable() -> bool:
        nodes = objects.request("GET", _NODE.path(None))["items"]
        return len(nodes) == count and not any(node["spec"].get("taints") for node in nodes)

    until("KWOK has made the nodes ready", schedulable, seconds=60, describe=lambda: tail(log))


def _install(helm: Path, plane: ControlPlane) -> None:
    """The chart with its usual values. Its own pods are played by KWOK, too: the operator runs here, beside them."""
    command = [str(helm), "install", "fairlead", str(CHART), "--values", str(VALUES / "minimal.yaml")]
    command += ["--namespace", SYSTEM, "--create-namespace", "--wait=hookOnly"]
    env = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=180)
    if done.returncode:
        raise SystemExit(f"helm: {done.stderr}")
    asked = [str(plane.kubectl), f"--kubeconfig={plane.kubeconfig}", "get", "modeldeployments", "--all-namespaces"]
    until("the CRD is served", lambda: subprocess.run(asked, capture_output=True, check=False).returncode == 0, seconds=60)


def _namespaces(made: Crowd) -> None:
    """Each with the claim that its models are on."""
    for name in made.namespaces:
        made.objects.create(NAMESPACE, None, {"metadata": {"name": name}})
        volume = model_volume(made.folder, f"{CLAIM}-{name}")
        volume["spec"]["claimRef"] = {"namespace": name, "name": CLAIM}
        made.objects.create(_VOLUME, None, volume)
        spec = {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "volumeName": volume["metadata"]["name"],
            "resources": {"requests": {"storage": "1Gi"}},
        }
        made.objects.create(_CLAIM, name, {"metadata": {"name": CLAIM}, "spec": spec})

    def bound() -> bool:
        claims = made.objects.request("GET", _CLAIM.path(None))["items"]
        return all(each["status"].get("phase") == "Bound" for each in claims)

    until("all claims are bound", bound, seconds=60)


def ready(world: Crowd) -> int:
    """How many ModelDeployments say that they are ready."""
    items = world.objects.request("GET", MODEL_DEPLOYMENT.path(None))["items"]
    conditions = [(item.get("status") or {}).get("conditions") or [] for item in items]
    return sum(any(each["type"] == "Ready" and each["status"] == "True" for each in found) for found in conditions)
