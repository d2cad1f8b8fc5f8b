"""HTTP to the engine, Envoy's admin, and what flows through it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from fairlead_agent.config import Warmup
from fairlead_agent.engines.vllm import VLLM
from fairlead_agent.http_client import Answer, HttpClient, Unanswered
from fairlead_agent.sidecar import Flow, SidecarAdmin, flows
from fairlead_agent.warmup import Asker, WarmUp, WarmupError
from tests.ports import free_ports

Handler = Callable[[web.Request], "asyncio.Future[web.Response]"]


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient() as http:
        yield http


class Server:
    """Answers `body` with `status`; `held` holds every answer back."""

    def __init__(self) -> None:
        self.status = 200
        self.body = "{}"
        self.held = asyncio.Event()
        self.held.set()
        self.seen: list[web.Request] = []
        self.active = self.most = self.answered = 0
        self.answered_before: list[int] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        self.answered_before.append(self.answered)
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await request.read()
            await self.held.wait()
            await asyncio.sleep(0.01)
            return web.Response(status=self.status, text=self.body)
        finally:
            self.active -= 1
            self.answered += 1


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    one.url = f"http://127.0.0.1:{port}"
    yield one
    one.held.set()
    await runner.cleanup()


async def test_an_answer_whatever_its_status(client: HttpClient, server: Server) -> None:
    server.status, server.body = 503, '{"error": 1}'
    answer = await client.get(server.url + "/x", 5)
    assert (answer.status, answer.json()) == (503, {"error": 1})
    assert Answer(502, "Bad Gateway").json() == "Bad Gateway"


async def test_late_and_refused_answers_are_told_apart(client: HttpClient, server: Server) -> None:
    server.held.clear()
    with pytest.raises(Unanswered, match="no answer in 0 s") as caught:
        await client.get(server.url, 0.05)
    assert caught.value.timed_out
    (port,) = free_ports(1)
    with pytest.raises(Unanswered) as caught:
        await client.get(f"http://127.0.0.1:{port}", 5)
    assert not caught.value.timed_out


async def test_redirects_are_not_followed_and_long_answers_come_whole(client: HttpClient, server: Server) -> None:
    server.body = "x" * 300_000
    assert len((await client.get(server.url, 5)).text) == 300_000
    server.status, server.body = 307, ""
    assert (await client.get(server.url, 5)).status == 307
    assert len(server.seen) == 2


async def test_admin_statistics_and_the_failed_health_check(client: HttpClient, server: Server) -> None:
    admin = SidecarAdmin(client, server.url, 2)
    server.body = "http.ingress_http.downstream_rq_active: 7\n"
    assert await admin.active_requests() == 7
    assert server.seen[-1].query["filter"] == r"^http\.ingress_http\.downstream_rq_active$"
    server.body = "cluster.engine.upstream_cx_rx_bytes_total: 12345\n"
    assert await admin.bytes_from_engine() == 12345
    await admin.fail_health_check()
    assert (server.seen[-1].method, server.seen[-1].path) == ("POST", "/healthcheck/fail")


@pytest.mark.parametrize("body", ["", "http.ingress_http.downstream_rq_active: x", "http.other.downstream_rq_active: 0"])
async def test_a_statistic_that_is_not_there_is_no_zero(client: HttpClient, server: Server, body: str) -> None:
    server.body = body
    with pytest.raises(Unanswered, match=r"no http\.ingress_http\.downstream_rq_active"):
        await SidecarAdmin(client, server.url, 2).active_requests()


async def test_an_admin_that_refuses_is_told(client: HttpClient, server: Server) -> None:
    server.status = 404
    with pytest.raises(Unanswered, match="HTTP 404"):
        await SidecarAdmin(client, server.url, 2).fail_health_check()


async def test_warm_up_sends_one_alone_and_then_the_rest_at_once(client: HttpClient, server: Server) -> None:
    server.body = '{"usage": {"completion_tokens": 4}}'
    asker = Asker(client, VLLM, server.url, {"Authorization": "Bearer k"})
    await WarmUp(asker, "m", Warmup(enabled=True, requests=150, prompt_tokens=8, max_tokens=4), 10).once()
    assert len(server.seen) == 150
    assert server.answered_before[:2] == [0, 1], "the second was sent after the first was answered"
    assert server.most > 100, "more than aiohttp's usual limit at once"
    assert asker.own_tokens == 600
    assert {each.headers["Authorization"] for each in server.seen} == {"Bearer k"}


async def test_a_refused_request_says_so_in_the_engine_s_words(client: HttpClient, server: Server) -> None:
    server.status, server.body = 404, '{"error": {"message": "The model `m` does not exist."}}'
    with pytest.raises(WarmupError, match=r"^HTTP 404: The model `m` does not exist\.$"):
        await Asker(client, VLLM, server.url, {}).ask(VLLM.canary("m"), 5)


@pytest.mark.parametrize(
    ("mark", "total", "probes", "flowing"),
    [
        pytest.param(None, 1000, 0, False, id="first look"),
        pytest.param(Flow(1000, 0), 1000, 0, False, id="nothing"),
        pytest.param(Flow(1000, 0), 1256, 1, False, id="a probe's answer explains it"),
        pytest.param(Flow(1000, 0), 1257, 1, True, id="more than a probe's answer"),
        pytest.param(Flow(1000, 0), 1001, 0, True, id="no probe, one byte"),
        pytest.param(Flow(1000, 0), 900, 1, False, id="the sidecar was restarted"),
    ],
)
def test_bytes_that_prove_tokens(mark: Flow | None, total: int, probes: int, flowing: bool) -> None:  # noqa: FBT001
    assert flows(mark, total, probes)[1] is flowing


@given(st.lists(st.integers(0, 256), max_size=200))
def test_own_probes_alone_never_prove_anything(answers: list[int]) -> None:
    mark, _ = flows(None, 0, 0)
    total = 0
    for probes, size in enumerate(answers, 1):
        total += size
        mark, flowing = flows(mark, total, probes)
        assert not flowing


@given(st.integers(200, 1000), st.integers(100, 256))
def test_even_one_token_a_second_is_seen_within_five_looks(chunk: int, probe: int) -> None:
    """A look every 2 s, one probe and two chunks between looks."""
    mark, _ = flows(None, 0, 0)
    seen = []
    for look in range(1, 6):
        mark, flowing = flows(mark, look * (2 * chunk + probe), look)
        seen.append(flowing)
    assert any(seen)
