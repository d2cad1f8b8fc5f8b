"""A whole visit over a fake API: what is read, what is written, when to come again."""

import asyncio
from typing import Any

import pytest

from fairlead.reconciler.kinds import CHILDREN, Kind
from tests.unit.reconciler.fakes import refusal
from tests.unit.reconciler.world import SIX, Object, World, mdep


async def test_the_first_visit_makes_everything_in_order_and_the_second_nothing() -> None:
    world = World(mdep())
    await world.visit()
    assert world.client.calls == [
        *[("get", kind) for kind in SIX],
        ("get", "ModelDeployment"),
        *[("apply", kind) for kind in SIX],
        ("apply", "ModelDeployment/status"),
    ]
    await world.visit()
    assert world.client.calls == [], "neither a read nor a write"


async def test_a_first_visit_reads_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read waits until all six are under way."""
    world = World(mdep())
    all_six = asyncio.Barrier(len(SIX))
    get = world.client.get

    async def slow(kind: Kind, namespace: str, name: str) -> Object | None:
        if kind in CHILDREN:
            async with asyncio.timeout(5):
                await all_six.wait()
        return await get(kind, namespace, name)

    monkeypatch.setattr(world.client, "get", slow)
    await world.visit()
    assert [kind for verb, kind in world.client.writes if verb == "apply"][: len(SIX)] == SIX


async def test_what_is_gone_needs_nothing() -> None:
    world = World()
    assert await world.visit() is None
    assert world.client.calls == []


@pytest.mark.parametrize(
    "fresh", [None, mdep(uid="u2"), mdep(deletionTimestamp="2026-01-01T00:00:00Z")], ids=["gone", "another", "ending"]
)
async def test_nothing_is_made_for_one_that_is_going(fresh: Object | None) -> None:
    """The store has not heard of it yet."""
    world = World(mdep())
    world.client.objects = {world.client.place(fresh): fresh} if fresh else {}
    await world.visit()
    assert [call for call in world.client.writes if not call[1].startswith("ModelDeployment")] == []


async def test_one_that_is_being_deleted_only_says_so() -> None:
    world = World(mdep(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert await world.visit() is None
    assert world.client.writes == [("apply", "ModelDeployment/status"), ("create", "Event")]
    assert world.condition("Ready")["reason"] == "Terminating"


async def test_drift_is_one_write() -> None:
    world = World(mdep())
    await world.visit()
    service = world.client.objects["Service", "ns", "chat"]
    world.put({**service, "spec": {**service["spec"], "type": "NodePort"}})
    await world.visit()
    assert world.client.calls == [("apply", "Service")]


async def test_a_webhook_that_insists_is_not_fought_with() -> None:
    world = World(mdep())
    world.client.webhook = {
        "type": "LoadBalancer",
        "strategy": {"type": "Recreate"},
        "unhealthyPodEvictionPolicy": "x",
        "policyTypes": [],
    }
    await world.visit()
    await world.visit()
    assert world.client.calls == []
    world.put(mdep({"replicas": 3}, generation=2))
    await world.visit()
    assert ("apply", "Deployment") in world.client.writes, "a change of what is wanted is written all the same"
    await world.visit()
    assert world.client.calls == []


async def test_an_invalid_spec_leaves_the_children() -> None:
    world = World(mdep())
    await world.visit()
    world.put(mdep({"engine": {"args": {"nosuchflag": 1}}, "replicas": 5}, generation=2))
    await world.visit()
    assert world.client.writes == [("apply", "ModelDeployment/status"), ("create", "Event")]
    assert (world.status()["observedGeneration"], world.status()["availability"]) == (2, "0/2")


async def test_a_spec_that_the_operator_does_not_know() -> None:
    world = World(mdep({"fieldOfTheFuture": 1}))
    await world.visit()
    told = world.condition("ConfigurationValid")
    assert told["reason"] == "InvalidSpec"
    assert told["message"].startswith("spec.fieldOfTheFuture: ")
    assert [call for call in world.client.writes if call[1] in SIX] == []


async def test_a_child_that_is_no_longer_wanted_is_looked_at_before_it_goes() -> None:
    world = World(mdep())
    await world.visit()
    world.put(mdep({"pod": {"serviceAccountName": "mine"}}, generation=2))
    await world.visit()
    looked = [("list", "ReplicaSet"), ("get", "ServiceAccount"), ("delete", "ServiceAccount")]
    assert world.client.calls[:4] == [("apply", "Deployment"), *looked]


async def test_a_copy_of_a_child_under_another_name_stays() -> None:
    """The operator may delete no Service: the copy goes with the ModelDeployment, whose it says it is."""
    world = World(mdep())
    await world.visit()
    service = world.client.objects["Service", "ns", "chat"]
    world.put({**service, "metadata": {**service["metadata"], "name": "copy", "uid": "copy"}})
    await world.visit()
    assert world.client.calls == []


async def test_a_child_that_somebody_has_taken_over_stays() -> None:
    world = World(mdep())
    await world.visit()
    account = world.client.objects["ServiceAccount", "ns", "chat"]
    world.put(mdep({"pod": {"serviceAccountName": "mine"}}, generation=2))
    taken = {**account, "metadata": {**account["metadata"], "ownerReferences": []}}
    world.client.objects["ServiceAccount", "ns", "chat"] = taken  # the store has not heard of it
    await world.visit()
    assert ("delete", "ServiceAccount") not in world.client.calls


async def test_a_conflict_is_looked_at_again_soon() -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "ns", "name": "chat", "uid": "x", "resourceVersion": "1"},
    }
    world = World(mdep())
    world.client.objects["Service", "ns", "chat"] = foreign
    assert await world.visit() == 10
    assert world.condition("Ready")["reason"] == "NameConflict"
    await world.visit()
    assert world.client.writes == []


async def test_conditions_of_others_stay_and_cause_no_write() -> None:
    world = World(mdep())
    await world.visit()
    live = world.client.objects["ModelDeployment", "ns", "chat"]
    theirs = {"type": "Theirs", "status": "True", "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    world.put({**live, "status": {**live["status"], "conditions": [theirs, *live["status"]["conditions"]], "later": 1}})
    await world.visit()
    assert world.client.calls == []


async def test_a_port_in_the_way_is_put_right() -> None:
    world = World(mdep())
    await world.visit()
    service = world.client.objects["Service", "ns", "chat"]
    world.put({**service, "spec": {**service["spec"], "ports": [{"name": "http", "port": 81}]}})
    world.client.refuse["apply", "Service"] = refusal(422, "Duplicate value: http")
    with pytest.MonkeyPatch.context() as patch:
        put_right = world.client.put_right

        async def then_it_works(live: Object, items: Any) -> None:
            await put_right(live, items)
            world.client.refuse.clear()

        patch.setattr(world.client, "put_right", then_it_works)
        await world.visit()
    assert world.client.calls == [("apply", "Service"), ("get", "Service"), ("patch", "Service"), ("apply", "Service")]
