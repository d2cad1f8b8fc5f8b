"""What is changed by hand comes back where the operator is a pod with the chart's rights: the control plane's walks, once more.

Most of it is about ModelDeployments without replicas, one is about a replica that runs meanwhile and must not notice.
"""

import json
from collections.abc import Iterator

import pytest

from fairlead.controller.settings import Settings
from fairlead.reconciler.kinds import CHILDREN, DEPLOYMENT, Kind
from fairlead.resources.context import BuildContext
from tests.audit import Audit
from tests.drift.child import Child, drifting, rendered
from tests.drift.walks import QUIET_SECONDS, foreign_leaves_stay, owned_leaves_come_back, owned_values, strategy_comes_back
from tests.e2e.conftest import World
from tests.e2e.kube import Kube, describe, wait_ready
from tests.objects import Objects
from tests.tenant import Tenant, soon
from tests.waiting import until

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("serving")]

SERVING = "serving"
TWINS = range(4)
"""As many as the operator has workers."""


@pytest.fixture(scope="module")
def context(kube: Kube, operator: str) -> BuildContext:
    """The settings that the chart has given to the operator."""
    config = kube.must_get("configmap", "fairlead-operator", operator)["data"]["operator.json"]
    return Settings.model_validate(json.loads(config)).context


@pytest.fixture(scope="module")
def tenant(world: World, operator: str) -> Iterator[Tenant]:
    objects = Objects(world.cluster.api)
    yield Tenant(
        objects,
        Audit(world.cluster.audit_log, f"system:serviceaccount:{operator}:fairlead-operator", world.namespace),
        world.namespace,
    )
    objects.close()


@pytest.fixture(scope="module")
def serving(world: World) -> str:
    """A ModelDeployment with one replica, which starts while the walks are on; its name."""
    world.create(SERVING, wait=None, replicas=1)
    return SERVING


@pytest.mark.parametrize("kind", CHILDREN, ids=lambda kind: kind.name)
def test_each_leaf_that_we_own_comes_back(tenant: Tenant, kind: Kind, context: BuildContext) -> None:
    owned_leaves_come_back([drifting(tenant, kind, f"own-{kind.plural}-{number}", context) for number in TWINS])


def test_strategy_changed_as_a_whole(tenant: Tenant, context: BuildContext) -> None:
    strategy_comes_back(drifting(tenant, DEPLOYMENT, "strategy", context))


@pytest.mark.parametrize("kind", CHILDREN, ids=lambda kind: kind.name)
def test_each_leaf_that_we_do_not_own_stays(tenant: Tenant, kind: Kind, context: BuildContext) -> None:
    foreign_leaves_stay(drifting(tenant, kind, f"foreign-{kind.plural}", context))


def test_a_running_replica_does_not_notice(world: World, tenant: Tenant, serving: str, context: BuildContext) -> None:
    mdep = wait_ready(world.kube, serving, world.namespace)
    before = containers(world, serving)
    assert len({pod for pod, _ in before}) == 1
    children = [Child(tenant, kind, serving, rendered(mdep, kind, context)) for kind in CHILDREN]
    scaled_by_hand(world, children[-1])
    until("the other replicas go", lambda: containers(world, serving) == before, seconds=30)
    for child in children:
        deleted_by_hand(world, child)
    wait_ready(world.kube, serving, world.namespace, seconds=30)
    until(
        "the new Service leads to the replica",
        lambda: '"tiny"' in world.curl(f"{world.url(serving)}/v1/models").stdout,
        seconds=30,
        describe=lambda: describe(world.kube, serving, world.namespace),
    )
    assert containers(world, serving) == before


def scaled_by_hand(world: World, deployment: Child) -> None:
    """Ask for more replicas than are wanted, and wait until they are not."""
    mark = deployment.tenant.audit.mark()
    world.kube.run("scale", f"deployment/{deployment.name}", "--replicas=3", "-n", world.namespace)
    soon("the operator has written", lambda: deployment.writes(mark))
    assert deployment.must_get()["spec"]["replicas"] == 1


def deleted_by_hand(world: World, child: Child) -> None:
    """Delete a child and wait for the new one, in which everything of ours is as it was, made by a single write."""
    old = child.must_get()
    mark = child.tenant.audit.mark()
    # The pods would go with their Deployment, before anybody can do anything about it.
    orphan = ["--cascade=orphan"] if child.kind == DEPLOYMENT else []
    world.kube.run("delete", child.kind.plural, old["metadata"]["name"], "-n", world.namespace, *orphan)
    soon(f"a new {child.kind.name} is written", lambda: child.writes(mark))
    new = child.must_get()
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert owned_values(child, new) == owned_values(child, old), child.kind.name
    child.tenant.settled(QUIET_SECONDS)
    assert len(child.writes(mark)) == 1, child.writes(mark)


def containers(world: World, name: str) -> set[tuple[str, str]]:
    """Each container that has been started in the pods of a ModelDeployment: the pod's uid, the container's own."""
    return {
        (pod["metadata"]["uid"], each.get("containerID", ""))
        for pod in world.pods(name)
        for each in [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
    }
