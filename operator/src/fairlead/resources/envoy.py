"""Envoy's bootstrap for the sidecar of a replica: a template for its shape, this file for its numbers and their reasons."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jinja2

from fairlead.resources import names
from fairlead.resources.envoy_access import access_parts
from fairlead.resources.envoy_pieces import any_address, exact_header, socket_address, type_url

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeploymentSpec

MIB: Final = 2**20
SOL_SOCKET: Final = 1
SO_SNDBUF: Final = 7
"""As include/uapi/asm-generic/socket.h of Linux has them: for amd64 and arm64, where Envoy runs, not for where this runs."""


@dataclass(frozen=True)
class Route:
    """One path that clients may reach, with the one method it takes."""

    method: str
    path: str

    @property
    def wrong_method(self) -> str:
        return f"{self.path} takes {self.method} only."


ROUTES: Final = (
    Route("GET", "/v1/models"),
    Route("POST", "/v1/chat/completions"),
    Route("POST", "/v1/completions"),
    Route("POST", "/v1/responses"),
    Route("GET", "/health"),
)
"""All that is served. vLLM has some forty further paths, /pause, /tokenize and /invocations among them, without any key."""

METRICS_PATHS: Final = ("/stats/prometheus", "/ready")

ADMIN_PATHS: Final = (
    {"exact": "/ready"},
    {"exact": "/healthcheck/fail"},
    {"exact": "/healthcheck/ok"},
    {"prefix": "/stats"},
)
"""What the agent's drain, the metrics listener and the kubelet need of Envoy's admin; /quitquitquit, /config_dump … are shut."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one sidecar."""

    body_bytes: int = 32 * MIB
    """Largest request body. A million tokens are 4 MiB of English and at most 12 MiB of escaped CJK; the rest is for images
    in base64 (20 MB is the most that public APIs take of one)."""
    heap_bytes: int = 768 * MIB
    """Where the overload manager sees 100 %: three quarters of the container's memory limit (idle it takes 70 MB). From 80 %
    streams are reset, those that hold most first, and slow readers get less time; from 90 % new requests get 503: better than
    a kill, which cuts every stream."""
    downstream_connections: int = 4096
    """Open connections from clients; each idle one costs some 20 kB."""
    engine_requests: int = 1024
    """Requests handed to the engine at a time, at least: four times its default --max-num-seqs, the rest waits inside it.
    Envoy keeps as many again waiting for a connection."""
    connection_buffer_bytes: int = 256 * 1024
    """Bytes waiting on one connection before the other side is held back (soft; a request body has a bound of its own)."""
    send_buffer_bytes: int = 64 * 1024
    """SO_SNDBUF, of which the kernel makes twice as much: by itself it grows to 4 MiB for a client that reads slowly, and Envoy
    would see such a client take nothing for minutes and then 1 MiB at once. 64 KiB at a round trip of 100 ms is 640 kB/s; 500
    tokens/s of one stream, at some 250 bytes each, are 125 kB/s."""
    unread_timeout: str = "60s"
    """How long a client may take nothing of the rest of its answer. At Envoy's own default, 1 s, slow readers were cut: the end
    of an answer of 350 kB, read over 40 s, was thrown away after 26 s to 39 s. The kernel tells of progress in steps of some 40
    kB here, so whoever reads 0.7 kB/s gets all. The agent's drain waits as long (drain.py)."""
    flush_timeout: str = "120s"
    """How long a client of HTTP/2 may take over the rest of its answer when the engine has given the last of it: 256 KiB at 2.2
    kB/s. By itself Envoy waits as long as a stream may last (600 s), and such clients could fill the memory until all others
    are refused: 2800 answers of 250 kB would do."""
    stream_accounted_power: int = 12
    """Envoy sorts streams by what they hold into eight classes: from 2 to the power of this many bytes, from twice as much …
    With 4 KiB those of 512 KiB and more are reset from 80 %, of 256 KiB from 82.5 %, 128 KiB from 85 %, 64 KiB from 87.5 %. A
    slow reader's holds 256 KiB (connection_buffer_bytes): its class must come well before all others are told 503. The last
    comes at 100 % only: Envoy resets streams, 50 at a time, when this share changes, and above 100 % it does not change."""
    flush_timeout_when_short: str = "4s"
    """What flush_timeout comes down to between 80 % and 90 % of the heap. Beyond 100 % it is what ends the shortage."""
    connection_idle_timeout_when_short: str = "10s"
    """The same of connection_idle_timeout. To HTTP/1 a connection is idle when the engine has given the last of an answer, of
    which the client may not have read 256 KiB: such clients could keep everybody else out for ten minutes, now for one and a
    quarter (unread_timeout comes after it)."""
    request_headers_kib: int = 32
    request_headers: int = 100
    request_headers_timeout: str = "10s"
    """From a request's first byte to the end of its headers: a slow sender holds a connection no longer."""
    request_timeout: str = "120s"
    """From a request's first byte to its last: 32 MiB at 2.2 Mbit/s."""
    connection_idle_timeout: str = "620s"
    """Longer than the idle connections of common load balancers (60 s to 600 s), so that it is them who close and no request
    is sent into a closing connection."""
    drain_timeout: str = "2s"
    """From GOAWAY's first notice to its last, within the drain's delay of 5 s. Streams go on after it."""
    engine_idle_timeout: str = "3s"
    """Shorter than the 5 s after which uvicorn closes an idle connection (VLLM_HTTP_TIMEOUT_KEEP_ALIVE): nothing is retried,
    so no request may be sent into a closing connection."""
    h2_streams: int = 100
    """Concurrent streams of one HTTP/2 connection."""
    h2_stream_window_bytes: int = 256 * 1024
    h2_connection_window_bytes: int = MIB


LIMITS: Final = Limits()


@dataclass(frozen=True)
class LocalError:
    """How an error that Envoy itself answers looks to a client."""

    status: int
    type: str
    message: str = ""
    """Empty: that of the route."""
    retry_after: int = 0
    """Seconds; 0: no Retry-After header."""
    flags: tuple[str, ...] = ()
    """Only with one of these response flags."""
    request_header: str = ""
    """Only where the request has this header."""
    hint: str = ""
    """Said after what Envoy's own words are."""


_ACCESS_ERRORS: Final = (
    LocalError(401, "AuthenticationError", hint=". Send one valid token, as the header Authorization: Bearer TOKEN."),
    LocalError(403, "ForbiddenError"),
)


def _errors(spec: ModelDeploymentSpec) -> tuple[LocalError, ...]:
    """The first that fits is taken. An answer of the engine's own is never touched."""
    served = ", ".join(f"{route.method} {route.path}" for route in ROUTES)
    return (
        LocalError(
            400,
            "BadRequestError",
            "This is not a well-formed HTTP request, or its path or headers are written in a way that is refused here: "
            "escaped slashes (%2F) in the path, underscores in header names.",
        ),
        LocalError(
            403,
            "ForbiddenError",
            "Protocol upgrades such as WebSocket are not served, nor are URLs that begin with https://: there is no TLS here.",
            request_header="" if spec.access is None else "upgrade",
        ),
        LocalError(404, "NotFoundError", f"There is no such path here. Served are: {served}."),
        LocalError(405, "MethodNotAllowedError"),
        LocalError(408, "RequestTimeoutError", f"The request did not arrive whole within {LIMITS.request_timeout}."),
        LocalError(413, "PayloadTooLargeError", f"The request body is larger than {LIMITS.body_bytes // MIB} MiB."),
        LocalError(426, "UpgradeRequiredError", "HTTP/1.1 or HTTP/2 is needed."),
        LocalError(
            431,
            "HeadersTooLargeError",
            f"The request headers are larger than {LIMITS.request_headers_kib} KiB, or more than {LIMITS.request_headers}.",
        ),
        LocalError(502, "BadGatewayError", "The engine of this replica answered with something that is not HTTP."),
        LocalError(
            503,
            "ServiceUnavailableError",
            # As many as are handed on may wait for a connection.
            f"This replica has {2 * _engine_requests(spec)} requests in hand and takes no more; try again.",
            retry_after=1,
            flags=("UO",),
        ),
        LocalError(
            503,
            "ServiceUnavailableError",
            "The engine of this replica does not answer; try again, another replica may.",
            # An engine that is down leaves the endpoints within one probe of the kubelet (2 s) and the agent's own damping.
            retry_after=5,
            flags=("UF", "UC", "UR", "LR"),
        ),
        LocalError(
            503,
            "ServiceUnavailableError",
            "This replica is short of memory for requests; try again, another replica may.",
            retry_after=5,
        ),
        LocalError(
            504,
            "GatewayTimeoutError",
            f"No answer within the {spec.rollout.max_stream_seconds} s that a request may take (spec.rollout.maxStreamSeconds).",
        ),
        *(_ACCESS_ERRORS if spec.access is not None else ()),
    )


def _error_body(kind: str, hint: str = "") -> dict[str, Any]:
    """The error object of the OpenAI API, with the status as `code`, as vLLM writes it."""
    error = {"message": f"%LOCAL_REPLY_BODY%{hint}", "type": kind, "param": None, "code": "%RESPONSE_CODE%"}
    return {"json_format": {"error": error}}


RUNTIME: Final = {
    # Without it the data of a chunk may end with a bare line feed (1.40), which other readers take for more data.
    "envoy.reloadable_features.strict_chunk_parsing": True,
}
"""Where Envoy is told to be stricter than it is by itself."""

STRIPPED_PREFIXES: Final = (
    "x-fairlead-",
    "x-gateway-",
    "x-envoy-",
    "x-auth-request-",
    "x-remote-",
    "x-jwt-",
    "x-llm-d-",
    "x-forwarded-",
    "remote-",
)
"""Headers by which something in front of or behind the sidecar could say who asks or where the request goes. None comes from
a client, so they go before anything else reads the request."""

STRIPPED_HEADERS: Final = (
    "authorization",
    "cookie",
    "forwarded",
    "proxy-authorization",
    "x-api-key",
    "x-data-parallel-rank",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-real-ip",
    "x-user",
    "x-user-id",
)
"""Headers that the engine never sees: credentials, which are not its business; addresses, which uvicorn would take from a
loopback peer; a client's choice of data-parallel rank; and what Envoy adds for itself."""

ACCESS_LOG: Final = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "log": "access",
    "request_id": "%REQ(X-REQUEST-ID):36%",
    "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "protocol": "%PROTOCOL%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:PATH):128%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "first_byte_ms": "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%",
    "duration_ms": "%DURATION%",
}
"""No body, no query, no header of the client's: a prompt or a token has no way in. (The id is Envoy's own; only a request that
is refused before its headers are read, at overload, may show 36 characters of the client's.) first_byte_ms runs from the first
byte of the request to the first byte of the answer's body, null if there was none."""

STATS: Final = (
    {
        "safe_regex": {
            "regex": r"http\.ingress_http\.downstream_(cx_(active|total|tx_bytes_buffered)|"
            r"rq_(active|total|time|[1-5]xx|overload_close|rx_reset|tx_reset|too_large|timeout|idle_timeout|max_duration_reached))"
        }
    },
    {
        "safe_regex": {
            "regex": r"cluster\.engine\.upstream_(cx_(active|total|connect_fail|destroy_remote_with_active_rq|rx_bytes_total)|"
            r"rq_(active|pending_active|pending_overflow|rx_reset|tx_reset))"
        }
    },
    {"exact": "listener.api.downstream_global_cx_overflow"},
    {"safe_regex": {"regex": r"overload\..*\.(active|pressure)"}},
    {"exact": "server.live"},
    {"exact": "server.memory_allocated"},
    {"exact": "server.uptime"},
)
"""Some forty series instead of 600: the rest costs memory and a scrape's time and answers no question about one upstream."""


def _engine_requests(spec: ModelDeploymentSpec) -> int:
    return max(LIMITS.engine_requests, 2 * (spec.engine.max_num_seqs or 0))


def command_line(config: str) -> list[str]:
    """The arguments of Envoy. Its parser wants each value as a word of its own."""
    return [
        "--config-path",
        config,
        # Limits on connections hold per worker.
        "--concurrency",
        "1",
        # It would want shared memory, and nothing ever restarts Envoy in place.
        "--disable-hot-restart",
        "--log-level",
        "warning",
        # 10 s by default: a request should be in the log when one looks for it.
        "--file-flush-interval-msec",
        "1000",
    ]


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fairlead.resources"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 # nosec B701 # the template is JSON, where tojson is what escapes
    )
    pieces = (any_address, exact_header, socket_address, type_url)
    return environment.get_template("envoy.json.j2", globals={each.__name__: each for each in pieces})


def bootstrap(spec: ModelDeploymentSpec, *, ipv6: bool = False) -> dict[str, Any]:
    """The bootstrap as data; with `ipv6` it listens on addresses of both families.

    What a user wrote comes into it only as the two numbers that bound a stream and the queue, and as spec.access.
    """
    access = access_parts(spec.access)
    text = _template().render(
        ipv6=ipv6,
        runtime=RUNTIME,
        routes=ROUTES,
        errors=_errors(spec),
        error_body=_error_body,
        limits=LIMITS,
        upstream_requests=_engine_requests(spec),
        socket_options=[
            {"description": "SO_SNDBUF", "level": SOL_SOCKET, "name": SO_SNDBUF, "int_value": LIMITS.send_buffer_bytes},
        ],
        max_stream=f"{spec.rollout.max_stream_seconds}s",
        stripped_prefixes=STRIPPED_PREFIXES,
        stripped_headers=STRIPPED_HEADERS + ((access.peer_header,) if access.peer_header else ()),
        access=access,
        access_log={**ACCESS_LOG, **access.access_log},
        stats=[*STATS, *access.stats],
        admin_paths=ADMIN_PATHS,
        metrics_paths=METRICS_PATHS,
        ports={
            "http": names.HTTP_PORT,
            "engine": names.ENGINE_PORT,
            "metrics": names.METRICS_PORT,
            "admin": names.ADMIN_PORT,
        },
    )
    rendered: dict[str, Any] = json.loads(text)
    return rendered
