"""Where the sidecar's keys come from, when they change, and when there are none. By the real Envoy."""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from fairlead.resources import envoy_access, names
from fairlead.resources.envoy import bootstrap
from fairlead.resources.jwks import problem_with
from tests.certificates import Authority
from tests.ports import free_ports
from tests.tokens import SigningKey, base64url, encoded, key_set
from tests.unit.resources.cases import access, model_deployment
from tests.unit.sidecar.flood import statuses
from tests.unit.sidecar.http1 import Connection, ask
from tests.unit.sidecar.proxy import Sidecar, sidecar, until
from tests.unit.sidecar.stub_engine import StubEngine
from tests.unit.sidecar.test_access import bearer
from tests.unit.sidecar.test_requests import GET, assert_error
from tests.unit.sidecar.token_cases import by_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLD, NEW = SigningKey("old", "ES256"), SigningKey("new", "ES256")
FETCHED, FAILED = "http.ingress_http.jwt_authn.jwks_fetch_success", "http.ingress_http.jwt_authn.jwks_fetch_failed"
OFTEN = "6s"
"""Envoy fetches keys 5 s before they are as old as this."""
LONGER = 62
"""Fetches in vain, one each 0.1 s, within which keys get older than OFTEN."""
SECRET = {"kty": "oct", "kid": "shared", "k": base64url(b"not a secret at all, for all can read it")}


@pytest.fixture
def engine() -> Iterator[StubEngine]:
    """Each test has one of its own: it is stopped, held and broken."""
    with closing(StubEngine()) as engine:
        yield engine


def status(proxy: Sidecar, token: str) -> int:
    return ask(proxy.http, GET, "/v1/models", bearer(token)).status


def until_fetched(proxy: Sidecar) -> None:
    """Until the sidecar has fetched the keys by itself: those of a fetch that a request waits for are good for a while only."""
    before = proxy.stat(FETCHED) or 0
    until("the keys are there", lambda: (proxy.stat(FETCHED) or 0) > before + 1)


@dataclass
class Mounted:
    """A ConfigMap as the kubelet mounts it: a folder of links, all of which it moves at once."""

    folder: Path
    version: int = 0

    def write(self, text: str) -> None:
        self.version += 1
        data = self.folder / f"..{self.version}"
        data.mkdir()
        data.joinpath(names.KEYS_FILE).write_text(text)
        self.folder.joinpath("..tmp").symlink_to(data.name)
        self.folder.joinpath("..tmp").rename(self.folder / "..data")
        file = self.folder / names.KEYS_FILE
        if not file.is_symlink():
            file.symlink_to(f"..data/{names.KEYS_FILE}")


@contextmanager
def with_mounted(mounted: Mounted, engine: StubEngine) -> Iterator[Sidecar]:
    spec = model_deployment({"access": access(configMapKeyRef={"name": "keys", "key": "jwks.json"})}).spec
    there = {names.KEYS_PATH: str(mounted.folder), f"{names.KEYS_PATH}/{names.KEYS_FILE}": f"{mounted.folder}/{names.KEYS_FILE}"}
    with sidecar(bootstrap(spec), engine.port, swapped({**there, envoy_access.READ_AGAIN: OFTEN})) as proxy:
        yield proxy


def swapped(values: dict[Any, Any]) -> Callable[[Any], Any]:
    return lambda leaf: values.get(leaf, leaf) if isinstance(leaf, str) else leaf


def test_a_changed_config_map_takes_effect_without_a_restart(tmp_path: Path, engine: StubEngine) -> None:
    mounted = Mounted(tmp_path)
    mounted.write(key_set(OLD))
    with with_mounted(mounted, engine) as proxy:
        until("the keys are there", lambda: status(proxy, OLD.token()) == 200)
        assert status(proxy, NEW.token()) == 401
        mounted.write(key_set(OLD, NEW))
        until("the new key is there", lambda: status(proxy, NEW.token()) == 200)
        assert status(proxy, OLD.token()) == 200
        mounted.write(key_set(NEW))
        until("the old key is gone", lambda: status(proxy, OLD.token()) == 401)
        assert status(proxy, NEW.token()) == 200
        assert proxy.process.poll() is None


@pytest.mark.parametrize("text", ["", "{", '{"keys": []}', '{"keys": [{"kty": "EC"}]}', "x" * 100_000])
def test_without_a_key_that_can_be_used_nobody_is_let_in(tmp_path: Path, engine: StubEngine, text: str) -> None:
    mounted = Mounted(tmp_path)
    mounted.write(text)
    with with_mounted(mounted, engine) as proxy:
        until("it has been looked for", lambda: bool(proxy.stat(FAILED)))
        answer = ask(proxy.http, GET, "/v1/models", bearer(OLD.token()))
        assert_error(answer, 401, "AuthenticationError")
        assert ask(proxy.http, GET, "/health").status == 200, "the agent still sees the engine"
        assert [seen.path for seen in engine.seen] == ["/health"]
        mounted.write(key_set(OLD))
        until("the keys are there", lambda: status(proxy, OLD.token()) == 200)


def test_a_broken_file_leaves_the_last_good_keys(tmp_path: Path, engine: StubEngine) -> None:
    mounted = Mounted(tmp_path)
    mounted.write(key_set(OLD))
    with with_mounted(mounted, engine) as proxy:
        until_fetched(proxy)
        failed = proxy.stat(FAILED) or 0
        mounted.write("{")
        until("it has been read", lambda: (proxy.stat(FAILED) or 0) > failed)
        assert status(proxy, OLD.token()) == 200
        assert status(proxy, NEW.token()) == 401


def test_a_shared_secret_among_the_keys_lets_nobody_in(tmp_path: Path, engine: StubEngine) -> None:
    """The operator does not see what is in the ConfigMap, and all who can read it could sign with that."""
    mounted = Mounted(tmp_path)
    mounted.write(json.dumps({"keys": [SECRET, OLD.public_jwk]}))
    with with_mounted(mounted, engine) as proxy:
        until("the keys are there", lambda: status(proxy, OLD.token()) == 200)
        engine.seen.clear()
        token = by_hand(b"not a secret at all, for all can read it", {"alg": "HS256", "kid": "shared"})
        answer = ask(proxy.http, GET, "/v1/models", bearer(token))
        assert_error(answer, 403, "ForbiddenError")
        assert not engine.seen


BESIDE: dict[str, Any] = {
    "one for encryption": {**OLD.public_jwk, "kid": "e", "use": "enc", "alg": "ECDH-ES"},
    "one of an unknown type": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
    "one without its numbers": {"kty": "EC", "crv": "P-256"},
    "one that is none": {},
    "nothing": OLD.public_jwk,
}


@pytest.mark.parametrize("other", BESIDE.values(), ids=BESIDE)
def test_a_good_key_works_beside_others(engine: StubEngine, other: dict[str, Any]) -> None:
    """As the operator's own check of inline keys assumes."""
    text = json.dumps({"keys": [other, {name: NEW.public_jwk[name] for name in ("kty", "crv", "x", "y")}]})
    assert problem_with(text) is None
    with sidecar(bootstrap(model_deployment({"access": access(inline=text)}).spec), engine.port) as proxy:
        assert status(proxy, NEW.token(header={"kid": None})) == 200
        assert status(proxy, SigningKey("other", "ES256").token(header={"kid": None})) == 401


@dataclass
class Issuer:
    """A server with a key set."""

    keys: str = field(default_factory=lambda: key_set(OLD))
    moved_to: str = ""
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def serving(self, tls: ssl.SSLContext, port: int = 0) -> Iterator[int]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(f"{self.headers['host']}{self.path}")
                self.send_response(500 if issuer.broken else 302 if issuer.moved_to else 200)
                if issuer.moved_to:
                    self.send_header("location", issuer.moved_to)
                body = issuer.keys.encode()
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def with_url(authority: Authority, engine: StubEngine, port: int, every: str = OFTEN, another: str = "0.1s") -> Iterator[Sidecar]:
    """`another` is how soon there is one more fetch beyond those that may be at once."""
    spec = model_deployment({"access": access(url=f"https://localhost:{port}/keys?realm=one")}).spec
    values = {
        envoy_access.CA_BUNDLE: str(authority.certificate),
        envoy_access.FETCH_AGAIN: every,
        envoy_access.FETCH_AGAIN_AFTER_FAILURE: "0.1s",
        envoy_access.FETCH_NEXT: another,
    }
    with sidecar(bootstrap(spec), engine.port, swapped(values)) as proxy:
        yield proxy


def test_keys_are_fetched_and_fetched_again(authority: Authority, engine: StubEngine) -> None:
    issuer = Issuer()
    with issuer.serving(authority.context("localhost")) as port, with_url(authority, engine, port) as proxy:
        assert status(proxy, OLD.token()) == 200, "a request that comes before the keys waits for them"
        assert set(issuer.asked) == {f"localhost:{port}/keys?realm=one"}
        issuer.keys = key_set(NEW)
        until("the new key is there", lambda: status(proxy, NEW.token()) == 200)
        assert status(proxy, OLD.token()) == 401


def test_an_issuer_that_is_away_leaves_the_last_good_keys(authority: Authority, engine: StubEngine) -> None:
    """Also when they are older than they would be left to get if it were there."""
    (port,) = free_ports(1)
    tls = authority.context("localhost")
    with with_url(authority, engine, port) as proxy:
        until("it has been asked in vain", lambda: bool(proxy.stat(FAILED)))
        assert_error(ask(proxy.http, GET, "/v1/models", bearer(OLD.token())), 401, "AuthenticationError")
        assert not engine.seen
        with Issuer().serving(tls, port):
            until_fetched(proxy)
        failed = proxy.stat(FAILED) or 0
        until("it has been asked in vain for longer", lambda: (proxy.stat(FAILED) or 0) > failed + LONGER)
        assert status(proxy, OLD.token()) == 200
        assert status(proxy, NEW.token()) == 401


@pytest.mark.parametrize("tokens", [2, 20])
def test_more_than_one_token_while_there_are_no_keys(authority: Authority, engine: StubEngine, tokens: int) -> None:
    """It ended older Envoys (CVE-2025-64527)."""
    issuer = Issuer(broken=True)
    with issuer.serving(authority.context("localhost")) as port, with_url(authority, engine, port) as proxy:
        until("it has been asked in vain", lambda: bool(proxy.stat(FAILED)))
        lines = f"authorization: Bearer {OLD.token()}\r\n" * tokens
        for _ in range(10):
            with Connection(proxy.http) as connection:
                connection.send(f"GET /v1/models HTTP/1.1\r\nhost: model\r\n{lines}\r\n".encode())
                assert connection.answer().status == 401
        assert proxy.process.poll() is None
        assert not engine.seen


def test_an_error_and_a_redirect_bring_no_keys(authority: Authority, engine: StubEngine) -> None:
    elsewhere = Issuer()
    issuer = Issuer(broken=True)
    tls = authority.context("localhost")
    with elsewhere.serving(tls) as other, issuer.serving(tls) as port, with_url(authority, engine, port) as proxy:
        until("it has been asked in vain", lambda: (proxy.stat(FAILED) or 0) > 1)
        assert status(proxy, OLD.token()) == 401
        issuer.broken, issuer.moved_to = False, f"https://localhost:{other}/keys"
        failed = proxy.stat(FAILED) or 0
        until("it has been redirected", lambda: (proxy.stat(FAILED) or 0) > failed + 2)
        assert status(proxy, OLD.token()) == 401
        assert elsewhere.asked == []
        assert not engine.seen


@pytest.mark.parametrize("case", ["another name", "another authority", "no TLS"])
def test_only_the_issuers_own_certificate_counts(authority: Authority, engine: StubEngine, tmp_path: Path, case: str) -> None:
    issuer = Issuer()
    contexts: dict[str, Callable[[], ssl.SSLContext]] = {
        "another name": lambda: authority.context("elsewhere.example"),
        "another authority": lambda: Authority(tmp_path).context("localhost"),
        "no TLS": lambda: Plain(ssl.PROTOCOL_TLS_SERVER),
    }
    tls = contexts[case]()
    with issuer.serving(tls) as port, with_url(authority, engine, port) as proxy:
        until("it has been asked in vain", lambda: (proxy.stat(FAILED) or 0) > 1)
        assert status(proxy, OLD.token()) == 401
        assert proxy.stat(FETCHED) in {0, None}
        assert not engine.seen
        assert issuer.asked == []


class Plain(ssl.SSLContext):
    """No TLS at all."""

    def wrap_socket(self, sock: Any, *_: Any, **__: Any) -> Any:
        return sock


FLOOD = 10_000


def unknown(number: int) -> list[str]:
    """Tokens, each of a key that nobody has."""
    claims = OLD.token().split(".")[1]
    headers = (encoded({"alg": "ES256", "kid": f"unknown-{each}"}) for each in range(number))
    return [f"{header}.{claims}.{base64url(os.urandom(64))}" for header in headers]


def test_a_flood_of_unknown_keys_asks_the_issuer_no_more_often(authority: Authority, engine: StubEngine) -> None:
    issuer = Issuer()
    with issuer.serving(authority.context("localhost")) as port, with_url(authority, engine, port, every="300s") as proxy:
        until("the keys are there", lambda: proxy.stat(FETCHED) == 1)
        assert Counter(statuses(proxy.http, unknown(FLOOD))) == {401: FLOOD}
        assert len(issuer.asked) == 1
        assert not engine.seen
        assert status(proxy, OLD.token()) == 200


def test_a_flood_while_there_are_no_keys_asks_the_issuer_no_more_often_than_it_may(
    authority: Authority, engine: StubEngine
) -> None:
    """Each such request makes Envoy fetch the keys."""
    issuer = Issuer(broken=True)
    with issuer.serving(authority.context("localhost")) as port, with_url(authority, engine, port, another="300s") as proxy:
        assert Counter(statuses(proxy.http, unknown(FLOOD // 10))) == {401: FLOOD // 10}
        assert len(issuer.asked) == envoy_access.FETCHES_AT_ONCE
        assert not engine.seen
