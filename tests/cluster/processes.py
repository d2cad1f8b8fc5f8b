"""What /proc says about processes, and ending one without ever hitting another that got its number."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.progress import wait_until

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process as it was when looked at."""

    pid: int
    argv: tuple[str, ...]

    def namespace(self, kind: str) -> int | None:
        """The inode that names its namespace of this kind (mnt, net, pid); None once it is gone."""
        try:
            return (_PROC / str(self.pid) / "ns" / kind).stat().st_ino
        except OSError:
            return None

    def memory_bytes(self) -> int:
        """Resident memory; 0 once it is gone."""
        try:
            status = (_PROC / str(self.pid) / "status").read_text()
        except OSError:
            return 0
        found = [line.split() for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(found[0][1]) * 1024 if found else 0

    def end(self, number: signal.Signals, *, seconds: float) -> None:
        """Send a signal and wait until the process is gone. One that is gone already, or is another by now, is left alone.

        Raises:
            ClusterError: it lives on after `seconds`.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # Looked at again only after the handle is open: from here on, the number cannot come to mean another.
            if read(self.pid) != self:
                return
            signal.pidfd_send_signal(handle, number)
            wait_until(f"The end of {self.argv[0]} (pid {self.pid})", lambda: _over(handle), seconds=seconds, every=0.02)
        except ProcessLookupError:
            return
        finally:
            os.close(handle)


def read(pid: int) -> Process | None:
    """The process with this number; None where there is none, or a kernel thread, or one that ended."""
    try:
        line = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    return Process(pid, tuple(line.decode(errors="replace").rstrip("\0").split("\0"))) if line else None


def find(wanted: Callable[[Process], bool]) -> list[Process]:
    """All processes that are wanted, in the order of their numbers."""
    return [process for process in _all() if wanted(process)]


def _all() -> Iterator[Process]:
    for pid in sorted(int(each.name) for each in _PROC.iterdir() if each.name.isdigit()):
        process = read(pid)
        if process is not None:
            yield process


def _over(handle: int) -> bool:
    """Has the process behind the handle ended? A handle is readable from then on, zombie or not."""
    return bool(select.select([handle], [], [], 0)[0])
