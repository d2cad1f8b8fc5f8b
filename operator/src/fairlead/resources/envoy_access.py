"""What spec.access adds to Envoy's bootstrap: a filter that checks tokens, and one that looks at what the first has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fairlead.resources import names
from fairlead.resources.envoy_pieces import exact_header, extension, socket_address

if TYPE_CHECKING:
    from fairlead.api.access import Access, Jwks, Jwt

PEER_HEADER: Final = "x-fairlead-peer"
"""Set by the sidecar itself to the address of who is connected, after all x-fairlead- headers of the client's are gone."""
LOOPBACK: Final = "127.0.0.1"
"""From where the agent asks GET /health through the sidecar, without a token. Whoever else connects from there is in the pod."""

CA_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
"""The public authorities, where Debian's and the distroless Envoy images have them."""
CLOCK_SKEW_SECONDS: Final = 60
"""How far the issuer's clock and the node's may be apart: exp and nbf are taken with so much to spare."""
FETCH_TIMEOUT: Final = "5s"
FETCH_AGAIN: Final = "300s"
"""How soon a new key of the issuer's is known, at most. Issuers publish keys hours before they sign with them."""
FETCH_AGAIN_AFTER_FAILURE: Final = "2s"
"""Until then the keys that were had last are good; where there are none yet, every request gets 401."""
FETCHES_AT_ONCE: Final = 10
FETCH_NEXT: Final = "6s"
"""How soon one more fetch is let out when there were so many. While there are no keys, each request with something like a token
makes Envoy fetch them: whoever sends many would have the issuer asked as often, and just when it is in trouble."""
READ_AGAIN: Final = "15s"
"""How soon a ConfigMap that the kubelet has written anew is read (the kubelet takes up to 90 s to do so). Envoy asks 5 s earlier,
and without a pause where that leaves none."""
KEY_SET_BYTES: Final = 2**20
"""A ConfigMap is no larger."""

_STATS: Final = r"jwt_authn\.(allowed|denied|jwks_fetch_success|jwks_fetch_failed)|rbac\.(allowed|denied)"
_FILTER: Final = "envoy.filters.http.jwt_authn"
_HTTPS: Final = 443
_TOKEN: Final = (
    r"Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    r"Bearer [!-~]+\.[!-~]+\.([!-~]{8})*([!-~]{8}|[!-~]{2}[AEIMQUYcgkosw048]|[!-~]{5}[AQgw])",
)
"""What the header must look like as a whole, in two parts since Envoy takes no larger expressions (100 instructions of RE2).

The first: Envoy's filter looks for a token somewhere in the header, and two headers are one value to it: a good token with
another one behind it, or with any other text around it, would pass. The second: a signature has an even number of bytes, and
the bits of its last letter that stand for nothing are zero. Envoy takes others, too, and passes over the last byte of an odd
number of them in a signature of ES256: hundreds of texts would be one token. (RSA keys of 2048, 3072 and 4096 bits make an even
number.)"""
_ALGORITHMS: Final = r"(RS|PS|ES)(256|384|512)|EdDSA"
"""Envoy takes the algorithm from the key set, and a set that is fetched or mounted may hold a shared secret, which everybody who
can read the set could sign with (HS256)."""


@dataclass(frozen=True)
class AccessParts:
    """Parts of the bootstrap, as data; all empty without spec.access."""

    filters: list[dict[str, Any]] = field(default_factory=list)
    listeners: list[dict[str, Any]] = field(default_factory=list)
    clusters: list[dict[str, Any]] = field(default_factory=list)
    peer_header: str = ""
    """Name of the header that the sidecar sets to the peer's address; empty: none."""
    access_log: dict[str, str] = field(default_factory=dict)
    stats: list[dict[str, Any]] = field(default_factory=list)


def access_parts(access: Access | None) -> AccessParts:
    if access is None:
        return AccessParts()
    listeners, clusters = _sources(access.jwt.jwks)
    return AccessParts(
        filters=[_authentication(access.jwt), _authorization()],
        listeners=listeners,
        clusters=clusters,
        peer_header=PEER_HEADER,
        stats=[{"safe_regex": {"regex": rf"http\.ingress_http\.({_STATS})"}}],
        access_log={"subject": f"%DYNAMIC_METADATA({_FILTER}:payload:sub):128%"},
    )


def keys_port(jwks: Jwks) -> int | None:
    """The TCP port to which pods must get out for the keys; None where they need not.

    Raises:
        ValueError: the port of the URL is none.
    """
    return None if jwks.url is None else urlsplit(jwks.url).port or _HTTPS


def _authentication(jwt: Jwt) -> dict[str, Any]:
    """401, or 403 for another audience, unless there is exactly one token and it is good. It never goes on to the engine."""
    provider = {
        "issuer": jwt.issuer,
        "audiences": list(jwt.audiences),
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW_SECONDS,
        # Nowhere else: by default a query parameter would do too, and queries end up in logs.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "header_in_metadata": "header",
        "payload_in_metadata": "payload",
        **_keys(jwt.jwks),
    }
    # It looks for a token where none can be, so that whoever is sent to it is told that the token is missing.
    nobody = {"from_headers": [{"name": PEER_HEADER, "value_prefix": "none "}], "local_jwks": {"inline_string": ""}}
    everything = {"prefix": "/"}
    return extension(
        _FILTER,
        "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"issuer": provider, "nobody": nobody},
        rules=[
            {"match": {"path": "/health", "headers": [exact_header(":method", "GET"), exact_header(PEER_HEADER, LOOPBACK)]}},
            {
                "match": {
                    **everything,
                    "headers": [{"name": "authorization", "string_match": {"safe_regex": {"regex": each}}} for each in _TOKEN],
                },
                "requires": {"provider_name": "issuer"},
            },
            {"match": everything, "requires": {"provider_name": "nobody"}},
        ],
    )


def _authorization() -> dict[str, Any]:
    """403 for a request that has come this far without a token that the other filter has verified, and of a kind to trust."""
    agent = {
        "permissions": [
            {"and_rules": {"rules": [{"url_path": {"path": {"exact": "/health"}}}, {"header": exact_header(":method", "GET")}]}}
        ],
        "principals": [{"header": exact_header(PEER_HEADER, LOOPBACK)}],
    }
    token = {
        "permissions": [{"any": True}],
        "principals": [
            {
                "and_ids": {
                    "ids": [
                        _token_header("alg", {"string_match": {"safe_regex": {"regex": _ALGORITHMS}}}),
                        # RFC 7515, section 4.1.11: whoever does not know what it names must refuse the token. Envoy knows none.
                        {"not_id": _token_header("crit", {"present_match": True})},
                    ]
                }
            }
        ],
    }
    return extension(
        "envoy.filters.http.rbac",
        "extensions.filters.http.rbac.v3.RBAC",
        rules={"action": "ALLOW", "policies": {"agent": agent, "token": token}},
    )


def _token_header(name: str, value: dict[str, Any]) -> dict[str, Any]:
    matcher = {"filter": _FILTER, "path": [{"key": "header"}, {"key": name}], "value": value}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _keys(jwks: Jwks) -> dict[str, Any]:
    """The provider's part about its keys. Envoy reads a local file once and never again, so a mounted one is fetched, too."""
    if jwks.inline is not None:
        return {"local_jwks": {"inline_string": jwks.inline}}
    url = urlsplit(jwks.url or "/")
    path = url._replace(scheme="", netloc="").geturl()
    return {
        "remote_jwks": {
            "http_uri": {"uri": f"http://keys{path}", "cluster": "keys", "timeout": FETCH_TIMEOUT},
            "cache_duration": READ_AGAIN if jwks.url is None else FETCH_AGAIN,
            # The listener that the keys come through is up only together with the one that waits for them.
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": FETCH_AGAIN_AFTER_FAILURE},
        }
    }


def _sources(jwks: Jwks) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Listeners and clusters that the keys come through."""
    loopback = _cluster("keys", "STATIC", socket_address(LOOPBACK, names.KEYS_PORT))
    if jwks.url is not None:
        return [_seldom(jwks.url)], [loopback, _remote(jwks.url)]
    if jwks.config_map_key_ref is not None:
        return [_mounted()], [loopback]
    return [], []


def _mounted() -> dict[str, Any]:
    """It answers with the file and follows the kubelet's changes of it."""
    body = {"filename": f"{names.KEYS_PATH}/{names.KEYS_FILE}", "watched_directory": {"path": names.KEYS_PATH}}
    return _listener({"match": {"path": "/"}, "direct_response": {"status": 200, "body": body}})


def _seldom(url: str) -> dict[str, Any]:
    """It asks the issuer, and not as often as clients would have it."""
    always = {"default_value": {"numerator": 100}}
    limit = extension(
        "envoy.filters.http.local_ratelimit",
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="keys",
        token_bucket={"max_tokens": FETCHES_AT_ONCE, "tokens_per_fill": 1, "fill_interval": FETCH_NEXT},
        filter_enabled=always,
        filter_enforced=always,
    )
    to_issuer = {"cluster": "issuer", "host_rewrite_literal": urlsplit(url).netloc, "timeout": FETCH_TIMEOUT}
    return _listener({"match": {"prefix": "/"}, "route": to_issuer}, limit)


def _listener(route: dict[str, Any], *filters: dict[str, Any]) -> dict[str, Any]:
    """A listener on loopback for the filter of this same Envoy.

    (One of Envoy's internal listeners, without a port, would not do: the keys are fetched on its main thread, which has none.)
    """
    routes = {
        "name": "keys",
        "max_direct_response_body_size_bytes": KEY_SET_BYTES,
        "virtual_hosts": [{"name": "keys", "domains": ["*"], "routes": [route]}],
    }
    router = extension(
        "envoy.filters.http.router",
        "extensions.filters.http.router.v3.Router",
        suppress_envoy_headers=True,
        dynamic_stats=False,
    )
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="keys",
        http_filters=[*filters, router],
        route_config=routes,
    )
    return {
        "name": "keys",
        "stat_prefix": "keys",
        "address": socket_address(LOOPBACK, names.KEYS_PORT),
        # A flood of clients must not keep the keys away.
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [manager]}],
    }


def _remote(url: str) -> dict[str, Any]:
    """The issuer's server, with a certificate for just its name from a public authority. Envoy follows no redirect."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or _HTTPS
    tls = extension(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni=host,
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "validation_context": {
                "trusted_ca": {"filename": CA_BUNDLE},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
            },
        },
    )
    return {**_cluster("issuer", "LOGICAL_DNS", socket_address(host, port)), "dns_lookup_family": "ALL", "transport_socket": tls}


def _cluster(name: str, kind: str, address: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "connect_timeout": FETCH_TIMEOUT,
        "per_connection_buffer_limit_bytes": KEY_SET_BYTES,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
