"""What the kernel still holds for clients: bytes of an answer that the sidecar has handed over and nobody has acknowledged.

The containers of a pod share a network namespace, so the sidecar's sockets are in this process's /proc/net/tcp, also those that
the sidecar has closed already. When the pod's last container ends, the namespace goes, and with it what is in them.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN: Final = "0A"
"""The state of a socket that listens; its queues count connections, not bytes. From include/net/tcp_states.h of Linux."""

logger = logging.getLogger(__name__)


def unacknowledged_bytes(port: int, tables: tuple[Path, ...] = TABLES) -> int:
    """Bytes on their way to clients of a local TCP port; 0 where the kernel has no such tables."""
    total = 0
    for table in tables:
        try:
            text = table.read_text(encoding="ascii")
        except OSError as error:
            logger.debug("no %s: %s", table, error.strerror)
            continue
        total += from_table(text, port)
    return total


def from_table(text: str, port: int) -> int:
    """The same from a text: a heading, then lines `sl local_address rem_address st tx_queue:rx_queue …`, in hexadecimal."""
    total = 0
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 4 and fields[1].endswith(f":{port:04X}") and fields[3] != _LISTEN:  # noqa: PLR2004
            total += int(fields[4].partition(":")[0], 16)
    return total
