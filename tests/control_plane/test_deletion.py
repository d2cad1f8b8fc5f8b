"""A deleted ModelDeployment takes everything with it that was made for it, whether or not the operator is up."""

import pytest

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.waiting import until


def wait_gone(world: World, name: str) -> None:
    until(
        "the children are gone",
        lambda: world.children(name) == {},
        every=0.2,
        describe=lambda: str(list(world.children(name))),
    )


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_deleted_while_the_operator_is_up(world: World, operator: OperatorProcess, policy: str) -> None:
    world.create("chat")
    world.make_ready("chat")
    world.objects.delete(MODEL_DEPLOYMENT, world.namespace, "chat", propagationPolicy=policy)
    wait_gone(world, "chat")
    until("it is gone itself", lambda: world.objects.get(MODEL_DEPLOYMENT, world.namespace, "chat") is None)
    since = world.settled()
    assert world.children("chat") == {}, "something was made again"
    assert world.writes_within(3, since) == []
    assert operator.running


def test_deleted_while_the_operator_is_down(world: World, operator: OperatorProcess) -> None:
    world.create("chat")
    world.make_ready("chat")
    assert operator.stop() == 0
    world.objects.delete(MODEL_DEPLOYMENT, world.namespace, "chat")
    wait_gone(world, "chat")
    since = world.audit.mark()
    operator.start()
    assert world.writes_within(3, since) == []
    assert world.children("chat") == {}


def test_a_new_one_of_the_same_name_waits_for_the_old_ones_children(world: World, operator: OperatorProcess) -> None:
    first = world.create("chat")
    world.wait_children("chat")
    world.objects.delete(MODEL_DEPLOYMENT, world.namespace, "chat")
    second = world.create("chat")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]

    def all_new() -> bool:
        children = world.children("chat").values()
        owners = {owner["uid"] for child in children for owner in child["metadata"]["ownerReferences"]}
        return len(children) == 6 and owners == {second["metadata"]["uid"]}

    until("all children are the new one's", all_new, every=0.2)
    world.make_ready("chat")
    assert operator.running


def test_orphans_are_taken_up_again(world: World, operator: OperatorProcess) -> None:
    world.create("chat")
    world.make_ready("chat")
    before = {kind: child["metadata"]["uid"] for kind, child in world.children("chat").items()}
    world.objects.delete(MODEL_DEPLOYMENT, world.namespace, "chat", propagationPolicy="Orphan")
    until("it is gone", lambda: world.objects.get(MODEL_DEPLOYMENT, world.namespace, "chat") is None)
    assert {kind: child["metadata"]["uid"] for kind, child in world.children("chat").items()} == before
    again = world.create("chat")
    world.wait_condition("chat", "Ready", status="True", reason="Ready")
    after = world.children("chat")
    assert {kind: child["metadata"]["uid"] for kind, child in after.items()} == before, "replicas went on serving"
    assert {owner["uid"] for child in after.values() for owner in child["metadata"]["ownerReferences"]} == {
        again["metadata"]["uid"]
    }
    assert operator.running
