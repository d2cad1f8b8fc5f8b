"""One command at a time changes a cluster."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.layout import Layout
from tests.cluster.progress import step


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Held by `up` and `down`; the kernel lets go of it when the process ends, however that comes."""
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("Waiting for another command on this cluster"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
