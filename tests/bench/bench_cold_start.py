"""How long an engine takes to start, with spec.engine.compileCache and without: first starts, and starts of a pod's successors.

    make bench-cold-start        (it installs the chart)

The engine is not eager: on a CPU, vLLM compiles by torch.compile, Inductor and g++. One replica at a time; each row of the table
is one ModelDeployment, whose pod is deleted and replaced a few times. A start is what the agent measures: from the engine's
process to its first healthy answer, and the warm-up after it. The page cache is warm for both, as the tiny model's is.
"""

import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.cluster.access import Cluster
from tests.cluster.model_volume import model_volume
from tests.e2e.conftest import World, install, model_claim
from tests.e2e.kube import Kube, Object, wait_ready
from tests.waiting import until

AGAIN = 3
"""Starts of successors, of which the table has the median."""
NAMESPACE = "bench-cold-start"
CLAIM = "compiled"
READY_SECONDS = 600.0
SPEC: Object = {
    "replicas": 1,
    "engine": {"args": {"enforce-eager": "false", "max-num-batched-tokens": "2048"}},
    # A successor takes over at once: nothing is in flight.
    "rollout": {"maxStreamSeconds": 30},
}


@dataclass(frozen=True)
class Start:
    """In seconds."""

    engine: float
    warmup: float

    @property
    def whole(self) -> float:
        return self.engine + self.warmup


def cache_claim(cluster: Cluster) -> tuple[Object, Object]:
    """A volume on an empty folder that the engine may write to, and the claim on it."""
    folder = cluster.models / f"{NAMESPACE}-compiled"
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir()
    volume = model_volume(folder, f"{CLAIM}-{NAMESPACE}")
    volume["spec"] |= {
        "accessModes": ["ReadWriteMany"],
        "claimRef": {"namespace": NAMESPACE, "name": CLAIM},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": NAMESPACE},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": volume["metadata"]["name"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return volume, claim


def start_of(world: World, name: str) -> Start:
    """What the agent of the one replica measured."""
    (pod,) = world.pods(name)
    page = world.curl(f"http://{pod['status']['podIP']}:8002/metrics").stdout
    figures = dict(line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("fairlead_agent_") and "{" not in line)
    return Start(float(figures["fairlead_agent_engine_start_seconds"]), float(figures["fairlead_agent_warmup_seconds"]))


def successor(world: World, name: str) -> Start:
    """Replace the pod, and measure the new one's start."""
    (old,) = world.pods(name)
    world.kube.delete("pod", old["metadata"]["name"], world.namespace)

    def replaced() -> bool:
        pods = world.pods(name)
        return len(pods) == 1 and pods[0]["metadata"]["uid"] != old["metadata"]["uid"]

    until("the pod is replaced", replaced, seconds=120, every=0.5)
    wait_ready(world.kube, name, world.namespace, seconds=READY_SECONDS)
    return start_of(world, name)


def run(world: World, name: str, engine: Object) -> tuple[Start, list[Start]]:
    """The first start, and those of the successors."""
    spec: dict[str, Any] = {**SPEC, "engine": {**SPEC["engine"], **engine}}
    world.create(name, wait=READY_SECONDS, **spec)
    first = start_of(world, name)
    again = [successor(world, name) for _ in range(AGAIN)]
    world.remove(name)
    return first, again


def kept_bytes(cluster: Cluster) -> int:
    folder = cluster.models / f"{NAMESPACE}-compiled"
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def main() -> None:
    cluster = Cluster.find()
    if cluster is None:
        raise SystemExit("no cluster is up: run `make cluster-up images` first")
    kube = Kube(cluster.kubectl, cluster.kubeconfig)
    install(cluster)
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kube.apply(*model_claim(cluster, NAMESPACE), *cache_claim(cluster))
    world = World(cluster, kube, NAMESPACE)
    rows: dict[str, tuple[Start, list[Start]]] = {}
    try:
        rows["none"] = run(world, "without", {})
        rows["a claim"] = run(world, "with", {"compileCache": {"claimName": CLAIM}})
        size = kept_bytes(cluster)
    finally:
        for name in ("without", "with"):
            world.remove(name)
        kube.delete("namespace", NAMESPACE)
        for name in ("models", CLAIM):
            kube.delete("persistentvolume", f"{name}-{NAMESPACE}")
    if size == 0:
        sys.exit("nothing was kept on the claim: the figures below would compare a start with itself")
    print("| compile cache | first start s | warm-up s | later starts s (median) | warm-up s | later / first |")
    print("|---|---|---|---|---|---|")
    for name, (first, again) in rows.items():
        engine = statistics.median(each.engine for each in again)
        warmup = statistics.median(each.warmup for each in again)
        share = statistics.median(each.whole for each in again) / first.whole
        print(f"| {name} | {first.engine:.1f} | {first.warmup:.1f} | {engine:.1f} | {warmup:.1f} | {share:.2f} |")
    print(f"\n{size / 2**20:.1f} MiB kept on the claim")


if __name__ == "__main__":
    main()
