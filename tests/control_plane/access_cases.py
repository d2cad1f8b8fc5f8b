"""spec.access as users write it, well and badly: rows of test_crd_admission.py."""

from typing import Any

Object = dict[str, Any]


def access(**jwks: Any) -> Object:
    return {"jwt": {"issuer": "https://issuer.example.com", "audiences": ["models"], "jwks": jwks}}


def access_for(audiences: list[str]) -> Object:
    return {"jwt": {**access(url="https://issuer.example.com/keys")["jwt"], "audiences": audiences}}


ACCEPTED: dict[str, Object] = {
    "tokens and their keys": {"access": access(inline='{"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}]}')},
    "keys in a ConfigMap": {"access": access(configMapKeyRef={"name": "issuer-keys", "key": "jwks.json"})},
    "keys behind a URL": {"access": access(url="https://issuer.example.com:8443/realms/one/keys?a=b")},
    "keys behind a URL without a path": {"access": access(url="https://issuer.example.com")},
    "the longest keys, issuer and audiences": {
        "access": {
            "jwt": {
                "issuer": "i" * 512,
                "audiences": [f"{number}".rjust(256, "a") for number in range(16)],
                "jwks": {"inline": '{"keys": []}'.ljust(32_768)},
            }
        }
    },
    "audiences that are URLs": {"access": access_for(["https://models.example.com/", "http://a", "models", "a/b"])},
}

# What the user writes, the path that the answer gives, and a piece of the answer that says what to write instead.
REFUSED: dict[str, tuple[Object, str, str]] = {
    "access for nobody": ({"access": {}}, "spec.access.jwt", "Required value"),
    "tokens of no issuer": (
        {"access": {"jwt": {"audiences": ["models"], "jwks": {"url": "https://a"}}}},
        "spec.access.jwt.issuer",
        "Required value",
    ),
    "an empty issuer": (
        {"access": {"jwt": {**access(url="https://a")["jwt"], "issuer": ""}}},
        "spec.access.jwt.issuer",
        "at least 1",
    ),
    "an issuer with a space": (
        {"access": {"jwt": {**access(url="https://a")["jwt"], "issuer": "a b"}}},
        "spec.access.jwt.issuer",
        "such as https://issuer.example.com",
    ),
    "tokens for any audience": ({"access": access_for([])}, "spec.access.jwt.audiences", "at least 1 items"),
    "tokens for any audience, by leaving it out": (
        {"access": {"jwt": {"issuer": "i", "jwks": {"url": "https://a"}}}},
        "spec.access.jwt.audiences",
        "Required value",
    ),
    "an empty audience": ({"access": access_for(["models", ""])}, "spec.access.jwt.audiences[1]", "at least 1 chars"),
    "an audience with a space": ({"access": access_for(["a b"])}, "spec.access.jwt.audiences", "such as models"),
    **{
        f"{audience} as an audience": ({"access": access_for([audience])}, "spec.access.jwt.audiences", "such as models")
        for audience in ("/", "https://", "https:///", "http:")
    },
    "no keys": ({"access": access()}, "spec.access.jwt.jwks", "exactly one of inline, configMapKeyRef and url"),
    "keys from two places": (
        {"access": access(inline='{"keys": []}', url="https://issuer.example.com/keys")},
        "spec.access.jwt.jwks",
        "exactly one of inline, configMapKeyRef and url",
    ),
    "keys that are no key set": (
        {"access": access(inline="-----BEGIN PUBLIC KEY-----")},
        "spec.access.jwt.jwks.inline",
        "such as {",
    ),
    "keys that are too many": ({"access": access(inline='{"keys": []}'.ljust(32_769))}, "spec.access.jwt.jwks.inline", "32768"),
    "a shared secret": (
        {"access": access(inline='{"keys": [{"kty" : "oct", "alg": "HS256"}]}')},
        "spec.access.jwt.jwks.inline",
        "Write public keys only",
    ),
    **{
        f"a private key by its {member}": (
            {"access": access(inline=f'{{"keys": [{{"kty": "RSA", "{member}": "AA"}}]}}')},
            "spec.access.jwt.jwks.inline",
            "replace that key",
        )
        for member in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
    },
    "a ConfigMap without its key": (
        {"access": access(configMapKeyRef={"name": "keys"})},
        "spec.access.jwt.jwks.configMapKeyRef.key",
        "Required value",
    ),
    "a ConfigMap in capitals": (
        {"access": access(configMapKeyRef={"name": "Keys", "key": "a"})},
        "spec.access.jwt.jwks.configMapKeyRef.name",
        "such as issuer-keys",
    ),
    "a ConfigMap of another namespace": (
        {"access": access(configMapKeyRef={"name": "other/keys", "key": "a"})},
        "spec.access.jwt.jwks.configMapKeyRef.name",
        "of this namespace",
    ),
    "a way out of the ConfigMap": (
        {"access": access(configMapKeyRef={"name": "keys", "key": "../a"})},
        "spec.access.jwt.jwks.configMapKeyRef.key",
        "such as jwks.json",
    ),
    **{
        f"keys at {url}": ({"access": access(url=url)}, "spec.access.jwt.jwks.url", "write https://NAME/PATH")
        for url in (
            "http://issuer.example.com/keys",
            "file:///etc/passwd",
            "https://169.254.169.254/keys",
            "https://[::1]/keys",
            "https://user@issuer.example.com/keys",
            "https://issuer.example.com:0/keys",
            "https://issuer.example.com/ keys",
            "https://issuer.example.com/keys#a",
            "HTTPS://ISSUER.EXAMPLE.COM/",
            "https:///keys",
            "keys",
        )
    },
}
