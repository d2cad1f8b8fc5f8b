"""A client that streams through the Service sees no cut stream and no failed request, whatever is done to the replicas.

Streams of 40 s of two kinds are open at the moment of each change. `busy`: the engine makes tokens all the while, as many as it
is measured to make in that time. `long`: the engine has long finished, and the end of the answer waits in buffers for a client
that reads slowly. Each test fails if fewer of them than it says were open, or if one was shorter.
"""

import json
import subprocess
import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import World, leader
from tests.e2e.kube import condition, describe, wait_ready
from tests.e2e.streams import Streams, assert_none_cut, streaming
from tests.waiting import until

NAME = "streams"
SHORT = 2
LONG = 3
BUSY = 2
AT_LEAST = LONG + BUSY + 10
SECONDS = 40.0
CONTEXT = 32768


@pytest.fixture(scope="module")
def served(world: World) -> str:
    """Two replicas, and the address of their Service."""
    world.create(
        NAME, engine={"maxModelLen": CONTEXT, "args": {"kv-cache-memory-bytes": "64M"}}, rollout={"maxStreamSeconds": 300}
    )
    return world.url(NAME)


@pytest.fixture(scope="module")
def busy_tokens(world: World, served: str) -> int:
    """As many tokens as take an engine with nothing else to do a little longer than 40 s."""
    tokens = 2000
    body = {"model": "tiny", "prompt": "go", "max_tokens": tokens, "ignore_eos": True}
    began = time.monotonic()
    said = world.curl(f"{served}/v1/completions", "--fail", "--json", json.dumps(body)).stdout
    assert json.loads(said)["usage"]["completion_tokens"] == tokens
    wanted = int(1.1 * SECONDS * tokens / (time.monotonic() - began))
    assert wanted < CONTEXT - 100, f"{wanted} tokens in {SECONDS} s: this machine is too fast for the tiny model's context"
    return wanted


@pytest.fixture
def streams(world: World, served: str, busy_tokens: int) -> Iterator[Streams]:
    """Streams of 40 s and two workers of short ones; the verdict over all of them when the test is through."""
    wait_ready(world.kube, NAME, world.namespace)
    with streaming(
        world.in_node,
        served,
        "tiny",
        short=SHORT,
        short_tokens=16,
        long=LONG,
        long_seconds=SECONDS,
        busy=BUSY,
        busy_tokens=busy_tokens,
        busy_rounds=1,
    ) as open_streams:
        yield open_streams
        # Short ones are slow beside the busy ones, and a change may be over before there were enough of them.
        until("as many streams as are meant have ended", lambda: len(open_streams.ended) >= AT_LEAST, seconds=200)
    assert_none_cut(open_streams, at_least=AT_LEAST, long_seconds=SECONDS)


def assert_open(streams: Streams) -> None:
    """At the moment of a change."""
    assert streams.open_now("long") >= LONG
    assert streams.open_now("busy") >= BUSY


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


@pytest.fixture(scope="module")
def second_image(world: World, served: str) -> Iterator[str]:  # noqa: ARG001  the image is known once it is served
    """The engine's image under another tag."""
    image: str = world.pods(NAME)[0]["spec"]["containers"][0]["image"]
    second = f"{image}-second"
    for command in (["tag", "--force", image, second], ["label", second, "io.cri-containerd.image=managed"]):
        subprocess.run([*world.cluster.ctr, "images", *command], check=True, capture_output=True)
    yield second
    subprocess.run([*world.cluster.ctr, "images", "rm", second], check=True, capture_output=True)


def test_image_and_an_argument_change_and_every_replica_rolls(world: World, streams: Streams, second_image: str) -> None:
    before = names(world)
    assert_open(streams)
    changed = {"image": second_image, "args": {"max-num-batched-tokens": "2048"}}
    world.kube.merge("mdep", NAME, {"spec": {"engine": changed}}, world.namespace)
    wait_rolled(world, before)
    for pod in world.pods(NAME):
        engine = pod["spec"]["containers"][0]
        assert engine["image"] == second_image
        assert "--max-num-batched-tokens=2048" in engine["args"]


def test_a_replica_is_deleted(world: World, streams: Streams) -> None:
    victim = until("a replica carries streams that last", lambda: sorted(carrying(world)), seconds=60, every=0.2)[0]
    assert_open(streams)
    world.kube.run("delete", "pod", victim, "-n", world.namespace, "--wait=false")
    until(
        "another replica took its place and it is gone",
        lambda: world.kube.get("pod", victim, world.namespace) is None and len(world.ready_endpoints(NAME)) == 2,
        seconds=400,
        every=1,
        describe=lambda: describe(world.kube, NAME, world.namespace),
    )


def test_the_operator_is_killed_and_another_leads(world: World, streams: Streams) -> None:
    """The one that leads; another leads when it restores what was changed meanwhile. No replica is touched by any of it."""
    before = names(world)
    operator = leader(world.kube)
    assert_open(streams)
    world.kube.run("delete", "pod", operator, "-n", "fairlead-system", "--grace-period=0", "--force")
    world.kube.merge("service", NAME, {"spec": {"sessionAffinity": "ClientIP"}}, world.namespace)
    until(
        "the other operator has restored the Service",
        lambda: world.kube.must_get("service", NAME, world.namespace)["spec"]["sessionAffinity"] == "None",
        seconds=120,
        every=1,
        describe=lambda: describe(world.kube, NAME, world.namespace),
    )
    assert operator not in {each["metadata"]["name"] for each in world.kube.list("pods", "fairlead-system")}
    assert names(world) == before


def test_replicas_go_two_three_two(world: World, streams: Streams) -> None:
    assert_open(streams)
    world.kube.run("scale", "mdep", NAME, "--replicas=3", "-n", world.namespace)
    wait_ready(world.kube, NAME, world.namespace)
    assert len(world.ready_endpoints(NAME)) == 3
    newest = world.pods(NAME)[-1]["metadata"]["name"]  # which is the one that the ReplicaSet gives up
    until("the third one carries a stream that lasts", lambda: newest in carrying(world), seconds=300, every=0.2)
    assert streams.open_now("long") >= LONG - 1  # one may just be between two streams
    world.kube.run("scale", "mdep", NAME, "--replicas=2", "-n", world.namespace)
    until(
        "two are left and the third is gone",
        lambda: (
            len(world.ready_endpoints(NAME)) == 2
            and len(world.kube.list("pods", world.namespace, f"serving.fairlead.dev/model-deployment={NAME}")) == 2
        ),
        seconds=400,
        every=1,
        describe=lambda: describe(world.kube, NAME, world.namespace),
    )
    assert newest not in names(world)
    wait_ready(world.kube, NAME, world.namespace)


def carrying(world: World) -> set[str]:
    """Replicas with a stream that lasts: the end of an answer waits there, or more requests than the short ones can be."""
    found = set()
    for pod in world.pods(NAME):
        text = world.curl(f"http://{pod['status']['podIP']}:8004/stats/prometheus").stdout
        values = {
            sample.name.removeprefix("envoy_http_downstream_"): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.labels.get("envoy_http_conn_manager_prefix") == "ingress_http"
        }
        if values["rq_active"] > SHORT or values["cx_tx_bytes_buffered"]:
            found.add(pod["metadata"]["name"])
    return found
