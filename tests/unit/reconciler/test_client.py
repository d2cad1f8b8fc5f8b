"""The client: what is repeated, what is told, what is counted. The library below it is real; the API server is a stub."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.dynamic import DynamicClient

from fairlead.reconciler.client import ApiError, Client
from fairlead.reconciler.kinds import SERVICE

Object = dict[str, Any]
SEEN: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"namespace": "ns", "name": "chat", "uid": "u", "resourceVersion": "7"},
}


class Server:
    """Answers from a list, one after the other, and notes the requests."""

    def __init__(self, *answers: tuple[int, Object] | Callable[[], web.Response]) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, str]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path_qs, await request.text()))
        answer = self.answers.pop(0)
        if callable(answer):
            return answer()
        return web.json_response(answer[1], status=answer[0])


def dynamic(api: ApiClient) -> DynamicClient:
    return DynamicClient(api)  # type: ignore[no-untyped-call]


@asynccontextmanager
async def client_of(server: Server, **options: Any) -> AsyncIterator[tuple[Client, list[float]]]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    async with ApiClient(configuration) as api:
        yield Client(dynamic(api), pause=pause, roll=lambda: 0.0, **options), pauses
    await runner.cleanup()


def refusal(status: int, message: str, reason: str = "", **more: Any) -> tuple[int, Object]:
    return status, {"kind": "Status", "message": message, "reason": reason, **more}


async def test_an_object_or_none() -> None:
    server = Server((200, SEEN), refusal(404, "not found"))
    async with client_of(server) as (client, _):
        assert await client.get(SERVICE, "ns", "chat") == SEEN
        assert await client.get(SERVICE, "ns", "chat") is None
    assert server.requests[0][:2] == ("GET", "/api/v1/namespaces/ns/services/chat")


async def test_apply_takes_over_only_what_it_sends() -> None:
    server = Server((200, SEEN))
    wrote: list[tuple[str, str]] = []
    async with client_of(server, wrote=lambda verb, kind: wrote.append((verb, kind.name))) as (client, _):
        await client.apply(SEEN)
    ((method, path, _),) = server.requests
    assert (method, path) == ("PATCH", "/api/v1/namespaces/ns/services/chat?timeout=8000ms&fieldManager=fairlead&force=true")
    assert wrote == [("apply", "Service")]


async def test_a_deletion_is_of_exactly_what_was_seen() -> None:
    server = Server((200, {}), refusal(404, "gone already"), refusal(409, "precondition failed", "Conflict"))
    async with client_of(server) as (client, _):
        await client.delete(SEEN)
        await client.delete(SEEN)
        with pytest.raises(ApiError, match="precondition failed") as caught:
            await client.delete(SEEN)
    assert caught.value.transient
    assert '"preconditions": {"uid": "u", "resourceVersion": "7"}' in server.requests[0][2]


async def test_lists_come_in_pages() -> None:
    first = {"metadata": {"resourceVersion": "9", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]}
    second = {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "b"}}]}
    server = Server((200, first), (200, second))
    async with client_of(server) as (client, _):
        listing = await client.list(SERVICE, None)
    assert [(each["metadata"]["name"], each["kind"], each["apiVersion"]) for each in listing.items] == [
        ("a", "Service", "v1"),
        ("b", "Service", "v1"),
    ]
    assert listing.resource_version == 9
    assert "labelSelector=serving.fairlead.dev/model-deployment" in server.requests[0][1].replace("%2F", "/")
    assert "continue=more" in server.requests[1][1]


async def test_a_busy_server_is_asked_again() -> None:
    def busy() -> web.Response:
        return web.json_response({"message": "later"}, status=429, headers={"Retry-After": "3"})

    server = Server(busy, refusal(503, "starting"), (200, SEEN))
    async with client_of(server) as (client, pauses):
        assert await client.apply(SEEN) == SEEN
    assert pauses == [3.0, 0.5], "at least as long as it asks for"


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500])
async def test_other_refusals_are_not_repeated_here(status: int) -> None:
    server = Server(refusal(status, "no", "Because"))
    async with client_of(server) as (client, pauses):
        with pytest.raises(ApiError) as caught:
            await client.apply(SEEN)
    assert (pauses, len(server.requests)) == ([], 1)
    assert str(caught.value) == "applying Service ns/chat: no"
    assert (caught.value.status, caught.value.reason) == (status, "Because")
    assert caught.value.transient == (status in {409, 500})


async def test_a_busy_server_is_not_asked_for_ever() -> None:
    server = Server(*[refusal(503, "starting")] * 4)
    async with client_of(server) as (client, pauses):
        with pytest.raises(ApiError) as caught:
            await client.get(SERVICE, "ns", "chat")
    assert (len(server.requests), pauses, caught.value.transient) == (4, [0.25, 0.5, 1.0], True)


async def test_no_answer_is_transient() -> None:
    api = ApiClient(Configuration(host="http://127.0.0.1:1"))

    async def pause(_: float) -> None:
        """At once."""

    async with api:
        with pytest.raises(ApiError, match="the API server did not answer") as caught:
            await Client(dynamic(api), pause=pause).get(SERVICE, "ns", "chat")
    assert (caught.value.status, caught.value.transient) == (0, True)


async def test_a_server_that_hangs_is_given_up() -> None:
    def hang() -> web.Response:
        return web.Response(status=200, body=b"{", headers={"Content-Length": "10"})

    async with client_of(Server(hang), seconds=0.05) as (client, pauses):
        with pytest.raises(ApiError, match="did not answer") as caught:
            await client.get(SERVICE, "ns", "chat")
    assert caught.value.transient
    assert pauses == []


LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"namespace": "ns", "name": "one", "resourceVersion": "7"},
}


async def test_what_is_made_and_replaced_as_a_whole() -> None:
    server = Server((201, LEASE), (200, LEASE))
    wrote: list[tuple[str, str]] = []
    async with client_of(server, wrote=lambda verb, kind: wrote.append((verb, kind.name))) as (client, _):
        assert await client.create(LEASE) == LEASE
        assert await client.replace(LEASE) == LEASE
    assert [(method, path.partition("?")[0]) for method, path, _ in server.requests] == [
        ("POST", "/apis/coordination.k8s.io/v1/namespaces/ns/leases"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/one"),
    ]
    assert '"resourceVersion": "7"' in server.requests[1][2]
    assert wrote == [("create", "Lease"), ("update", "Lease")]


async def test_who_may_not_write_reads() -> None:
    """What stands by, and what has lost the lead: nothing leaves it."""
    server = Server((200, SEEN))
    async with client_of(server, may_write=lambda: 0.0) as (client, _):
        for write in (client.apply(SEEN), client.delete(SEEN), client.put_right(SEEN, []), client.create(SEEN)):
            with pytest.raises(ApiError, match="another operator may lead by now") as caught:
                await write
            assert caught.value.reason == "NotLeading"
        assert await client.get(SERVICE, "ns", "chat") == SEEN
    assert [method for method, _, _ in server.requests] == ["GET"]


async def test_a_write_ends_with_the_time_in_which_it_may_be_made() -> None:
    """On both sides: the API server is told how long it may try. Half a second is enough for a busy machine to send it."""

    def hang() -> web.Response:
        return web.Response(status=200, body=b"{", headers={"Content-Length": "10"})

    server = Server(hang)
    async with client_of(server, may_write=lambda: 0.5) as (client, _):
        with pytest.raises(ApiError, match="did not answer"):
            await client.apply(SEEN)
    assert "timeout=500ms" in server.requests[0][1]


async def test_each_attempt_asks_whether_it_may_write() -> None:
    left = [5.0, 0.0]
    server = Server(refusal(503, "starting"), (200, SEEN))
    async with client_of(server, may_write=lambda: left.pop(0)) as (client, _):
        with pytest.raises(ApiError, match="not sent"):
            await client.apply(SEEN)
    assert len(server.requests) == 1


async def test_what_is_not_an_answer_of_kubernetes() -> None:
    def page() -> web.Response:
        return web.Response(status=403, text="<html>corporate proxy</html>")

    async with client_of(Server(page)) as (client, _):
        with pytest.raises(ApiError, match="HTTP 403") as caught:
            await client.apply(SEEN)
    assert not caught.value.transient


async def test_what_answers_and_is_no_api_server() -> None:
    """Such as a page to log in at, with the status of an answer."""

    def page() -> web.Response:
        return web.Response(body=b"<html>log in</html>", content_type="application/json")

    async with client_of(Server(page)) as (client, _):
        with pytest.raises(ApiError, match="what answers there is no API server") as caught:
            await client.get(SERVICE, "ns", "chat")
    assert caught.value.transient


async def test_a_namespace_that_ends_is_recognised() -> None:
    causes = {"causes": [{"reason": "NamespaceTerminating", "message": "x"}]}
    async with client_of(Server(refusal(403, "forbidden", "Forbidden", details=causes))) as (client, _):
        with pytest.raises(ApiError) as caught:
            await client.apply(SEEN)
    assert caught.value.namespace_ends
