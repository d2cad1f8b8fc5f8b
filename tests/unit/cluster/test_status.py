from pathlib import Path
from typing import Any

import pytest

from tests.cluster import status
from tests.cluster.__main__ import parser
from tests.cluster.access import Cluster
from tests.cluster.debian import Need, missing
from tests.cluster.layout import Layout


def test_the_table_shows_what_runs_and_what_does_not() -> None:
    lines = status.table([status.Row("etcd", 12, 40 << 20), status.Row("kubelet", None, 0)]).splitlines()
    assert [line.split() for line in lines] == [
        ["component", "pid", "memory"],
        ["etcd", "12", "40", "MiB"],
        ["kubelet", "-", "not", "running"],
    ]


@pytest.mark.parametrize(
    ("phases", "expected"),
    [(None, "unknown"), ([], "none"), (["Running", "Pending", "Running"], "1 Pending, 2 Running"), ([None], "1 Unknown")],
)
def test_pods_are_counted_by_phase(phases: list[str | None] | None, expected: str) -> None:
    pods: dict[str, Any] | None = None
    if phases is not None:
        pods = {"items": [{"status": {"phase": phase}} if phase else {} for phase in phases]}
    assert status.pods_line(pods) == expected


def test_the_node_is_told_in_words() -> None:
    found = {"status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"nvidia.com/gpu": "5"}}}
    assert status.node_line(found) == "ready, 5 GPUs allocatable"
    assert status.node_line({"status": {}}) == "NOT ready, 0 GPUs allocatable"
    assert status.node_line(None).startswith("unknown")


def test_without_a_cluster_the_status_says_how_to_start_one(tmp_path: Path) -> None:
    layout = Layout(tmp_path, Path("/clone"))
    text, whole = status.status(layout)
    assert not whole
    assert "make cluster-up" in text
    assert Cluster.find(layout) is None


def test_a_state_folder_without_processes_is_not_a_cluster(tmp_path: Path) -> None:
    layout = Layout(tmp_path, Path("/clone"))
    layout.state.mkdir(parents=True)
    (layout.state / "cluster.json").write_text('{"node_address": "198.18.0.2", "bin_dirs": []}')
    assert Cluster.find(layout) is None
    text, whole = status.status(layout)
    assert not whole
    assert text.count("not running") == 9


@pytest.mark.parametrize("gpus", ["0", "65", "five"])
def test_a_wrong_number_of_gpus_is_refused(gpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["up", "--gpus", gpus])
    assert ended.value.code == 2
    assert "--gpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sign", "there"), [("sh", True), ("no-such-program-here", False), ("/bin/s[h]", True), ("/no/such/*", False)]
)
def test_a_package_is_known_by_a_program_or_a_file(sign: str, there: bool) -> None:  # noqa: FBT001
    need = Need("package", sign, "a test")
    assert missing((need,)) == ([] if there else [need])
