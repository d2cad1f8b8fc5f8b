"""Tokens at the sidecar: which are let in, and that the engine sees nothing of the others. By the real Envoy."""

from __future__ import annotations

import random
import socket
import string
from typing import TYPE_CHECKING, Any

import pytest

from fairlead.resources.envoy import ACCESS_LOG, STRIPPED_HEADERS, STRIPPED_PREFIXES, bootstrap
from fairlead.resources.envoy_access import PEER_HEADER
from tests.tokens import AUDIENCE, key_set, now
from tests.unit.resources.cases import access, model_deployment
from tests.unit.sidecar.flood import statuses
from tests.unit.sidecar.http1 import Answer, Connection, ask
from tests.unit.sidecar.proxy import Sidecar, sidecar
from tests.unit.sidecar.test_requests import GET, JSON, POST, assert_error
from tests.unit.sidecar.token_cases import BAD, EC, GOOD, KEYS, RSA, forged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.sidecar.stub_engine import StubEngine

MODELS = "/v1/models"

pytestmark = pytest.mark.usefixtures("forget")


@pytest.fixture(scope="module")
def proxy(engine: StubEngine) -> Iterator[Sidecar]:
    with sidecar(bootstrap(model_deployment({"access": access(inline=key_set(*KEYS))}).spec), engine.port) as running:
        yield running


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def with_lines(proxy: Sidecar, *values: str, name: str = "authorization", target: str = MODELS) -> Answer:
    """A request with as many headers of that name as there are values."""
    with Connection(proxy.http) as connection:
        lines = "".join(f"{name}: {value}\r\n" for value in values)
        connection.send(f"GET {target} HTTP/1.1\r\nhost: model\r\n{lines}\r\n".encode())
        return connection.answer()


def assert_denied(answer: Answer, status: int = 401) -> str:
    message = assert_error(answer, status, "AuthenticationError" if status == 401 else "ForbiddenError")
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer realm=")
        assert message.endswith("Send one valid token, as the header Authorization: Bearer TOKEN.")
    return message


@pytest.mark.parametrize("token", GOOD.values(), ids=GOOD)
def test_a_good_token_is_let_in_and_goes_no_further(proxy: Sidecar, engine: StubEngine, token: str) -> None:
    assert_let_in(proxy, engine, token)


# These tokens are made when their test runs: between the reading of this file and that, minutes may pass.
@pytest.mark.parametrize("claims", [{"exp": -30}, {"nbf": 30}], ids=["expired", "not yet valid"])
def test_clocks_may_differ(proxy: Sidecar, engine: StubEngine, claims: dict[str, int]) -> None:
    assert_let_in(proxy, engine, EC.token({name: now() + seconds for name, seconds in claims.items()}))


@pytest.mark.parametrize("claims", [{"exp": -90}, {"nbf": 90}], ids=["expired", "not yet valid"])
def test_clocks_may_not_differ_by_more(proxy: Sidecar, engine: StubEngine, claims: dict[str, int]) -> None:
    assert_kept_out(proxy, engine, EC.token({name: now() + seconds for name, seconds in claims.items()}))


def assert_let_in(proxy: Sidecar, engine: StubEngine, token: str) -> None:
    forged = {f"{prefix}subject": "root" for prefix in STRIPPED_PREFIXES} | dict.fromkeys(STRIPPED_HEADERS, "root")
    headers = {**JSON, **forged, "x-custom": "kept", **bearer(token)}
    assert ask(proxy.http, POST, "/v1/completions", headers, b"{}").status == 200
    (seen,) = engine.seen
    assert set(seen.headers) == {"host", "content-type", "content-length", "x-custom", "x-request-id"}
    assert token not in str(seen)


@pytest.mark.parametrize("token", BAD.values(), ids=BAD)
def test_a_bad_token_is_denied_and_the_engine_sees_nothing(proxy: Sidecar, engine: StubEngine, token: str) -> None:
    assert_kept_out(proxy, engine, token)


def assert_kept_out(proxy: Sidecar, engine: StubEngine, token: str) -> None:
    assert_denied(with_lines(proxy, f"Bearer {token}"))
    assert not engine.seen
    assert ask(proxy.http, POST, "/v1/completions", {**JSON, **bearer(token)}, b"{}").status == 401
    assert not engine.seen


AUDIENCES = {
    "another": "else",
    "its beginning": AUDIENCE[:-1],
    "more": AUDIENCE + "x",
    "in capitals": AUDIENCE.upper(),
    "empty": "",
}


@pytest.mark.parametrize(
    "claims",
    [*({"aud": aud} for aud in AUDIENCES.values()), {"aud": None}, {"aud": []}, {"aud": ["else", "x" + AUDIENCE]}],
    ids=[*AUDIENCES, "none", "an empty list", "a list of others"],
)
def test_another_audience_is_forbidden(proxy: Sidecar, engine: StubEngine, claims: dict[str, Any]) -> None:
    message = assert_denied(with_lines(proxy, f"Bearer {EC.signed({'alg': 'ES256', 'kid': 'ec'}, claims)}"), 403)
    assert message == "Audiences in Jwt are not allowed"
    assert not engine.seen


def test_a_token_that_asks_for_what_nobody_here_knows_is_forbidden(proxy: Sidecar, engine: StubEngine) -> None:
    token = EC.signed({"alg": "ES256", "kid": "ec", "crit": ["exp-policy"], "exp-policy": "once"})
    assert_denied(with_lines(proxy, f"Bearer {token}"), 403)
    assert not engine.seen


@pytest.mark.parametrize("field", ["jku", "x5u"])
def test_nobody_goes_where_a_token_points(proxy: Sidecar, engine: StubEngine, field: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/keys"
        assert_denied(with_lines(proxy, f"Bearer {forged(**{field: url})}"))
        assert not engine.seen
        assert with_lines(proxy, f"Bearer {EC.token(header={field: url})}").status == 200
        with pytest.raises(TimeoutError):
            server.accept()


TOKEN = EC.token()
OTHERWISE: dict[str, tuple[str, ...]] = {
    "no header": (),
    "an empty header": ("",),
    "no token": ("Bearer",),
    "the token alone": (TOKEN,),
    "the scheme in small letters": (f"bearer {TOKEN}",),
    "another scheme": (f"Token {TOKEN}",),
    "a name and a password": ("Basic cm9vdDpyb290",),
    "two spaces": (f"Bearer  {TOKEN}",),
    "a tab": (f"Bearer\t{TOKEN}",),
    "a scheme before the scheme": (f"Basic x Bearer {TOKEN}",),
    "two tokens in one header": (f"Bearer {TOKEN}, Bearer {TOKEN}",),
    "a good header and a bad one": (f"Bearer {TOKEN}", f"Bearer {forged()}"),
    "a bad header and a good one": (f"Bearer {forged()}", f"Bearer {TOKEN}"),
    "the same header twice": (f"Bearer {TOKEN}", f"Bearer {TOKEN}"),
    "quotes": (f'Bearer "{TOKEN}"',),
}


@pytest.mark.parametrize("values", OTHERWISE.values(), ids=OTHERWISE)
def test_a_token_counts_only_as_the_one_header_that_it_belongs_in(
    proxy: Sidecar, engine: StubEngine, values: tuple[str, ...]
) -> None:
    assert_denied(with_lines(proxy, *values))
    assert not engine.seen


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-authorization", f"Bearer {TOKEN}"),
        ("proxy-authorization", f"Bearer {TOKEN}"),
        ("x-api-key", TOKEN),
        ("cookie", f"access_token={TOKEN}"),
        ("x-jwt-payload", TOKEN),
        ("x-forwarded-access-token", TOKEN),
    ],
)
def test_no_other_header_is_looked_at(proxy: Sidecar, engine: StubEngine, name: str, value: str) -> None:
    assert_denied(with_lines(proxy, value, name=name))
    assert not engine.seen


def test_a_token_in_the_query_is_not_looked_at(proxy: Sidecar, engine: StubEngine) -> None:
    assert_denied(with_lines(proxy, target=f"{MODELS}?access_token={TOKEN}"))
    assert not engine.seen


def test_more_headers_than_the_limit_are_too_many_with_a_good_token_too(proxy: Sidecar, engine: StubEngine) -> None:
    answer = with_lines(proxy, f"Bearer {EC.token({'groups': ['g' * 1000] * 40})}")
    assert_error(answer, 431, "HeadersTooLargeError")
    assert not engine.seen


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (POST, "/v1/chat/completions"),
        (POST, "/v1/completions"),
        (POST, "/v1/embeddings"),
        (POST, "/v1/responses"),
        (GET, MODELS),
        (POST, "/health"),
        (GET, "/health/"),
        (GET, "/health/../v1/models"),
        (GET, "//v1/models"),
        (GET, "/health;/../v1/models"),
        ("OPTIONS", MODELS),
        (GET, "/metrics"),
        (GET, "/nothing"),
        ("TRACE", "/health"),
    ],
)
def test_every_path_wants_a_token(proxy: Sidecar, engine: StubEngine, method: str, target: str) -> None:
    """Those that are not there too: who has no token learns nothing. A preflight gets no way round."""
    cors = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"} if method == "OPTIONS" else {}
    assert_denied(ask(proxy.http, method, target, cors))
    assert not engine.seen


def test_health_needs_no_token_from_the_agents_address_alone(proxy: Sidecar, engine: StubEngine) -> None:
    assert ask(proxy.http, GET, "/health").status == 200
    assert ask(proxy.http, GET, "/health?a=b").status == 200
    assert [seen.path for seen in engine.seen] == ["/health", "/health?a=b"]
    engine.seen.clear()
    for claimed in ({}, {PEER_HEADER: "127.0.0.1"}, {"x-forwarded-for": "127.0.0.1"}, {"x-real-ip": "127.0.0.1"}):
        with Connection(proxy.http, source="127.0.0.2") as connection:
            connection.request(GET, "/health", claimed)
            assert_denied(connection.answer())
    assert not engine.seen
    with Connection(proxy.http, source="127.0.0.2") as connection:
        connection.request(GET, "/health", bearer(TOKEN))
        assert connection.answer().status == 200
    (seen,) = engine.seen
    assert set(seen.headers) == {"host", "x-request-id"}


def test_an_upgrade_is_refused_as_without_tokens(proxy: Sidecar, engine: StubEngine) -> None:
    upgrade = {"connection": "upgrade", "upgrade": "websocket", **bearer(TOKEN)}
    message = assert_error(ask(proxy.http, GET, MODELS, upgrade), 403, "ForbiddenError")
    assert "WebSocket" in message
    assert not engine.seen


def test_a_missing_token_and_a_bad_one_are_told_apart(proxy: Sidecar) -> None:
    assert assert_denied(with_lines(proxy)).startswith("Jwt is missing. ")
    assert assert_denied(with_lines(proxy, f"Bearer {EC.token({'exp': 1})}")).startswith("Jwt is expired. ")
    assert "invalid_token" not in with_lines(proxy).headers["www-authenticate"]
    assert with_lines(proxy, f"Bearer {forged()}").headers["www-authenticate"].endswith('error="invalid_token"')


def test_the_body_of_a_denied_request_is_not_waited_for(proxy: Sidecar, engine: StubEngine) -> None:
    with Connection(proxy.http) as connection:
        connection.request(POST, "/v1/completions", {**JSON, "content-length": "1000000"})
        assert_denied(connection.answer())
    assert not engine.seen


def test_the_access_log_has_who_it_was_and_only_if_that_is_verified(proxy: Sidecar) -> None:
    good = with_lines(proxy, f"Bearer {EC.token({'sub': 'somebody'})}")
    bad = with_lines(proxy, f"Bearer {forged()}")
    elsewhere = with_lines(proxy, f"Bearer {EC.token({'sub': 'nobody', 'aud': 'else'})}")
    entry = proxy.entry(good.headers["x-request-id"])
    assert entry.keys() == ACCESS_LOG.keys() | {"subject"}
    assert entry["subject"] == "somebody"
    for answer in (bad, elsewhere):
        assert proxy.entry(answer.headers["x-request-id"])["subject"] is None
    long = with_lines(proxy, f"Bearer {EC.token({'sub': 's' * 500})}")
    assert proxy.entry(long.headers["x-request-id"])["subject"] == "s" * 128


def test_figures_tell_how_many_were_let_in(proxy: Sidecar) -> None:
    with_lines(proxy)
    text = ask(proxy.metrics, GET, "/stats/prometheus").body.decode()
    for name in (
        "jwt_authn_allowed",
        "jwt_authn_denied",
        "jwt_authn_jwks_fetch_failed",
        "jwt_authn_jwks_fetch_success",
        "rbac_denied",
    ):
        assert f"# TYPE envoy_http_{name} counter" in text


def test_no_token_is_in_any_log(proxy: Sidecar) -> None:
    sent = (TOKEN, forged(), EC.token({"exp": 1}))
    told = [with_lines(proxy, f"Bearer {token}", target=f"{MODELS}?access_token={token}") for token in sent]
    proxy.entry(told[-1].headers["x-request-id"])
    for log in (proxy.log, proxy.log.with_name("errors")):
        assert not [token for token in sent if token.rpartition(".")[2] in log.read_text()]


MUTATIONS = 10_000
DENIED = "http.ingress_http.jwt_authn.denied"


def mutated(token: str, chance: random.Random) -> str:
    """The token with one thing about it changed. What is not of its alphabet counts too."""
    at, other = chance.randrange(len(token)), chance.randrange(len(token))
    letter = chance.choice(string.ascii_letters + string.digits + "-_.=+/,;\"'%")
    parts = token.split(".")
    return chance.choice(
        (
            lambda: token[:at] + letter + token[at + 1 :],
            lambda: token[:at] + token[at + 1 :],
            lambda: token[:at] + letter + token[at:],
            lambda: token[:at],
            lambda: token[at:],
            lambda: token[: min(at, other)] + token[max(at, other) :],
            lambda: token[:at] + token[at:].swapcase(),
            lambda: token + letter * chance.randrange(1, 9),
            lambda: letter * chance.randrange(1, 9) + token,
            lambda: ".".join(chance.sample(parts, len(parts))),
            lambda: ".".join(chance.choice(parts) for _ in range(chance.randrange(1, 6))),
        )
    )()


def mutations(good: list[str], number: int, chance: random.Random) -> list[str]:
    """So many different ones, none of them a good one."""
    found: dict[str, None] = {}
    while len(found) < number:
        if (token := mutated(chance.choice(good), chance)) not in good:
            found[token] = None
    return list(found)


def test_ten_thousand_mutations_of_a_good_token(proxy: Sidecar, engine: StubEngine) -> None:
    chance = random.Random(20261124)  # noqa: S311  not a secret
    good = [RSA.token(), EC.token()]
    assert [with_lines(proxy, f"Bearer {token}").status for token in good] == [200, 200]
    engine.seen.clear()
    denied = proxy.stat(DENIED) or 0
    tokens = mutations(good, MUTATIONS, chance)
    answered = statuses(proxy.http, tokens)
    assert [each for each in zip(tokens, answered, strict=True) if each[1] not in {401, 403}] == []
    assert len(answered) == MUTATIONS
    assert proxy.stat(DENIED) == denied + MUTATIONS
    assert not engine.seen
