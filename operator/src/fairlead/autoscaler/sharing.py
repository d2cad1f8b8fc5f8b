"""GPUs that are scarce go to who has priority. Pure.

Kubernetes' scheduler places the pod of the highest priority first, and of equal ones the oldest. So a ModelDeployment does not
ask for more while another one of at least its priority waits for the same kind of GPU: it would only stand in line behind it,
or, with pods of equal priority, in front of a third that comes later and needs them more. It stands back for a while and not
for ever: what waits may want what no node has, such as eight GPUs where nodes have four, and must not hold up all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fairlead.reconciler.kinds import Key

Pool = tuple[str, frozenset[tuple[str, str]]]
"""Replicas that take the same GPUs: the resource, and the labels that its nodes must have."""


PATIENCE_SECONDS = 300.0
"""Others stand back for so long. Then they ask as well, and the scheduler serves the one of higher priority first."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one ModelDeployment wants of its pool."""

    key: Key
    pool: Pool
    priority: int
    """That of its pods."""
    raises: bool
    """It would ask for more."""
    short: bool
    """A pod of it waits, since no node has such a GPU free, and has not for too long."""


def refused(wishes: Iterable[Wish]) -> dict[Key, Wish]:
    """Those that must not ask for more now, each with the one that comes first."""
    first: dict[Pool, list[Wish]] = {}
    every = list(wishes)
    for wish in every:
        if wish.short:
            first.setdefault(wish.pool, []).append(wish)
    for waiting in first.values():
        waiting.sort(key=lambda wish: (-wish.priority, wish.key))
    found = {}
    for wish in every:
        others = [each for each in first.get(wish.pool, ()) if each.key != wish.key] if wish.raises else []
        if others and others[0].priority >= wish.priority:
            found[wish.key] = others[0]
    return found
