"""What the API server refuses: what is told of it, and what is tried again."""

import pytest

from fairlead.reconciler.client import ApiError
from tests.unit.reconciler.fakes import refusal
from tests.unit.reconciler.world import SIX, World, mdep


async def test_a_refusal_is_a_condition_and_is_tried_again() -> None:
    world = World(mdep())
    world.client.refuse["apply", "NetworkPolicy"] = refusal(403, "exceeded quota: tight")
    assert await world.visit() == 30
    assert world.client.writes == [
        *[("apply", kind) for kind in SIX[:3]],
        ("apply", "ModelDeployment/status"),
        ("create", "Event"),
    ]
    assert world.condition("ConfigurationValid")["message"] == "applying: exceeded quota: tight"
    assert world.condition("Stalled")["reason"] == "ApplyFailed"
    del world.client.refuse["apply", "NetworkPolicy"]
    await world.visit()
    assert world.condition("ConfigurationValid")["status"] == "True"


async def test_a_field_that_kubernetes_does_not_have_is_told() -> None:
    """The API server answers an apply that has one with 500."""
    world = World(mdep())
    words = "failed to create typed patch object (ns/chat; apps/v1, Kind=Deployment): .spec.x: field not declared in schema"
    world.client.refuse["apply", "Deployment"] = refusal(500, words)
    assert await world.visit() == 30
    assert (world.condition("Stalled")["reason"], words in world.condition("Stalled")["message"]) == ("ApplyFailed", True)


@pytest.mark.parametrize("status", [0, 409, 429, 500, 503])
async def test_what_passes_is_for_the_queue(status: int) -> None:
    world = World(mdep())
    world.client.refuse["apply", "Service"] = refusal(status)
    with pytest.raises(ApiError):
        await world.visit()
    assert ("apply", "ModelDeployment/status") not in world.client.calls, "nothing is known that would be worth telling"


async def test_a_namespace_that_ends_is_left_alone() -> None:
    world = World(mdep())
    world.client.refuse["apply", "ServiceAccount"] = refusal(403, reason="NamespaceTerminating")
    assert await world.visit() is None
    assert world.client.writes == [("apply", "ServiceAccount")]


async def test_an_event_that_cannot_be_written_stops_nothing() -> None:
    world = World(mdep({"engine": {"args": {"nosuchflag": 1}}}))
    world.client.refuse["create", "Event"] = refusal(403)
    await world.visit()
    assert world.condition("Ready")["reason"] == "UnknownEngineFlag"


@pytest.mark.parametrize("status", [404, 409])
async def test_a_status_of_what_has_just_gone_is_no_failure(status: int) -> None:
    world = World(mdep())
    world.client.refuse["apply", "ModelDeployment/status"] = refusal(status)
    await world.visit()
    assert world.client.events == []
