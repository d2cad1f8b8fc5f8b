"""An issuer of tokens, good ones and others: keys, key sets, and JWTs as PyJWT makes them."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER: Final = "https://issuer.example.com"
AUDIENCE: Final = "models"

_CURVES: Final[dict[str, ec.EllipticCurve]] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class SigningKey:
    """A private key under the name and algorithm that the key set gives it."""

    kid: str
    algorithm: str

    @cached_property
    def private(self) -> Key:
        if self.algorithm.startswith("ES"):
            return ec.generate_private_key(_CURVES[self.algorithm])
        if self.algorithm == "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def public_jwk(self) -> dict[str, Any]:
        return {**_jwk(self.private.public_key()), "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    @cached_property
    def private_jwk(self) -> dict[str, Any]:
        return {**_jwk(self.private), "kid": self.kid}

    def token(self, claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None) -> str:
        """A token with `claims` over those of a good one and `header` over this key's; None takes one out."""
        fields = _without_none({"kid": self.kid, **(header or {})})
        return jwt.encode(_claims(claims), self.private, self.algorithm, headers=fields)

    def signed(self, header: dict[str, Any], claims: dict[str, Any] | None = None) -> str:
        """A token whose header is just this one, `alg` too, which a library would refuse to write; signed with this key."""
        part = f"{encoded(header)}.{encoded(_claims(claims))}"
        signer = jwt.get_algorithm_by_name(self.algorithm)
        return f"{part}.{base64url(signer.sign(part.encode(), self.private))}"


def key_set(*keys: SigningKey) -> str:
    return json.dumps({"keys": [key.public_jwk for key in keys]})


def encoded(part: dict[str, Any]) -> str:
    """A header or a payload as it stands in a token."""
    return base64url(json.dumps(part).encode())


def unsigned(header: dict[str, Any], claims: dict[str, Any] | None = None, signature: str = "") -> str:
    return f"{encoded(header)}.{encoded(_claims(claims))}.{signature}"


def now() -> int:
    return int(time.time())


def _claims(changes: dict[str, Any] | None) -> dict[str, Any]:
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "team-a", "exp": now() + 3600}
    return _without_none({**good, **(changes or {})})


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _jwk(key: Any) -> dict[str, Any]:
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return dict(RSAAlgorithm.to_jwk(key, as_dict=True))
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        return dict(ECAlgorithm.to_jwk(key, as_dict=True))
    return dict(OKPAlgorithm.to_jwk(key, as_dict=True))


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
