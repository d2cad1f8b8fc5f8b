"""When everything is as it was asked for, nothing is written to the API server."""

import json
import time

import pytest

from tests.e2e.conftest import World
from tests.waiting import until

pytestmark = pytest.mark.unproven

WINDOW_SECONDS = 60
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def operator_requests(world: World, offset: int) -> list[dict[str, object]]:
    """The operator's requests in the audit log from that byte on."""
    with world.cluster.audit_log.open("rb") as log:
        log.seek(offset)
        lines = log.read().splitlines()
    entries = [json.loads(line) for line in lines if line.endswith(b"}")]
    return [each for each in entries if each["user"].get("username", "").startswith("system:serviceaccount:fairlead-system:")]


@pytest.mark.timeout(300)
def test_zero_writes_for_60_seconds_after_settling(world: World) -> None:
    world.create("settled")
    # quiet: no write of the operator for 10 s; from there the window is counted
    state = {"size": 0, "since": 0.0}

    def quiet() -> bool:
        size = world.cluster.audit_log.stat().st_size
        if [each for each in operator_requests(world, int(state["size"])) if each["verb"] in WRITES] or not state["since"]:
            state["since"] = time.monotonic()
        state["size"] = size
        return time.monotonic() - state["since"] > 10

    until("it settles", quiet, seconds=120, every=2)
    offset = world.cluster.audit_log.stat().st_size
    began = time.monotonic()
    until("the window has passed", lambda: time.monotonic() - began > WINDOW_SECONDS, seconds=WINDOW_SECONDS + 10, every=1)
    requests = operator_requests(world, offset)
    writes = [f"{each['verb']} {each['requestURI']}" for each in requests if each["verb"] in WRITES]
    assert not writes
    assert requests, "no request of the operator at all: the audit log does not show what this test looks for"
    # it is alive: a change is acted on, and seen in the same log
    offset = world.cluster.audit_log.stat().st_size
    world.kube.merge("mdep", "settled", {"spec": {"rollout": {"maxUnavailable": 1}}}, world.namespace)
    until(
        "the change is written", lambda: [each for each in operator_requests(world, offset) if each["verb"] in WRITES], seconds=30
    )
