"""What puts packets before the agent of NetworkPolicies, and whether it is there to judge them."""

from pathlib import Path

import pytest

from tests.cluster import policies
from tests.cluster.controlplane import ControlPlaneSpec
from tests.cluster.layout import Layout
from tests.cluster.tools import Tools


def test_rules_and_agent_speak_of_one_queue(tmp_path: Path) -> None:
    (tmp_path / "cmd").touch()
    layout = Layout(tmp_path, Path("/clone"))
    plane = ControlPlaneSpec(layout.state, Tools({"netpol": tmp_path}), "198.18.0.2", 6443, 2379, 2380, publish=True)
    agent = policies.PolicyAgent(layout, plane)
    assert "--nfqueue-id=100" in agent.command()
    assert agent.environment() == {"KUBERNETES_SERVICE_HOST": "198.18.0.2", "KUBERNETES_SERVICE_PORT": "6443"}
    judged = [line for line in policies.rules().splitlines() if "NFQUEUE" in line]
    assert judged == [f"-A NETWORK-POLICY {way} 10.244.0.0/16 -j NFQUEUE --queue-num 100" for way in ("-s", "-d")]


def test_what_is_under_way_and_the_kubelets_probes_are_let_through_before_anything_is_judged() -> None:
    targets = [line.rpartition("-j ")[2].split()[0] for line in policies.rules().splitlines() if "-j" in line]
    assert targets == ["RETURN", "RETURN", "NFQUEUE", "NFQUEUE"]


@pytest.mark.parametrize(
    ("table", "read"),
    [
        ("  100  12345     0 2   128     0     0       17  1\n", True),
        ("  101  12345     0 2   128     0     0      100  1\n", False),
        ("", False),
    ],
)
def test_the_kernels_table_tells_whether_the_queue_is_read(table: str, read: bool) -> None:  # noqa: FBT001
    assert policies.queue_is_read(table) is read
