"""`make cluster-down` leaves nothing behind, and the clusters of two clones on one machine do not meet.

Starts real clusters of fresh clones of what is committed, without images; needs none that is up, and leaves one that is alone.
"""

import ipaddress
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from tests.cluster import pause
from tests.cluster.access import Cluster, made_by
from tests.cluster.kind.node import KIND
from tests.cluster.layout import REPOSITORY, Layout, cache_root
from tests.cluster.sandbox import Sandbox
from tests.e2e.kube import Kube
from tests.e2e.traces import Namespaces, Trace, What, traces
from tests.waiting import until

pytestmark = pytest.mark.skipif(made_by(Layout.of_this_clone()) == KIND, reason="kind has its own down")

#: Of `make cluster-up` with built tools: some 30 s on two idle cores.
UP_SECONDS = 240.0
SERVICE_ACCOUNT = ("serviceaccount", "default")


@dataclass(frozen=True)
class Clone:
    """A clone of this tree, and its cluster's layout."""

    folder: Path

    @property
    def layout(self) -> Layout:
        return Layout(cache_root(), self.folder)

    def make(self, target: str) -> str:
        """What it said to its user."""
        # Without what a make that runs this test tells the makes below it.
        environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
        command = ["make", target]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=UP_SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stderr.strip()

    def cluster(self) -> Cluster:
        found = Cluster.find(self.layout)
        assert found is not None, "the cluster is not up"
        return found


def clone_into(folder: Path) -> Clone:
    subprocess.run(["git", "clone", "--quiet", "--no-local", str(REPOSITORY), str(folder)], check=True, timeout=60)
    return Clone(folder.resolve())


@contextmanager
def cluster_of_a_clone(folder: Path) -> Iterator[Clone]:
    """It is taken down whatever happens, by the clone's own command."""
    clone = clone_into(folder)
    try:
        clone.make("cluster-up")
        yield clone
    finally:
        clone.make("cluster-down")


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """Another clone's cluster, which shall not notice anything: this clone's if it is up."""
    here = Layout.of_this_clone()
    if Cluster.find(here) is not None:
        yield here
        return
    with cluster_of_a_clone(tmp_path_factory.mktemp("neighbour") / "clone") as clone:
        yield clone.layout


def subnet(layout: Layout) -> ipaddress.IPv4Network:
    addresses = json.loads((layout.state / "network.json").read_text())
    return ipaddress.IPv4Network(f"{addresses['host']}/30", strict=False)


def run_a_pod(cluster: Cluster) -> None:
    """A pod of the one image that is there, with a volume and a network of its own, until it runs."""
    kube = Kube(cluster.kubectl, cluster.kubeconfig)
    until("the namespace is ready for pods", lambda: kube.get(*SERVICE_ACCOUNT), seconds=60)
    container = {
        "name": "pause",
        "image": pause.image_name(),
        "imagePullPolicy": "Never",
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]}
    kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": "default"}, "spec": spec})
    until("the pod runs", lambda: kube.must_get("pod", "pod")["status"].get("phase") == "Running", seconds=120)


@pytest.mark.timeout(900)
def test_two_clones_have_clusters_at_the_same_time_and_down_leaves_nothing_of_one(neighbour: Layout, tmp_path: Path) -> None:
    with cluster_of_a_clone(tmp_path / "clone") as clone:
        layout = clone.layout
        cluster = clone.cluster()
        run_a_pod(cluster)

        other = Cluster.find(neighbour)
        assert other is not None
        assert (cluster.name, cluster.state) != (other.name, other.state)
        assert cluster.node_address != other.node_address
        assert not subnet(layout).overlaps(subnet(neighbour))
        uid = {
            each: Kube(each.kubectl, each.kubeconfig).must_get("namespace", "kube-system")["metadata"]["uid"]
            for each in (cluster, other)
        }
        assert len(set(uid.values())) == 2, "the kubeconfigs lead to one cluster"

        namespaces, their_init = Namespaces.of(layout), Sandbox(neighbour).init()
        assert not namespaces.inodes & Namespaces.of(neighbour).inodes
        found = traces(layout, namespaces)
        assert {each.what for each in found} == set(get_args(What)), "what is looked for is there to be found while it is up"
        assert any("/pause" in each.where for each in found if each.what == "process"), "the pod's process among it"

    until(
        "nothing is left of it",
        lambda: not traces(layout, namespaces),
        seconds=30,
        describe=lambda: listed(traces(layout, namespaces)),
    )
    assert not any(each.is_mount() for each in tmp_path.rglob("*"))
    left = subprocess.run(
        ["git", "status", "--porcelain", "--ignored"], cwd=clone.folder, capture_output=True, text=True, check=True
    )
    assert [line for line in left.stdout.splitlines() if not line.endswith("__pycache__/")] == []

    again = Cluster.find(neighbour)
    assert again == other, "the neighbour is as it was"
    assert other.api.ready()
    assert Sandbox(neighbour).init() == their_init


def test_down_of_a_cluster_that_is_not_up_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    clone = clone_into(tmp_path / "clone")
    assert clone.make("cluster-down") == "No cluster was up"
    layout = clone.layout
    assert [each for each in layout.state.parent.iterdir() if each.name.startswith(layout.digits)] == []


def listed(found: set[Trace]) -> str:
    return "\n".join(sorted(f"{each.what}: {each.where}" for each in found))
