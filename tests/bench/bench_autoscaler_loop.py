"""What the autoscaler's loop costs: a thousand ModelDeployments with two replicas each, every two seconds.

    make bench-autoscaler-loop        (A="--models 200" for fewer)

The loop, the sources and the reconciler are the operator's own; the agents are one process beside it, over real connections. The
API server is not there: what would be sent is counted, and answered at once. First all loads stay as they are, then every tenth
model has more than it can do, all at the same moment.
"""

import argparse
import asyncio
import gc
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median_high
from typing import TYPE_CHECKING, Any

import aiohttp

from fairlead.autoscaler import agents, line
from fairlead.autoscaler.agents import Agents, Told
from fairlead.autoscaler.fleet import Fleet, Subject
from fairlead.autoscaler.loop import Loop
from fairlead.autoscaler.place import Place
from fairlead.autoscaler.policy import Decision
from fairlead.autoscaler.record import Record
from fairlead.autoscaler.signals import Signals
from fairlead.controller import heap
from fairlead.controller.metrics import Metrics
from fairlead.controller.term import Term
from fairlead.reconciler.children import Children
from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, Key
from fairlead.reconciler.reconcile import Reconciler
from fairlead.reconciler.status_writer import StatusWriter, wall_clock
from fairlead.reconciler.store import Store
from fairlead.resources.context import BuildContext, Images
from tests.bench.autoscaler.peers import hpa
from tests.bench.scale.figures import percentile
from tests.bench.simulated_agents import REPLICAS, address
from tests.ports import free_ports
from tests.unit.reconciler.fakes import FakeClient, Object

if TYPE_CHECKING:
    from fairlead.reconciler.scaling import Scaled

CONTEXT = BuildContext(images=Images(sidecar="envoy", engines={"vllm": {"0.32.0": "vllm"}}), operator_namespace="fairlead-system")
WORKERS = 4
DECIDING_AIM_MS = 100.0
CONTROLLED = 1_000_000
"""A version later than any that the set-up wrote."""
SETTLE_SECONDS = 60.0
"""Until the steady part begins: the first reports are out, and the reasons that were put off."""


@dataclass
class Look:
    """One look at all replicas."""

    read_cpu: float = 0.0
    decide_cpu: float = 0.0
    peer_cpu: float = 0.0
    read_wall: float = 0.0
    decide_wall: float = 0.0
    silent: int = 0
    collection: float = 0.0
    """Longest that the garbage collector stopped everything."""
    lags: list[float] = field(default_factory=list)
    """From when a number was true until it had been decided on."""


class Measured(Record):
    """Notes of each look what it took."""

    def __init__(self) -> None:
        super().__init__(self._done)
        self.looks: list[Look] = []
        self.now = Look()
        self.oldest: dict[Key, float] = {}
        self.read_from = 0.0
        self.decided_from = 0.0
        self.changed_at: dict[Key, float] = {}
        self._collects_since = 0.0

    def decided(self, key: Key, decision: Decision) -> None:
        super().decided(key, decision)
        if key in self.oldest:
            self.now.lags.append(time.monotonic() - self.oldest[key])
        if decision.replicas != decision.inputs.asked:
            self.changed_at[key] = time.monotonic()

    def collected(self, phase: str, info: Mapping[str, int]) -> None:
        """A hook of the garbage collector."""
        del info
        if phase == "start":
            self._collects_since = time.monotonic()
        else:
            self.now.collection = max(self.now.collection, time.monotonic() - self._collects_since)

    def _done(self, read: float, decided: float) -> None:
        self.now.read_wall, self.now.decide_wall = read, decided
        self.now.decide_cpu = time.thread_time() - self.decided_from
        self.looks.append(self.now)
        self.now = Look()


class MeasuredFleet(Fleet):
    """Notes when a look begins."""

    def __init__(self, store: Store, record: Measured) -> None:
        super().__init__(store)
        self._record = record

    def subjects(self) -> Iterator[Subject]:
        self._record.read_from = time.thread_time()
        return super().subjects()


class MeasuredSignals(Signals):
    """Notes what reading takes of the processor."""

    def __init__(self, asked: Agents, record: Measured) -> None:
        super().__init__(asked, None)
        self._record = record

    async def look(self, subjects: Sequence[Subject]) -> Mapping[Place, Told]:
        told = await super().look(subjects)
        record, now = self._record, time.monotonic()
        read = time.thread_time()
        record.now.read_cpu = read - record.read_from
        for subject in subjects:
            by_kubernetes(subject, told)
        record.decided_from = time.thread_time()
        record.now.peer_cpu = record.decided_from - read
        record.oldest.clear()
        for place, each in told.items():
            if each.running is not None and now - each.running.time < 2 * agents.ALL_SECONDS:
                key = Key(place.namespace, place.pod.rpartition("-")[0])
                record.oldest[key] = min(each.running.time, record.oldest.get(key, now))
            else:
                record.now.silent += 1
        return told


def by_kubernetes(subject: Subject, told: Mapping[Place, Told]) -> int:
    """What the HorizontalPodAutoscaler's rule alone says to the same queues, the floor: it remembers and explains nothing."""
    known = [told[place].waiting for pod in subject.pods if (place := Place(subject.key.namespace, pod.name)) in told]
    values = [each.value for each in known if each is not None]
    return hpa.pods_metric(subject.asked, values, len(subject.pods) - len(values), subject.config.queue_depth)


class Counted(FakeClient):
    """Notes when each Deployment was written with another number."""

    def __init__(self, *objects: Object) -> None:
        super().__init__(*objects)
        self.written: dict[Key, float] = {}
        self.store: Store | None = None

    async def apply(self, manifest: Object, *, subresource: str = "") -> Object:
        applied = await super().apply(manifest, subresource=subresource)
        if manifest["kind"] == "Deployment":
            self.written[Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])] = time.monotonic()
        return applied


def objects(models: int) -> list[Object]:
    """The ModelDeployments and their pods."""
    made: list[Object] = []
    for number in range(models):
        name = f"model-{number}"
        meta = {"namespace": "bench", "name": name, "uid": f"u{number}", "generation": 1, "resourceVersion": "1"}
        spec: dict[str, Any] = {
            "model": {"uri": "pvc://models/chat"},
            "replicas": REPLICAS,
            "accelerator": {"resourceName": "nvidia.com/gpu"},
            "autoscaling": {"minReplicas": 1, "maxReplicas": 8},
        }
        made.append({"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": "ModelDeployment", "metadata": meta, "spec": spec})
        made += [_pod(name, f"{name}-{each}", address(number * REPLICAS + each)) for each in range(REPLICAS)]
    return made


def _pod(model: str, name: str, ip: str) -> Object:
    labels = {"serving.fairlead.dev/model-deployment": model, "pod-template-hash": "h"}
    owners = [{"kind": "ReplicaSet", "name": f"{model}-h", "controller": True}]
    meta = {"namespace": "bench", "name": name, "resourceVersion": "1", "labels": labels, "ownerReferences": owners}
    status = {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}, "status": status}


def as_controlled(deployment: Object, number: int) -> Object:
    """The Deployment as its controller would tell of it."""
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), number)
    meta = {**deployment["metadata"], "generation": 1, "resourceVersion": str(CONTROLLED)}
    return {**deployment, "metadata": meta, "status": {"observedGeneration": 1, **counts}}


@contextmanager
def simulated_agents() -> Iterator[Callable[[], None]]:
    """All agents, in a process beside this one; call what it yields for the wave."""
    (port,) = free_ports(1)
    setattr(line, "AGENT_PORT", port)  # noqa: B010  a constant of the operator
    command = [sys.executable, "-m", "tests.bench.simulated_agents", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as simulated:
        assert simulated.stdout is not None
        simulated.stdout.readline()
        try:
            yield lambda: simulated.send_signal(signal.SIGUSR1)
        finally:
            simulated.kill()


async def measure(models: int, seconds: float, begin_wave: Callable[[], None], *, settle: bool) -> int:
    """Run it and print."""
    began = time.monotonic()
    made = objects(models)
    client, store = Counted(*(each for each in made if each["kind"] == "ModelDeployment")), Store()
    for each in made:
        store.put(each)
    scales: dict[Key, Scaled] = {}
    clock = time.monotonic
    async with aiohttp.ClientSession() as reconcilers:
        from fairlead.reconciler.agent_status import Agents as Asked  # noqa: PLC0415  of the same name

        reconciler = Reconciler(
            store,
            Children(client, store),
            Asked(reconcilers),
            StatusWriter(client, store, instance="bench", clock=clock),
            CONTEXT,
            scales=scales,
        )
        term = Term(reconciler, Metrics(clock), workers=WORKERS, clock=clock)
        for key in store.model_deployments():
            await reconciler.visit(key)
            client.objects["Deployment", *key] = as_controlled(client.objects["Deployment", *key], REPLICAS)
            store.put(client.objects["Deployment", *key])
        client._version = CONTROLLED
        if settle:
            heap.settle()  # as after each round of the resync
        print(f"{models} ModelDeployments with {REPLICAS} replicas each are there after {time.monotonic() - began:.0f} s")
        record = Measured()
        gc.callbacks.append(record.collected)
        asked = Agents(clock)
        loop = Loop(
            MeasuredFleet(store, record),
            MeasuredSignals(asked, record),
            scales,
            term.queue.add,
            record,
            clock=clock,
            now=wall_clock,
        )
        tasks = [asyncio.create_task(loop.run()), asyncio.create_task(term.queue.run())]
        await asyncio.sleep(SETTLE_SECONDS)
        steady = await _window(record, client, seconds)
        begin_wave()
        wave = await _window(record, client, seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        asked.close()
    return _told(models, steady, wave, record, client)


@dataclass(frozen=True)
class Window:
    """A part of the run."""

    seconds: float
    looks: list[Look]
    writes: list[tuple[str, str]]


async def _window(record: Measured, client: Counted, seconds: float) -> Window:
    began, looks, writes = time.monotonic(), len(record.looks), len(client.writes)
    await asyncio.sleep(seconds)
    return Window(time.monotonic() - began, record.looks[looks:], client.writes[writes:])


def _told(models: int, steady: Window, wave: Window, record: Measured, client: Counted) -> int:
    print(f"\n{'':34}{'steady':>12}{'a wave':>12}")
    rows: dict[str, Callable[[Window], str]] = {
        "looks": lambda part: f"{len(part.looks)}",
        "reading, CPU of a look (ms)": lambda part: _median(part, "read_cpu"),
        "reading, time of a look (ms)": lambda part: _median(part, "read_wall"),
        "deciding, CPU of a look (ms)": lambda part: _median(part, "decide_cpu"),
        "the HPA's rule alone, CPU (ms)": lambda part: _median(part, "peer_cpu"),
        "deciding, time of a look (ms)": lambda part: _median(part, "decide_wall"),
        "replicas not heard in time": lambda part: f"{sum(each.silent for each in part.looks)}",
        "age of the numbers, p99 (s)": lambda part: _p99([lag for look in part.looks for lag in look.lags]),
        "longest garbage collection (ms)": lambda part: f"{1000 * max((each.collection for each in part.looks), default=0):.0f}",
        "writes to the API a minute": lambda part: f"{len(part.writes) / part.seconds * 60:.0f}",
    }
    for name, value in rows.items():
        print(f"{name:34}{value(steady):>12}{value(wave):>12}")
    late = [client.written[key] - at for key, at in record.changed_at.items() if client.written.get(key, 0.0) >= at]
    print(f"\nfrom a decision to its Deployment's write, p99: {_p99(late)} s ({len(late)} decisions)")
    if not steady.looks:
        print("no look came to its end: give it more --seconds, or fewer --models")
        return 1
    costs = [1000 * each.decide_cpu for each in steady.looks]
    cost = median_high(costs)
    floor = median_high(1000 * each.peer_cpu for each in steady.looks)
    spread = f"{min(costs):.0f} to {max(costs):.0f}"
    print(f"deciding for {models}: {cost:.0f} ms of CPU ({spread}), aim: at most {DECIDING_AIM_MS:.0f}")
    print(f"the HPA's rule alone, which remembers and explains nothing: {floor:.1f} ms, a {cost / floor:.0f}th")
    return 0 if cost <= DECIDING_AIM_MS else 1


def _p99(values: Sequence[float]) -> str:
    return f"{percentile(values, 99):.2f}" if values else "-"


def _median(part: Window, name: str) -> str:
    return f"{median_high(1000 * getattr(each, name) for each in part.looks):.0f}" if part.looks else "-"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=1000, help="ModelDeployments (default 1000)")
    parser.add_argument("--unsettled", action="store_true", help="as if no round of the resync had told the garbage collector")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each part (default 60)")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # each Event is one line
    with simulated_agents() as begin_wave:
        return asyncio.run(measure(options.models, options.seconds, begin_wave, settle=not options.unsettled))


if __name__ == "__main__":
    sys.exit(main())
