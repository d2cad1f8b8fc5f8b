"""Take the cluster down, whatever is left of it: afterwards no process, mount, namespace, link, cgroup or file stays."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.cluster import cgroups, network
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.locking import locked, remove_lock
from tests.cluster.progress import say
from tests.cluster.sandbox import BOUND, Sandbox


def down(layout: Layout) -> None:
    """Take the cluster down; say so if there was none.

    Raises:
        ClusterError: not root, or something cannot be removed.
    """
    if os.geteuid() != 0:
        raise ClusterError("Taking the cluster down needs root")
    start = time.monotonic()
    with locked(layout):
        Sandbox(layout).check_cache()
        there = layout.state.exists() or layout.netns.exists()
        clear(layout)
        remove_lock(layout)
    say(f"The cluster is down, after {time.monotonic() - start:.1f} s" if there else "No cluster was up")
    if os.environ.get("KUBECONFIG") == str(layout.kubeconfig):
        say("KUBECONFIG of this shell still names it: unset KUBECONFIG")


def clear(layout: Layout) -> None:
    """Remove all of it; each part is looked for by the clone's name or path, so that any half of a cluster will do.

    The pods are not drained: all processes end with the node's init, and what they had mounted was mounted for them alone.

    Raises:
        ClusterError: a process does not die, or a mount or namespace cannot be removed.
    """
    Sandbox(layout).destroy()
    network.remove(layout.name)
    cgroups.remove(layout.name)
    _unmount(layout.state)
    if layout.state.exists():
        shutil.rmtree(layout.state)
    # Another cluster's mount on such a folder would go with it. It makes its network first, under the same lock.
    with network.machine_lock():
        if not network.others(layout.name):
            for folder in BOUND:
                _remove_if_empty(Path(folder))


def mounted_below(folder: Path, mountinfo: str) -> list[Path]:
    """Mount points in a folder, the innermost first, from the text of /proc/self/mountinfo."""
    points = [Path(_unescaped(line.split()[4])) for line in mountinfo.splitlines()]
    return sorted((each for each in points if each.is_relative_to(folder)), key=lambda each: len(each.parts), reverse=True)


def _unmount(folder: Path) -> None:
    """What somebody mounted in there from outside: removing files must not reach into it."""
    for point in mounted_below(folder, Path("/proc/self/mountinfo").read_text()):
        done = subprocess.run(["umount", str(point)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"{point} cannot be unmounted: {done.stderr.strip()}")


def _unescaped(path: str) -> str:
    """The kernel writes blanks, tabs, line ends and backslashes as octal numbers."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
