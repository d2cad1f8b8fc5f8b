"""An observation, sorted: who serves, who can be read, whose GPU speaks for or against what the engine says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.autoscaler import load
from fairlead.autoscaler.observation import Phase, Quality
from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.value import value

if TYPE_CHECKING:
    from fairlead.autoscaler.load import Said
    from fairlead.autoscaler.observation import Observation, Replica

_STARTING, _READY = Phase.STARTING, Phase.READY
_WORST = {
    Quality.MISSING: Reason.METRICS_MISSING,
    Quality.INVALID: Reason.METRICS_INVALID,
    Quality.STALE: Reason.METRICS_STALE,
}


@value(frozen=True, slots=True)
class Seen:
    """The replicas of one observation, by what can be said of them."""

    asked: int
    at_once: int | None
    """Requests that a replica works on at once, if the spec says so."""
    ready: tuple[Replica, ...]
    readable: tuple[Said, ...]
    """Of those that serve: with fresh readings of the engine."""
    running: float
    waiting: float
    """Requests, of those that can be read."""
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
    readable: list[Said] = []
    unread: set[Quality] = set()
    starting: list[str] = []
    unschedulable: list[str] = []
    broken: list[str] = []
    contradicted: list[str] = []
    duties: list[float] = []
    terminating, running, waiting = 0, 0.0, 0.0
    for each in observation.replicas:
        phase = each.phase
        if phase is not _READY:
            if phase is _STARTING:
                (unschedulable if each.unschedulable else starting).append(each.name)
            else:
                terminating += 1
            continue
        ready.append(each)
        percent = load.duty(each, now)
        if percent is not None:
            duties.append(percent)
        said = load.said(each, now, percent)
        if isinstance(said, Quality):
            unread.add(said)
            continue
        readable.append(said)
        running += said.running
        waiting += said.waiting
        if percent is not None:
            if said.does_nothing:
                broken.append(each.name)
            elif said.contradicts:
                contradicted.append(each.name)
    return Seen(
        asked=observation.asked,
        at_once=observation.at_once,
        ready=tuple(ready),
        readable=tuple(readable),
        running=running,
        waiting=waiting,
        worst=next((_WORST[quality] for quality in _WORST if quality in unread), Reason.METRICS_MISSING),
        starting=tuple(starting),
        unschedulable=tuple(unschedulable),
        terminating=terminating,
        broken=tuple(broken),
        contradicted=tuple(contradicted),
        duty=sum(duties) / len(duties) if duties else None,
    )
