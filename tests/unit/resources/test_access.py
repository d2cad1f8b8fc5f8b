"""spec.access as manifests, and what of it only the operator can refuse."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.api.conditions import Reason
from fairlead.resources import build, names, validate
from fairlead.resources.jwks import problem_with
from tests.tokens import SigningKey, base64url, key_set
from tests.unit.resources.cases import CONTEXT, PUBLIC_KEY, access, model_deployment
from tests.unit.resources.test_build import by_kind, pod_spec

RSA, EC = SigningKey("rsa", "RS256"), SigningKey("ec", "ES256")
ED = SigningKey("ed", "EdDSA")
P521 = SigningKey("p521", "ES512")
METADATA = (
    *("169.254.169.254", "169.254.170.23", "100.100.100.200", "168.63.129.16"),
    *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
)
"""Where clouds answer with a node's or another pod's credentials."""


def keys(*given: dict[str, Any]) -> str:
    return json.dumps({"keys": given})


def without(jwk: dict[str, Any], *members: str, **others: Any) -> dict[str, Any]:
    return {name: value for name, value in {**jwk, **others}.items() if name not in members}


GOOD = {
    "RSA, EC and Ed25519": key_set(RSA, EC, ED, P521),
    "that of the RFC": PUBLIC_KEY,
    "one for encryption beside it": keys({**RSA.public_jwk, "use": "enc", "alg": "RSA-OAEP"}, EC.public_jwk),
    "one of an unknown type beside it": keys({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, EC.public_jwk),
    "neither alg nor use nor kid": keys(without(EC.public_jwk, "alg", "use", "kid")),
    "names that are nobody's": keys({**EC.public_jwk, "x5c": ["MIIB"], "issued": 1}),
    "spaces": f"\n {key_set(EC)} \n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_a_key_set_that_can_be_used(text: str) -> None:
    assert problem_with(text) is None


SECRET = {"kty": "oct", "k": base64url(b"s" * 32)}
BAD: dict[str, tuple[str, str]] = {
    "nothing": ("", "is not JSON"),
    "half of it": ('{"keys": [', "is not JSON with each name once at line 1, column 11"),
    "a name twice": ('{"keys": [], "keys": []}', "with each name once"),
    "a name twice in a key": ('{"keys": [{"kty": "RSA", "kty": "oct"}]}', "with each name once"),
    "too deep": ("[" * 100_000, "is not JSON"),
    "a list": ("[]", 'write {"keys": [...]}'),
    "a key alone": (json.dumps(EC.public_jwk), 'write {"keys": [...]}'),
    "keys as an object": ('{"keys": {}}', 'write {"keys": [...]}'),
    "keys that are texts": ('{"keys": ["a"]}', "with an object for each key"),
    "no keys": ('{"keys": []}', "it is empty"),
    "a shared secret": (keys(SECRET), "keys[0] is a shared secret (kty oct)"),
    "a shared secret beside a good key": (keys(EC.public_jwk, SECRET), "keys[1] is a shared secret"),
    "a private RSA key": (keys(RSA.private_jwk), "keys[0] is a private key (it has d, dp, dq, p, q, qi)"),
    "a private EC key beside a good one": (keys(RSA.public_jwk, EC.private_jwk), "keys[1] is a private key (it has d)"),
    "a private Ed25519 key": (keys(ED.private_jwk), "replace that key"),
    "a private key in other letters": (key_set(EC).replace('"kid"', '"\\u0064": "AA", "kid"'), "is a private key (it has d)"),
    "an unknown type": (keys({"kty": "AKP"}), "keys[0]: kty is none of RSA, EC and OKP"),
    "no type": (keys(without(EC.public_jwk, "kty")), "kty is none of"),
    "only for encryption": (keys({**RSA.public_jwk, "use": "enc"}), "use is not sig"),
    "an algorithm of another type": (keys({**RSA.public_jwk, "alg": "ES256"}), "alg is none of PS256"),
    "HS256 with a public key": (keys({**RSA.public_jwk, "alg": "HS256"}), "alg is none of PS256"),
    "a short RSA key": (keys({**RSA.public_jwk, "n": base64url(b"\x80" + bytes(127))}), "n has 1024 bits, and 2048 is the least"),
    "zeros in front of a short one": (keys({**RSA.public_jwk, "n": base64url(bytes(200) + b"\x80" * 128)}), "n has 1024 bits"),
    "no modulus": (keys(without(RSA.public_jwk, "n")), "n and e are not both base64url"),
    "no exponent": (keys(without(RSA.public_jwk, "e")), "n and e are not both base64url"),
    "padding": (keys({**EC.public_jwk, "x": EC.public_jwk["x"] + "="}), "x and y are not both 32 bytes"),
    "a number as a number": (keys({**EC.public_jwk, "x": 1}), "x and y are not both 32 bytes"),
    "a length that base64 does not have": (keys({**EC.public_jwk, "x": "A"}), "x and y are not both 32 bytes"),
    "half a point": (keys(without(EC.public_jwk, "y")), "x and y are not both 32 bytes"),
    "another curve": (keys({**EC.public_jwk, "crv": "secp256k1"}), "crv is none of P-256, P-384, P-521"),
    "the point of another curve": (keys({**EC.public_jwk, "crv": "P-384"}), "x and y are not both 48 bytes"),
    "X25519": (keys({**ED.public_jwk, "crv": "X25519"}), "crv is not Ed25519"),
    "half an Ed25519 key": (keys({**ED.public_jwk, "x": "AAAA"}), "x is not 32 bytes"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_key_set_that_cannot(text: str, words: str) -> None:
    told = problem_with(text)
    assert told is not None
    assert words in told


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "kid"]), inner)
        ),
        max_leaves=12,
    )
)
def test_nothing_that_is_json_breaks_it(value: Any) -> None:
    assert problem_with(json.dumps({"keys": [value]})) is not None
    assert problem_with(json.dumps(value)) is not None


@given(st.text(max_size=60))
def test_nothing_that_is_not_breaks_it(text: str) -> None:
    assert problem_with(text) is not None


def test_a_problem_repeats_nothing_of_a_secret() -> None:
    for text in (keys(RSA.private_jwk), keys(SECRET), keys(EC.private_jwk), key_set(EC)[:-2]):
        told = problem_with(text)
        assert told is not None
        for jwk in (RSA.private_jwk, SECRET, EC.private_jwk):
            assert not [value for name, value in jwk.items() if name not in {"kty", "kid", "e"} and str(value) in told]


@pytest.mark.parametrize(
    ("jwks", "words"),
    [
        ({"inline": keys(SECRET)}, "spec.access.jwt.jwks.inline keys[0] is a shared secret"),
        ({"inline": "{}"}, "spec.access.jwt.jwks.inline is not a key set; write"),
        ({"url": "https://issuer.example.com:70000/keys"}, "spec.access.jwt.jwks.url: Port out of range"),
    ],
)
def test_what_the_api_server_cannot_see_is_a_condition(jwks: dict[str, str], words: str) -> None:
    (problem,) = validate(model_deployment({"access": access(**jwks)}), CONTEXT)
    assert problem.reason is Reason.INVALID_KEY_SET
    assert problem.message.startswith(words)


def test_mounted_keys_are_the_sidecars_alone() -> None:
    spec = pod_spec(build(model_deployment({"access": access(configMapKeyRef={"name": "issuer", "key": "now.json"})}), CONTEXT))
    (volume,) = (each for each in spec["volumes"] if each["name"] == names.KEYS_VOLUME)
    assert volume["configMap"] == {"name": "issuer", "items": [{"key": "now.json", "path": "jwks.json"}], "defaultMode": 0o444}
    (sidecar,), (engine,) = spec["initContainers"], spec["containers"]
    assert {"name": names.KEYS_VOLUME, "mountPath": names.KEYS_PATH, "readOnly": True} in sidecar["volumeMounts"]
    assert names.KEYS_VOLUME not in {mount["name"] for mount in engine["volumeMounts"]}


def test_a_change_of_inline_keys_replaces_the_pods_and_one_of_the_config_map_does_not() -> None:
    def config(jwks: dict[str, Any]) -> str:
        children = by_kind(build(model_deployment({"access": access(**jwks)}), CONTEXT))
        volumes = {each["name"]: each for each in children["Deployment"]["spec"]["template"]["spec"]["volumes"]}
        assert volumes["config"]["configMap"]["name"] == children["ConfigMap"]["metadata"]["name"]
        return str(children["ConfigMap"]["metadata"]["name"])

    assert config({"inline": key_set(EC)}) != config({"inline": key_set(RSA)})
    one, other = ({"configMapKeyRef": {"name": name, "key": "jwks.json"}} for name in ("one", "other"))
    assert config(one) == config(other), "what is in it is not in the pods' configuration"


@pytest.mark.parametrize(
    ("jwks", "port"),
    [
        (None, None),
        ({"inline": PUBLIC_KEY}, None),
        ({"configMapKeyRef": {"name": "keys", "key": "jwks.json"}}, None),
        ({"url": "https://issuer.example.com/keys"}, 443),
        ({"url": "https://issuer.example.com:8443"}, 8443),
    ],
)
def test_only_keys_behind_a_url_open_a_way_out(jwks: dict[str, Any] | None, port: int | None) -> None:
    mdep = model_deployment({"access": access(**jwks)} if jwks else None)
    policy = by_kind(build(mdep, CONTEXT))["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    if port is None:
        assert "egress" not in policy
        return
    dns, keys_rule = policy["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert keys_rule["ports"] == [{"port": port, "protocol": "TCP"}]
    blocks = [peer["ipBlock"] for peer in keys_rule["to"] if "ipBlock" in peer]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
    for address in map(ipaddress.ip_address, METADATA):
        inside = [block for block in blocks if address in ipaddress.ip_network(block["cidr"])]
        assert any(address in ipaddress.ip_network(hole) for block in inside for hole in block["except"]), address


@given(issuer=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), audience=st.text(min_size=1))
def test_what_a_user_writes_stays_data(issuer: str, audience: str) -> None:
    """Braces, quotes and percent signs: of JSON, of the template, of Envoy's own formats."""
    wanted = access(inline=PUBLIC_KEY)
    wanted["jwt"] |= {"issuer": issuer, "audiences": [audience]}
    data = by_kind(build(model_deployment({"access": wanted}), CONTEXT))["ConfigMap"]["data"]
    (listener, _) = json.loads(data[names.ENVOY_CONFIG_KEY])["static_resources"]["listeners"]
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    provider = filters[0]["typed_config"]["providers"]["issuer"]
    assert (provider["issuer"], provider["audiences"]) == (issuer, [audience])
