"""The container's termination message: what `kubectl describe pod` shows of a container that ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: The kubelet keeps this many bytes of the file (kubelet: MaxContainerTerminationMessageLength).
MOST_BYTES = 4096

logger = logging.getLogger(__name__)


def render(why: str, last_lines: Sequence[str]) -> str:
    """Why it ended first, then as many of the engine's last lines as fit, the newest at the end. At most MOST_BYTES of UTF-8."""
    head = _cut(why, MOST_BYTES)
    kept: list[str] = []
    room = MOST_BYTES - len(head.encode())
    for line in reversed(last_lines):
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join([head, *reversed(kept)])


def write(path: Path, why: str, last_lines: Sequence[str] = ()) -> None:
    """Writes the file. That it cannot be written is logged and ends nothing: the exit code still tells the kubelet."""
    try:
        path.write_text(render(why, last_lines), encoding="utf-8")
    except OSError as error:
        logger.warning("no termination message: %s", error)


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
