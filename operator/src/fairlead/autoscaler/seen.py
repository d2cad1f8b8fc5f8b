"""An observation, sorted: who serves, who can be read, whose GPU speaks for or against what the engine says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.autoscaler import load
from fairlead.autoscaler.observation import FRESH, Phase, Quality
from fairlead.autoscaler.reasons import Reason

if TYPE_CHECKING:
    from fairlead.autoscaler.observation import Observation, Replica

_STARTING, _READY = Phase.STARTING, Phase.READY
_WORST = {
    Quality.MISSING: Reason.METRICS_MISSING,
    Quality.INVALID: Reason.METRICS_INVALID,
    Quality.STALE: Reason.METRICS_STALE,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """The replicas of one observation, by what can be said of them."""

    now: float
    asked: int
    at_once: int | None
    """Requests that a replica works on at once, if the spec says so."""
    ready: tuple[Replica, ...]
    readable: tuple[Replica, ...]
    """Of those that serve: with fresh readings of the engine."""
    worst: Reason
    """Why the others cannot be read."""
    starting: tuple[str, ...]
    """Those that a node has taken."""
    unschedulable: tuple[str, ...]
    terminating: int
    broken: tuple[str, ...]
    """Requests wait there, and the GPU does nothing."""
    contradicted: tuple[str, ...]
    """No request there, and the GPU is busy."""
    duty: float | None
    """Percent, the mean of those that serve."""

    @property
    def healthy(self) -> int:
        """Replicas that serve and are not broken, as far as is known."""
        return len(self.ready) - len(self.broken)


def see(observation: Observation) -> Seen:
    """Sort it."""
    now = observation.now
    ready: list[Replica] = []
    readable: list[Replica] = []
    unread: set[Quality] = set()
    names: dict[str, list[str]] = {"starting": [], "unschedulable": [], "broken": [], "contradicted": []}
    duties: list[float] = []
    terminating = 0
    for each in observation.replicas:
        phase = each.phase
        if phase is not _READY:
            if phase is _STARTING:
                names["unschedulable" if each.unschedulable else "starting"].append(each.name)
            else:
                terminating += 1
            continue
        ready.append(each)
        percent = load.duty(each, now)
        if percent is not None:
            duties.append(percent)
        worth = load.of_engine(each, now)
        if worth is not FRESH:
            unread.add(worth)
            continue
        readable.append(each)
        if load.does_nothing(each, percent):
            names["broken"].append(each.name)
        elif load.contradicts(each, percent):
            names["contradicted"].append(each.name)
    return Seen(
        now=now,
        asked=observation.asked,
        at_once=observation.at_once,
        ready=tuple(ready),
        readable=tuple(readable),
        worst=next((_WORST[quality] for quality in _WORST if quality in unread), Reason.METRICS_MISSING),
        starting=tuple(names["starting"]),
        unschedulable=tuple(names["unschedulable"]),
        terminating=terminating,
        broken=tuple(names["broken"]),
        contradicted=tuple(names["contradicted"]),
        duty=sum(duties) / len(duties) if duties else None,
    )
