"""What spec.access adds to Envoy's bootstrap: a filter that checks tokens, and one that looks at what the first has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fairlead.resources import names

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
FETCH_AGAIN_AFTER_FAILURE: Final = "5s"
"""Until then the keys that were had last are good; where there are none yet, every request gets 401."""
READ_AGAIN: Final = "15s"
"""How soon a ConfigMap that the kubelet has written anew is read (the kubelet takes up to 90 s to do so). Envoy asks 5 s earlier,
and without a pause where that leaves none."""
KEY_SET_BYTES: Final = 2**20
"""A ConfigMap is no larger."""

_STATS: Final = r"jwt_authn\.(allowed|denied|jwks_fetch_success|jwks_fetch_failed)|rbac\.(allowed|denied)"
_FILTER: Final = "envoy.filters.http.jwt_authn"
_TYPES: Final = "type.googleapis.com/envoy."
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
    return _named(
        _FILTER,
        "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"issuer": provider, "nobody": nobody},
        rules=[
            {"match": {"path": "/health", "headers": [_exact(":method", "GET"), _exact(PEER_HEADER, LOOPBACK)]}},
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
            {"and_rules": {"rules": [{"url_path": {"path": {"exact": "/health"}}}, {"header": _exact(":method", "GET")}]}}
        ],
        "principals": [{"header": _exact(PEER_HEADER, LOOPBACK)}],
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
    return _named(
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
    mounted = jwks.url is None
    return {
        "remote_jwks": {
            "http_uri": {"uri": jwks.url or "http://keys/", "cluster": "keys", "timeout": FETCH_TIMEOUT},
            "cache_duration": READ_AGAIN if mounted else FETCH_AGAIN,
            "async_fetch": {
                # The listener that has the file is up only together with the one that waits for it.
                "fast_listener": mounted,
                "failed_refetch_duration": "1s" if mounted else FETCH_AGAIN_AFTER_FAILURE,
            },
        }
    }


def _sources(jwks: Jwks) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Listeners and clusters that the keys come through."""
    if jwks.url is not None:
        return [], [_remote(jwks.url)]
    if jwks.config_map_key_ref is not None:
        return [_mounted()], [_cluster("STATIC", _at(LOOPBACK, names.KEYS_PORT))]
    return [], []


def _mounted() -> dict[str, Any]:
    """A listener on loopback that answers with the file and follows the kubelet's changes of it.

    (One of Envoy's internal listeners, without a port, would not do: the keys are fetched on its main thread, which has none.)
    """
    body = {"filename": f"{names.KEYS_PATH}/{names.KEYS_FILE}", "watched_directory": {"path": names.KEYS_PATH}}
    routes = {
        "name": "keys",
        "max_direct_response_body_size_bytes": KEY_SET_BYTES,
        "virtual_hosts": [
            {
                "name": "keys",
                "domains": ["*"],
                "routes": [{"match": {"path": "/"}, "direct_response": {"status": 200, "body": body}}],
            }
        ],
    }
    manager = _named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="keys",
        http_filters=[_named("envoy.filters.http.router", "extensions.filters.http.router.v3.Router", dynamic_stats=False)],
        route_config=routes,
    )
    return {
        "name": "keys",
        "stat_prefix": "keys",
        "address": _at(LOOPBACK, names.KEYS_PORT),
        # A flood of clients must not keep the keys away.
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [manager]}],
    }


def _remote(url: str) -> dict[str, Any]:
    """The issuer's server, with a certificate for just its name from a public authority. Envoy follows no redirect."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or _HTTPS
    tls = _named(
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
    return {**_cluster("LOGICAL_DNS", _at(host, port)), "dns_lookup_family": "ALL", "transport_socket": tls}


def _cluster(kind: str, address: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "keys",
        "type": kind,
        "connect_timeout": FETCH_TIMEOUT,
        "per_connection_buffer_limit_bytes": KEY_SET_BYTES,
        "load_assignment": {
            "cluster_name": "keys",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _at(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _exact(header: str, value: str) -> dict[str, Any]:
    return {"name": header, "string_match": {"exact": value}}


def _named(name: str, kind: str, **config: Any) -> dict[str, Any]:
    """An extension with its configuration."""
    return {"name": name, "typed_config": {"@type": _TYPES + kind, **config}}
