"""What an agent says, and what anything else on its port may say."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from fairlead.api.conditions import OF_DOWNLOADS, Reason
from fairlead.reconciler import agent_status
from fairlead.reconciler.agent_status import Agents, read
from fairlead.resources.engine_flags.validate import Problem
from fairlead_agent.fetch import app as fetcher
from fairlead_agent.reasons import Problem as FetchProblem
from fairlead_agent.reasons import Reason as FetchReason


def test_an_agents_own_words() -> None:
    answer = {"phase": "NotReady", "reason": "XidFatal", "message": "GPU-1:\n Xid 79", "running": 0}
    assert read(json.dumps(answer).encode()) == Problem(Reason.XID_FATAL, "GPU-1: Xid 79")


@pytest.mark.parametrize("reason", sorted(OF_DOWNLOADS))
def test_the_words_of_one_that_downloads(reason: Reason) -> None:
    message = "m" * 1000
    answer = fetcher.status(FetchProblem(FetchReason(reason.value), message), "1" * 40)
    assert len(answer) < 700
    told = read(answer)
    assert told.reason is reason
    assert told.message == message[:400]


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"reason": 1}', b"\xff\xfe", b"[" * 4000, b'{"reason": ["XidFatal"]}'],
)
def test_what_is_no_answer(answer: bytes) -> None:
    assert read(answer).reason is Reason.AGENT_UNREACHABLE


@pytest.mark.parametrize("reason", ["Fantasy", "NameConflict", "", "x" * 4000])
def test_a_reason_that_no_agent_has_is_only_a_word(reason: str) -> None:
    told = read(json.dumps({"reason": reason, "message": "m" * 4000}).encode())
    assert told.reason is Reason.REPLICAS_UNAVAILABLE
    assert len(told.message) < 600


@given(st.binary(max_size=400))
def test_nothing_that_it_says_does_harm(answer: bytes) -> None:
    told = read(answer)
    assert isinstance(told.reason, Reason)
    assert "\n" not in told.message


@asynccontextmanager
async def agents(monkeypatch: pytest.MonkeyPatch, handler: object, host: str = "127.0.0.1") -> AsyncIterator[Agents]:
    """Agents whose port is that of a server with this handler."""
    app = web.Application()
    app.router.add_get("/status", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    monkeypatch.setattr(agent_status, "AGENT_PORT", runner.addresses[0][1])
    async with aiohttp.ClientSession() as session:
        yield Agents(session)
    await runner.cleanup()


async def test_several_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({"reason": "WarmupRunning", "message": "3 of 8"})

    async with agents(monkeypatch, handler) as asked:
        found = await asked.ask([("a", "127.0.0.1"), ("b", "127.0.0.1"), ("c", "127.0.0.2")])
    assert found["a"] == found["b"] == Problem(Reason.WARMUP_RUNNING, "3 of 8")
    assert found["c"].reason is Reason.AGENT_UNREACHABLE, "nothing listens there"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_an_agent_at_an_ipv6_address_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({"reason": "WarmupRunning", "message": "3 of 8"})

    async with agents(monkeypatch, handler, "::1") as asked:
        assert await asked.ask([("a", "::1")]) == {"a": Problem(Reason.WARMUP_RUNNING, "3 of 8")}


async def test_one_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_status, "TIMEOUT_SECONDS", 0.05)

    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with agents(monkeypatch, handler) as asked:
        found = await asked.ask([("a", "127.0.0.1")])
    assert found["a"].message == "the agent does not answer the operator (TimeoutError)"


async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b'{"reason": "Ready", "message": "' + b"x" * 1_000_000 + b'"}')

    async with agents(monkeypatch, handler) as asked:
        found = await asked.ask([("a", "127.0.0.1")])
    assert found["a"].reason is Reason.AGENT_UNREACHABLE


async def test_no_redirect_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    hops: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        hops.append(request.path)
        raise web.HTTPFound("/status?again")

    async with agents(monkeypatch, handler) as asked:
        await asked.ask([("a", "127.0.0.1")])
    assert hops == ["/status"]
