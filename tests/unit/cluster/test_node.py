"""The settings of the node: what keeps two clusters, and the machine, out of each other's way."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import node
from tests.cluster.controlplane import ControlPlaneSpec, environment
from tests.cluster.layout import Layout
from tests.cluster.node import NodeSpec
from tests.cluster.settings import Settings, write_whole
from tests.cluster.tools import Tools

LAYOUT = Layout(Path('/cache "quoted"'), Path("/clone"))


@pytest.fixture
def spec(tmp_path: Path) -> NodeSpec:
    names = ("server", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "containerd")
    for name in names:
        (tmp_path / name).touch()
    tools = Tools({"k8s": tmp_path, "cni": Path("/cni/bin")})
    plane = ControlPlaneSpec(LAYOUT.state, tools, "198.18.0.2", 6443, 2379, 2380, publish=True)
    return NodeSpec(LAYOUT, plane)


def paths(value: Any) -> list[str]:
    """All absolute paths in a document."""
    if isinstance(value, dict):
        return [path for each in value.values() for path in paths(each)]
    if isinstance(value, list):
        return [path for each in value for path in paths(each)]
    return [value.removeprefix("unix://")] if isinstance(value, str) and value.removeprefix("unix://").startswith("/") else []


def test_containerd_keeps_everything_in_the_state_folder(spec: NodeSpec) -> None:
    config = tomllib.loads(spec.containerd_config())
    found = [path for path in paths(config) if path not in {"/cni/bin", node.NRI_SOCKET}]
    assert len(found) == 9
    assert all(Path(path).is_relative_to(LAYOUT.state) for path in found), found
    assert config["grpc"]["address"] == str(LAYOUT.containerd_socket)


def test_the_kubelet_keeps_everything_in_the_state_folder(spec: NodeSpec) -> None:
    config = spec.kubelet_config()
    found = [path for path in paths(config) if path != f"/{LAYOUT.name}"]
    assert len(found) == 6
    assert all(Path(path).is_relative_to(LAYOUT.state) for path in found), found
    assert config["cgroupRoot"] == f"/{LAYOUT.name}"


def test_addresses_of_pods_lie_in_the_range_that_the_others_know(spec: NodeSpec) -> None:
    assert spec.cni_config()["plugins"][0]["ipam"]["ranges"][0][0]["subnet"] == node.POD_SUBNET
    assert spec.kube_proxy_config()["clusterCIDR"] == "10.244.0.0/16"
    assert "--cluster-cidr=10.244.0.0/16" in spec.control_plane.controller_manager()


def test_kube_proxy_leaves_the_machines_limits_alone(spec: NodeSpec) -> None:
    assert set(spec.kube_proxy_config()["conntrack"].values()) == {0, "0s"}


def test_a_control_plane_alone_publishes_no_loopback_address(spec: NodeSpec, tmp_path: Path) -> None:
    plane = spec.control_plane
    alone = ControlPlaneSpec(tmp_path, plane.tools, "127.0.0.1", 1, 2, 3, publish=False)
    assert "--endpoint-reconciler-type=none" in alone.apiserver()
    assert "--endpoint-reconciler-type=lease" in plane.apiserver()


def test_components_see_no_proxy_and_no_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "KUBECONFIG"):
        monkeypatch.setenv(name, "http://proxy")
    monkeypatch.setenv("KEPT", "yes")
    found = environment()
    assert not {"https_proxy", "HTTPS_PROXY", "KUBECONFIG"} & set(found)
    assert found["KEPT"] == "yes"


def node_object(ready: str | None, gpus: str | None) -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": [{"type": "MemoryPressure", "status": "True"}]}
    if ready is not None:
        status["conditions"].append({"type": "Ready", "status": ready})
    if gpus is not None:
        status["allocatable"] = {"nvidia.com/gpu": gpus}
    return {"status": status}


@pytest.mark.parametrize(("ready", "expected"), [("True", True), ("False", False), ("Unknown", False), (None, False)])
def test_a_node_is_ready_when_it_says_so(ready: str | None, expected: bool) -> None:  # noqa: FBT001
    assert node.is_ready(node_object(ready, None)) is expected


@pytest.mark.parametrize(("gpus", "expected"), [("5", 5), ("0", 0), (None, 0)])
def test_gpus_are_counted_from_allocatable(gpus: str | None, expected: int) -> None:
    assert node.allocatable_gpus(node_object("True", gpus)) == expected


def test_another_text_is_another_file(tmp_path: Path) -> None:
    one, two = Settings(tmp_path, ".json", "1"), Settings(tmp_path, ".json", "2")
    one.write()
    assert one.path.read_text() == "1"
    assert two.path != one.path
    assert Settings(tmp_path, ".json", "1").path == one.path


def test_a_file_that_holds_its_text_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file"
    write_whole(path, json.dumps({}))
    before = path.stat().st_ino
    write_whole(path, json.dumps({}))
    assert path.stat().st_ino == before
    write_whole(path, "other")
    assert path.read_text() == "other"
    assert [each.name for each in path.parent.iterdir()] == ["file"]
