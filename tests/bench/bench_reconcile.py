"""What a visit costs that finds nothing to do: the operator pays it for every event and every slow round.

No network and no API server: such a visit reads its children out of memory and writes nothing. Beside it stands a floor: to
decode and encode the JSON of the same six children once, which is the least that an operator pays which asks the API server for
them.

    python -m tests.bench.bench_reconcile [--visits N]
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from fairlead.api.model_deployment import ModelDeployment
from fairlead.reconciler.children import Children
from fairlead.reconciler.decide import plan
from fairlead.reconciler.kinds import CHILDREN, DEPLOYMENT, MODEL_DEPLOYMENT, Key, kind_of
from fairlead.reconciler.reconcile import Reconciler
from fairlead.reconciler.status_writer import StatusWriter
from fairlead.reconciler.store import Store
from fairlead.resources import build
from fairlead.resources.context import BuildContext, Images
from fairlead.resources.engine_flags.validate import Problem
from tests.unit.reconciler.fakes import FakeClient

KEY = Key("default", "chat")
CONTEXT = BuildContext(images=Images(sidecar="envoy", engines={"vllm": {"0.32.0": "vllm"}}), operator_namespace="fairlead-system")
ROUNDS = 7
"""The median of so many rounds is told: one round may share the machine with something else."""


class NoAgents:
    """All replicas are ready: nobody is asked."""

    async def ask(self, addresses: Iterable[tuple[str, str]]) -> dict[str, Problem]:
        """Nothing."""
        assert not list(addresses)
        return {}


def cpu_milliseconds(work: Callable[[], object], times: int) -> float:
    """CPU time of one call, the median of the rounds."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - start) / times * 1000)
    return statistics.median(rounds)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--visits", type=int, default=200, help="visits a round (default 200)")
    visits: int = parser.parse_args().visits
    loop = asyncio.new_event_loop()
    mdep: dict[str, Any] = {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": "ModelDeployment",
        "metadata": {"namespace": "default", "name": "chat", "uid": "u", "generation": 1, "resourceVersion": "1"},
        "spec": {"model": {"uri": "pvc://models/chat"}, "engine": {"args": {"enforce-eager": "true"}}},
    }
    client, store = FakeClient(mdep), Store()
    store.put(mdep)
    writer = StatusWriter(client, store, instance="bench", clock=time.monotonic)
    reconciler = Reconciler(store, Children(client, store), NoAgents(), writer, CONTEXT, scales={})  # type: ignore[arg-type]

    def visit() -> None:
        loop.run_until_complete(reconciler.visit(KEY))

    visit()
    ready = {"observedGeneration": 1, **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), 2)}
    deployment = client.objects["Deployment", *KEY]
    store.put({**deployment, "metadata": {**deployment["metadata"], "resourceVersion": "1000"}, "status": ready})
    visit()
    client.calls.clear()

    model = ModelDeployment.model_validate(mdep)
    wanted = build(model, CONTEXT)
    live = {(each["kind"], each["metadata"]["name"]): each for kind in CHILDREN for each in store.owned(kind, KEY)}
    text = [json.dumps(each) for each in live.values()]
    figures = {
        "a visit that finds nothing to do": cpu_milliseconds(visit, visits),
        "  reading the spec": cpu_milliseconds(lambda: ModelDeployment.model_validate(mdep), visits),
        "  comparing what is wanted with what is there": cpu_milliseconds(lambda: plan("u", wanted, live), visits),
        "making what is wanted, once for each generation": cpu_milliseconds(lambda: build(model, CONTEXT), visits),
        "floor: the six children through JSON and back": cpu_milliseconds(
            lambda: [json.dumps(json.loads(each)) for each in text], visits
        ),
    }
    if client.calls or kind_of(deployment) != DEPLOYMENT:
        sys.stderr.write(f"not a visit that finds nothing to do: {client.calls}\n")
        return 1
    for name, milliseconds in figures.items():
        sys.stdout.write(f"{name:<48}{milliseconds:8.3f} ms of CPU\n")
    whole, *_, floor = figures.values()
    sys.stdout.write(f"{'the visit over the floor':<48}{whole / floor:8.1f}\n")
    sys.stdout.write(f"{'visits a second on one core':<48}{1000 / whole:8.0f}\n")
    loop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
