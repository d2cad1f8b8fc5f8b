"""Deleting a ModelDeployment removes everything it made, also when the operator is away at that moment."""

from tests.e2e.conftest import World
from tests.e2e.kube import describe
from tests.waiting import until

KINDS = "deployments,replicasets,pods,services,endpointslices,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies"


def made_by(world: World, name: str) -> list[str]:
    return [
        f"{each['kind']}/{each['metadata']['name']}"
        for each in world.kube.list(KINDS, world.namespace, f"serving.fairlead.dev/model-deployment={name}")
    ]


def all_made(world: World, name: str) -> bool:
    kinds = {each.partition("/")[0] for each in made_by(world, name)}
    return {
        "Deployment",
        "ReplicaSet",
        "Pod",
        "Service",
        "ConfigMap",
        "ServiceAccount",
        "PodDisruptionBudget",
        "NetworkPolicy",
    } <= kinds


def everything(world: World) -> set[str]:
    """Each object of the namespace, of every listable kind but events, so that nothing is missed for want of a label."""
    kinds = world.kube.run("api-resources", "--verbs=list", "--namespaced", "-o", "name").stdout.split()
    wanted = ",".join(sorted(kind for kind in kinds if not kind.startswith("events") and "metrics" not in kind))
    return {f"{each['kind']}/{each['metadata']['name']}" for each in world.kube.list(wanted, world.namespace)}


def wait_made(world: World, name: str) -> None:
    until(
        "every child is there",
        lambda: all_made(world, name),
        seconds=60,
        describe=lambda: describe(world.kube, name, world.namespace),
    )


def wait_left(world: World, before: set[str]) -> None:
    until(
        "nothing is left but what was there",
        lambda: everything(world) <= before,
        seconds=120,
        every=1,
        describe=lambda: str(everything(world) - before),
    )


def test_deleting_removes_everything_it_made(world: World) -> None:
    before = everything(world)
    world.create("gone", wait=None)
    wait_made(world, "gone")
    world.kube.delete("mdep", "gone", world.namespace)
    wait_left(world, before)


def test_deleting_while_the_operator_is_down_removes_everything_it_made(world: World, operator: str) -> None:
    before = everything(world)
    world.create("orphan", wait=None)
    wait_made(world, "orphan")
    replicas = world.kube.must_get("deployment", "fairlead-operator", operator)["spec"]["replicas"]
    world.kube.run("scale", "deployment/fairlead-operator", "--replicas=0", "-n", operator)
    try:
        until(
            "the operator is down",
            lambda: not world.kube.list("pods", operator, "app.kubernetes.io/name=fairlead-operator"),
            seconds=60,
        )
        world.kube.delete("mdep", "orphan", world.namespace)
        wait_left(world, before)
    finally:
        world.kube.run("scale", "deployment/fairlead-operator", f"--replicas={replicas}", "-n", operator)
        world.kube.run("rollout", "status", "deployment/fairlead-operator", "-n", operator, "--timeout=120s", timeout=150)
    # it makes nothing again of what it has not seen go
    world.create("after", wait=None, replicas=0)
    until("it is at work again", lambda: world.kube.get("service", "after", world.namespace), seconds=60)
    assert not made_by(world, "orphan")
