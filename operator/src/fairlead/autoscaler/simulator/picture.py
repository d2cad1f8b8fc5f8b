"""Pictures as SVG text: axes and lines, and what a replay has to show."""

from __future__ import annotations

import math
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from fairlead.autoscaler.simulator.play import FIRST_TOKEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead.autoscaler.simulator.play import Played
    from fairlead.autoscaler.simulator.trace import Trace

RED, BLUE, GREY, LIGHT = "#d62728", "#1f77b4", "#7f7f7f", "#9bbfe0"
Point = tuple[float, float]


class Picture:
    """Coordinates are pixels."""

    def __init__(self, title: str, width: int, height: int) -> None:
        """A white sheet."""
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]
        self.text(60, 20, title, weight="bold")

    def text(self, x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal", fill: str = "#222") -> None:
        """Words."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">{escape(words)}</text>'
        )

    def line(self, points: Sequence[Point], colour: str, width: float = 1.5, *, dashed: bool = False) -> None:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>')

    def dot(self, x: float, y: float, colour: str, radius: float) -> None:
        """A dot."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def done(self) -> str:
        """The SVG."""
        return "\n".join([*self._parts, "</svg>", ""])


def steps(points: Sequence[Point]) -> list[Point]:
    """Corners of a line that keeps each value until the next; points where nothing changes are left out."""
    corners = list(points[:1])
    for (_, before), (x, value) in pairwise(points):
        if value != before:
            corners += [(x, before), (x, value)]
    return [*corners, points[-1]] if points else []


class Panel:
    """One of several diagrams above each other, with time to the right."""

    def __init__(self, picture: Picture, top: float, height: float, seconds: float) -> None:
        """Where it is, and how long it lasts."""
        self._picture, self._top, self._height, self._seconds = picture, top, height, seconds
        self._low, self._high, self._log = 0.0, 1.0, False

    def scale(self, name: str, low: float, high: float, *, unit: str = "", log: bool = False) -> None:
        """The upward axis, from `low` to `high`, with a few marks."""
        self._low, self._high, self._log = low, high, log
        self._picture.text(_LEFT, self._top - 6, name, fill="#555")
        if log:
            marks = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
        else:
            step = next(
                each for each in (10.0**power * part for power in range(9) for part in (1, 2, 5)) if high / each <= _MARKS
            )
            marks = [step * index for index in range(int(high / step) + 1)]
        for mark in marks:
            y = self._y(mark)
            self._picture.line([(_LEFT, y), (_WIDTH - _RIGHT, y)], "#e5e5e5", 1)
            self._picture.text(_LEFT - 6, y + 4, f"{mark:g}{unit}", anchor="end")

    def times(self) -> None:
        """Marks of the axis to the right."""
        lengths = (60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600)
        mark = next((each for each in lengths if self._seconds / each <= 2 * _MARKS), lengths[-1])
        for second in range(0, int(self._seconds) + 1, mark):
            words = f"{second // 3600}:{second % 3600 // 60:02d}"
            self._picture.text(self._x(second), self._top + self._height + 16, words, anchor="middle")

    def draw(self, points: Sequence[Point], colour: str, width: float = 1.0, *, dashed: bool = False) -> None:
        """A line through (second, value)."""
        self._picture.line([(self._x(x), self._y(y)) for x, y in points], colour, width, dashed=dashed)

    def label(self, row: int, words: str, colour: str) -> None:
        """Beside it, what a line is."""
        self._picture.text(_WIDTH - _RIGHT + 10, self._top + 12 + 18 * row, words, fill=colour)

    def _x(self, second: float) -> float:
        return _LEFT + second / self._seconds * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        shown = min(max(value, self._low), self._high)
        if self._log:
            share = math.log(shown / self._low) / math.log(self._high / self._low)
        else:
            share = (shown - self._low) / (self._high - self._low)
        return self._top + self._height * (1 - share)


_WIDTH, _LEFT, _RIGHT = 900, 60, 120
_MARKS = 5
"""On an axis, at most; to the right there is room for twice as many."""
_BUCKETS = 360
"""Points of a line: more than a screen shows make a picture larger and no clearer."""


def replay(title: str, traffic: Trace, played: Played) -> str:
    """Replicas, queue and first-token time over time."""
    picture = Picture(title, _WIDTH, 520)
    moments, seconds = played.moments, traffic.seconds
    replicas = Panel(picture, 50, 130, seconds)
    replicas.scale("replicas", 0, max(max(each.asked, each.ready) for each in moments) + 1)
    asked = [(each.time, float(each.asked)) for each in moments]
    ready = [(each.time, float(each.ready)) for each in moments]
    replicas.draw([*steps(asked), (seconds, asked[-1][1])], RED, 1.5)
    replicas.draw([*steps(ready), (seconds, ready[-1][1])], BLUE)
    replicas.label(0, "asked for", RED)
    replicas.label(1, "ready", BLUE)
    queue = Panel(picture, 210, 110, seconds)
    queue.scale("requests that wait in engines", 0, max(10.0, *(each.waiting for each in moments)))
    queue.draw([(each.time, each.waiting) for each in moments], BLUE)
    first = Panel(picture, 350, 130, seconds)
    medians, worst = _first_tokens(traffic, played)
    highest = max([10.0, *(waited for _, waited in worst)])
    first.scale("first-token time", 0.1, 10 ** math.ceil(math.log10(highest)), unit=" s", log=True)
    first.draw([(0, FIRST_TOKEN), (seconds, FIRST_TOKEN)], GREY, dashed=True)
    first.draw(worst, RED)
    first.draw(medians, BLUE)
    first.label(0, "p99", RED)
    first.label(1, "median", BLUE)
    first.label(2, f"{FIRST_TOKEN:g} s", GREY)
    first.times()
    return picture.done()


def _first_tokens(traffic: Trace, played: Played) -> tuple[list[Point], list[Point]]:
    """Median and p99 of the requests that came in each bucket; who never got a token has waited until the end."""
    width = traffic.seconds / _BUCKETS
    buckets: list[list[float]] = [[] for _ in range(_BUCKETS)]
    for at, waited in zip(traffic.arrival, played.first, strict=True):
        buckets[min(int(at / width), _BUCKETS - 1)].append(waited if waited >= 0 else traffic.seconds - at)
    medians, worst = [], []
    for index, values in enumerate(buckets):
        if values:
            values.sort()
            medians.append(((index + 0.5) * width, values[len(values) // 2]))
            worst.append(((index + 0.5) * width, values[min(int(0.99 * len(values)), len(values) - 1)]))
    return medians, worst
