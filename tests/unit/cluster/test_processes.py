import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.cluster import processes
from tests.cluster.components import MARKS, running
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Process

IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that ignores SIGTERM."""
    with subprocess.Popen([sys.executable, "-c", IGNORES], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_process_is_read_with_its_namespaces_and_memory(child: subprocess.Popen[str]) -> None:
    process = processes.read(child.pid)
    assert process is not None
    assert process.argv == (sys.executable, "-c", IGNORES)
    assert process.namespace("pid") is not None
    assert process.memory_bytes() > 1 << 20
    assert process in processes.find(lambda each: IGNORES in each.argv)


def test_a_process_ends(child: subprocess.Popen[str]) -> None:
    process = processes.read(child.pid)
    assert process is not None
    process.end(signal.SIGKILL, seconds=10)
    assert child.wait() == -signal.SIGKILL
    assert process.namespace("pid") is None
    assert process.memory_bytes() == 0
    process.end(signal.SIGKILL, seconds=0)


def test_another_process_with_the_same_number_is_left_alone(child: subprocess.Popen[str]) -> None:
    process = processes.read(child.pid)
    assert process is not None
    replace(process, argv=("etcd",)).end(signal.SIGKILL, seconds=10)
    assert child.poll() is None


def test_a_process_that_does_not_end_is_told(child: subprocess.Popen[str]) -> None:
    process = processes.read(child.pid)
    assert process is not None
    with pytest.raises(ClusterError, match=str(child.pid)):
        process.end(signal.SIGTERM, seconds=0.1)
    assert child.poll() is None


NODE = [
    Process(1, ("/state/init",)),
    Process(2, ("/tools/etcd/bin/server", "--data-dir=/state/etcd")),
    Process(3, ("/tools/k8s/bin/kube-apiserver", "--etcd-servers=http://127.0.0.1:2379")),
    Process(4, ("/tools/cri/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-address", "/state/containerd.sock")),
    Process(5, ("/tools/cri/bin/containerd", "--config=/state/containerd/config.toml")),
    Process(6, ("/venv/bin/python", "-m", "tests.cluster.deviceplugin", "--gpus=/state/gpus")),
    Process(7, ("/tools/k8s/bin/kube-proxy", "--config=/state/kubelet")),
    Process(8, ("sh", "-c", "sleep 1; exec", "kube-scheduler")),
    Process(9, ("/tools/netpol/bin/cmd", "--hostname-override=node1")),
]


@pytest.mark.parametrize(
    ("name", "pid"),
    [
        ("etcd", 2),
        ("apiserver", 3),
        ("containerd", 5),
        ("device-plugin", 6),
        ("kube-proxy", 7),
        ("network-policies", 9),
        ("kubelet", None),
        ("scheduler", None),
        ("controller-manager", None),
    ],
)
def test_each_component_is_told_from_the_others(name: str, pid: int | None) -> None:
    found = running(name, NODE)
    assert (found.pid if found else None) == pid


def test_every_component_is_in_the_table_above() -> None:
    assert len(MARKS) == 9
