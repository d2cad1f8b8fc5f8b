"""What agents tell: read without trust, asked without waiting for the silent, remembered until it is stale."""

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.autoscaler import agents, line
from fairlead.autoscaler.agents import Agents, Told, read
from fairlead.autoscaler.line import Line, NoAnswerError, body_of
from fairlead.autoscaler.observation import Quality, Reading, quality
from fairlead.autoscaler.place import Place
from fairlead_agent.reasons import Phase, Problem
from fairlead_agent.reasons import Reason as AgentReason
from fairlead_agent.status import EngineLoad, Load, render

FULL = {
    "phase": "Ready",
    "reason": "Ready",
    "message": "",
    "running": 3,
    "waiting": 5,
    "deferred": 2,
    "kvCachePercent": 40,
    "tokens": 1000,
    "loadAgeMs": 500,
    "dutyCyclePercent": 97,
    "dutyAgeMs": 1500,
}
A, B, C = Place("ns", "a"), Place("ns", "b"), Place("ns", "c")


def said(**changes: object) -> bytes:
    return json.dumps({key: value for key, value in {**FULL, **changes}.items() if value != "left out"}).encode()


def test_each_number_has_the_time_at_which_it_was_true() -> None:
    assert read(said(), 100.0) == Told(
        running=Reading(3, 99.5),
        waiting=Reading(3, 99.5),
        tokens=Reading(1000, 99.5),
        kv_cache_percent=Reading(40, 99.5),
        duty_cycle_percent=Reading(97, 98.5),
    )


def test_what_is_left_out_is_missing_and_no_zero() -> None:
    starting = {key: FULL[key] for key in ("phase", "reason", "message", "dutyCyclePercent", "dutyAgeMs")}
    assert read(json.dumps(starting).encode(), 100.0) == Told(duty_cycle_percent=Reading(97, 98.5))
    told = read(said(waiting="left out"), 100.0)
    assert told is not None
    assert (told.waiting, told.running) == (None, Reading(3, 99.5))


def test_a_number_without_an_age_may_be_of_any_time() -> None:
    """As an agent of an older release tells it."""
    told = read(said(loadAgeMs="left out", dutyAgeMs="left out"), 100.0)
    assert told == Told()


@pytest.mark.parametrize("value", [-1, 1e30, 10**400, True, "7", {}, [1], math.nan, math.inf])
@pytest.mark.parametrize("field", ["running", "waiting", "tokens", "loadAgeMs"])
def test_what_is_no_number_is_told_apart_from_what_is_missing(field: str, value: object) -> None:
    told = read(said(**{field: value}), 100.0)
    assert told is not None
    reading = told.running if field == "loadAgeMs" else getattr(told, field)
    assert quality(reading, 100.0, 10.0) is Quality.INVALID


@pytest.mark.parametrize(
    ("field", "most"),
    [("running", 999_999), ("waiting", 999_999), ("kvCachePercent", 105), ("dutyCyclePercent", 101), ("loadAgeMs", 999_999)],
)
def test_more_than_there_can_be_is_no_number(field: str, most: int) -> None:
    """The agent cuts counts at 999,999; with more of them the status would have numbers that the API server does not take.

    Percentages may be a little over 100, by rounding, and by two gauges of an engine that are not of the same moment.
    """
    name = {"kvCachePercent": "kv_cache_percent", "dutyCyclePercent": "duty_cycle_percent"}.get(field, field)
    for value, worth in ((most, Quality.FRESH), (most + 2, Quality.INVALID)):
        told = read(said(**{field: value, "deferred": 0}), 100.0)
        assert told is not None
        reading = told.running if field == "loadAgeMs" else getattr(told, name)
        assert quality(reading, 100.0, 1000.0) is worth


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()))
def test_nothing_that_a_pod_says_does_harm(answer: bytes) -> None:
    assert read(answer, 0.0) is None or isinstance(read(answer, 0.0), Told)


def test_a_deep_answer_is_no_answer() -> None:
    assert read(b"[" * 4000, 0.0) is None


def test_what_the_agent_writes_is_what_is_read() -> None:
    """Operator and agent share no code."""
    load = Load(EngineLoad(running=3, waiting=5, deferred=2, kv_cache_percent=40, tokens=1000, age_seconds=0.5), 97, 1.5)
    for reason in AgentReason:
        assert read(render(Phase.READY, Problem(reason, "x" * 400), load), 100.0) == read(said(), 100.0)
    assert read(render(Phase.STARTING_ENGINE, Problem(AgentReason.ENGINE_STARTING, ""), Load()), 100.0) == Told()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("size", [0, 1, 299])
def test_an_answer_is_complete_with_its_last_byte(size: int) -> None:
    whole = HEAD + f"content-length: {size}\r\n\r\n".encode() + b"x" * size
    assert body_of(whole) == b"x" * size
    assert {body_of(whole[:length]) for length in range(len(whole))} == {None}


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 99999\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\n\r\nxy",
        HEAD + b"X: " + b"y" * 4096,
        b"nonsense\r\n\r\n",
    ],
    ids=["not found", "redirect", "chunks", "too long", "below 0", "more than it says", "endless headers", "no HTTP"],
)
def test_what_no_agent_answers_is_refused(received: bytes) -> None:
    with pytest.raises(NoAnswerError):
        body_of(received)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Agents at several addresses of this machine, over real connections."""

    def __init__(self) -> None:
        self.answer: bytes | None = said(loadAgeMs=0)
        """None: nothing comes."""
        self.late: asyncio.Event | None = None
        """It comes when this is set."""
        self.hung: tuple[str, ...] = ()
        """Addresses at which nothing is answered, whatever else is."""
        self.connections = 0
        self.questions: list[bytes] = []
        self.talks: list[asyncio.Task[object] | None] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.talks.append(asyncio.current_task())
        try:
            while True:
                self.questions.append(await reader.readuntil(b"\r\n\r\n"))
                if self.late is not None:
                    await self.late.wait()
                if self.answer is not None and writer.get_extra_info("sockname")[0] not in self.hung:
                    writer.write(HEAD + f"Content-Length: {len(self.answer)}\r\n\r\n".encode() + self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def end(self) -> None:
        """Once the other side has hung up."""
        await asyncio.gather(*(talk for talk in self.talks if talk is not None))


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch, server: Server, clock: Clock, host: str = "127.0.0.1") -> AsyncIterator[Agents]:
    listening = await asyncio.start_server(server, host, 0)
    monkeypatch.setattr(line, "AGENT_PORT", listening.sockets[0].getsockname()[1])
    monkeypatch.setattr(agents, "ALL_SECONDS", 0.3)
    asked = Agents(clock)
    try:
        yield asked
    finally:
        asked.close()
        listening.close()
        await listening.wait_closed()
        await server.end()


async def test_a_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    server, clock = Server(), Clock()
    async with served(monkeypatch, server, clock) as asked:
        for look in range(5):
            clock.now = 2.0 * look
            found = await asked.ask({A: "127.0.0.1", B: "127.0.0.1"})
            assert found[A].running == found[B].running == Reading(3, clock.now)
    assert (server.connections, len(server.questions)) == (2, 10)
    assert set(server.questions) == {b"GET /status HTTP/1.1\r\nHost: agent\r\n\r\n"}, "no credentials go into a pod"


async def test_who_does_not_answer_keeps_what_it_told_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    server, clock = Server(), Clock()
    async with served(monkeypatch, server, clock) as asked:
        assert await asked.ask({B: "no address.."}) == {}
        found = await asked.ask({A: "127.0.0.1", B: "127.0.0.2"})
        assert found.keys() == {A}, "nothing listens at the other's address"
        server.answer, clock.now = b"?", 7.0
        found = await asked.ask({A: "127.0.0.1", B: "127.0.0.2"})
        assert found[A].running == Reading(3, 0.0)
        assert await asked.ask({B: "127.0.0.2"}) == {}, "a replica that is gone is forgotten"
        assert await asked.ask({A: "127.0.0.1"}) == {}


async def test_a_late_answer_has_the_time_of_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    server, clock = Server(), Clock()
    server.answer, server.late = said(loadAgeMs=0), asyncio.Event()
    async with served(monkeypatch, server, clock) as asked:
        assert await asked.ask({A: "127.0.0.1"}) == {}
        clock.now = 2.0
        assert await asked.ask({A: "127.0.0.1"}) == {}
        server.late.set()
        clock.now = 4.0
        # It may come while others are asked, or after.
        while not (found := await asked.ask({A: "127.0.0.1", B: "127.0.0.2"})):
            pass
        assert found[A].running == Reading(3, 0.0)
        assert len(server.questions) == 1, "none is asked while another is open: who answered two would be misunderstood"


async def test_who_is_silent_for_long_is_connected_to_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    server, clock = Server(), Clock()
    server.answer = None
    async with served(monkeypatch, server, clock) as asked:
        await asked.ask({A: "127.0.0.1"})
        server.answer = said(loadAgeMs=0)
        for clock.now in (4.0, 6.0, 8.0):
            found = await asked.ask({A: "127.0.0.1"})
        assert found[A].running == Reading(3, 8.0)
    assert server.connections == 2


async def test_one_that_hangs_holds_the_others_up_for_one_look_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for once; while its answer is outstanding the others' numbers come at once."""
    server, clock = Server(), Clock()
    server.hung = ("127.0.0.2",)
    async with served(monkeypatch, server, clock, host="0.0.0.0") as asked:  # noqa: S104  nothing but 127/8 is there to come
        both = {A: "127.0.0.1", B: "127.0.0.2"}
        assert (await asked.ask(both)).keys() == {A}
        monkeypatch.setattr(agents, "ALL_SECONDS", 3600.0)
        for clock.now in (2.0, 4.0):
            assert (await asked.ask(both))[A].running == Reading(3, clock.now)


async def test_of_replicas_that_are_gone_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    async with served(monkeypatch, server, Clock()) as asked:
        for number in range(20):
            await asked.ask({Place("ns", f"a-{number}"): "127.0.0.1", Place("ns", f"b-{number}"): "127.0.0.2"})
        await asked.ask({})
        assert (asked._lines, asked._last, asked._silent) == ({}, {}, {})


async def test_another_address_of_the_same_name_is_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    async with served(monkeypatch, server, Clock()) as asked:
        await asked.ask({A: "127.0.0.1"})
        await asked.ask({A: "127.0.0.2"})
        assert server.connections == 1
        await asked.ask({A: "127.0.0.1"})
        assert server.connections == 2


async def test_silent_ones_do_not_keep_the_others_from_being_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are connected to at once hang, in front of one that answers: it is heard at the next look."""
    monkeypatch.setattr(agents, "CONNECTIONS_AT_A_TIME", 4)
    opened = Line.open

    async def hangs(_: type[Line], ip: str, heard: Callable[[Line, bytes | None], None]) -> Line:
        if ip != "127.0.0.1":
            await asyncio.Event().wait()
        return await opened(ip, heard)

    monkeypatch.setattr(Line, "open", classmethod(hangs))
    server = Server()
    async with served(monkeypatch, server, Clock()) as asked:
        everyone = {**{Place("ns", f"a-{number}"): "127.0.0.2" for number in range(4)}, C: "127.0.0.1"}
        assert await asked.ask(everyone) == {}
        assert (await asked.ask(everyone)).keys() == {C}


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_an_agent_at_an_ipv6_address_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch, Server(), Clock(), host="::1") as asked:
        assert (await asked.ask({A: "::1"})).keys() == {A}
