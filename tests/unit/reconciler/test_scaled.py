"""A visit with the autoscaler's word in hand: one Deployment, one writer, and what is told of it."""

from dataclasses import replace
from typing import Any

from fairlead.api.conditions import Reason
from fairlead.reconciler.conditions import Verdict
from fairlead.reconciler.kinds import DEPLOYMENT
from fairlead.reconciler.scaling import Scaled
from tests.unit.reconciler.world import KEY, World, mdep

AUTO = {"replicas": 1, "autoscaling": {"minReplicas": 1, "maxReplicas": 5}}


def scaled(number: int, *changes: dict[str, Any], uid: str = "u1", reason: Reason = Reason.DEMAND_FOLLOWED) -> Scaled:
    status = {"desired": number, "reason": "Steady", "since": "2026-01-01T00:00:00Z", "changes": list(changes)}
    return Scaled(uid, number, status, Verdict(status=reason is Reason.DEMAND_FOLLOWED, reason=reason, message="words"))


def change(before: int, after: int) -> dict[str, Any]:
    return {"at": "2026-01-01T00:00:00Z", "before": before, "after": after, "reason": "QueueHigh", "message": "9 wait"}


def asked(world: World) -> int:
    found = world.store.get(DEPLOYMENT, "ns", "chat")
    assert found is not None
    number: int = found["spec"]["replicas"]
    return number


async def test_the_number_that_was_decided_is_written_once() -> None:
    world = World(mdep(AUTO))
    await world.visit()
    assert (asked(world), "autoscaling" in world.status()) == (1, False)
    world.scales[KEY] = scaled(3)
    world.seconds = 60
    await world.visit()
    assert asked(world) == 3
    assert world.status()["autoscaling"]["desired"] == 3
    assert world.status()["availability"] == "0/3"
    assert world.client.objects["ModelDeployment", "ns", "chat"]["spec"]["replicas"] == 1
    await world.visit()
    assert world.client.calls == []


async def test_a_hand_that_scales_the_deployment_is_put_right() -> None:
    world = World(mdep(AUTO))
    world.scales[KEY] = scaled(3)
    await world.visit()
    live = dict(world.client.objects["Deployment", "ns", "chat"])
    world.put({**live, "spec": {**live["spec"], "replicas": 9}})
    await world.visit()
    assert asked(world) == 3


async def test_what_was_said_of_an_earlier_one_of_that_name_does_not_count() -> None:
    world = World(mdep(AUTO))
    world.scales[KEY] = scaled(4, uid="u0")
    await world.visit()
    assert asked(world) == 1


async def test_changes_become_events_each_once() -> None:
    world = World(mdep(AUTO))
    world.scales[KEY] = scaled(2, change(1, 2))
    await world.visit()
    world.seconds = 60
    world.scales[KEY] = scaled(4, change(3, 4), change(2, 3), change(1, 2))
    await world.visit()
    world.seconds = 600  # what was told five minutes ago may be told again
    world.scales[KEY] = replace(world.scales[KEY], status={**world.scales[KEY].status, "reason": "QuietWindow"})
    await world.visit()
    told = [(each["type"], each["reason"], each["note"]) for each in world.client.events if each["reason"] == "QueueHigh"]
    assert told == [("Normal", "QueueHigh", f"replicas: {n} -> {n + 1}: 9 wait") for n in (1, 2, 3)]


async def test_what_keeps_it_from_following_the_demand_is_a_warning() -> None:
    world = World(mdep(AUTO))
    world.scales[KEY] = scaled(2, reason=Reason.NO_CAPACITY)
    await world.visit()
    assert [(each["type"], each["note"]) for each in world.client.events if each["reason"] == "NoCapacity"] == [
        ("Warning", "words")
    ]
    assert world.condition("Autoscaled")["status"] == "False"
    world.scales[KEY] = scaled(2)
    await world.visit()
    assert world.condition("Autoscaled")["status"] == "True"
    assert "DemandFollowed" not in {each["reason"] for each in world.client.events}


async def test_to_only_recommend_is_nothing_to_warn_of() -> None:
    world = World(mdep({"autoscaling": {"mode": "Recommend", "maxReplicas": 5}}))
    status = scaled(4, {**change(3, 4), "recommended": True}).status
    world.scales[KEY] = Scaled("u1", None, status, Verdict(status=False, reason=Reason.RECOMMENDED_ONLY, message="4"))
    await world.visit()
    assert asked(world) == 2
    assert [each["type"] for each in world.client.events if each["reason"] == "RecommendedOnly"] == ["Normal"]
    told = [(each["type"], each["note"]) for each in world.client.events if each["reason"] == "QueueHigh"]
    assert told == [("Normal", "replicas would be: 3 -> 4: 9 wait")], "nothing has changed"


async def test_without_autoscaling_any_more_nothing_of_it_is_left() -> None:
    world = World(mdep(AUTO))
    world.scales[KEY] = scaled(3)
    await world.visit()
    live = dict(world.client.objects["ModelDeployment", "ns", "chat"])
    world.put(
        {**live, "spec": {"model": live["spec"]["model"], "replicas": 2}, "metadata": {**live["metadata"], "generation": 2}}
    )
    await world.visit()
    assert asked(world) == 2
    assert "autoscaling" not in world.status()
    assert "Autoscaled" not in {each["type"] for each in world.status()["conditions"]}
