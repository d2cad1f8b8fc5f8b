"""Tokens that the sidecar lets in, and tokens that it must not."""

from __future__ import annotations

import hashlib
import hmac
import json
import string
from typing import Any

from cryptography.hazmat.primitives import serialization

from tests.tokens import AUDIENCE, ISSUER, SigningKey, base64url, encoded, unsigned

RSA = SigningKey("rsa", "RS256")
EC = SigningKey("ec", "ES256")
STRANGER = SigningKey("ec", "ES256")
"""Another issuer's, under a name that the key set has."""
KEYS = (RSA, EC, SigningKey("ec-384", "ES384"), SigningKey("pss", "PS256"), SigningKey("edwards", "EdDSA"))
GOOD = {
    **{key.algorithm: key.token() for key in KEYS},
    "the audience among others": EC.token({"aud": ["else", AUDIENCE]}),
    "no kid": EC.token(header={"kid": None}),
    "another typ": EC.token(header={"typ": "at+jwt"}),
    "a long one": EC.token({"groups": ["g" * 1000] * 16}),
}


def by_hand(secret: bytes, header: dict[str, Any]) -> str:
    """A token with an HMAC of that secret: PyJWT refuses to take a public key for one."""
    part = f"{encoded(header)}.{unsigned(header).split('.')[1]}"
    return f"{part}.{base64url(hmac.digest(secret, part.encode(), hashlib.sha256))}"


def pem(key: SigningKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.private.public_key().public_bytes(serialization.Encoding.PEM, form)


def forged(**header: Any) -> str:
    """Signed by somebody else's key, with these fields in the header."""
    return STRANGER.token(header=header)


def with_bits_behind_its_end(token: str) -> str:
    """The same signature, of a number of bytes that is no multiple of three, with a 1 in the bits that its last letter has too
    many: whoever passes over them takes this for the good token."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) | 1]


HEADER = {"alg": "HS256", "kid": "rsa"}
IN_2100 = 4_102_444_800
EXPIRIES: list[Any] = [0, -1, "0", str(IN_2100), [IN_2100], {}, True, 1e300, None]
BEGINNINGS: list[Any] = [IN_2100, "0", [], -1]
BAD = {
    # No signature, and one that stands for another kind of key.
    **{f"alg {alg}": unsigned({"alg": alg, "kid": "ec"}) for alg in ("none", "None", "NONE", "nOnE", "")},
    "alg none with a signature": unsigned({"alg": "none", "kid": "ec"}, signature=EC.token().rpartition(".")[2]),
    "alg none without kid": unsigned({"alg": "none"}, signature="AAAA"),
    "no alg": unsigned({"kid": "ec"}, signature="AAAA"),
    "HS256 with the RSA key's PEM": by_hand(pem(RSA), HEADER),
    "HS256 with the RSA key's PEM, without its end": by_hand(pem(RSA).strip(), HEADER),
    "HS256 with the EC key's PEM": by_hand(pem(EC), {"alg": "HS256", "kid": "ec"}),
    "HS256 with the key's JWK": by_hand(json.dumps(RSA.public_jwk).encode(), HEADER),
    "HS256 with the modulus": by_hand(RSA.public_jwk["n"].encode(), HEADER),
    "HS256 with no secret": by_hand(b"", HEADER),
    "HS256 without kid": by_hand(pem(RSA), {"alg": "HS256"}),
    "HS512": unsigned({"alg": "HS512", "kid": "rsa"}, signature="A" * 86),
    "RS256 with the EC key's name": RSA.token(header={"kid": "ec"}),
    "ES256 said to be RS256": EC.signed({"alg": "RS256", "kid": "ec"}),
    "RS256 said to be RS512": RSA.signed({"alg": "RS512", "kid": "rsa"}),
    "RS256 said to be PS256": RSA.signed({"alg": "PS256", "kid": "rsa"}),
    "ES256 with a signature of zeros": unsigned({"alg": "ES256", "kid": "ec"}, signature=base64url(bytes(64))),
    "ES256 with an empty signature": unsigned({"alg": "ES256", "kid": "ec"}, signature=""),
    # A key of somebody else's.
    "a stranger's key": forged(),
    "a stranger's key without kid": forged(kid=None),
    "an unknown kid": EC.token(header={"kid": "other"}),
    "an unknown kid and a stranger's key": forged(kid="other"),
    "a kid in capitals": EC.token(header={"kid": "EC"}),
    **{
        f"kid {kid!r}": by_hand(b"", {"alg": "HS256", "kid": kid})
        for kid in ("../../../../dev/null", "/dev/null", "file:///dev/null", "ec' OR '1'='1", "ec\x00", "%2e%2e%2fec", "a" * 5000)
    },
    **{
        f"a stranger's with kid {kid!r}": STRANGER.signed({"alg": "ES256", "kid": kid})
        for kid in ("../ec", "ec/../ec", ["ec"], {"ec": 1}, 1, None, True)
    },
    "a jwk of its own": STRANGER.signed({"alg": "ES256", "kid": "ec", "jwk": STRANGER.public_jwk}),
    "a certificate of its own": STRANGER.signed({"alg": "ES256", "kid": "ec", "x5c": ["MIIB"]}),
    # Another issuer.
    **{
        f"iss {iss!r}": EC.signed({"alg": "ES256", "kid": "ec"}, {"iss": iss})
        for iss in (ISSUER + "/", ISSUER.upper(), ISSUER + ".evil.example", "", [ISSUER], {"a": ISSUER}, 1, None)
    },
    # Another time.
    "expired long ago": EC.token({"exp": 1}),
    **{f"exp {exp!r}": EC.signed({"alg": "ES256", "kid": "ec"}, {"exp": exp}) for exp in EXPIRIES},
    **{f"nbf {nbf!r}": EC.signed({"alg": "ES256", "kid": "ec"}, {"nbf": nbf}) for nbf in BEGINNINGS},
    # Not of the form of one.
    "one part": "abc",
    "two parts": EC.token().rpartition(".")[0],
    "four parts": EC.token() + ".AAAA",
    "five parts": EC.token() + ".AAAA.AAAA",
    "an empty header": "." + EC.token().partition(".")[2],
    "a header that is no JSON": f"AAAA.{EC.token().partition('.')[2]}",
    "a header that is a list": f"{base64url(b'[1]')}.{EC.token().partition('.')[2]}",
    "padding": EC.token() + "=",
    "bits behind the end of a signature of ES256": with_bits_behind_its_end(EC.token()),
    "bits behind the end of a signature of RS256": with_bits_behind_its_end(RSA.token()),
    "base64 with + and /": EC.token().replace("-", "+").replace("_", "/") + "/+",
    "a line break of an encoder": EC.token()[:60] + " " + EC.token()[60:],
    "something behind it": EC.token() + ";",
    "something before it": "," + EC.token(),
    "oversized, by a stranger": STRANGER.token({"groups": ["g" * 1000] * 16}),
    "a header of 20 kB": unsigned({"alg": "ES256", "kid": "ec", "a": "b" * 15_000}, signature="A" * 86),
}
