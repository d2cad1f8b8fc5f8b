"""Pieces of Envoy's configuration that the template and the filters of spec.access are both made of."""

from __future__ import annotations

from typing import Any


def type_url(kind: str) -> str:
    """How Envoy names a message: `kind` is its name without `envoy.` in front."""
    return f"type.googleapis.com/envoy.{kind}"


def extension(name: str, kind: str, **config: Any) -> dict[str, Any]:
    """An extension with its configuration."""
    return {"name": name, "typed_config": {"@type": type_url(kind), **config}}


def exact_header(name: str, value: str) -> dict[str, Any]:
    """Fits a request whose header has just this value."""
    return {"name": name, "string_match": {"exact": value}}


def socket_address(host: str, port: int) -> dict[str, Any]:
    """Where to connect to, or to listen."""
    return {"socket_address": {"address": host, "port_value": port}}


def any_address(port: int, *, ipv6: bool) -> dict[str, Any]:
    """To listen on all addresses of the pod.

    With `ipv6` one socket takes both families, and clients of IPv4 are told by their IPv4 addresses. A kernel without IPv6
    has no such socket: Envoy would not start.
    """
    if not ipv6:
        return socket_address("0.0.0.0", port)  # noqa: S104 # nosec B104 # clients come to the pod's address
    return {"socket_address": {"address": "::", "port_value": port, "ipv4_compat": True}}
