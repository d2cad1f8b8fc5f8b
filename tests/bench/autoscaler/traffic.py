"""What users send: a seeded synthetic day, and recorded traces out of a folder."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead.autoscaler.simulator.trace import Trace, read, repeated, trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fairlead.autoscaler.simulator.trace import Request

DAY = 86400.0
PEAK = 60.0
"""Requests per second in the middle of a synthetic day without surges."""


def synthetic_rate(seed: int, seconds: float, peak: float) -> list[float]:
    """Requests per second, for each second.

    A day's shape (it begins in the night, at a quarter of the peak), a slow wander (15 %, 20 minutes), and eight surges a day
    that come up within half a minute to ten minutes, last 5 to 40 minutes and add 20 % to 120 %. Production traffic has all
    three: BurstGPT (arXiv 2401.17644, section 3) and ServeGen (arXiv 2505.09999, section 3).
    """
    dice = random.Random(seed)
    surges = []
    for _ in range(max(round(8 * seconds / DAY), 1)):
        rise = math.exp(dice.uniform(math.log(30), math.log(600)))
        surges.append((dice.uniform(0, seconds), rise, dice.uniform(300, 2400), dice.uniform(0.2, 1.2)))
    wander, rates = 0.0, []
    keep = math.exp(-1 / 1200)
    push = 0.15 * math.sqrt(1 - keep * keep)
    for second in range(int(seconds)):
        wander = wander * keep + dice.gauss(0, push)
        share = 0.625 - 0.375 * math.cos(2 * math.pi * second / DAY)
        extra = 0.0
        for start, rise, last, height in surges:
            into = second - start
            if 0 < into < rise + last:
                extra += height * min(into / rise, 1.0)
        rates.append(peak / 1.6 * share * math.exp(wander) * (1 + extra))
    return rates


def synthetic(seed: int, seconds: float = DAY, peak: float = PEAK) -> Trace:
    """A day of a chat with documents: prompts log-normal (median 700 tokens), answers exponential (mean 250 tokens).

    The shapes are ServeGen's findings for language models (arXiv 2505.09999, section 3.2). Arrivals are burstier than Poisson:
    the rate of each second is drawn from a gamma distribution with a coefficient of variation of 0.5.
    """
    dice = random.Random(seed + 1_000_000)

    def requests() -> Iterator[Request]:
        for second, rate in enumerate(synthetic_rate(seed, seconds, peak)):
            at = second + 0.0
            drawn = rate * dice.gammavariate(4, 0.25)
            while True:
                at += dice.expovariate(drawn) if drawn > 0 else 1.0
                if at >= second + 1:
                    break
                yield at, min(int(dice.lognormvariate(math.log(700), 1.0)), 8_000), min(int(dice.expovariate(1 / 250)), 2000)

    return trace(f"synthetic day, seed {seed}", requests(), seconds)


def part(whole: Trace, begin: float, end: float) -> Trace:
    """What came from `begin` on and before `end`."""
    rows = zip(whole.arrival, whole.prompt, whole.output, strict=True)
    return trace(whole.name, ((at - begin, prompt, output) for at, prompt, output in rows if begin <= at < end), end - begin)


def half(whole: Trace, which: int) -> Trace:
    """The first (0) or the second (1) half of a trace, by time."""
    middle = whole.seconds / 2
    cut = part(whole, 0.0, middle) if which == 0 else part(whole, middle, whole.seconds)
    return replace(cut, name=f"{whole.name}, {'first' if which == 0 else 'second'} half")


RECORDED = (
    ("AzureLLMInferenceTrace_conv.csv", "Azure conversation", 12, 3480.0),
    ("servegen_mlarge_1d_x0.1_seed1.csv.xz", "ServeGen m-large", 2, DAY),
)
"""File, name, how many times the recorded rate (so that several replicas have work), and seconds of it. Azure LLM inference
trace 2023, conversation: Azure/AzurePublicDataset, CC-BY 4.0. A day made with ServeGen's m-large profile: alibaba/ServeGen,
Apache-2.0."""


def recorded(folder: Path) -> list[Trace]:
    """The traces that the folder has, whole.

    Raises:
        SystemExit: it has none.
    """
    found = []
    for file, name, times, seconds in RECORDED:
        if (folder / file).exists():
            whole = repeated(part(read(folder / file), 0.0, seconds), times)
            found.append(replace(whole, name=f"{name} x{times}"))
    if not found:
        raise SystemExit(f"no trace in {folder}: it should have {' or '.join(each[0] for each in RECORDED)}")
    return found
