"""Sources put together: who is asked, and whose duty cycle counts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from fairlead.api.autoscaling import PrometheusMetric
from fairlead.autoscaler.agents import Told
from fairlead.autoscaler.fleet import Fleet, Subject
from fairlead.autoscaler.observation import Reading
from fairlead.autoscaler.place import Place
from fairlead.autoscaler.signals import NO_URL, Signals
from tests.unit.autoscaler.test_fleet import deployment, fleet, model, pod, running
from tests.unit.autoscaler.test_loop import CHAT, World

A = Place("ns", "chat-1")
TOLD = Told(running=Reading(1, 0), duty_cycle_percent=Reading(97, 0))


class AskedAgents:
    def __init__(self, **told: Told) -> None:
        self.asked: Mapping[Place, str] = {}
        self.told = {Place("ns", name.replace("_", "-")): each for name, each in told.items()}

    async def ask(self, addresses: Mapping[Place, str]) -> Mapping[Place, Told]:
        self.asked = addresses
        return self.told


class AskedPrometheus:
    def __init__(self, reading: Reading | None) -> None:
        self.wanted: list[tuple[Place, PrometheusMetric]] = []
        self._reading = reading

    def want(self, wanted: list[tuple[Place, PrometheusMetric]]) -> None:
        self.wanted = wanted

    def reading(self, _: Place, __: PrometheusMetric) -> Reading | None:
        return self._reading


def subjects(**autoscaling: Any) -> list[Subject]:
    seen: Fleet = fleet(
        model(**autoscaling),
        deployment(),
        pod("chat-1", running("10.0.0.1")),
        pod("chat-2", running("10.0.0.2", "False")),
        pod("chat-3", running("10.0.0.3"), deletionTimestamp="2026-01-01T00:00:00Z"),
        pod("chat-4", running("")),
    )
    return list(seen.subjects())


async def test_those_that_serve_are_asked() -> None:
    agents = AskedAgents(chat_1=TOLD)
    told = await Signals(agents, None).look(subjects())  # type: ignore[arg-type]
    assert agents.asked == {A: "10.0.0.1"}
    assert told == {A: TOLD}


async def test_the_duty_cycle_of_prometheus_counts_where_it_is_asked_for() -> None:
    prometheus = AskedPrometheus(Reading(20, 3))
    told = await Signals(AskedAgents(chat_1=TOLD), prometheus).look(subjects(prometheus={}))  # type: ignore[arg-type]
    assert told[A] == Told(running=Reading(1, 0), duty_cycle_percent=Reading(20, 3))
    assert prometheus.wanted == [(A, PrometheusMetric())]
    silent = await Signals(AskedAgents(), prometheus).look(subjects(prometheus={}))  # type: ignore[arg-type]
    assert silent[A] == Told(duty_cycle_percent=Reading(20, 3)), "an agent that says nothing is another matter"


async def test_the_agents_own_does_not_stand_in_for_one_that_was_to_come_from_prometheus() -> None:
    told = await Signals(AskedAgents(chat_1=TOLD), AskedPrometheus(None)).look(subjects(prometheus={}))  # type: ignore[arg-type]
    assert told[A] == Told(running=Reading(1, 0))
    told = await Signals(AskedAgents(chat_1=TOLD), None).look(subjects(prometheus={}))  # type: ignore[arg-type]
    assert told[A] == Told(running=Reading(1, 0), duty_cycle_percent=NO_URL)


class Silent(World):
    """The loop's world, whose duty cycles come out of a Prometheus that does not tell them."""

    def __init__(self, prometheus: AskedPrometheus | None) -> None:
        super().__init__(prometheus={})
        self.signals = Signals(AskedAgents(), prometheus)  # type: ignore[arg-type]

    async def look(self, subjects: Sequence[Subject]) -> Mapping[Place, Told]:
        of_agents = await super().look(subjects)
        of_prometheus = await self.signals.look(subjects)
        return {
            place: replace(told, duty_cycle_percent=of_prometheus[place].duty_cycle_percent) for place, told in of_agents.items()
        }


@pytest.mark.parametrize(
    ("prometheus", "why"),
    [
        (None, f" ({NO_URL.why})"),
        (AskedPrometheus(Reading(math.nan, 0, "it cannot be reached")), " (it cannot be reached)"),
        (AskedPrometheus(Reading(50, -1000, "it did not answer within 5 s")), " (it did not answer within 5 s)"),
        (AskedPrometheus(None), ""),
    ],
    ids=["no address", "never told", "told long ago", "not asked yet"],
)
async def test_the_message_says_why_prometheus_tells_nothing(prometheus: AskedPrometheus | None, why: str) -> None:
    world = Silent(prometheus)
    world.put(deployment(4))
    for number in range(1, 4):
        world.serve(f"chat-{number}")
    await world.ticks(60)
    message = f"Prometheus has told no duty cycle of chat-0, chat-1, chat-2 and 1 more lately{why}: none is taken away"
    assert (world.says.replicas, world.record.latest[CHAT].message) == (4, message)
    assert why in world.verdict.message


def busy(at: float, waiting: float, duty: float, told_at: float) -> Told:
    return Told(running=Reading(1, at), waiting=Reading(waiting, at), duty_cycle_percent=Reading(duty, told_at))


async def test_a_duty_cycle_from_before_the_queue_says_nothing_of_it() -> None:
    agents = AskedAgents()
    signals = Signals(agents, None)  # type: ignore[arg-type]
    seen = []
    for now, waiting, told_at in ((10, 0, 5), (12, 3, 5), (14, 4, 11), (16, 4, 13), (18, 0, 13), (20, 1, 19)):
        agents.told = {A: busy(now, waiting, 0.0, told_at)}
        told = await signals.look(subjects())
        seen.append(told[A].duty_cycle_percent is not None)
    assert seen == [True, False, False, True, True, False], "known again once it was read while requests waited"
    agents.told = {}
    await signals.look([])
    assert signals._queued == {}, "of those that are gone nothing is kept"
