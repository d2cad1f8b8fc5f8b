"""Which paths are served, and that no way of writing one reaches another. A good client beside each. By the real Envoy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fairlead.resources.envoy import LIMITS
from tests.unit.sidecar.good_client import GoodClient, of_others
from tests.unit.sidecar.http1 import Connection, ask
from tests.unit.sidecar.proxy import Sidecar, sidecar
from tests.unit.sidecar.test_faults import BOOTSTRAP, swap
from tests.unit.sidecar.test_requests import GET, JSON, POST, assert_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.sidecar.stub_engine import StubEngine

pytestmark = pytest.mark.usefixtures("forget")


@pytest.fixture(scope="module")
def proxy(engine: StubEngine) -> Iterator[Sidecar]:
    """It closes at once where it would wait for a slow client to read."""
    with sidecar(BOOTSTRAP, engine.port, swap(LIMITS.unread_timeout, "0.1s")) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (GET, "/v1/models"),
        (GET, "/health"),
        (POST, "/v1/chat/completions"),
        (POST, "/v1/completions"),
        (POST, "/v1/responses"),
        (POST, "/v1/chat/completions?api-version=1"),
        # What is behind the question mark is no part of the path, whatever it looks like.
        (GET, "/v1/models?"),
        (GET, "/v1/models?/../../pause"),
        (GET, "/v1/models?a=%2f..%2fpause"),
    ],
)
def test_is_served_as_it_is(proxy: Sidecar, engine: StubEngine, method: str, target: str) -> None:
    assert ask(proxy.http, method, target, JSON, b"{}" if method == POST else b"").status == 200
    assert [(seen.method, seen.path) for seen in engine.seen] == [(method, target)]


@pytest.mark.parametrize(
    "target",
    [
        "//v1/models",
        "///v1/models",
        "/./v1/models",
        "/.//v1/models",
        "/v1//models",
        "/v1/./models",
        "/v1/%2e/models",
        "/pause/../v1/models",
        "/pause/%2e%2E/v1/models",
        "/v1/models/%2E%2E/models",
        "/v1/../v1/models",
        "/../v1/models",
        "/%2e%2e/v1/models",
        "/..//v1/models",
        "/v1/models/../../../v1/models",
        "/v1\\models",
        "/v1/%6dodels",
        "/v1/mode%6Cs",
        "/%76%31/models",
        "http://elsewhere/v1/models",
        "HTTP://elsewhere:81/v1/models",
        "http://elsewhere/pause/../v1/models",
    ],
)
def test_another_spelling_reaches_the_engine_in_the_one_that_was_compared(
    proxy: Sidecar, engine: StubEngine, good: GoodClient, target: str
) -> None:
    with Connection(proxy.http) as connection:
        connection.request(GET, target)
        good.is_served()
        assert connection.answer().status == 200
    assert [(seen.method, seen.path) for seen in of_others(engine.seen)] == [(GET, "/v1/models")]


NOT_THERE = [
    # What vLLM has besides.
    *("/", "/metrics", "/tokenize", "/detokenize", "/invocations", "/pause", "/resume", "/update_weights", "/sleep"),
    *("/v1/load_lora_adapter", "/v1/embeddings", "/docs", "/openapi.json", "/version", "/ping", "/load", "/server_info"),
    # Of the sidecar itself.
    *("/stats", "/stats/prometheus", "/ready", "/quitquitquit", "/healthcheck/fail"),
    # Nearly a path that there is.
    *("/v1", "/v1/models/", "/v1/models//", "/v1/models/.", "/v1/models/%2e", "/v1/models/tiny", "/v1/modelsx"),
    *("/V1/models", "/v1/MODELS", "/v1/%4dodels", "/HEALTH", "/v1/models&a=b", "/v1/{models}", '/v1/"models"', "/v1/models|"),
    *("/v1/models%20", "/v1/models%09", "/v1/models%0a", "/v1/models%0d%0aX:y", "/v1/models%3f", "/v1/models%23"),
    *("/v1/models%7f", "/%09/v1/models"),
    # Parameters of a path.
    *("/v1/models;a=b", "/v1/models;", "/v1/models%3b", "/v1;x=y/models", "/;/v1/models", "/v1/models;/../pause"),
    *("/v1/models/..;/pause", "/pause;/v1/models"),
    # A way out of a path that there is, or in.
    *("/v1/models/..", "/v1/models/../pause", "/v1/models/%2e%2e/%2E%2e/pause", "/v1/%2e%2e/metrics"),
    *(
        "/v1/chat/completions/../../../metrics",
        "/v1/models\\..\\..\\pause",
        "/../../pause",
        "/pause?/v1/models",
        "//elsewhere/v1/models",
    ),
    *("//elsewhere/v1/models", "http://elsewhere/pause", "http://elsewhere", "http://elsewhere?/v1/models"),
    # Escapes that only a second reading, or a wrong one, makes something of.
    *("/v1%252fmodels", "/v1/models/%252e%252e/pause", "/v1/models%c0%af", "/v1/%c0%ae%c0%ae/pause", "/v1/models%EF%BC%8F.."),
    *("/v1/models%u002e", "/v1/models/%%32%65", "/v1/models%", "/v1/models%2", "/v1/models%zz", "/v1/models%e2%80%8b"),
]


@pytest.mark.parametrize("target", NOT_THERE)
@pytest.mark.parametrize("method", [GET, POST])
def test_is_not_there(proxy: Sidecar, engine: StubEngine, good: GoodClient, method: str, target: str) -> None:
    with Connection(proxy.http) as connection:
        connection.request(method, target)
        good.is_served()
        message = assert_error(connection.answer(), 404, "NotFoundError")
    assert "POST /v1/chat/completions" in message, "the answer says what there is"
    assert not of_others(engine.seen)


@pytest.mark.parametrize(
    "target",
    [
        "/v1%2fmodels",
        "/v1%2Fmodels",
        "/v1%5cmodels",
        "/v1/..%2fv1/models",
        "/v1/models%2f..%2fpause",
        "/v1/models%5c..%5cpause",
        "/pause%2f..%2fv1/models",
        "/health/..%2f..%2fpause",
        "/..%2fpause",
        "/v1/models%00",
        "/v1/models#a",
        "/v1/models#/../pause",
        "v1/models",
        "?/v1/models",
        "*",
        "elsewhere:80",
        "http:/v1/models",
        "http:///v1/models",
        "http://elsewhere:99999/v1/models",
        "ftp://elsewhere/v1/models",
        "file:///v1/models",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_refused(
    proxy: Sidecar, engine: StubEngine, good: GoodClient, target: str
) -> None:
    with Connection(proxy.http) as connection:
        connection.request(GET, target)
        good.is_served()
        assert_error(connection.answer(), 400, "BadRequestError")
    assert not of_others(engine.seen)


def test_a_url_of_https_is_refused(proxy: Sidecar, engine: StubEngine) -> None:
    assert "https" in assert_error(ask(proxy.http, GET, "https://elsewhere/v1/models"), 403, "ForbiddenError")
    assert not engine.seen
