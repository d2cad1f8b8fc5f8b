"""The loop over a fake world: what it hands to the reconciler, what it keeps, and what it leaves alone."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from fairlead.autoscaler import loop, policy
from fairlead.autoscaler.agents import Told
from fairlead.autoscaler.fleet import Fleet, Subject
from fairlead.autoscaler.loop import Loop
from fairlead.autoscaler.observation import Reading
from fairlead.autoscaler.place import Place
from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.record import Record
from fairlead.reconciler.conditions import Verdict
from fairlead.reconciler.kinds import Key
from fairlead.reconciler.scaling import Scaled
from fairlead.reconciler.store import Store
from tests.unit.autoscaler.test_fleet import INSUFFICIENT, UNSCHEDULED, deployment, model, pod, running

CHAT, BIG = Key("ns", "chat"), Key("ns", "big")


class World:
    """Objects, loads and a clock; the reconciler is played by `apply`."""

    def __init__(self, **autoscaling: Any) -> None:
        self.now = 0.0
        self.store = Store()
        self.version = 10
        self.loads: dict[str, tuple[float, float]] = {}
        """Requests running and waiting, by pod."""
        self.no_duty = False
        self.silent = False
        self.changed: list[Key] = []
        self.put(model(**{"minReplicas": 1, "quietSeconds": 30, "stepSeconds": 2, "coldStartSeconds": 10, **autoscaling}))
        self.put(deployment(1))
        self.serve("chat-0")
        self.restart()

    def restart(self) -> None:
        """Another operator takes over: it knows what is in the API server."""
        self.scales: dict[Key, Scaled] = {}
        self.record = Record()
        self.loop = Loop(
            Fleet(self.store),
            self,  # type: ignore[arg-type]
            self.scales,
            self.changed.append,
            self.record,
            clock=lambda: self.now,
            now=lambda: datetime.fromtimestamp(self.now, UTC),
        )

    def put(self, obj: dict[str, Any]) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.store.put(obj)

    def serve(self, name: str, running_: float = 0.0, waiting: float = 0.0) -> None:
        self.put(pod(name, running(f"10.0.0.{len(self.loads) + 1}")))
        self.loads[name] = (running_, waiting)

    async def look(self, subjects: Sequence[Subject]) -> Mapping[Place, Told]:
        if self.silent:
            return {}
        told = {}
        for subject in subjects:
            for each in subject.pods:
                busy, waiting = self.loads.get(each.name, (0.0, 0.0))
                read = {"running": busy, "waiting": waiting, "tokens": 10 * busy * self.now, "kv_cache_percent": 5.0}
                readings = {name: Reading(value, self.now) for name, value in read.items()}
                duty = None if self.no_duty else Reading(97.0 if busy else 0.0, self.now)
                told[Place(subject.key.namespace, each.name)] = Told(**readings, duty_cycle_percent=duty)
        return told

    async def ticks(self, count: int) -> None:
        for _ in range(count):
            self.now += 2
            await self.loop.tick()

    @property
    def says(self) -> Scaled:
        return self.scales[CHAT]

    @property
    def verdict(self) -> Verdict:
        assert self.says.verdict is not None
        return self.says.verdict

    @property
    def reason(self) -> Reason:
        return self.record.latest[CHAT].reason

    def apply(self) -> None:
        """What the reconciler does: the Deployment and the status."""
        live = dict(self.store.get(*_place(model())) or {})
        self.put({**live, "metadata": dict(live["metadata"]), "status": {"autoscaling": self.says.status}})
        if self.says.replicas is not None:
            self.put(deployment(self.says.replicas))


def _place(obj: dict[str, Any]) -> Any:
    from fairlead.reconciler.kinds import kind_of  # noqa: PLC0415

    return kind_of(obj), obj["metadata"]["namespace"], obj["metadata"]["name"]


QUEUE = (32.0, 20.0)


async def test_a_queue_is_handed_to_the_reconciler_once() -> None:
    world = World()
    await world.ticks(2)
    assert (world.says.replicas, world.changed) == (1, [CHAT])
    world.loads["chat-0"] = QUEUE
    await world.ticks(5)
    assert world.says.replicas == 2
    assert world.changed == [CHAT, CHAT], "not with every look"
    assert world.says.status["changes"][0]["after"] == 2
    assert "recommended" not in world.says.status["changes"][0]


async def test_a_restart_in_the_middle_of_a_decision_makes_no_jump() -> None:
    """The Deployment was written, the status was not; and the other way round there is nothing to repair."""
    world = World()
    await world.ticks(2)
    world.apply()
    world.loads["chat-0"] = QUEUE
    await world.ticks(8)
    assert world.says.replicas == 2
    world.put(deployment(2))
    world.loads["chat-0"] = (0.0, 0.0)
    world.restart()
    world.changed.clear()
    await world.ticks(10)
    assert world.says.replicas == 2
    await world.ticks(20)
    assert world.says.replicas == 1, "down again, after a whole quiet window of its own"


async def test_a_restart_keeps_what_was_told_and_learned() -> None:
    world = World()
    world.loads["chat-0"] = (8.0, 0.0)
    await world.ticks(310)
    world.apply()
    before = world.says.status
    world.restart()
    world.changed.clear()
    await world.ticks(1)
    assert world.says.status == before
    assert world.record.latest[CHAT].inputs.speed == pytest.approx(10, rel=0.01)


async def test_who_only_recommends_sets_nothing_and_says_the_same_again() -> None:
    world = World(mode="Recommend", maxReplicas=20, stepSeconds=60)
    world.put(deployment(2))  # the reconciler's doing: spec.replicas is 2
    world.serve("chat-1")
    world.loads.update({"chat-0": QUEUE, "chat-1": QUEUE})
    await world.ticks(200)
    assert world.says.replicas is None
    assert 2 < world.says.status["desired"] <= 4, "no step up upon another, as none is made"
    assert world.verdict.reason == "RecommendedOnly"
    assert all(each["recommended"] for each in world.says.status["changes"])
    world.loads.update({"chat-0": (0.0, 0.0), "chat-1": (0.0, 0.0)})
    await world.ticks(100)
    assert world.says.status["desired"] == 1
    count = len(world.says.status["changes"])
    await world.ticks(200)
    assert (world.says.status["desired"], len(world.says.status["changes"])) == (1, count), "nor a step down"


async def test_a_hand_on_the_deployment_is_no_decision() -> None:
    world = World()
    await world.ticks(2)
    world.put(deployment(4))
    await world.ticks(2)
    assert world.says.replicas == 1, "which the reconciler writes again"


async def test_from_recommending_to_setting_it_begins_with_what_is_there() -> None:
    world = World(mode="Recommend")
    world.put(deployment(2))
    world.serve("chat-1")
    await world.ticks(3)
    world.put(model(generation=2, quietSeconds=900))
    await world.ticks(1)
    assert world.says.replicas == 2


async def test_no_step_down_during_a_rollout() -> None:
    world = World()
    world.put(deployment(2, replicas=2, updatedReplicas=1))
    world.serve("chat-1")
    await world.ticks(60)
    assert world.says.replicas == 2
    assert (world.reason, "being replaced" in world.record.latest[CHAT].message) == (Reason.REPLICAS_STARTING, True)
    world.put(deployment(2, replicas=2, updatedReplicas=2))
    await world.ticks(2)
    assert world.says.replicas == 1


@pytest.mark.parametrize("autoscaling", [{"prometheus": {}}, {"dutyCyclePercent": 80}], ids=["Prometheus", "a target"])
async def test_no_step_down_without_the_duty_cycle_that_was_asked_for(autoscaling: dict[str, Any]) -> None:
    world = World(**autoscaling)
    world.put(deployment(2))
    world.serve("chat-1")
    world.no_duty = True
    await world.ticks(60)
    assert (world.says.replicas, world.reason) == (2, Reason.METRICS_PARTIAL)
    assert "chat-0, chat-1" in world.record.latest[CHAT].message
    assert world.verdict.reason == "MetricsPartial"
    world.no_duty = False
    await world.ticks(2)
    assert world.says.replicas == 1


async def test_no_step_down_after_a_duty_cycle_that_was_there_is_gone() -> None:
    """As with an NVML that hangs: what it would have said of an engine whose numbers stand still is not known."""
    world = World(quietSeconds=60)
    world.put(deployment(2))
    world.serve("chat-1")
    await world.ticks(10)
    world.no_duty = True
    await world.ticks(60)
    assert (world.says.replicas, world.reason) == (2, Reason.METRICS_PARTIAL)
    assert "there is no duty cycle of chat-0, chat-1 lately" in world.record.latest[CHAT].message
    world.restart()
    await world.ticks(60)
    assert world.says.replicas == 1, "where there never was any, as under MIG, the engine's word is enough"


async def test_silence_holds() -> None:
    world = World()
    world.put(deployment(2))
    world.serve("chat-1")
    world.silent = True
    await world.ticks(200)
    assert (world.says.replicas, world.verdict.reason) == (2, "MetricsMissing")


async def test_a_replica_without_a_node_is_told_and_not_chased() -> None:
    world = World()
    world.put(deployment(2))
    world.put(pod("chat-1", UNSCHEDULED))
    await world.ticks(10)
    assert (world.says.replicas, world.verdict.reason) == (2, "NoCapacity")
    assert INSUFFICIENT in world.verdict.message
    world.loads["chat-0"] = QUEUE
    await world.ticks(20)
    assert world.says.replicas == 2, "more is needed, and not asked for"
    world.serve("chat-1")
    await world.ticks(30)
    assert world.says.replicas > 2, "there is room again"


def other(name: str, *, priority: int) -> dict[str, Any]:
    """A pod of another ModelDeployment."""
    made = pod(f"{name}-0", UNSCHEDULED, priority=priority, owner=f"{name}-h")
    made["metadata"]["labels"]["serving.fairlead.dev/model-deployment"] = name
    return made


@pytest.mark.parametrize(("priority", "asks"), [(1000, 1), (0, 1), (-1, 2)], ids=["higher", "equal", "lower"])
async def test_who_waits_for_the_same_gpus_with_priority_comes_first(priority: int, asks: int) -> None:
    world = World()
    big = model("big")
    big["metadata"]["uid"] = "u2"
    world.put(big)
    its = deployment(1, uid="u2")
    its["metadata"] |= {"name": "big", "labels": {"serving.fairlead.dev/model-deployment": "big"}}
    world.put(its)
    world.put(other("big", priority=priority))
    world.loads["chat-0"] = QUEUE
    await world.ticks(8)
    assert world.says.replicas == asks
    assert ("ns/big waits for the same GPUs" in world.record.latest[CHAT].message) is (asks == 1)


async def test_who_has_priority_is_in_the_queue_first() -> None:
    world = World()
    for name, priority in (("big", 5), ("small", -5)):
        made = model(name)
        made["metadata"]["uid"] = name
        world.put(made)
        its = deployment(1, uid=name)
        its["metadata"] |= {"name": name, "labels": {"serving.fairlead.dev/model-deployment": name}}
        world.put(its)
        replica = other(name, priority=priority)
        replica["status"] = running("10.0.1.1")
        world.put(replica)
    await world.ticks(1)
    assert [key.name for key in world.changed] == ["big", "chat", "small"]


async def test_one_that_is_gone_is_forgotten() -> None:
    world = World()
    await world.ticks(2)
    gone = model()
    gone["metadata"]["resourceVersion"] = "999"
    world.store.discard(gone)
    await world.ticks(1)
    assert (world.scales, world.record.latest, dict(world.record.reasons)) == ({}, {}, {})


async def test_another_one_of_the_same_name_begins_anew() -> None:
    world = World()
    await world.ticks(2)
    again = model()
    again["metadata"]["uid"] = "u2"
    world.put(again)
    world.put(deployment(3, uid="u2"))
    await world.ticks(1)
    assert (world.says.uid, world.says.replicas) == ("u2", 3)


async def test_one_that_fails_keeps_its_number_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    await world.ticks(2)
    was = world.says
    monkeypatch.setattr(policy, "decide", lambda *_: 1 / 0)
    await world.ticks(1)
    assert world.says is was
    assert "please report it" in caplog.text


async def test_a_look_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    looks = 0

    async def fails(_: Sequence[Subject]) -> Mapping[Place, Told]:
        nonlocal looks
        looks += 1
        raise (KeyError if looks == 1 else asyncio.CancelledError)

    monkeypatch.setattr(world.loop._signals, "look", fails)
    monkeypatch.setattr(loop, "PERIOD_SECONDS", 0.01)
    with pytest.raises(asyncio.CancelledError):
        await world.loop.run()
    assert looks == 2
    assert "please report it" in caplog.text


async def test_vetoes_are_counted() -> None:
    world = World()
    world.silent = True
    await world.ticks(3)
    assert world.record.reasons[CHAT, Reason.METRICS_MISSING] == 3
