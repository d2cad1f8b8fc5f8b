"""What was made for earlier specs: kept for as long as a pod may need it to start again, then removed."""

from typing import Any

import pytest

from tests.unit.reconciler.fakes import refusal
from tests.unit.reconciler.world import World, mdep

Object = dict[str, Any]

CHANGE = {"rollout": {"maxStreamSeconds": 77}}


def config_maps(world: World) -> set[str]:
    return {name for kind, _, name in world.client.objects if kind == "ConfigMap"}


def mounts(config: str) -> Object:
    return {"volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": config}}]}


def template(world: World) -> str:
    """The ConfigMap that the Deployment gives to its pods."""
    volumes = world.client.objects["Deployment", "ns", "chat"]["spec"]["template"]["spec"]["volumes"]
    (name,) = (each["configMap"]["name"] for each in volumes if "configMap" in each)
    return str(name)


def add_pod(world: World, config: str, **metadata: Any) -> None:
    world.add_pod("old", ready=True)
    pod = world.client.objects["Pod", "ns", "old"]
    world.put({**pod, "metadata": {**pod["metadata"], **metadata}, "spec": mounts(config)})


def add_replica_set(world: World, config: str, replicas: int) -> None:
    """The store does not know it: ReplicaSets are not watched."""
    meta = {"namespace": "ns", "name": "chat-h", "uid": "r", "resourceVersion": "1"}
    spec = {"replicas": replicas, "template": {"spec": mounts(config)}}
    world.client.objects["ReplicaSet", "ns", "chat-h"] = {"kind": "ReplicaSet", "metadata": meta, "spec": spec}


async def changed() -> tuple[World, str]:
    """A world in which the spec has just been changed, and what its pods have mounted until now."""
    world = World(mdep())
    await world.visit()
    (before,) = config_maps(world)
    world.put(mdep(CHANGE, generation=2))
    return world, before


async def test_other_content_is_another_object_and_the_same_content_is_the_same() -> None:
    world, before = await changed()
    add_pod(world, before)
    old = world.client.objects["ConfigMap", "ns", before]
    assert old["immutable"] is True
    await world.visit()
    (new,) = config_maps(world) - {before}
    assert world.client.objects["ConfigMap", "ns", before] == old
    assert template(world) == new
    world.put(mdep(generation=3))
    await world.visit()
    assert (template(world), config_maps(world)) == (before, {before}), "back again, and what nobody has mounted is gone"


@pytest.mark.parametrize("ending", [{}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}], ids=["", "ending"])
async def test_one_that_a_pod_mounts_stays(ending: Object) -> None:
    world, before = await changed()
    add_pod(world, before, **ending)
    await world.visit()
    await world.visit()
    assert world.client.calls == [], "there is nothing to look for"
    assert config_maps(world) == {before, template(world)}
    world.store.discard(world.client.objects.pop(("Pod", "ns", "old")))
    await world.visit()
    assert world.client.calls == [("list", "ReplicaSet"), ("get", "ConfigMap"), ("delete", "ConfigMap")]
    assert config_maps(world) == {template(world)}


async def test_one_of_a_replica_set_that_is_to_have_pods_stays() -> None:
    """Its pod was evicted, say, and it cannot make the next one before a quota lets it."""
    world, before = await changed()
    add_replica_set(world, before, 1)
    await world.visit()
    await world.visit()
    assert config_maps(world) == {before, template(world)}
    add_replica_set(world, before, 0)
    await world.visit()
    assert config_maps(world) == {template(world)}


async def test_the_service_account_stays_while_a_pod_or_a_replica_set_of_an_earlier_spec_runs_as_it() -> None:
    """Or a replica that was evicted could not be made anew while the one that the spec now names is not there."""
    world = World(mdep())
    await world.visit()
    (config,) = config_maps(world)
    world.put(mdep({"pod": {"serviceAccountName": "mine"}}, generation=2))
    add_pod(world, config)
    pod = world.client.objects["Pod", "ns", "old"]
    world.put({**pod, "spec": {**pod["spec"], "serviceAccountName": "chat"}})
    add_replica_set(world, config, 1)
    world.client.objects["ReplicaSet", "ns", "chat-h"]["spec"]["template"]["spec"]["serviceAccountName"] = "chat"
    await world.visit()
    assert ("ServiceAccount", "ns", "chat") in world.client.objects
    world.store.discard(world.client.objects.pop(("Pod", "ns", "old")))
    await world.visit()
    assert ("ServiceAccount", "ns", "chat") in world.client.objects
    world.client.objects["ReplicaSet", "ns", "chat-h"]["spec"]["replicas"] = 0
    await world.visit()
    assert ("ServiceAccount", "ns", "chat") not in world.client.objects


async def test_with_the_deployment_refused_its_own_stays_and_there_is_never_more_than_one_beside_it() -> None:
    world, before = await changed()
    world.client.refuse["apply", "Deployment"] = refusal(403, "denied")
    for generation in range(3, 8):
        world.put(mdep({"rollout": {"maxStreamSeconds": 70 + generation}}, generation=generation))
        await world.visit()
        assert template(world) == before
        assert before in config_maps(world)
        assert len(config_maps(world)) == 2


async def test_one_of_an_earlier_version_of_the_operator_goes_with_its_pods() -> None:
    """It was called NAME-config, and what was in it was changed under its pods."""
    world = World(mdep())
    await world.visit()
    (new,) = config_maps(world)
    owned = world.client.objects["ConfigMap", "ns", new]["metadata"]
    world.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**owned, "name": "chat-config"}, "data": {"envoy.json": "{}"}}
    )
    add_pod(world, "chat-config")
    await world.visit()
    assert (world.client.writes, config_maps(world)) == ([], {"chat-config", new})
    world.store.discard(world.client.objects.pop(("Pod", "ns", "old")))
    await world.visit()
    assert config_maps(world) == {new}


async def test_what_is_not_ours_stays() -> None:
    world = World(mdep())
    await world.visit()
    (new,) = config_maps(world)
    owned = world.client.objects["ConfigMap", "ns", new]["metadata"]
    foreign = {**owned, "name": "theirs", "ownerReferences": []}
    world.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": foreign})
    await world.visit()
    assert (world.client.calls, config_maps(world)) == ([], {"theirs", new})


async def test_a_right_that_is_missing_is_told_and_keeps_nothing_from_being_made() -> None:
    world, before = await changed()
    world.client.refuse["list", "ReplicaSet"] = refusal(403, "may not list")
    assert await world.visit() == 30
    assert template(world) != before
    assert world.condition("ConfigurationValid")["message"] == "applying: may not list"


async def test_one_that_was_made_anew_by_hand_with_other_content_is_replaced() -> None:
    world = World(mdep())
    await world.visit()
    (name,) = config_maps(world)
    by_hand = world.client.objects["ConfigMap", "ns", name]
    wanted = by_hand["data"]
    world.put({**by_hand, "data": {**wanted, "envoy.json": "{}"}})
    world.client.immutable = True
    await world.visit()
    assert world.client.writes == [("apply", "ConfigMap"), ("delete", "ConfigMap"), ("apply", "ConfigMap")]
    assert world.client.objects["ConfigMap", "ns", name]["data"] == wanted
