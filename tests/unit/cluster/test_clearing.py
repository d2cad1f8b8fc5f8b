import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster import cgroups
from tests.cluster.down import mounted_below
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.progress import wait_until
from tests.cluster.sandbox import Sandbox

MOUNTINFO = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /cache/clusters/abc/tmp rw - tmpfs tmpfs rw
31 30 0:26 / /cache/clusters/abc/tmp/a\040b rw - tmpfs tmpfs rw
32 22 0:27 / /cache/clusters/abcd rw - tmpfs tmpfs rw
33 22 0:28 / /proc rw - proc proc rw
"""


def test_mounts_in_a_folder_are_found_innermost_first() -> None:
    assert mounted_below(Path("/cache/clusters/abc"), MOUNTINFO) == [
        Path("/cache/clusters/abc/tmp/a b"),
        Path("/cache/clusters/abc/tmp"),
    ]


def test_nothing_is_mounted_in_another_folder() -> None:
    assert mounted_below(Path("/home"), MOUNTINFO) == []


def v1(root: Path) -> Path:
    """One hierarchy per controller, a second name of one, and a file."""
    for name in ("cpu,cpuacct", "memory", "unified"):
        (root / name).mkdir()
        (root / name / "cgroup.procs").touch()
    (root / "cpu").symlink_to(root / "cpu,cpuacct")
    return root


def test_a_v1_machine_gets_the_cgroup_in_each_hierarchy(tmp_path: Path) -> None:
    root = v1(tmp_path)
    cgroups.create("fl-abc", root)
    assert not cgroups.is_unified(root)
    assert sorted(str(each.relative_to(root)) for each in root.glob("[!.]*/fl-abc") if not each.parent.is_symlink()) == [
        "cpu,cpuacct/fl-abc",
        "memory/fl-abc",
        "unified/fl-abc",
    ]


def test_the_cgroup_goes_with_all_below_it_and_nothing_else(tmp_path: Path) -> None:
    root = v1(tmp_path)
    cgroups.create("fl-abc", root)
    cgroups.create("fl-abd", root)
    (root / "memory/fl-abc/kubepods/besteffort/pod1").mkdir(parents=True)
    cgroups.remove("fl-abc", root)
    assert not list(root.glob("*/fl-abc"))
    assert (root / "memory/fl-abd").exists()
    cgroups.remove("fl-abc", root)


def test_a_v2_machine_hands_the_controllers_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids rdma\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    # What the kernel makes in a new cgroup.
    (tmp_path / "fl-abc").mkdir()
    (tmp_path / "fl-abc/cgroup.controllers").write_text("cpuset cpu memory pids\n")
    (tmp_path / "fl-abc/cgroup.subtree_control").write_text("\n")
    cgroups.create("fl-abc", tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset +pids"
    assert (tmp_path / "fl-abc/cgroup.subtree_control").read_text() == "+cpu +cpuset +memory +pids"


def test_controllers_that_cannot_be_handed_down_are_named(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    # Can be read and not written, root or not: as where the kernel answers EBUSY, with processes in the cgroup.
    (tmp_path / "cgroup.subtree_control").symlink_to("/proc/self/wchan")
    with pytest.raises(ClusterError, match="cpu, memory"):
        cgroups.create("fl-abc", tmp_path)


@pytest.mark.parametrize("cache", ["/run/cache", "/var/log", "/var/lib/kubelet/cache"])
def test_a_cache_that_the_node_could_not_see_is_refused(cache: str) -> None:
    with pytest.raises(ClusterError, match="set FAIRLEAD_CACHE"):
        Sandbox(Layout(Path(cache), Path("/clone"))).create(Path("/init"))


def test_a_cluster_of_the_same_clone_in_another_cache_is_not_touched(tmp_path: Path) -> None:
    mine, other = (Layout(tmp_path / cache, Path("/clone")) for cache in ("mine", "other"))
    program = Sandbox(other).init_program
    Sandbox(mine).check_cache()
    with subprocess.Popen([str(program)], executable=shutil.which("cat"), stdin=subprocess.PIPE) as process:
        wait_until("its start", lambda: Sandbox(other).init() is not None, seconds=10)
        Sandbox(other).check_cache()
        with pytest.raises(ClusterError, match=f"FAIRLEAD_CACHE={other.cache}"):
            Sandbox(mine).check_cache()
        process.kill()
