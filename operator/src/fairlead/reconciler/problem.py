"""Why something is not as it should be: a reason out of the list of conditions, and a message for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fairlead.api.conditions import Reason


class Problem(NamedTuple):
    """One thing that is wrong."""

    reason: Reason
    message: str


def bounded(text: str, limit: int = 400) -> str:
    """Words from elsewhere, on one line and no longer than that many characters. 400 hold any of the scheduler's sentences."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
