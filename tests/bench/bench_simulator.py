"""The simulator's first-token times against those of a real vLLM, at four loads.

    make bench-simulator [A="--seconds 120"]        (it installs the chart)

One replica of a model whose step takes as long as on a GPU: on a CPU the tiny model's is 2 ms, and the HTTP server's work for
each request on the same cores would be most of what is measured. It is as tall and as wide as GPT-2 (twelve layers of 768) and
needs no file: vLLM fills it with dummy weights. The engine has one core for its steps, in a process of its own as on a GPU; HTTP
server, sidecar and client share the other. The measuring itself is tests.bench.autoscaler.validate's.
"""

import json
import subprocess
import sys
from contextlib import ExitStack

from tests.cluster.access import Cluster
from tests.e2e.conftest import World, install, model_claim
from tests.e2e.kube import Kube

NAMESPACE = "bench-simulator"
NAME = "gpt2-sized"
MOST_RUNNING = 16
LAYERS, KV_HEADS, HEAD = 12, 2, 64
KV_MEBIBYTES = 192
KV_TOKENS = KV_MEBIBYTES * 2**20 // (2 * 2 * KV_HEADS * HEAD * LAYERS)
"""Keys and values, two bytes for each number: 6 KiB a token."""
SHAPE = {
    "num_hidden_layers": LAYERS,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_attention_heads": 12,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD,
}
ENGINE = {
    "maxNumSeqs": MOST_RUNNING,
    "args": {
        "load-format": "dummy",
        "hf-overrides": json.dumps(SHAPE),
        "kv-cache-memory-bytes": f"{KV_MEBIBYTES}M",
        "max-num-batched-tokens": "2048",
        # What the simulator does not have: two prompts of the measurement never begin alike, but hashing costs.
        "enable-prefix-caching": "false",
    },
    "env": [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "VLLM_CPU_OMP_THREADS_BIND", "value": "nobind"}],
}


def main() -> int:
    """Bring it up, measure, take it away."""
    cluster = Cluster.find()
    if cluster is None:
        raise SystemExit("no cluster is up: run `make cluster-up images` first")
    kube = Kube(cluster.kubectl, cluster.kubeconfig)
    world = World(cluster, kube, NAMESPACE)
    # The last one first, each whatever became of the others: with the chart half installed there may be no kind to remove.
    with ExitStack() as undo:
        undo.callback(kube.delete, "persistentvolume", f"models-{NAMESPACE}")
        undo.callback(kube.delete, "namespace", NAMESPACE)
        install(cluster)
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        kube.apply(*model_claim(cluster, NAMESPACE))
        undo.callback(world.remove, NAME)
        world.create(NAME, replicas=1, engine=ENGINE, wait=600)
        measure = ["-m", "tests.bench.autoscaler.validate", world.url(NAME)]
        limits = ["--kv-tokens", str(KV_TOKENS), "--max-running", str(MOST_RUNNING)]
        command = [*world.in_node, sys.executable, *measure, *limits, *sys.argv[1:]]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
