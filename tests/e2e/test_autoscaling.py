"""The autoscaler on a real cluster: real engines, real streams, duty cycles of the fake NVML and of a real Prometheus.

An engine works on two requests at once here, so that a few clients are a queue.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.cluster.access import Cluster
from tests.cluster.gpus import FakeGPU
from tests.cluster.layout import cache_root
from tests.e2e.conftest import SELECTOR, World, install, leader
from tests.e2e.engine_processes import stop
from tests.e2e.kube import Object, condition, describe, wait_ready
from tests.e2e.prometheus import Prometheus, program
from tests.e2e.streams import Streams, assert_none_cut, streaming
from tests.waiting import always, until

pytestmark = pytest.mark.timeout(900)

AT_ONCE = 2
CLIENTS = 10
ENGINE = {"maxNumSeqs": AT_ONCE, "maxModelLen": 32768, "args": {"kv-cache-memory-bytes": "64M"}}
QUIET = {"quietSeconds": 30, "stepSeconds": 2, "coldStartSeconds": 60}
"""The shortest windows that a spec may have."""
REACTION_SECONDS = 15.0
HOLD_SECONDS = 75.0
"""Twice the quiet window and more: so long nothing may happen that must not."""
BUSY = 97
OPERATOR = "fairlead-system"


def mdep(world: World, name: str) -> Object:
    return world.kube.must_get("mdep", name, world.namespace)


def asked(world: World, name: str) -> int:
    """Replicas of the Deployment, whoever asked for them."""
    number: int = world.kube.must_get("deployment", name, world.namespace)["spec"]["replicas"]
    return number


def decision(world: World, name: str) -> Object:
    found: Object = mdep(world, name).get("status", {}).get("autoscaling", {})
    return found


def wait_asked(world: World, name: str, number: int, seconds: float) -> None:
    until(
        f"{number} replicas are asked for",
        lambda: asked(world, name) == number,
        seconds=seconds,
        every=0.5,
        describe=lambda: describe(world.kube, name, world.namespace),
    )


def wait_autoscaled(world: World, name: str, reason: str, seconds: float = 120) -> Object:
    """Until the condition Autoscaled has that reason; the condition."""

    def look() -> Object | None:
        found = condition(mdep(world, name), "Autoscaled")
        return found if found.get("reason") == reason else None

    return until(f"Autoscaled says {reason}", look, seconds=seconds, describe=lambda: describe(world.kube, name, world.namespace))


def everyone(world: World) -> list[FakeGPU]:
    return [FakeGPU(each) for each in sorted(world.cluster.gpus.iterdir())]


@contextmanager
def duty(world: World, percent: int) -> Iterator[None]:
    """So busy is every GPU."""
    for gpu in everyone(world):
        gpu.set("utilization_gpu", percent)
    try:
        yield
    finally:
        for gpu in everyone(world):
            gpu.clear("utilization_gpu")


@contextmanager
def autoscaled(world: World, name: str, *, replicas: int = 1, **autoscaling: object) -> Iterator[str]:
    """A ModelDeployment of that name, ready, until the block ends."""
    spec = {"minReplicas": 1, "maxReplicas": 3, **QUIET, **autoscaling}
    try:
        world.create(name, replicas=replicas, engine=ENGINE, autoscaling=spec, rollout={"maxStreamSeconds": 300})
        yield name
    finally:
        world.remove(name)


def load(world: World, name: str, clients: int = CLIENTS, tokens: int = 1200) -> AbstractContextManager[Streams]:
    """Clients that ask for one long answer after the other, each over a connection of its own."""
    return streaming(world.in_node, world.url(name), "tiny", short=0, long=0, busy=clients, busy_tokens=tokens)


def operator_metrics(world: World) -> str:
    """What the leader tells."""
    with world.kube.port_forward(f"pod/{leader(world.kube)}", 8080, OPERATOR) as port:
        done = subprocess.run(
            ["curl", "--silent", f"http://127.0.0.1:{port}/metrics"], capture_output=True, text=True, check=True, timeout=20
        )
    return done.stdout


def test_load_brings_replicas_and_quiet_takes_them_away_with_no_cut_stream(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    with autoscaled(world, "elastic") as name, duty(world, BUSY):
        until("it has decided", lambda: decision(world, name), seconds=30)
        with load(world, name) as streams:
            queued = until(
                "requests wait",
                lambda: sum(world.agent_status(pod)["waiting"] for pod in world.pods(name)) > 4,
                seconds=60,
                every=0.2,
            )
            assert queued
            began = time.monotonic()
            wait_asked(world, name, 3, seconds=REACTION_SECONDS)
            record_property("queue to three replicas asked for, s", round(time.monotonic() - began, 1))
            until("all three serve", lambda: len(world.ready_endpoints(name)) == 3, seconds=300)
        assert_none_cut(streams, at_least=CLIENTS)
        # The drains of the step down are seen by clients, too: few, so that one replica is enough for them.
        with duty(world, 30), load(world, name, clients=1, tokens=300) as few:
            wait_asked(world, name, 1, seconds=300)
            until("one is left", lambda: len(world.kube.list("pods", world.namespace, f"{SELECTOR}={name}")) == 1, seconds=400)
        assert_none_cut(few, at_least=5)
        changes = decision(world, name)["changes"]
        assert {each["after"] - each["before"] for each in changes if each["reason"] == "DemandLow"} == {-1}
        # By way of two or at once: that depends on how fast the clients come up beside everything else on the machine.
        assert max(each["after"] for each in changes) == 3
        said = [each["message"] for each in world.kube.list("events", world.namespace)]
        for each in changes:
            told = f"replicas: {each['before']} -> {each['after']}: "
            assert any(message.startswith(told) for message in said), (told, said)


@pytest.mark.heavy
def test_a_gpu_that_is_busy_forbids_a_step_down(world: World) -> None:
    with autoscaled(world, "veto", replicas=2) as name:
        with duty(world, BUSY):
            until("the veto is told", lambda: decision(world, name).get("reason") == "DutyCycleVeto", seconds=120)
            always("two are asked for", lambda: asked(world, name) == 2, seconds=HOLD_SECONDS, every=2)
            assert decision(world, name)["inputs"]["dutyCyclePercent"] == BUSY
        wait_asked(world, name, 1, seconds=120)


@pytest.mark.heavy
def test_a_queue_on_a_gpu_that_does_nothing_is_a_fault_and_no_demand(world: World) -> None:
    with autoscaled(world, "fault") as name, duty(world, 0), load(world, name):
        told = wait_autoscaled(world, name, "QueueWithoutWork")
        assert world.pods(name)[0]["metadata"]["name"] in told["message"]
        assert asked(world, name) == 1
        always("no replica is bought for it", lambda: asked(world, name) == 1, seconds=20, every=1)


@pytest.mark.heavy
def test_metrics_that_stand_still_hold(world: World) -> None:
    """Both engines are stopped: they answer nobody, and what was heard of them last becomes old."""
    with autoscaled(world, "frozen", replicas=2) as name:
        for pod in world.pods(name):
            stop(world, pod)
        before = asked(world, name)
        label = f'{{name="{name}",namespace="{world.namespace}",reason='

        def stale() -> bool:
            lines = [line for line in operator_metrics(world).splitlines() if f"decisions_total{label}" in line]
            return any(f'reason="Metrics{word}"' in line for line in lines for word in ("Stale", "Partial", "Missing"))

        until("what is old counts as unknown", stale, seconds=40, every=1)
        # The kubelet starts them anew meanwhile; until they serve and a quiet window is over nothing goes.
        always("as many as before are asked for", lambda: asked(world, name) == before, seconds=HOLD_SECONDS, every=2)
        wait_ready(world.kube, name, world.namespace)
        wait_asked(world, name, 1, seconds=180)


@pytest.mark.heavy
def test_another_operator_takes_over_without_a_jump(world: World) -> None:
    with autoscaled(world, "restart", quietSeconds=900) as name, duty(world, BUSY), load(world, name):
        until("a second replica is asked for", lambda: asked(world, name) > 1, seconds=90, every=0.2)
        # In the middle: the decision is out, and the replica is starting.
        number, old = asked(world, name), leader(world.kube)
        changes = len(decision(world, name).get("changes", ()))
        world.kube.run("delete", "pod", old, "-n", OPERATOR, "--grace-period=0", "--force")
        until("another one leads", lambda: leader(world.kube) not in ("", old), seconds=60)
        until("it decides", lambda: f'decisions_total{{name="{name}"' in operator_metrics(world), seconds=60)
        seen = [number]

        def steady() -> bool:
            seen.append(asked(world, name))
            return seen[-2] <= seen[-1] <= seen[-2] + 1

        always("not fewer are asked for, nor two more at once", steady, seconds=20, every=0.5)
        wait_ready(world.kube, name, world.namespace)
        steps = decision(world, name)["changes"]
        assert all(each["after"] == each["before"] + 1 for each in steps[: len(steps) - changes]), steps


@pytest.mark.heavy
def test_kubectl_scale_in_each_mode(world: World) -> None:
    def scale(name: str, number: int) -> subprocess.CompletedProcess[str]:
        return world.kube.run("scale", "mdep", name, f"--replicas={number}", "-n", world.namespace, check=False)

    with autoscaled(world, "modes", quietSeconds=900) as name:
        refused = scale(name, 2)
        assert refused.returncode != 0
        assert "set spec.autoscaling.mode to Recommend first" in refused.stderr
        world.kube.merge("mdep", name, {"spec": {"autoscaling": {"mode": "Recommend"}}}, world.namespace)
        assert scale(name, 2).returncode == 0
        wait_asked(world, name, 2, seconds=30)
        wait_ready(world.kube, name, world.namespace)
        until("it says what it would do", lambda: decision(world, name).get("desired"), seconds=30)
        world.kube.merge("mdep", name, {"spec": {"autoscaling": {"mode": "External"}}}, world.namespace)
        assert scale(name, 1).returncode == 0
        wait_asked(world, name, 1, seconds=30)
        until("it says nothing any more", lambda: not decision(world, name), seconds=30)


def hold_gpus(world: World, image: str, count: int) -> None:
    """Pods that do nothing with that many GPUs."""
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "hold",
        "image": image,
        "command": ["sleep", "3600"],
        "securityContext": restricted,
        "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"nvidia.com/gpu": "1"}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    for number in range(count):
        meta = {"name": f"hold-{number}", "namespace": world.namespace, "labels": {"holds": "gpu"}}
        spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0}
        world.kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


@pytest.mark.heavy
def test_without_a_free_gpu_it_says_so_and_goes_on_when_one_comes_free(world: World) -> None:
    with autoscaled(world, "short", quietSeconds=900) as name, duty(world, BUSY):
        (node,) = world.kube.list("nodes")
        image = world.pods(name)[0]["spec"]["containers"][0]["image"]
        free = int(node["status"]["allocatable"]["nvidia.com/gpu"]) - len(
            [pod for pod in world.kube.list("pods", world.namespace) if pod["metadata"]["labels"].get(SELECTOR)]
        )
        hold_gpus(world, image, free)
        held = f"{free} pods hold the GPUs"
        until(held, lambda: _running(world, "holds=gpu") == free, seconds=120)
        try:
            with load(world, name):
                told = wait_autoscaled(world, name, "NoCapacity")
                assert "Insufficient nvidia.com/gpu" in told["message"]
                number = asked(world, name)
                always("no more is asked for", lambda: asked(world, name) == number, seconds=20, every=1)
                world.kube.run("delete", "pod", "hold-0", "-n", world.namespace, "--wait=true")
                until("the replica serves", lambda: len(world.ready_endpoints(name)) == 2, seconds=300)
        finally:
            world.kube.run("delete", "pods", "-n", world.namespace, "-l", "holds=gpu", "--wait=true", timeout=120)
        until("it is over", lambda: condition(mdep(world, name), "Autoscaled").get("reason") != "NoCapacity", seconds=120)


def _running(world: World, selector: str) -> int:
    return sum(each["status"].get("phase") == "Running" for each in world.kube.list("pods", world.namespace, selector))


@pytest.mark.heavy
def test_a_horizontal_pod_autoscaler_moves_scale(world: World) -> None:
    """The one of kube-controller-manager. It keeps to its bounds without any metric, and finds the pods by the selector."""
    with autoscaled(world, "external", mode="External") as name:
        target = {"apiVersion": "serving.fairlead.dev/v1alpha1", "kind": "ModelDeployment", "name": name}
        metric = {
            "type": "Pods",
            "pods": {"metric": {"name": "waiting"}, "target": {"type": "AverageValue", "averageValue": "4"}},
        }
        hpa = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": world.namespace},
            "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3, "metrics": [metric]},
        }
        world.kube.apply(hpa)
        try:
            wait_asked(world, name, 2, seconds=90)
            assert mdep(world, name)["spec"]["replicas"] == 2, "it has written scale"
            wait_ready(world.kube, name, world.namespace)
            seen = world.kube.must_get("hpa", name, world.namespace)["status"]
            assert seen["desiredReplicas"] == 2
            world.kube.apply({**hpa, "spec": {**hpa["spec"], "minReplicas": 1, "maxReplicas": 1}})  # type: ignore[dict-item]
            wait_asked(world, name, 1, seconds=90)
        finally:
            world.kube.delete("hpa", name, world.namespace)


@pytest.fixture
def prometheus(world: World, cluster: Cluster, tmp_path: Path) -> Iterator[Prometheus]:
    """Running, with the operator told of it."""
    made = Prometheus(program(cache_root()), tmp_path, world.in_node)
    made.say({})
    try:
        made.start()
        address = f"http://{cluster.node_address}:{made.port}"
        install(cluster, "--set", f"prometheus.url={address}", "--set", f"prometheus.ports[0]={made.port}")
        yield made
    finally:
        made.close()
        install(cluster)


@pytest.mark.heavy
def test_a_duty_cycle_of_prometheus_counts_and_holds_when_it_is_gone(world: World, prometheus: Prometheus) -> None:
    with autoscaled(world, "dcgm", replicas=2, maxReplicas=2, prometheus={}) as name:
        pods = [(world.namespace, pod["metadata"]["name"]) for pod in world.pods(name)]
        # The GPUs themselves are idle, by NVML: what forbids the step down came through Prometheus.
        prometheus.say(dict.fromkeys(pods, float(BUSY)))
        until("the veto is told", lambda: decision(world, name).get("reason") == "DutyCycleVeto", seconds=180)
        assert decision(world, name)["inputs"]["dutyCyclePercent"] == BUSY
        prometheus.kill()
        # What it told last counts for a minute.
        told = wait_autoscaled(world, name, "MetricsPartial", seconds=180)
        assert "Prometheus has told no duty cycle" in told["message"]
        always("two are asked for", lambda: asked(world, name) == 2, seconds=HOLD_SECONDS, every=2)
        prometheus.say(dict.fromkeys(pods, 0.0))
        prometheus.start()
        wait_asked(world, name, 1, seconds=180)


@pytest.mark.heavy
def test_explain_says_it_in_sentences(world: World, cluster: Cluster) -> None:
    with autoscaled(world, "said") as name:
        until("it has decided", lambda: decision(world, name), seconds=60)
        command = ["fairlead.cli", "autoscale", "explain", name, "-n", world.namespace, "--kubeconfig", str(cluster.kubeconfig)]
        said = subprocess.run(["python", "-m", *command], capture_output=True, text=True, check=True, timeout=60).stdout
        assert f"The operator sets the replicas of {world.namespace}/{name}, between 1 and 3." in said
        assert json.dumps(decision(world, name)["reason"]).strip('"') in said
