"""What the sidecar lets through, what it refuses, and how that looks: by the real Envoy."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from fairlead.resources.envoy import ACCESS_LOG, STRIPPED_HEADERS, STRIPPED_PREFIXES, bootstrap
from tests.unit.resources.cases import model_deployment
from tests.unit.sidecar.http1 import Answer, Connection, ask
from tests.unit.sidecar.proxy import Sidecar, sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.sidecar.stub_engine import StubEngine

JSON = {"content-type": "application/json"}
GET = "GET"
POST = "POST"
pytestmark = pytest.mark.usefixtures("forget")


@pytest.fixture(scope="module")
def proxy(engine: StubEngine) -> Iterator[Sidecar]:
    with sidecar(bootstrap(model_deployment().spec), engine.port) as running:
        yield running


def assert_error(answer: Answer, status: int, kind: str) -> str:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    parsed = answer.json()
    message = parsed["error"].pop("message")
    assert parsed == {"error": {"type": kind, "param": None, "code": status}}
    assert isinstance(message, str)
    assert message
    return message


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        (POST, "/v1/models", GET),
        ("DELETE", "/v1/models", GET),
        ("OPTIONS", "/v1/models", GET),
        ("TRACE", "/v1/models", GET),
        ("PURGE", "/health", GET),
        (GET, "/v1/chat/completions", POST),
        ("PUT", "/v1/completions", POST),
        ("PATCH", "/v1/responses", POST),
    ],
)
def test_a_wrong_method_is_told_the_right_one(proxy: Sidecar, engine: StubEngine, method: str, target: str, allowed: str) -> None:
    answer = ask(proxy.http, method, target)
    message = assert_error(answer, 405, "MethodNotAllowedError")
    assert answer.headers["allow"] == allowed
    assert message == f"{target} takes {allowed} only."
    assert not engine.seen


def test_head_has_no_body(proxy: Sidecar) -> None:
    answer = ask(proxy.http, "HEAD", "/v1/models")
    assert (answer.status, answer.headers["allow"], answer.body) == (405, GET, b"")


@pytest.mark.parametrize(
    ("raw", "status", "kind"),
    [
        (b"GET /health HTTP/1.1\r\nhost: a\r\nx_user: root\r\n\r\n", 400, "BadRequestError"),
        (b"GET /health HTTP/1.1\r\n\r\n", 400, "BadRequestError"),
        (b"GET /health HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400, "BadRequestError"),
        (b"GET /health HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n\r\n", 400, "BadRequestError"),
        (b"GET /health HTTP/1.0\r\nhost: a\r\n\r\n", 426, "UpgradeRequiredError"),
        (
            b"GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            403,
            "ForbiddenError",
        ),
        (b"CONNECT elsewhere:80 HTTP/1.1\r\nhost: elsewhere:80\r\n\r\n", 404, "NotFoundError"),
    ],
    ids=["underscore", "no-host", "smuggling", "nul", "http-1.0", "websocket", "connect"],
)
def test_malformed_requests_get_an_error_of_the_api(
    proxy: Sidecar, engine: StubEngine, raw: bytes, status: int, kind: str
) -> None:
    with Connection(proxy.http) as connection:
        connection.send(raw)
        assert_error(connection.answer(), status, kind)
    assert not engine.seen


def test_a_chunked_body_arrives_whole_and_with_its_length(proxy: Sidecar, engine: StubEngine) -> None:
    with Connection(proxy.http) as connection:
        connection.request(POST, "/v1/completions", {**JSON, "transfer-encoding": "chunked"})
        connection.send(b"3\r\n{} \r\n2\r\n  \r\n0\r\n\r\n")
        assert connection.answer().status == 200
    assert engine.seen[0].body == b"{}   "
    assert engine.seen[0].headers["content-length"] == "5"


def test_a_client_that_asks_first_is_told_to_go_on(proxy: Sidecar, engine: StubEngine) -> None:
    """curl does so with bodies above 1 MB."""
    with Connection(proxy.http) as connection:
        connection.request(POST, "/v1/completions", {**JSON, "content-length": "2", "expect": "100-continue"})
        assert connection.line() == b"HTTP/1.1 100 Continue"
        connection.send(b"{}")
        assert connection.answer().status == 200
    assert engine.seen[0].body == b"{}"


def test_headers_about_who_and_where_never_reach_the_engine(proxy: Sidecar, engine: StubEngine) -> None:
    forged = {
        **{f"{prefix}anything": "forged" for prefix in STRIPPED_PREFIXES},
        **dict.fromkeys(STRIPPED_HEADERS, "forged"),
        "X-Gateway-Destination-Endpoint": "10.0.0.1:80",
        "X-Forwarded-User": "root",
        "x-envoy-original-path": "/pause",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "Authorization": "Bearer secret",
        "Host": "attacker.example",
    }
    forged.pop("authorization")
    assert ask(proxy.http, POST, "/v1/completions", {**JSON, **forged, "x-custom": "kept"}, b"{}").status == 200
    headers = engine.seen[0].headers
    assert set(headers) == {"host", "content-type", "content-length", "x-custom", "x-request-id"}
    assert headers["host"] == "engine"


def test_the_request_id_is_never_the_clients(proxy: Sidecar, engine: StubEngine) -> None:
    answer = ask(proxy.http, GET, "/v1/models", {"x-request-id": "http://169.254.169.254/"})
    (seen,) = engine.seen
    assert answer.headers["x-request-id"] == seen.headers["x-request-id"] == str(uuid.UUID(seen.headers["x-request-id"]))
    again = ask(proxy.http, GET, "/nothing", {"x-request-id": "chosen"}).headers["x-request-id"]
    assert uuid.UUID(again) != uuid.UUID(answer.headers["x-request-id"])


def test_answers_say_nothing_about_the_proxy(proxy: Sidecar) -> None:
    for target in ("/v1/models", "/nothing"):
        headers = ask(proxy.http, GET, target).headers
        assert headers["server"] == "fairlead"
        assert not [name for name in headers if name.startswith("x-envoy")]


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503])
def test_an_error_of_the_engines_own_is_passed_on_as_it_is(proxy: Sidecar, status: int) -> None:
    answer = ask(proxy.http, POST, "/v1/completions", JSON, json.dumps({"status": status}).encode())
    assert (answer.status, answer.body) == (status, b'{"object":"stub"}')
    assert "retry-after" not in answer.headers


def test_a_stream_passes_event_by_event(proxy: Sidecar, engine: StubEngine) -> None:
    with Connection(proxy.http) as connection:
        connection.request(POST, "/v1/chat/completions", JSON, b'{"stream": 3}')
        response = connection.begun()
        assert response.getheader("content-type") == "text/event-stream"
        for number in range(3):
            # The engine sends this event only now, and the next one only when this one has come through.
            engine.proceed.release()
            assert response.readline() + response.readline() == f"data: {number}\n\n".encode()
        assert response.read() == b""


def test_the_access_log_tells_what_and_never_what_about(proxy: Sidecar, engine: StubEngine) -> None:
    secrets = {"authorization": "Bearer hunter2", "cookie": "hunter3", "x-custom": "hunter4", "user-agent": "hunter5"}
    body = b'{"prompt": "hunter6", "stream": 2}'
    engine.proceed.release(2)
    answer = ask(proxy.http, POST, "/v1/chat/completions?key=hunter7", {**JSON, **secrets}, body)
    entry = proxy.entry(answer.headers["x-request-id"])
    assert "hunter" not in json.dumps(entry)
    assert entry.keys() == ACCESS_LOG.keys()
    first, whole = entry.pop("first_byte_ms"), entry.pop("duration_ms")
    assert isinstance(first, int)
    assert 0 <= first <= whole
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "log": "access",
        "request_id": answer.headers["x-request-id"],
        "peer": "127.0.0.1",
        "protocol": "HTTP/1.1",
        "method": POST,
        "path": "/v1/chat/completions",
        "status": 200,
        "details": "via_upstream",
        "flags": "-",
        "bytes_received": len(body),
        "bytes_sent": len(answer.body),
    }


def test_the_access_log_has_refusals_too_with_a_bounded_path(proxy: Sidecar) -> None:
    answer = ask(proxy.http, GET, "/" + "p" * 3000 + "?q=hunter8")
    entry = proxy.entry(answer.headers["x-request-id"])
    assert entry["path"] == "/" + "p" * 127
    assert (entry["status"], entry["first_byte_ms"]) == (404, None)


def test_health_is_logged_only_when_it_fails(proxy: Sidecar) -> None:
    silent = ask(proxy.http, GET, "/health").headers["x-request-id"]
    told = ask(proxy.http, POST, "/health").headers["x-request-id"]
    proxy.entry(told)
    assert silent not in {entry["request_id"] for entry in proxy.entries()}


def test_figures_are_few_and_no_request_reaches_the_admin_otherwise(proxy: Sidecar) -> None:
    ask(proxy.http, GET, "/health")
    text = ask(proxy.metrics, GET, "/stats/prometheus").body.decode()
    families: dict[str, Any] = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert len(families) < 45, sorted(families)
    for needed in (
        "envoy_http_downstream_rq_active",
        "envoy_http_downstream_rq_xx",
        "envoy_http_downstream_rq_time",
        "envoy_cluster_upstream_cx_connect_fail",
        "envoy_cluster_upstream_rq_pending_overflow",
        "envoy_server_memory_allocated",
    ):
        assert needed in families
    for target in ("/stats/prometheus?filter=.*", "/stats", "/quitquitquit", "/config_dump", "/", "/healthcheck/fail"):
        for method in (GET, POST):
            assert ask(proxy.metrics, method, target).status == 404, target
    assert ask(proxy.metrics, POST, "/stats/prometheus").status == 404


@pytest.mark.parametrize(
    "target", ["/quitquitquit", "/config_dump", "/drain_listeners", "/logging?level=trace", "/runtime_modify"]
)
def test_the_admin_itself_answers_only_what_the_drain_needs(proxy: Sidecar, target: str) -> None:
    assert ask(proxy.admin, POST, target).status == 403
