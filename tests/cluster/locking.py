"""One command at a time changes a cluster."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tests.cluster.layout import Layout
from tests.cluster.progress import step


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Held by `up` and `down`; the kernel lets go of it when the process ends, however that comes."""
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with layout.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with step("Waiting for another command on this cluster"):
                    fcntl.flock(lock, fcntl.LOCK_EX)
            # Who held it may have removed the file, and another have made it anew: then this one locks nothing.
            if _is_at(lock, layout):
                yield
                return


def remove_lock(layout: Layout) -> None:
    """While it is held: its file is the last that stays of a cluster."""
    layout.lock.unlink(missing_ok=True)


def _is_at(lock: IO[str], layout: Layout) -> bool:
    try:
        there = layout.lock.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(lock.fileno()))
