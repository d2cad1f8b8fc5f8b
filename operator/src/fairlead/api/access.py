"""`spec.access`: who may send requests."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fairlead.api.base import ApiModel
from fairlead.api.markers import Atomic, Cel

INLINE_BYTES = 32_768
"""Longest key set in a spec: some 60 RSA keys of 2048 bits. It lies in the ConfigMap of the pods, beside Envoy's bootstrap."""
PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
"""Members of private and symmetric keys (RFC 7518, section 6)."""
_NOTHING_PRIVATE = rf"""!self.matches(r'"({"|".join(PRIVATE_MEMBERS)})"\s*:')"""


class KeySetRef(ApiModel):
    """One key of a ConfigMap in the ModelDeployment's own namespace."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Cel(
            rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
            message="write the name of a ConfigMap of this namespace, such as issuer-keys",
        ),
    ]
    """Name of the ConfigMap."""
    key: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Cel(rule="self.matches('^[A-Za-z0-9._-]+$')", message="write a key of the ConfigMap, such as jwks.json"),
    ]
    """Key within it."""


class Jwks(ApiModel):
    """Where the issuer's public keys come from: exactly one of inline, configMapKeyRef and url."""

    rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="[has(self.inline), has(self.configMapKeyRef), has(self.url)].filter(given, given).size() == 1",
            message="write exactly one of inline, configMapKeyRef and url",
        ),
    )
    inline: (
        Annotated[
            str,
            Field(min_length=1, max_length=INLINE_BYTES),
            Cel(
                rule=r"""self.matches(r'^\s*\{') && self.contains('"keys"')""",
                message='write a JSON Web Key Set, such as {"keys": [{"kty": "EC", "crv": "P-256", "x": "...", "y": "..."}]}',
            ),
            Cel(
                rule=r"""!self.matches(r'"kty"\s*:\s*"oct"')""",
                message="a key of type oct is a shared secret: whoever can read it can make tokens. "
                "Write public keys only, of type RSA, EC or OKP",
                reason="FieldValueForbidden",
            ),
            Cel(
                rule=_NOTHING_PRIVATE,
                message="this holds a private or secret key. Write public keys only, and replace that key: "
                "others may have read it",
                reason="FieldValueForbidden",
            ),
        ]
        | None
    ) = None
    """The key set itself, as JSON. A change of it replaces the replicas one by one."""
    config_map_key_ref: KeySetRef | None = None
    """A ConfigMap with the key set. A change of it reaches the replicas within two minutes, without a restart."""
    url: (
        Annotated[
            str,
            Field(min_length=1, max_length=1024),
            Cel(
                rule=r"self.matches(r'^https://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[1-9][0-9]{0,4})?(/[!-~]*)?$') && "
                r"!self.contains('#') && !self.matches(r'^https://[0-9.]+([:/]|$)')",
                message="write https://NAME/PATH with a host name in lower-case letters, such as "
                "https://issuer.example.com/.well-known/jwks.json; http and addresses are refused",
            ),
        ]
        | None
    ) = None
    """Where each replica fetches the key set itself, every five minutes. It opens the pods' way out to that port."""


class Jwt(ApiModel):
    """Which tokens are let in: signed by one of the keys, from this issuer, for one of these audiences, with a time of expiry."""

    issuer: Annotated[
        str,
        Field(min_length=1, max_length=512),
        Cel(rule="self.matches('^[!-~]+$')", message="write the iss of the tokens, such as https://issuer.example.com"),
    ]
    """The `iss` that a token must have, letter by letter."""
    audiences: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        Field(min_length=1, max_length=16),
        Atomic(),
        Cel(
            # Envoy compares what is left without the scheme and one / at the end: that must not be nothing.
            rule=r"self.all(each, each.matches(r'^(https?://)?[!-.0-~][!-~]*$') && !each.matches(r'^https?:/*$'))",
            message="write the aud of the tokens, such as models or https://models.example.com",
        ),
    ]
    """A token must have at least one of these in `aud`."""
    jwks: Jwks
    """Where the issuer's public keys come from."""


class Access(ApiModel):
    """Who may send requests. Without it every pod of the cluster may, and nobody outside."""

    jwt: Jwt
    """Each request needs a token."""
