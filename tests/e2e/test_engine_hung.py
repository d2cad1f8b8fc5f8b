"""A hung engine leaves the Service within 30 s and is restarted within stallSeconds + 30 s; a busy one is left alone."""

import time
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.conftest import World
from tests.e2e.engine_processes import stop
from tests.e2e.kube import Object, describe, wait_ready
from tests.e2e.streams import streaming
from tests.waiting import until

STALL_SECONDS = 30
NOT_READY_SECONDS = 30
RESTART_SECONDS = STALL_SECONDS + 30

UNI: dict[str, Any] = {}
MP: dict[str, Any] = {
    "args": {"distributed-executor-backend": "mp"},
    "env": [
        {"name": "OMP_NUM_THREADS", "value": "1"},
        {"name": "VLLM_CPU_OMP_THREADS_BIND", "value": "nobind"},
    ],
}


def restarts(pod: Object) -> int:
    return int(next(each["restartCount"] for each in pod["status"]["containerStatuses"] if each["name"] == "engine"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "engine", "only"), [("hung-uni", UNI, ""), ("hung-mp", MP, "EngineCore")])
def test_a_hung_engine_is_taken_out_and_restarted_idle_and_under_load(
    world: World, name: str, engine: dict[str, Any], only: str
) -> None:
    world.create(name, replicas=1, engine=engine, health={"stallSeconds": STALL_SECONDS})
    for load in ("idle", "under load"):
        wait_ready(world.kube, name, world.namespace)
        (pod,) = world.pods(name)
        before = restarts(pod)
        with ExitStack() as stack:
            if load == "under load":
                # its streams die with the engine: that is what a hang does; they are only there so that it is at work
                stack.enter_context(streaming(world.in_node, world.url(name), "tiny", short=0, long=0, busy=3))
            stopped = time.monotonic()
            stop(world, pod, only=only)
            until(
                f"{name} {load}: out of the Service",
                lambda: not world.ready_endpoints(name),
                seconds=NOT_READY_SECONDS,
                describe=lambda: describe(world.kube, name, world.namespace),
            )
            until(
                f"{name} {load}: restarted",
                lambda before=before: restarts(world.pods(name)[0]) == before + 1,  # type: ignore[misc]
                seconds=RESTART_SECONDS - (time.monotonic() - stopped),
                describe=lambda: describe(world.kube, name, world.namespace),
            )
        assert world.pods(name)[0]["metadata"]["name"] == pod["metadata"]["name"], (
            "the container is restarted, not the pod replaced"
        )
    wait_ready(world.kube, name, world.namespace)
    assert restarts(world.pods(name)[0]) == 2
    world.remove(name)


@pytest.mark.timeout(400)
def test_a_busy_engine_with_a_full_queue_is_never_killed(world: World) -> None:
    """One sequence at a time, thirty that want in: the queue is full for longer than stallSeconds; the replica is left alone."""
    name = "busy"
    world.create(name, replicas=1, engine={"maxNumSeqs": 1}, health={"stallSeconds": 15})
    (pod,) = world.pods(name)
    with streaming(world.in_node, world.url(name), "tiny", short=0, long=0, busy=30, busy_tokens=300) as streams:
        until("the queue is long", lambda: world.agent_status(pod)["waiting"] >= 20, seconds=60)
        began = time.monotonic()
        waiting = []
        ready = []

        def watch() -> bool:
            waiting.append(world.agent_status(pod)["waiting"])
            ready.append(bool(world.ready_endpoints(name)))
            return time.monotonic() - began > 45  # three times stallSeconds

        until("it was busy for three times stallSeconds", watch, seconds=60, every=1)
    assert min(waiting[:-1]) > 0, "the queue ran dry: the test showed nothing"
    assert all(ready)
    assert restarts(world.pods(name)[0]) == 0
    assert not streams.failures()
    world.remove(name)
