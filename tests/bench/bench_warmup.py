"""First-token times right after Ready, with warm-up on and off, against the steady median of the same engine.

    make bench-warmup        (it installs the chart)

The engine is not eager, so the first requests after a start pay for what a start leaves undone. Both variants run one after the
other in the same cluster; each row is one ModelDeployment with one replica. The floor is the steady median: what a request costs
when all is warm.
"""

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from tests.cluster.access import Cluster
from tests.e2e.conftest import World, install, model_claim
from tests.e2e.kube import Kube, wait_ready

FIRST = 20
STEADY = 60
NAMESPACE = "bench-warmup"

#: runs inside the node's network: one process, so that no start of an interpreter is in the figures
CLIENT = """
import http.client, json, sys, time
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
times = []
for number in range(count):
    connection = http.client.HTTPConnection(host, port, timeout=120)
    connection.connect()
    # as chat prompts do, each has another length, and another beginning: the prefix cache is no warm-up
    body = json.dumps({"model": "tiny", "stream": True, "max_tokens": 8, "ignore_eos": True,
                       "messages": [{"role": "user", "content": f"{time.time_ns()} " + "word " * (1 + 37 * number % 400)}]})
    start = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    while True:
        line = answer.readline()
        assert line, "cut"
        if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content") is not None:
            break
    times.append(time.perf_counter() - start)
    answer.read()
    connection.close()
print(json.dumps(times))
"""


def measure(world: World, name: str, count: int) -> list[float]:
    """First-token times in seconds of `count` requests, one after the other."""
    host, port = world.url(name).removeprefix("http://").split(":")
    done = subprocess.run(
        [*world.in_node, sys.executable, "-c", CLIENT, host, port, str(count)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    times: list[float] = json.loads(done.stdout)
    return times


def run(world: World, enabled: bool) -> dict[str, Any]:  # noqa: FBT001
    name = "warm" if enabled else "cold"
    began = time.monotonic()
    engine = {"args": {"enforce-eager": "false", "max-num-batched-tokens": "2048"}}
    world.create(name, wait=None, replicas=1, warmup={"enabled": enabled}, engine=engine)
    wait_ready(world.kube, name, world.namespace, seconds=600)
    ready = time.monotonic() - began
    first = measure(world, name, FIRST)
    steady = measure(world, name, STEADY)
    world.remove(name)
    return {"warm-up": "on" if enabled else "off", "ready_s": ready, "first": first, "steady": statistics.median(steady[FIRST:])}


def main() -> None:
    cluster = Cluster.find()
    if cluster is None:
        raise SystemExit("no cluster is up: run `make cluster-up images` first")
    kube = Kube(cluster.kubectl, cluster.kubeconfig)
    install(cluster)
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kube.apply(*model_claim(cluster, NAMESPACE))
    world = World(cluster, kube, NAMESPACE)
    try:
        rows = [run(world, enabled) for enabled in (True, False)]
    finally:
        for name in ("warm", "cold"):
            world.remove(name)
        kube.delete("namespace", NAMESPACE)
        kube.delete("persistentvolume", f"models-{NAMESPACE}")
    print(
        "| warm-up | apply to Ready s | 1st ms | worst of 20 ms | p50 of 20 ms | steady p50 ms | 1st / steady | worst / steady |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        first, steady = row["first"], row["steady"]
        print(
            f"| {row['warm-up']} | {row['ready_s']:.0f} | {first[0] * 1000:.0f} | {max(first) * 1000:.0f} "
            f"| {statistics.median(first) * 1000:.1f} "
            f"| {steady * 1000:.1f} | {first[0] / steady:.1f} | {max(first) / steady:.1f} |"
        )


if __name__ == "__main__":
    main()
