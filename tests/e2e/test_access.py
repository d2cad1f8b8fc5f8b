"""Tokens at the pod, on a real node: examples/jwt.yaml's way, with keys that a ConfigMap brings and changes."""

import json

import pytest

from tests.e2e.conftest import World
from tests.e2e.kube import Object, condition, describe, wait_ready
from tests.tokens import AUDIENCE, ISSUER, SigningKey, key_set
from tests.waiting import until

OLD, NEW, STRANGER = SigningKey("old", "ES256"), SigningKey("new", "RS256"), SigningKey("old", "ES256")
COMPLETION = json.dumps({"model": "tiny", "prompt": "Good morning", "max_tokens": 2})
ACCESS = {
    "jwt": {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "jwks": {"configMapKeyRef": {"name": "issuer-keys", "key": "jwks.json"}},
    }
}
pytestmark = pytest.mark.heavy
KEYS_SECONDS = 150
"""For a changed ConfigMap: the kubelet's 60 s to 90 s, and the sidecar's 10 s."""


def publish(world: World, *keys: SigningKey) -> None:
    meta = {"name": "issuer-keys", "namespace": world.namespace}
    world.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"jwks.json": key_set(*keys)}})


@pytest.fixture(scope="module")
def guarded(world: World) -> str:
    """One replica that wants tokens; it was applied before its keys were there."""
    world.create("guarded", wait=None, replicas=1, access=ACCESS)

    def told() -> Object | None:
        found = condition(world.kube.must_get("mdep", "guarded", world.namespace), "Ready")
        return found if found.get("reason") == "KeySetNotFound" else None

    found = until(
        "the condition names the ConfigMap", told, seconds=60, describe=lambda: describe(world.kube, "guarded", world.namespace)
    )
    assert "there is no ConfigMap issuer-keys" in found["message"]
    publish(world, OLD)
    ready = condition(wait_ready(world.kube, "guarded", world.namespace), "Ready")
    assert "open to every pod" not in ready["message"]
    return "guarded"


def status(world: World, token: str | None, path: str = "/v1/completions", *args: str) -> int:
    headers = ["-H", f"authorization: Bearer {token}"] if token is not None else []
    body = ["-H", "content-type: application/json", "-d", COMPLETION] if path == "/v1/completions" else []
    got = world.curl(world.url("guarded") + path, "-o", "/dev/null", "-w", "%{http_code}", *headers, *body, *args)
    return int(got.stdout)


def logged(world: World) -> list[Object]:
    """The sidecar's access log of /v1/completions."""
    (pod,) = world.pods("guarded")
    lines = world.kube.logs(pod["metadata"]["name"], "sidecar", world.namespace).splitlines()
    entries: list[Object] = [json.loads(line) for line in lines if line.startswith("{")]
    return [each for each in entries if each.get("path") == "/v1/completions"]


@pytest.mark.usefixtures("guarded")
def test_only_a_good_token_is_answered_and_the_sidecar_answers_the_others(world: World) -> None:
    bad = {
        "none": None,
        "a stranger's": STRANGER.token(),
        "expired": OLD.token({"exp": 1}),
        "another issuer's": OLD.token({"iss": "https://else.example"}),
        "of a key that is not there": NEW.token(),
    }
    assert {name: status(world, token) for name, token in bad.items()} == dict.fromkeys(bad, 401)
    assert status(world, OLD.token({"aud": "else"})) == 403
    assert [status(world, None, path) for path in ("/health", "/v1/models", "/metrics", "/nothing")] == [401] * 4
    assert status(world, OLD.token({"sub": "somebody"})) == 200
    until("all are in the log", lambda: len(logged(world)) == len(bad) + 2, seconds=30)
    *denied, answered = logged(world)
    assert (answered["status"], answered["details"], answered["subject"]) == (200, "via_upstream", "somebody")
    for each in denied:
        assert each["details"].startswith("jwt_authn_access_denied"), "it was the sidecar that answered"
        assert each["subject"] is None


@pytest.mark.usefixtures("guarded")
def test_new_keys_take_effect_in_the_pod_that_runs(world: World) -> None:
    (pod,) = world.pods("guarded")
    publish(world, NEW)
    until("the new key is there", lambda: status(world, NEW.token()) == 200, seconds=KEYS_SECONDS, every=1)
    assert status(world, OLD.token()) == 401
    (same,) = world.pods("guarded")
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]
    states = same["status"]["initContainerStatuses"] + same["status"]["containerStatuses"]
    assert [each["restartCount"] for each in states] == [0, 0]
