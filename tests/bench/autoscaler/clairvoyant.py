"""A reference that knows the future: what could be had at the price of an oracle. It is a good plan, not a proven optimum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairlead.autoscaler.simulator.engine import Model
    from fairlead.autoscaler.simulator.fleet import View
    from fairlead.autoscaler.simulator.trace import Trace

WINDOW = 20
"""Seconds over which work is averaged: longer ones hide bursts that a queue of two seconds feels."""


def work(model: Model, traffic: Trace) -> list[float]:
    """Replicas that would be busy with nothing but the requests' own share of steps, for each second."""
    seconds = [0.0] * (int(traffic.seconds) + 1)
    for at, prompt, output in zip(traffic.arrival, traffic.prompt, traffic.output, strict=True):
        seconds[int(at)] += prompt * model.step_prefill + output * model.step_decode
    total, averaged = 0.0, []
    for second, new in enumerate(seconds):
        total += new - (seconds[second - WINDOW] if second >= WINDOW else 0.0)
        averaged.append(total / min(second + 1, WINDOW))
    return averaged


def needed(demand: list[float], utilization: float, cold_start: float) -> list[int]:
    """Replicas that should be ready in each second, so that none is busier than `utilization`.

    A replica is kept over a dip that is shorter than a start or two minutes: to buy it again would take as long, and one that
    goes holds its GPU until its last answer is out.
    """
    replicas = [max(math.ceil(each / utilization), 1) for each in demand]
    # A dip is filled with the greatest of the seconds before or of those after, whichever is less.
    span = int(max(cold_start, 120.0))
    before, after = _greatest(replicas, span), _greatest(replicas[::-1], span)[::-1]
    return [min(left, right) for left, right in zip(before, after, strict=True)]


def _greatest(values: list[int], span: int) -> list[int]:
    """The greatest of each value and the `span` values before it."""
    queue: list[int] = []
    head, found = 0, []
    for index, value in enumerate(values):
        while len(queue) > head and values[queue[-1]] <= value:
            queue.pop()
        queue.append(index)
        if queue[head] < index - span:
            head += 1
        found.append(values[queue[head]])
    return found


class Clairvoyant:
    """Asks for a replica one start (and a tenth, for starts vary) before it is needed."""

    def __init__(self, demand: list[float], utilization: float, cold_start: float) -> None:
        """Take `work` of the traffic that will come."""
        self._needed = needed(demand, utilization, cold_start)
        self._ahead = math.ceil(cold_start * 1.1) + 2

    def start(self) -> int:
        """Replicas with which to begin."""
        return max(self._needed[: self._ahead + 1])

    def decide(self, view: View) -> int:
        """The most that will be needed between now and when a new replica could serve."""
        now = int(view.now)
        coming = self._needed[now : now + self._ahead + 1]
        return max(coming) if coming else view.target
