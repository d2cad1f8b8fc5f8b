"""Everything that a clone's cluster has on a machine, found by the clone's name and path and by its namespaces."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.cluster.cgroups import ROOT as CGROUPS
from tests.cluster.layout import Layout
from tests.cluster.network import NETNS_FOLDER
from tests.cluster.sandbox import Sandbox

What = Literal["process", "mount", "network namespace", "link", "cgroup", "file"]

_PROC = Path("/proc")


@dataclass(frozen=True)
class Trace:
    what: What
    where: str


@dataclass(frozen=True)
class Namespaces:
    """Inodes that name a cluster's namespaces, its pods' included, as long as a process or a mount holds them."""

    inodes: frozenset[int]

    @classmethod
    def of(cls, layout: Layout) -> "Namespaces":
        """Those of every process that descends from the node's init, pods' sandboxes too.

        A machine's own namespaces, which these processes share (user, time …), are left out.
        """
        init = Sandbox(layout).init()
        assert init is not None, "the cluster is not up"
        family = {init.pid}
        while added := {pid for pid in _pids() if _parent(pid) in family} - family:
            family |= added
        ours = set(_namespaces(os.getpid()))
        return cls(frozenset(inode for pid in family for inode in _namespaces(pid)) - ours)


def traces(layout: Layout, namespaces: Namespaces) -> set[Trace]:
    """All of them; `namespaces` are the cluster's, from when it was up."""
    return {
        *_processes(layout, namespaces),
        *(
            Trace("mount", line.split()[4])
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if layout.name in line or str(layout.state) in line
        ),
        *(Trace("network namespace", str(each)) for each in _children(NETNS_FOLDER) if each.name == layout.name),
        *(Trace("link", name) for name in _links() if name == layout.name),
        *(Trace("cgroup", str(each)) for each in _cgroups(CGROUPS) if layout.name in each.parts),
        *(Trace("file", str(each)) for each in _children(layout.state.parent) if each.name.startswith(layout.digits)),
    }


def _processes(layout: Layout, namespaces: Namespaces) -> Iterator[Trace]:
    for pid in _pids():
        if pid == os.getpid():
            continue
        try:
            command = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if namespaces.inodes & set(_namespaces(pid)) or str(layout.state) in command:
            yield Trace("process", f"{pid} {command[:120]}")


def _pids() -> list[int]:
    return [int(each.name) for each in _PROC.iterdir() if each.name.isdigit()]


def _parent(pid: int) -> int:
    """0 once it is gone."""
    try:
        # "PID (COMMAND) STATE PARENT …", and the command may hold anything.
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _namespaces(pid: int) -> Iterator[int]:
    for each in _children(_PROC / str(pid) / "ns"):
        try:
            yield each.stat().st_ino
        except OSError:
            continue


def _links() -> list[str]:
    said = subprocess.run(["ip", "-json", "link", "show"], capture_output=True, text=True, check=True).stdout
    return [each["ifname"] for each in json.loads(said)]


def _cgroups(folder: Path) -> Iterator[Path]:
    """All of the machine's. They come and go while one looks."""
    for each in _children(folder):
        if each.is_dir() and not each.is_symlink():
            yield each
            yield from _cgroups(each)


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
