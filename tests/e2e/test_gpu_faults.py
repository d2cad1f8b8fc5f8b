"""A GPU fault on a running replica takes that one, and not its neighbour, out of the Service, and the condition names it."""

from collections.abc import Callable

import pytest

from tests.cluster.gpus import FakeGPU
from tests.e2e.conftest import World
from tests.e2e.kube import Object, condition, describe, wait_ready
from tests.waiting import until

NAME = "faults"

FAULTS: list[tuple[str, Callable[[FakeGPU], None], str]] = [
    ("ECCUncorrected", lambda gpu: gpu.set("ecc_uncorrected", 1), "ECC"),
    ("XidFatal", lambda gpu: gpu.append("xid", "79"), "79"),
    ("NVMLHung", lambda gpu: gpu.set("hang", 1), "NVML"),
]


@pytest.fixture(scope="module")
def served(world: World) -> str:
    world.create(NAME)
    return NAME


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("reason", "inject", "told"), FAULTS, ids=[row[0] for row in FAULTS])
def test_a_gpu_fault_takes_out_one_replica_and_is_named(
    world: World, served: str, reason: str, inject: Callable[[FakeGPU], None], told: str
) -> None:
    wait_ready(world.kube, served, world.namespace)
    sick, sound = world.pods(served)
    sick_name, sound_name = sick["metadata"]["name"], sound["metadata"]["name"]
    gpu = world.gpu_of(sick)
    assert world.ready_endpoints(served) == {sick_name, sound_name}
    try:
        inject(gpu)

        def seen() -> Object | None:
            found = condition(world.kube.must_get("mdep", served, world.namespace), "ReplicasAvailable")
            return found if found["status"] == "False" and reason in found["message"] else None

        until("only the sound one is left", lambda: world.ready_endpoints(served) == {sound_name}, seconds=45)
        message = until(
            "the condition says which", seen, seconds=30, describe=lambda: describe(world.kube, served, world.namespace)
        )["message"]
        assert sick_name in message
        assert sound_name not in message
        assert told in message
        # the neighbour answers, and the fault did not make the kubelet restart anything
        answer = world.curl(f"{world.url(served)}/v1/models")
        assert '"tiny"' in answer.stdout
        assert all(each["restartCount"] == 0 for pod in world.pods(served) for each in pod["status"]["containerStatuses"])
    finally:
        gpu.clear()
    if reason == "NVMLHung":  # NVML answers again: the replica comes back by itself
        wait_ready(world.kube, served, world.namespace, seconds=60)
        assert world.ready_endpoints(served) == {sick_name, sound_name}
    else:  # a worn-out GPU stays out until the replica is replaced
        world.kube.run("delete", "pod", sick_name, "-n", world.namespace, "--grace-period=5", "--wait=true", timeout=120)
