"""NetworkPolicies in force: who reaches what of a replica and of the operator, and what these reach.

What a policy forbids is told from what does not work anyway by a second look, at the same port, from where it is allowed.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fairlead.resources import names
from tests.cluster.chart import NAMESPACE as SYSTEM
from tests.cluster.model_volume import model_volume
from tests.e2e import metadata_address
from tests.e2e.conftest import World, install
from tests.e2e.connections import Answer, Place, Target, address, visitor
from tests.e2e.kube import Object, condition, describe
from tests.e2e.metadata_address import MetadataService
from tests.waiting import until

pytestmark = pytest.mark.timeout(500)

VISITED = 80
"""Where each visitor listens."""
OPERATOR_PORT = 8080
READ = (names.AGENT_PORT, names.METRICS_PORT)
"""Open on the pod's address, for some."""
WITHIN = (names.ENGINE_PORT, names.DRAIN_PORT, names.KEYS_PORT, names.ADMIN_PORT)
"""On the pod's loopback only."""
METADATA: Target = (metadata_address.ADDRESS, metadata_address.PORT)
SCRAPER = {"app.kubernetes.io/name": "prometheus"}
OPERATOR = {"app.kubernetes.io/name": "fairlead-operator"}
SOON_SECONDS = 30
"""A policy is in force within a second of its making; the rest is for a busy machine."""


@dataclass(frozen=True)
class Visitors:
    """Pods that are nobody to Fairlead, each in another way, and one that may scrape."""

    strangers: dict[str, Place]
    scraper: Place
    addresses: dict[str, str]


@pytest.fixture(scope="module")
def visitors(world: World) -> Iterator[Visitors]:
    others, scrapers = f"{world.namespace}-others", f"{world.namespace}-scrapers"
    for name in (others, scrapers):
        world.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    places = {
        "elsewhere": (others, {}),
        "with-the-operators-labels": (others, OPERATOR),
        "beside-the-model": (world.namespace, {}),
        "beside-the-operator": (SYSTEM, {}),
        "scraper": (scrapers, SCRAPER),
    }
    world.kube.apply(*(visitor(world.cluster, namespace, name, labels, VISITED) for name, (namespace, labels) in places.items()))
    addresses = {name: address(world.kube, namespace, name) for name, (namespace, _) in places.items()}
    found = {name: Place(world.kube, namespace, name, "visitor") for name, (namespace, _) in places.items()}
    until(
        "they listen",
        lambda: set(found["elsewhere"].tries((ip, VISITED) for ip in addresses.values()).values()) == {"open"},
        seconds=60,
    )
    yield Visitors({name: place for name, place in found.items() if name != "scraper"}, found["scraper"], addresses)
    for name, (namespace, _) in places.items():
        world.kube.delete("pod", name, namespace)
    for name in (others, scrapers):
        world.kube.delete("namespace", name)


@pytest.fixture(scope="module")
def scrape_from(world: World) -> Iterator[None]:
    """The chart with one peer that may scrape."""
    namespace = {"matchLabels": {names.NAMESPACE_NAME_LABEL: f"{world.namespace}-scrapers"}}
    peers = [{"namespaceSelector": namespace, "podSelector": {"matchLabels": SCRAPER}}]
    install(world.cluster, "--set-json", f"scrapeFrom={json.dumps(peers)}")
    yield
    install(world.cluster)


@pytest.fixture(scope="module")
def replica(world: World, scrape_from: None) -> Object:  # noqa: ARG001
    """One with a real engine, ready, of a model that needs no way out."""
    world.create("closed", replicas=1)
    (pod,) = world.pods("closed")
    return pod


@pytest.fixture(scope="module")
def metadata(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetadataService]:
    with metadata_address.serving(world, tmp_path_factory.mktemp("metadata")) as service:
        yield service


@pytest.fixture(scope="module")
def fetching(world: World, scrape_from: None, metadata: MetadataService) -> Iterator[Object]:  # noqa: ARG001
    """One that downloads its model, from what somebody calls a hub: the metadata service."""
    folder = world.cluster.models / f"fetching-{world.namespace}"
    folder.mkdir()
    volume = model_volume(folder, f"fetching-{world.namespace}")
    volume["spec"] |= {"accessModes": ["ReadWriteOnce"], "storageClassName": world.namespace}
    world.kube.apply(volume)
    cache = {"size": "1Gi", "storageClassName": world.namespace}
    model = {"uri": "hf://org/tiny", "endpoint": f"http://{metadata_address.ADDRESS}", "cache": cache}
    world.create("fetching", wait=None, replicas=1, model=model)

    def downloads() -> Object | None:
        (pod,) = world.pods("fetching")
        states = {each["name"]: each["state"] for each in pod["status"].get("initContainerStatuses", [])}
        return pod if "running" in states.get(names.FETCH_CONTAINER, {}) else None

    yield until("it downloads", downloads, seconds=120, describe=lambda: describe(world.kube, "fetching", world.namespace))
    world.remove("fetching")
    world.kube.delete("persistentvolume", f"fetching-{world.namespace}", "default", "--wait=false")
    shutil.rmtree(folder)


def inside(world: World, pod: Object, container: str) -> Place:
    return Place(world.kube, world.namespace, pod["metadata"]["name"], container, "python3")


def all_of(answer: Answer, ports: tuple[int, ...]) -> dict[int, Answer]:
    return dict.fromkeys(ports, answer)


def policy(namespace: str, name: str, selector: Object, ingress: list[Object]) -> Object:
    spec = {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": ingress}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def test_a_forbidden_connection_fails_for_as_long_as_it_is_forbidden(world: World, visitors: Visitors) -> None:
    """Without this, all that follows could come of a cluster that enforces nothing."""
    caller, called = visitors.strangers["beside-the-operator"], visitors.strangers["elsewhere"]
    target = (visitors.addresses["elsewhere"], VISITED)

    def answered(answer: Answer) -> bool:
        return caller.tries([target]) == {target: answer}

    assert answered("open")
    world.kube.apply(policy(called.namespace, "shut", {}, []))
    try:
        until("the policy is in force", lambda: answered("silent"), seconds=SOON_SECONDS)
        node = world.curl(f"http://{target[0]}:{VISITED}/")
        assert node.returncode == 0, "the node's own connections, as the kubelet's probes, are not shut out"
    finally:
        world.kube.delete("networkpolicy", "shut", called.namespace)
    until("the connection is allowed again", lambda: answered("open"), seconds=SOON_SECONDS)


@pytest.mark.parametrize("stranger", ["elsewhere", "with-the-operators-labels", "beside-the-model", "beside-the-operator"])
def test_a_stranger_may_send_requests_and_reaches_nothing_else(
    world: World, visitors: Visitors, replica: Object, stranger: str
) -> None:
    ip, place = replica["status"]["podIP"], visitors.strangers[stranger]
    service = world.kube.must_get("service", "closed", world.namespace)["spec"]
    ports = (*READ, *WITHIN)
    assert place.tries_ports(ip, (names.HTTP_PORT, *ports)) == {names.HTTP_PORT: "open", **all_of("silent", ports)}
    assert '"tiny"' in place.reads(f"http://{service['clusterIP']}:{service['ports'][0]['port']}/v1/models")
    for port in READ:
        assert world.curl(f"http://{ip}:{port}/").returncode == 0, "there is something to be shut off"


def test_it_is_the_policy_that_keeps_strangers_out(world: World, visitors: Visitors, replica: Object) -> None:
    """With one more policy, which opens all ports to them, they get as far as the program that listens, or does not."""
    ip, place = replica["status"]["podIP"], visitors.strangers["elsewhere"]
    rule = {"from": [{"namespaceSelector": {"matchLabels": {names.NAMESPACE_NAME_LABEL: place.namespace}}}]}
    world.kube.apply(policy(world.namespace, "opened", {"matchLabels": names.selector("closed")}, [rule]))
    try:
        wanted = all_of("open", READ) | all_of("closed", WITHIN)
        until("they get in", lambda: place.tries_ports(ip, (*READ, *WITHIN)) == wanted, seconds=SOON_SECONDS)
    finally:
        world.kube.delete("networkpolicy", "opened", world.namespace)
    until(
        "they do not", lambda: place.tries_ports(ip, (*READ, *WITHIN)) == all_of("silent", (*READ, *WITHIN)), seconds=SOON_SECONDS
    )


def test_who_may_scrape_reads_metrics_of_agent_and_sidecar(visitors: Visitors, replica: Object) -> None:
    ip = replica["status"]["podIP"]
    assert visitors.scraper.tries_ports(ip, (*READ, *WITHIN)) == all_of("open", READ) | all_of("silent", WITHIN)
    assert "fairlead_agent_" in visitors.scraper.reads(f"http://{ip}:{names.AGENT_PORT}/metrics")
    assert "envoy_" in visitors.scraper.reads(f"http://{ip}:{names.METRICS_PORT}/stats/prometheus")


@pytest.mark.usefixtures("metadata")
def test_the_operator_reaches_agents_alone_and_is_reached_by_who_scrapes(
    world: World, visitors: Visitors, replica: Object
) -> None:
    found = world.kube.list("pods", SYSTEM, "app.kubernetes.io/name=fairlead-operator")
    pod = next(each for each in found if "deletionTimestamp" not in each["metadata"])
    operator = Place(world.kube, SYSTEM, pod["metadata"]["name"], "operator")
    agent = (replica["status"]["podIP"], names.AGENT_PORT)
    metrics = (replica["status"]["podIP"], names.METRICS_PORT)
    elsewhere = (visitors.addresses["elsewhere"], VISITED)
    assert operator.tries([agent, metrics, elsewhere, METADATA]) == {
        agent: "open",
        metrics: "silent",
        elsewhere: "silent",
        METADATA: "silent",
    }
    door = (pod["status"]["podIP"], OPERATOR_PORT)
    answers = {name: place.tries([door])[door] for name, place in visitors.strangers.items()}
    assert answers == dict.fromkeys(visitors.strangers, "silent")
    assert "fairlead_reconcile_total" in visitors.scraper.reads(f"http://{door[0]}:{door[1]}/metrics")


def test_a_replica_reaches_nothing(world: World, visitors: Visitors, replica: Object, metadata: MetadataService) -> None:
    targets = [METADATA, (metadata_address.ADDRESS, 53), *((ip, VISITED) for ip in visitors.addresses.values())]
    answers = inside(world, replica, names.ENGINE_CONTAINER).tries(targets)
    assert answers == dict.fromkeys(targets, "silent")
    # A pod without a policy gets there.
    stranger = visitors.strangers["elsewhere"]
    assert "Directory listing" in stranger.reads(f"http://{metadata_address.ADDRESS}/")
    assert metadata.asked_by(visitors.addresses["elsewhere"])
    assert not metadata.asked_by(replica["status"]["podIP"])


def test_a_replica_that_may_go_out_reaches_no_metadata_address(
    world: World, visitors: Visitors, fetching: Object, metadata: MetadataService
) -> None:
    """Its port is open to it, everywhere else; and somebody calls that address a hub. What the operator says of it is the
    agent's word: it gets through to a replica that is not ready."""
    elsewhere = (visitors.addresses["elsewhere"], VISITED)
    answers = inside(world, fetching, names.FETCH_CONTAINER).tries([elsewhere, METADATA])
    assert answers == {elsewhere: "open", METADATA: "silent"}

    def told() -> Object | None:
        found = condition(world.kube.must_get("mdep", "fetching", world.namespace), "ModelAvailable")
        return found if found.get("reason") == "HubUnreachable" else None

    until("nothing answers it", told, seconds=120, every=1, describe=lambda: describe(world.kube, "fetching", world.namespace))
    assert not metadata.asked_by(fetching["status"]["podIP"])
    stranger = visitors.strangers["beside-the-model"]
    assert stranger.tries_ports(fetching["status"]["podIP"], READ) == all_of("silent", READ)


def test_the_kubelets_probes_get_through(world: World, replica: Object) -> None:
    """All that went before has had the policy in force: the replica came to be ready under it, and was never restarted."""
    (now,) = world.pods("closed")
    assert now["metadata"]["uid"] == replica["metadata"]["uid"]
    made = world.kube.must_get("networkpolicy", "closed", world.namespace)["metadata"]["creationTimestamp"]
    assert made <= now["metadata"]["creationTimestamp"]
    engine = next(each for each in now["status"]["containerStatuses"] if each["name"] == names.ENGINE_CONTAINER)
    assert (engine["ready"], engine["started"], engine["restartCount"]) == (True, True, 0)
