"""Whether a JSON Web Key Set (RFC 7517) holds public keys that Envoy can check signatures with, and nothing secret. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final

from fairlead.api.access import PRIVATE_MEMBERS

_RSA_BITS: Final = 2048
"""RFC 7518, section 3.3: the least that RS256 and PS256 may be used with."""
_EC_BYTES: Final = {"P-256": 32, "P-384": 48, "P-521": 66}
"""Length of a coordinate on the curves of ES256, ES384 and ES512."""
_ED25519_BYTES: Final = 32
_ALGORITHMS: Final = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "EC": frozenset({"ES256", "ES384", "ES512"}),
    "OKP": frozenset({"EdDSA"}),
}


def problem_with(text: str) -> str | None:
    """What is wrong with a key set, in words that repeat nothing of it; None if it can be used.

    A key for something else than signatures is passed over, as Envoy does: issuers publish keys for encryption beside them.
    """
    try:
        parsed = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return f"is not JSON with each name once{where}"
    keys = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        return 'is not a key set; write {"keys": [...]} with an object for each key'
    for number, key in enumerate(keys):
        if key.get("kty") == "oct":
            return f"keys[{number}] is a shared secret (kty oct): whoever can read it can make tokens. Write public keys only"
        if secret := sorted(key.keys() & PRIVATE_MEMBERS):
            return (
                f"keys[{number}] is a private key (it has {', '.join(secret)}). Write the public one only, and replace that key: "
                "others may have read it"
            )
    found = [_unusable(key) for key in keys]
    if None in found:
        return None
    told = "; ".join(f"keys[{number}]: {why}" for number, why in enumerate(found)) or "it is empty"
    return f"has no public key that signatures can be checked with ({told})"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, unless a name stands in it twice: two readers would take different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice in one object")
    return found


def _unusable(key: dict[str, Any]) -> str | None:
    """Why no signature can be checked with a key."""
    kind = str(key.get("kty"))
    if kind not in _ALGORITHMS:
        return "kty is none of RSA, EC and OKP"
    if key.get("use", "sig") != "sig":
        return "use is not sig"
    if "alg" in key and str(key["alg"]) not in _ALGORITHMS[kind]:
        return f"alg is none of {', '.join(sorted(_ALGORITHMS[kind]))}"
    return {"RSA": _rsa, "EC": _elliptic, "OKP": _edwards}[kind](key)


def _rsa(key: dict[str, Any]) -> str | None:
    modulus = _number(key.get("n"))
    if not modulus or not _number(key.get("e")):
        return "n and e are not both base64url"
    bits = int.from_bytes(modulus).bit_length()
    return None if bits >= _RSA_BITS else f"n has {bits} bits, and {_RSA_BITS} is the least"


def _elliptic(key: dict[str, Any]) -> str | None:
    size = _EC_BYTES.get(str(key.get("crv")))
    if size is None:
        return f"crv is none of {', '.join(_EC_BYTES)}"
    whole = all(len(_number(key.get(name))) == size for name in ("x", "y"))
    return None if whole else f"x and y are not both {size} bytes in base64url"


def _edwards(key: dict[str, Any]) -> str | None:
    if key.get("crv") != "Ed25519":
        return "crv is not Ed25519"
    whole = len(_number(key.get("x"))) == _ED25519_BYTES
    return None if whole else f"x is not {_ED25519_BYTES} bytes in base64url"


def _number(value: object) -> bytes:
    """base64url without padding, as RFC 7518 writes numbers; nothing where it is none."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        return b""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except binascii.Error:
        return b""
