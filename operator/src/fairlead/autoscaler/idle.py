"""How fast a request would be on an idle engine, from engines that are never idle.

Each step of an engine gives a token to every request in it, and takes the longer the more there are: a part that is always there,
and a part for each. So the seconds between two tokens lie on a straight line over the requests, and where it begins is the idle
engine. Without it the fastest that was ever seen would be taken for idle: too slow by a fifth where nights are busy, and on ten
replicas with little to do that is two full ones that nobody sees.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fairlead.autoscaler.value import value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fairlead.autoscaler.load import Load

FORGET_SECONDS = 3600.0
"""The mix of prompts and answers changes over the day, and the line with it."""
LEAST_SECONDS = 1200.0
"""So many seconds of a replica must have been seen, all replicas together."""
LEAST_SPREAD = 0.2
"""The requests must have varied by so much of their mean: of one point no line can be drawn."""


@value(frozen=True, slots=True)
class Line:
    """Sums of a weighted least-squares fit: of weights, requests, seconds per token, and their products."""

    weight: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def add(self, loads: Iterable[Load], seconds: float) -> Line:
        """With replicas as they were heard just now."""
        keep = math.exp(-seconds / FORGET_SECONDS)
        weight, x, y, xx, xy = keep * self.weight, keep * self.x, keep * self.y, keep * self.xx, keep * self.xy
        for load in loads:
            if load.waiting or load.new or not load.token_rate:
                continue
            requests, gap = load.running, load.running / load.token_rate
            weight += seconds
            x += seconds * requests
            y += seconds * gap
            xx += seconds * requests * requests
            xy += seconds * requests * gap
        return Line(weight, x, y, xx, xy)

    @property
    def speed(self) -> float | None:
        """Tokens per second of a request on an idle engine; None while too little was seen."""
        spread = self.weight * self.xx - self.x**2
        if self.weight < LEAST_SECONDS or spread < (LEAST_SPREAD * self.x) ** 2:
            return None
        gap = (self.y * self.xx - self.x * self.xy) / spread
        return 1 / gap if gap > 0 else None
