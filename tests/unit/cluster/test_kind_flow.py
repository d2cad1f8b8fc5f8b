"""CLUSTER=kind with stand-ins for Docker, kind, kubectl and Helm, which write down how they were called."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import tools
from tests.cluster.access import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.kind import commands
from tests.cluster.kind.steps import Run
from tests.cluster.layout import REPOSITORY, Layout
from tests.cluster.nvml import build as nvml

#: The node is there from `kind create cluster` to `kind delete cluster`, and runs unless a test has stopped it.
STAND_IN = """#!/bin/sh
home={home}
case "$(basename "$0") $*" in
  "docker version "*) echo 28.2.2; exit ;;
  "docker inspect "*Pid*) [ -e $home/node ] || exit 1; [ -e $home/stopped ] && echo 0 || echo 4711; exit ;;
  "docker inspect "*) [ -e $home/node ]; exit ;;
  "kubectl "*"config view"*) echo '{view}'; exit ;;
  "docker start "*) rm $home/stopped ;;
  "kind create cluster "*) touch $home/node ;;
  "kind delete cluster "*) rm -f $home/node ;;
  "kubectl "*" wait node/"*) [ -e $home/slow ] && {{ echo "timed out waiting for the condition"; exit 1; }} ;;
esac
echo "$(basename "$0") $*" >>$home/calls
exit 0
"""
VIEW = {
    "clusters": [{"cluster": {"server": "https://127.0.0.1:34567", "certificate-authority-data": "YQ=="}}],
    "users": [{"user": {"client-certificate-data": "Yg==", "client-key-data": base64.b64encode(b"c").decode()}}],
}


@dataclass(frozen=True)
class Machine:
    """One with stand-ins on PATH."""

    home: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.home / "cache", Path("/clone"))

    def calls(self) -> list[str]:
        """What changed something since the last look: programs and their first two words."""
        log = self.home / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [" ".join([word for word in line.split() if not word.startswith("-")][:3]) for line in lines]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in ("docker", "kind", "kubectl", "helm"):
        (binaries / name).write_text(STAND_IN.format(home=tmp_path, view=json.dumps(VIEW)))
        (binaries / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}:/usr/bin:/bin")
    monkeypatch.setattr(tools, "program", lambda _, name: binaries / name)
    monkeypatch.setattr(nvml, "build", nvml.path)
    return Machine(tmp_path)


def test_up_creates_the_node_once(machine: Machine) -> None:
    layout = machine.layout
    cluster = commands.up(layout, 3, dry=False)
    assert cluster is not None
    node = f"{layout.name}-control-plane"
    gpus = [f"docker build {REPOSITORY}/tests", "kind load docker-image", "kubectl apply", f"kubectl wait node/{node}"]
    first = machine.calls()
    assert first == ["kind create cluster", *gpus]
    assert len(list(layout.gpus.iterdir())) == 3
    assert (cluster.node_address, cluster.api_port) == ("127.0.0.1", 34567)
    assert cluster.kubectl == machine.home / "bin" / "kubectl"
    assert Cluster.find(layout) == cluster
    assert commands.up(layout, None, dry=False) == cluster
    assert machine.calls() == first[1:]
    assert len(list(layout.gpus.iterdir())) == 3


def test_a_node_that_was_stopped_is_started(machine: Machine) -> None:
    assert commands.up(machine.layout, None, dry=False) is not None
    machine.calls()
    (machine.home / "stopped").touch()
    assert Cluster.find(machine.layout) is None
    assert commands.up(machine.layout, None, dry=False) is not None
    assert machine.calls()[0] == f"docker start {machine.layout.name}-control-plane"


def test_what_fails_is_told_with_its_words_and_up_goes_on_from_there(machine: Machine) -> None:
    (machine.home / "slow").touch()
    with pytest.raises(ClusterError, match=r"(?s)5 GPUs failed.*timed out waiting"):
        commands.up(machine.layout, None, dry=False)
    assert Cluster.find(machine.layout) is None
    (machine.home / "slow").unlink()
    machine.calls()
    assert commands.up(machine.layout, None, dry=False) is not None
    assert "kind create cluster" not in machine.calls()


def test_down_leaves_neither_node_nor_file(machine: Machine) -> None:
    commands.up(machine.layout, None, dry=False)
    machine.calls()
    commands.down(machine.layout, dry=False)
    assert machine.calls() == ["kind delete cluster"]
    assert list(machine.layout.state.parent.iterdir()) == []
    commands.down(machine.layout, dry=False)
    assert list(machine.layout.state.parent.iterdir()) == []


def test_images_are_brought_in_and_the_model_is_made_once(machine: Machine) -> None:
    layout = machine.layout
    with pytest.raises(ClusterError, match="No cluster is up"):
        commands.images(layout, dry=False)
    commands.up(layout, None, dry=False)
    machine.calls()
    commands.images(layout, dry=False)
    assert [call.split()[1] for call in machine.calls()] == ["build", "build", "pull", "load", "run"]
    assert json.loads((layout.state / "values.yaml").read_text())["images"]["operator"] == commands.tags().operator
    (layout.models / "tiny").mkdir()
    commands.images(layout, dry=False)
    assert [call.split()[1] for call in machine.calls()] == ["build", "build", "pull", "load"]


def test_what_a_dry_run_shows_is_what_is_run(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    commands.up(machine.layout, None, dry=True)
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("kind ", "docker ", "kubectl "))]
    commands.up(machine.layout, None, dry=False)
    ran = [Run("", tuple(line.split(" "))).shown().splitlines()[1] for line in (machine.home / "calls").read_text().splitlines()]
    assert shown == ran


def test_status_tells_whether_the_node_is_ready(machine: Machine) -> None:
    commands.up(machine.layout, None, dry=False)
    text, whole = commands.status(machine.layout)
    assert not whole, "this kubectl shows no node"
    assert "make cluster-up CLUSTER=kind" in text
    kubectl = machine.home / "bin" / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'fl-control-plane   Ready    control-plane   1m   v1.37.0'\n")
    text, whole = commands.status(machine.layout)
    assert whole
    assert "v1.37.0" in text
