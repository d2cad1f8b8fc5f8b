"""A client that streams through the Service sees no cut stream and no failed request, whatever is done to the replicas.

The long streams last 40 s: their end is held back by the client, as a person who reads slowly does. Each test fails if fewer of
them than it says were open at the moment of the change.
"""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import World
from tests.e2e.kube import condition, describe, wait_ready
from tests.e2e.streams import Streams, assert_none_cut, streaming
from tests.waiting import until

pytestmark = pytest.mark.unproven

NAME = "streams"
LONG = 6
LONG_SECONDS = 40.0


@pytest.fixture(scope="module")
def served(world: World) -> str:
    """Two replicas, and the address of their Service."""
    world.create(NAME, rollout={"maxStreamSeconds": 120})
    return world.url(NAME)


@pytest.fixture
def streams(world: World, served: str) -> Iterator[Streams]:
    """Six streams of 40 s and two workers of short ones; the verdict over all of them when the test is through."""
    wait_ready(world.kube, NAME, world.namespace)
    with streaming(world.in_node, served, "tiny", short=2, long=LONG, long_seconds=LONG_SECONDS) as open_streams:
        yield open_streams
    assert_none_cut(open_streams, at_least=LONG + 10, long_seconds=LONG_SECONDS)


def rolled(world: World, before: set[str]) -> bool:
    """All replicas are new ones and Ready, and the old ones are gone."""
    mdep = world.kube.must_get("mdep", NAME, world.namespace)
    everyone = {
        each["metadata"]["name"]
        for each in world.kube.list("pods", world.namespace, f"serving.fairlead.dev/model-deployment={NAME}")
    }
    current = mdep["status"]["observedGeneration"] == mdep["metadata"]["generation"]
    return (
        current
        and condition(mdep, "Ready").get("status") == "True"
        and not everyone & before
        and len(everyone) == mdep["spec"]["replicas"]
    )


def names(world: World) -> set[str]:
    return {each["metadata"]["name"] for each in world.pods(NAME)}


def wait_rolled(world: World, before: set[str]) -> None:
    until(
        "every replica is a new one",
        lambda: rolled(world, before),
        seconds=400,
        every=1,
        describe=lambda: describe(world.kube, NAME, world.namespace),
    )


def test_engine_arguments_and_image_change_and_every_replica_rolls(world: World, streams: Streams) -> None:
    before = names(world)
    image = world.pods(NAME)[0]["spec"]["containers"][0]["image"]
    assert streams.open_now("long") >= LONG
    # an image by its other name: the same bytes, a new pod template
    world.kube.merge(
        "mdep", NAME, {"spec": {"engine": {"image": f"{image}", "args": {"max-num-batched-tokens": "2048"}}}}, world.namespace
    )
    wait_rolled(world, before)
    args = world.pods(NAME)[0]["spec"]["containers"][0]["args"]
    assert "--max-num-batched-tokens=2048" in args


def test_a_replica_is_deleted(world: World, streams: Streams) -> None:
    victim = world.pods(NAME)[0]["metadata"]["name"]
    assert streams.open_now("long") >= LONG
    world.kube.run("delete", "pod", victim, "-n", world.namespace, "--wait=false")
    until(
        "another replica took its place and it is gone",
        lambda: world.kube.get("pod", victim, world.namespace) is None and len(world.ready_endpoints(NAME)) == 2,
        seconds=300,
        every=1,
        describe=lambda: describe(world.kube, NAME, world.namespace),
    )


def test_the_operator_is_killed_and_comes_back(world: World, streams: Streams) -> None:
    before = names(world)
    operator = world.kube.list("pods", "fairlead-system", "app.kubernetes.io/name=fairlead-operator")[0]
    assert streams.open_now("long") >= LONG
    world.kube.run("delete", "pod", operator["metadata"]["name"], "-n", "fairlead-system", "--grace-period=0", "--force")
    # it has taken up work again when it has seen a change made while it was away
    world.kube.merge(
        "mdep", NAME, {"spec": {"rollout": {"maxStreamSeconds": 120}, "health": {"stallSeconds": 61}}}, world.namespace
    )
    wait_rolled(world, before)


def test_replicas_go_two_three_two(world: World, streams: Streams) -> None:
    assert streams.open_now("long") >= LONG
    world.kube.run("scale", "mdep", NAME, "--replicas=3", "-n", world.namespace)
    wait_ready(world.kube, NAME, world.namespace)
    assert len(world.ready_endpoints(NAME)) == 3
    # the third one must carry streams before it may go: wait until a stream runs on each of the three
    until("a stream runs on each replica", lambda: all(active_requests(world).values()), seconds=120, every=1)
    assert streams.open_now("long") >= LONG - 1  # one may just be between two streams
    world.kube.run("scale", "mdep", NAME, "--replicas=2", "-n", world.namespace)
    until(
        "two are left and the third is gone",
        lambda: (
            len(world.ready_endpoints(NAME)) == 2
            and len(world.kube.list("pods", world.namespace, f"serving.fairlead.dev/model-deployment={NAME}")) == 2
        ),
        seconds=200,
        every=1,
        describe=lambda: describe(world.kube, NAME, world.namespace),
    )
    wait_ready(world.kube, NAME, world.namespace)


def active_requests(world: World) -> dict[str, int]:
    """Requests in the sidecar of each replica, by Envoy's own count."""
    found = {}
    for pod in world.pods(NAME):
        text = world.curl(f"http://{pod['status']['podIP']}:8004/stats/prometheus").stdout
        lines = [
            line for line in text.splitlines() if line.startswith("envoy_http_downstream_rq_active{") and '"ingress_http"' in line
        ]
        assert lines, json.dumps(text[:500])
        found[pod["metadata"]["name"]] = sum(int(float(line.rpartition(" ")[2])) for line in lines)
    return found
