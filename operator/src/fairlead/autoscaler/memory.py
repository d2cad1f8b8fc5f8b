"""What a decision leaves for the next one. Nothing in it is a time of the outer clock but the token counts' own."""

from __future__ import annotations

from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from fairlead.autoscaler.capacity import Capacity
from fairlead.autoscaler.clock import Clock
from fairlead.autoscaler.demand import History
from fairlead.autoscaler.overload import Overload
from fairlead.autoscaler.value import value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fairlead.autoscaler.load import Load


NONE: Mapping[Any, Any] = MappingProxyType({})
"""Empty, and nobody can change it."""


class Regret(NamedTuple):
    """A step down that had to be undone."""

    peak: float
    """The greatest demand of the quiet window before it."""
    until: float
    """It is not tried again before, at such a demand."""
    times: int
    """So often, as far as is remembered."""


@value(frozen=True, slots=True)
class Memory:
    """Empty at first. `capacity` and `cold_start` are worth keeping over a restart; the rest is learned in minutes.

    Times are seconds watched (Clock.elapsed).
    """

    clock: Clock = field(default_factory=Clock)
    loads: Mapping[str, Load] = field(default_factory=dict)
    """By name of the replica."""
    starting: Mapping[str, float] = field(default_factory=dict)
    """When a replica was first seen to start."""
    returning: frozenset[str] = frozenset()
    """Those of them that have served before, and are not ready for a while: how long that lasts is no measure of a start."""
    cold_start: float | None = None
    """Seconds from the first sight of a replica until it served: the longest lately."""
    capacity: Capacity = field(default_factory=Capacity)
    history: History = field(default_factory=History)
    level: float | None = None
    """Demand, smoothed over LEVEL_SECONDS: what a step down is judged by, and what the history holds."""
    surge: float = 0.0
    """Demand as of the last look, and what it takes to work off the queue."""
    overload: Overload = field(default_factory=Overload)
    raised: float | None = None
    lowered: float | None = None
    """When replicas were last added and taken away."""
    lowered_at_peak: float = 0.0
    """The greatest demand of the quiet window then."""
    regrets: Mapping[int, Regret] = field(default_factory=dict)
    """By the number of replicas that a step down had to go back to."""
