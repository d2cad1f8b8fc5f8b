"""The chart is installed, upgraded and uninstalled while a ModelDeployment serves: its pods never notice."""

import subprocess

import pytest

from tests.cluster.access import Cluster
from tests.e2e.conftest import World, install
from tests.e2e.kube import Object, wait_ready
from tests.waiting import until

NAME = "lasting"


def engines(world: World) -> dict[str, int]:
    """Uid of each replica -> restarts of its containers."""
    return {
        each["metadata"]["uid"]: sum(c["restartCount"] for c in each["status"]["containerStatuses"]) for each in world.pods(NAME)
    }


def operator_pods(world: World) -> list[Object]:
    return world.kube.list("pods", "fairlead-system", "app.kubernetes.io/name=fairlead-operator")


@pytest.mark.timeout(500)
def test_resources_and_their_pods_survive_upgrade_and_uninstall(world: World, cluster: Cluster) -> None:
    world.create(NAME, replicas=1)
    before = engines(world)
    old = {each["metadata"]["uid"] for each in operator_pods(world)}
    try:
        install(cluster, "--set", "logLevel=debug")
        until(
            "the operator was replaced",
            lambda: operator_pods(world) and not old & {e["metadata"]["uid"] for e in operator_pods(world)},
            seconds=60,
        )
        wait_ready(world.kube, NAME, world.namespace)
        assert engines(world) == before

        helm = [str(cluster.helm), f"--kubeconfig={cluster.kubeconfig}"]
        done = subprocess.run(
            [*helm, "uninstall", "fairlead", "-n", "fairlead-system", "--wait"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        until("the operator is gone", lambda: not operator_pods(world), seconds=60)
        assert world.kube.get("crd", "modeldeployments.serving.fairlead.dev") is not None
        assert world.kube.get("mdep", NAME, world.namespace) is not None
        assert engines(world) == before
        assert '"tiny"' in world.curl(f"{world.url(NAME)}/v1/models").stdout
    finally:
        install(cluster)  # over what is there
    world.kube.merge("mdep", NAME, {"spec": {"replicas": 2}}, world.namespace)
    mdep = wait_ready(world.kube, NAME, world.namespace)
    assert mdep["status"]["availability"] == "2/2"
    assert set(before) <= set(engines(world))
