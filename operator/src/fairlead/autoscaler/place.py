"""Where a replica is found."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A pod."""

    namespace: str
    pod: str
