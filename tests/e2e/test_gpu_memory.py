"""The engine is started only where the GPU has what it will take, and a pod that waits for that is left alone."""

import re

import pytest

from tests.cluster.gpus import FakeGPU
from tests.e2e.conftest import World
from tests.e2e.engine_processes import processes
from tests.e2e.kube import condition, describe, wait_ready
from tests.waiting import always, until

TOTAL = 24 * 2**30
PERCENT = 90
NEEDED = -(-TOTAL * PERCENT // 100)


@pytest.mark.timeout(400)
def test_engine_waits_for_gpu_memory_and_starts_when_it_is_there_without_a_restart(world: World) -> None:
    name = "memory"
    everyone = [FakeGPU(each) for each in sorted(world.cluster.gpus.iterdir())]
    try:
        for gpu in everyone:  # whichever the kubelet picks
            gpu.set("memory_total_bytes", TOTAL)
            gpu.set("memory_used_bytes", TOTAL - NEEDED + 1)
        world.create(name, wait=None, replicas=1, engine={"gpuMemoryUtilizationPercent": PERCENT})

        def waits() -> bool:
            mdep = world.kube.must_get("mdep", name, world.namespace)
            ready = condition(mdep, "Ready")
            return bool(ready["status"] == "False" and ready["reason"] == "GPUMemoryInsufficient")

        until(
            "the condition says that it waits for GPU memory",
            waits,
            seconds=120,
            describe=lambda: describe(world.kube, name, world.namespace),
        )
        message = condition(world.kube.must_get("mdep", name, world.namespace), "Ready")["message"]
        assert {str(NEEDED), str(NEEDED - 1)} <= set(re.findall(r"\d+", message)), message
        (pod,) = world.pods(name)
        gpu = world.gpu_of(pod)

        def still_waiting() -> bool:
            (now,) = world.pods(name)
            engine = next(each for each in now["status"]["containerStatuses"] if each["name"] == "engine")
            assert not engine["ready"]
            assert engine["restartCount"] == 0
            assert not [line for line, _ in processes(world, now).values() if "vllm" in line]
            return not world.ready_endpoints(name)

        # well past the kubelet's patience with liveness (2 x 5 s) and readiness
        assert always("out of the Service", still_waiting, seconds=25, every=1) >= 5
        gpu.set("memory_used_bytes", TOTAL - NEEDED)  # one byte more is free
        wait_ready(world.kube, name, world.namespace)
        (after,) = world.pods(name)
        assert after["metadata"]["uid"] == pod["metadata"]["uid"]
        assert next(each for each in after["status"]["containerStatuses"] if each["name"] == "engine")["restartCount"] == 0
    finally:
        for gpu in everyone:
            gpu.clear()
        world.remove(name)
