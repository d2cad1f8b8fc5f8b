"""The cgroup that holds the cluster's pods: /fl-<clone>, on machines with cgroup v1 (one per controller) and with v2."""

from collections.abc import Iterator
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.progress import wait_until

ROOT = Path("/sys/fs/cgroup")
#: What the kubelet asks of a v2 cgroup, as far as the kernel has it (hugetlb too).
_NEEDED = {"cpu", "cpuset", "memory", "pids", "hugetlb"}


def create(name: str, root: Path = ROOT) -> None:
    """Make the cgroup, with the controllers that the kubelet wants.

    Raises:
        ClusterError: the controllers cannot be handed down, as in a container that does not own its cgroups.
    """
    if is_unified(root):
        _hand_down(root)
    for hierarchy in _hierarchies(root):
        (hierarchy / name).mkdir(exist_ok=True)
    if is_unified(root):
        _hand_down(root / name)


def remove(name: str, root: Path = ROOT) -> None:
    """Remove the cgroup and all below it, once the kernel has noticed that their processes are gone.

    Raises:
        ClusterError: processes are still in there after ten seconds.
    """
    for hierarchy in _hierarchies(root):
        top = hierarchy / name
        wait_until(f"That {top} is empty", lambda top=top: _removed(top), seconds=10)  # type: ignore[misc]


def is_unified(root: Path = ROOT) -> bool:
    """Is this cgroup v2?"""
    return (root / "cgroup.controllers").exists()


def _hierarchies(root: Path) -> list[Path]:
    if is_unified(root):
        return [root]
    # The links are other names of controllers that share a hierarchy.
    return sorted(each for each in root.iterdir() if not each.is_symlink() and (each / "cgroup.procs").exists())


def _hand_down(cgroup: Path) -> None:
    wanted = _NEEDED & set((cgroup / "cgroup.controllers").read_text().split())
    missing = wanted - set((cgroup / "cgroup.subtree_control").read_text().split())
    if not missing:
        return
    try:
        (cgroup / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in sorted(missing)))
    except OSError as error:
        raise ClusterError(
            f"The cgroup controllers {', '.join(sorted(missing))} cannot be enabled in {cgroup} ({error.strerror}): "
            "in a container, start it with its own cgroup namespace and no process in the top cgroup"
        ) from error


def _removed(top: Path) -> bool:
    try:
        for each in _depth_first(top):
            each.rmdir()
    except FileNotFoundError:
        return not top.exists()
    except OSError:
        return False
    return True


def _depth_first(top: Path) -> Iterator[Path]:
    for each in top.iterdir():
        if each.is_dir():
            yield from _depth_first(each)
    yield top
