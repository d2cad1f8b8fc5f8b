"""Pictures of a benchmark, as SVG text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fairlead.autoscaler.simulator.picture import LIGHT, RED, Panel, Picture, steps
from tests.bench.autoscaler.runs import ORACLE, OURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.autoscaler.runs import Done

WIDTH, HEIGHT = 860, 380
LEFT, RIGHT, TOP, BOTTOM = 60, 170, 34, 44
COLOURS = (
    RED,
    "#7f7f7f",
    "#8c564b",
    "#e377c2",
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#9467bd",
    "#bcbd22",
    "#17becf",
    "#444444",
)


def frontier(title: str, done: Sequence[Done]) -> str:
    """Every setting of every policy: GPU-hours to the right, late first tokens upwards, on a logarithmic scale."""
    plot = Picture(title, WIDTH, HEIGHT)
    dearest = 2.2 * min(each.result.gpu_hours for each in done if each.run.policy == OURS)
    cheapest = 0.6 * min(each.result.gpu_hours for each in done if each.run.policy == OURS)

    def place(each: Done) -> tuple[float, float]:
        right = (each.result.gpu_hours - cheapest) / (dearest - cheapest)
        late = min(max(100 - each.result.attainment, 0.005), 50)
        up = (math.log10(late) - math.log10(0.005)) / 4
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    for late in (0.01, 0.1, 1.0, 10.0):
        y = HEIGHT - BOTTOM - (math.log10(late) - math.log10(0.005)) / 4 * (HEIGHT - TOP - BOTTOM)
        plot.line([(LEFT, y), (WIDTH - RIGHT, y)], "#ddd", 1)
        plot.text(LEFT - 6, y + 4, f"{late:g} %", anchor="end")
    step = 10 ** math.floor(math.log10(dearest - cheapest)) / 2
    tick = float(math.ceil(cheapest / step) * step)
    while tick <= dearest:
        x = LEFT + (tick - cheapest) / (dearest - cheapest) * (WIDTH - LEFT - RIGHT)
        plot.text(x, HEIGHT - BOTTOM + 16, f"{tick:g}", anchor="middle")
        tick += step
    plot.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "GPU-hours; upwards: first tokens later than 2 s", anchor="middle")
    for index, policy in enumerate(dict.fromkeys(each.run.policy for each in done)):
        colour = COLOURS[index % len(COLOURS)]
        inside = [each for each in done if each.run.policy == policy and cheapest <= each.result.gpu_hours <= dearest]
        points = [place(each) for each in sorted(inside, key=lambda each: each.run.knob)]
        if len(points) > 1:
            plot.line(points, colour, 1, dashed=policy == ORACLE)
        for x, y in points:
            plot.dot(x, y, colour, 6 if policy == OURS else 3)
        label = TOP + 14 + 18 * index
        plot.dot(WIDTH - RIGHT + 18, label - 4, colour, 6 if policy == OURS else 3)
        plot.text(WIDTH - RIGHT + 30, label, policy + ("" if points else " (outside)"))
    return plot.done()


BUCKETS = 360


def day(title: str, demand: Sequence[float], ours: Done, oracle: Done) -> str:
    """Replicas asked for over time above the work that there was (full replicas), and late first tokens below."""
    picture = Picture(title, 900, 400)
    seconds = float(len(demand))
    replicas = Panel(picture, 50, 220, seconds)
    most = max(moment.asked for each in (ours, oracle) for moment in each.moments)
    replicas.scale("replicas asked for", 0, most + 1)
    width = max(len(demand) // BUCKETS, 1)
    work = [(begin, sum(demand[begin : begin + width]) / width) for begin in range(0, len(demand) - width + 1, width)]
    replicas.draw(work, LIGHT)
    for row, (done, colour) in enumerate(((oracle, COLOURS[1]), (ours, RED))):
        asked = [(moment.time, float(moment.asked)) for moment in done.moments]
        replicas.draw([*steps(asked), (seconds, asked[-1][1])], colour, 1.5)
        replicas.label(row, done.run.policy, colour)
    replicas.label(2, "work", LIGHT)
    late = Panel(picture, 300, 60, seconds)
    late.scale("late first tokens of Fairlead per minute", 0, max(10, *ours.late))
    for minute, count in enumerate(ours.late):
        if count:
            late.draw([(60 * minute, 0), (60 * minute, count)], "#000")
    late.times()
    return picture.done()
