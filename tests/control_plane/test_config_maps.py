"""What pods read at their start: the same for as long as they live, whatever becomes of the spec."""

import re

import pytest

from fairlead.reconciler.decide import mounted
from fairlead.reconciler.kinds import CONFIG_MAP, DEPLOYMENT, POD
from tests.control_plane.world import World
from tests.objects import RESOURCE_QUOTA, Object, Refused
from tests.tenant import soon

pytestmark = pytest.mark.usefixtures("operator")

CHANGE: Object = {"rollout": {"maxStreamSeconds": 77}}


def frozen(world: World) -> dict[str, tuple[str, Object]]:
    return {each["metadata"]["name"]: (each["metadata"]["uid"], each["data"]) for each in world.config_maps("chat")}


def test_pods_of_an_earlier_spec_keep_theirs_until_they_are_gone(world: World) -> None:
    world.create("chat")
    world.make_ready("chat")
    before = frozen(world)
    (old,) = before
    world.change("chat", CHANGE)
    old_pods = [pod for pod in world.wait_pods("chat", 3) if mounted(pod) == {old}]
    assert len(old_pods) == 2
    (new_pod,) = (pod for pod in world.pods("chat") if mounted(pod) != {old})
    world.settled()
    assert frozen(world).items() > before.items()
    (new,) = mounted(new_pod)
    assert frozen(world).keys() == {old, new}
    # Each is replaced by one of the present spec; the operator hears of the last old one's end.
    while any(mounted(pod) == {old} for pod in world.pods("chat")):
        for pod in world.pods("chat"):
            if "deletionTimestamp" in pod["metadata"]:
                world.objects.delete(POD, world.namespace, pod["metadata"]["name"], gracePeriodSeconds=0)
            elif mounted(pod) == {new}:
                world.run(pod, ready=True)
    soon("the old one is gone", lambda: frozen(world).keys() == {new})


def test_a_spec_whose_deployment_is_refused_changes_nothing_for_the_pods(world: World) -> None:
    """And does not leave a ConfigMap behind for each attempt."""
    world.create("chat")
    world.make_ready("chat")
    before = frozen(world)
    old_pods = {pod["metadata"]["uid"] for pod in world.pods("chat")}
    # One that the API server lets pass as part of a ModelDeployment and refuses as part of a Deployment.
    term = {"weight": 0, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}
    for seconds in (71, 72, 73):
        world.change("chat", {"pod": {"affinity": affinity}, "rollout": {"maxStreamSeconds": seconds}})
        world.wait_condition("chat", "ConfigurationValid", status="False", reason="ApplyFailed")
        assert frozen(world).items() >= before.items()
        assert len(frozen(world)) == 2
    assert mounted(world.must_child(DEPLOYMENT, "chat")["spec"]["template"]) == before.keys()
    assert {pod["metadata"]["uid"] for pod in world.pods("chat")} == old_pods
    world.change("chat", {"pod": None, "rollout": None})
    world.wait_condition("chat", "ConfigurationValid", status="True", reason="ConfigurationValid")
    soon("what was tried is gone", lambda: frozen(world) == before)


def test_a_replica_that_is_made_anew_during_a_rollout_finds_its_own(world: World) -> None:
    """A quota keeps it away for a while: then no pod mounts it, and the ReplicaSet alone tells that it is needed."""
    world.create("chat", {"replicas": 1})
    world.make_ready("chat", 1)
    (old,) = frozen(world)
    world.change("chat", CHANGE)
    world.wait_pods("chat", 2)
    quota = {"metadata": {"name": "tight"}, "spec": {"hard": {"pods": "0"}}}
    world.objects.create(RESOURCE_QUOTA, world.namespace, quota)
    (pod,) = (pod for pod in world.pods("chat") if mounted(pod) == {old})
    world.objects.delete(POD, world.namespace, pod["metadata"]["name"], gracePeriodSeconds=0)
    world.wait_pods("chat", 1)
    world.settled()
    assert old in frozen(world)


def test_one_that_is_deleted_by_hand_comes_back_and_nobody_can_change_it(world: World) -> None:
    world.create("chat")
    world.wait_children("chat")
    ((name, (uid, data)),) = frozen(world).items()
    with pytest.raises(Refused, match="immutable"):
        world.objects.merge(CONFIG_MAP, world.namespace, name, {"data": {"agent.json": "{}"}})
    world.objects.delete(CONFIG_MAP, world.namespace, name)
    soon("it is there again", lambda: frozen(world).get(name, (uid,))[0] != uid)
    assert frozen(world)[name][1] == data
    assert re.fullmatch("chat-config-[0-9a-f]{10}", name)


def test_one_that_was_made_anew_by_hand_with_other_content_is_replaced(world: World) -> None:
    world.create("chat")
    world.wait_children("chat")
    ((name, (uid, data)),) = frozen(world).items()
    meta = world.must_child(CONFIG_MAP, "chat")["metadata"]
    by_hand = {"metadata": {key: meta[key] for key in ("name", "labels", "ownerReferences")}, "data": {"agent.json": "{}"}}

    def taken() -> bool:
        """The operator makes it anew as well: whoever is first."""
        world.objects.delete(CONFIG_MAP, world.namespace, name)
        try:
            world.objects.create(CONFIG_MAP, world.namespace, {**by_hand, "immutable": True})
        except Refused:
            return False
        return True

    soon("another one is in its place", taken)
    soon("it is ours again", lambda: frozen(world).get(name, ("", {}))[1] == data)
    assert frozen(world)[name][0] != uid
