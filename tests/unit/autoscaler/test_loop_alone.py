"""What goes wrong with one ModelDeployment stays with that one: the others' numbers follow their demand."""

from typing import Any

import pytest

from fairlead.autoscaler import fleet, report
from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.report import Report
from fairlead.autoscaler.sharing import PATIENCE_SECONDS
from fairlead.reconciler import pods
from tests.unit.autoscaler.test_fleet import UNSCHEDULED, deployment, model, pod, running
from tests.unit.autoscaler.test_loop import BIG, CHAT, QUEUE, World


def with_another(status: Any = None, pod_status: Any = None) -> World:
    """Beside chat there is big, with that status.autoscaling and a pod in that state."""
    world = World()
    big, its = model("big"), deployment(1, uid="u2")
    big["metadata"]["uid"], big["status"] = "u2", {"autoscaling": status} if status else {}
    its["metadata"] |= {"name": "big", "labels": {"serving.fairlead.dev/model-deployment": "big"}}
    replica = pod("big-0", pod_status or running("10.0.1.1"), owner="big-h")
    replica["metadata"]["labels"]["serving.fairlead.dev/model-deployment"] = "big"
    for each in (big, its, replica):
        world.put(each)
    return world


async def grows(world: World) -> bool:
    """Whether chat gets another replica for its queue."""
    world.loads["chat-0"] = QUEUE
    await world.ticks(8)
    return world.says.replicas == 2


STATUSES: dict[str, Any] = {
    "of another type": {"desired": "many"},
    "of another form": {"desired": 3, "reason": "Steady", "since": "2026-01-01T00:00:00Z", "changes": [3]},
    "learned something else": {"desired": 3, "reason": "Steady", "since": "2026-01-01T00:00:00Z", "learned": {"fullRunning": -1}},
}


@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES)
async def test_a_status_that_another_version_wrote_is_written_anew(status: Any) -> None:
    world = with_another(status)
    assert await grows(world)
    assert world.scales[BIG].status["reason"] in {"Steady", "QuietWindow"}


async def test_one_whose_pod_cannot_be_understood_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = with_another()

    def fails(seen: Any) -> pods.PodView:
        return pods.view(seen if seen["metadata"]["name"] != "big-0" else {})

    monkeypatch.setattr(fleet, "view", fails)
    assert await grows(world)
    assert BIG not in world.scales
    assert "please report it" in caplog.text


async def test_one_of_which_nothing_can_be_told_keeps_its_number(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, shown = with_another(), report.shown
    await world.ticks(1)
    was = world.scales[BIG]

    def fails(told: Report | None, *others: Any, **more: Any) -> Report:
        if told is not None and told.status is was.status:
            raise KeyError
        return shown(told, *others, **more)

    monkeypatch.setattr(report, "shown", fails)
    assert await grows(world)
    assert world.scales[BIG] is was
    assert "please report it" in caplog.text


async def test_one_that_no_node_can_ever_take_holds_the_others_up_for_a_while_only() -> None:
    """Eight GPUs where nodes have four are insufficient for ever, and that one more is free helps only the others."""
    world = with_another(pod_status=UNSCHEDULED)
    assert not await grows(world)
    assert (world.reason, "ns/big waits for the same GPUs" in world.record.latest[CHAT].message) == (Reason.NO_CAPACITY, True)
    await world.ticks(int(PATIENCE_SECONDS / 2))
    assert world.says.replicas == 2


async def test_no_step_down_while_an_evicted_replica_is_replaced() -> None:
    """A drain of its node goes by the PodDisruptionBudget: one at a time is away, and none is taken away beside it."""
    world = World(coldStartSeconds=60)
    world.put(deployment(2))
    world.serve("chat-1")
    await world.ticks(10)
    world.put(pod("chat-1", running("10.0.0.2"), deletionTimestamp="2026-01-01T00:00:00Z"))
    world.put(pod("chat-2", {"phase": "Pending"}))
    await world.ticks(40)
    assert (world.says.replicas, world.reason) == (2, Reason.REPLICAS_STARTING)
    world.serve("chat-2")
    await world.ticks(2)
    assert world.says.replicas == 1
