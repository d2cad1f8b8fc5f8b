"""The simulator against a running vLLM: first-token times at four loads, measured and simulated for the same requests.

    python -m tests.bench.autoscaler.validate http://127.0.0.1:8000 [--seconds 120] [--max-running 256] [--step-tokens 2048]
        [--save FILE]

First the constants of a step are fitted to the engine at hand: prompts of several lengths alone, and answers of several requests
at once. Then requests arrive at random at a quarter, half, three quarters and nine tenths of what a burst of requests came
through with, and the simulator plays the same arrivals. Exit status 1: a p50 or p99 is off by more than a quarter. Nothing else
may use the engine or its processor meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from array import array
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import yaml

from fairlead.autoscaler.simulator.engine import Engines, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

LOADS = (0.25, 0.5, 0.75, 0.9)
"""Shares of what came through in a burst."""
WITHIN = 0.25
"""A percentile may be off by so much."""
PROMPTS = (8, 64, 128, 256, 512)
ALONGSIDE = (1, 2, 4, 8, 16)
ANSWER = 64
REPEATS = 5


@dataclass(frozen=True)
class Timed:
    """One request as its client saw it, in seconds from its start."""

    first: float
    last: float
    tokens: int


class Client:
    """Asks an engine for tokens of made-up prompts."""

    def __init__(self, session: aiohttp.ClientSession, url: str, model: str) -> None:
        """Take a session; the model's name is the engine's."""
        self._session, self._url, self._model = session, url.rstrip("/"), model
        self._dice = random.Random(11)

    async def ask(self, prompt: int, answer: int) -> Timed:
        """Stream an answer of exactly that length to a prompt of that many tokens.

        Raises:
            aiohttp.ClientResponseError: the engine refused.
        """
        body = {
            "model": self._model,
            # Token ids: a prompt of words would have a length that only the engine's tokenizer knows.
            "prompt": [self._dice.randrange(10, 200) for _ in range(prompt)],
            "max_tokens": answer,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
        }
        began = time.monotonic()
        async with self._session.post(f"{self._url}/v1/completions", json=body) as response:
            response.raise_for_status()
            times = [time.monotonic() - began async for line in response.content if line.startswith(b"data: {")]
        return Timed(times[0], times[-1], answer)


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope of a straight line through points, by least squares; neither is negative."""
    slope, intercept = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return max(intercept, 0.0), max(slope, 0.0)


def fit(
    alone: Sequence[tuple[float, float]], together: Sequence[tuple[float, float]], kv_tokens: int, running: int, tokens: int
) -> Model:
    """The constants of a step.

    Args:
        alone: prompt tokens and seconds to the first token, of requests that were alone.
        together: requests at once and seconds between two tokens of each.
        kv_tokens: the engine's KV cache.
        running: requests that it takes at once.
        tokens: that one step may compute.
    """
    base, decode = line(together)
    first, prefill = line(alone)
    return Model("fitted", base, prefill, decode, max(first - base, 0.0), 0.0, kv_tokens, running, tokens)


def simulated(model: Model, arrivals: Sequence[tuple[float, int, int]]) -> list[float]:
    """First-token times of the same requests in the simulator."""
    at, prompts, answers = zip(*arrivals, strict=True)
    engines = Engines(model, array("d", at), array("i", prompts), array("i", answers))
    engines.open(0, 0.0)
    engines.advance(arrivals[-1][0] + 3600)
    return engines.close()


def percentile(values: Sequence[float], share: float) -> float:
    """Of so many values, the one below which that share lies."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


async def _calibrate(client: Client, kv_tokens: int, running: int, tokens: int) -> Model:
    await client.ask(16, ANSWER)
    alone = [(float(prompt), (await client.ask(prompt, 2)).first) for prompt in PROMPTS for _ in range(REPEATS)]
    together = []
    for count in [count for count in ALONGSIDE if count <= running]:
        answers = await asyncio.gather(*(client.ask(8, ANSWER) for _ in range(count)))
        together.append((float(count), statistics.median((each.last - each.first) / (each.tokens - 1) for each in answers)))
    return fit(alone, together, kv_tokens, running, tokens)


def _size(dice: random.Random) -> tuple[int, int]:
    return min(int(dice.lognormvariate(4.5, 0.8)) + 1, 512), min(int(dice.expovariate(1 / 48)) + 1, 256)


async def _burst(client: Client) -> float:
    """Requests per second that came through when there were always enough."""
    dice = random.Random(5)
    began = time.monotonic()
    sizes = [_size(dice) for _ in range(200)]
    await asyncio.gather(*(client.ask(*size) for size in sizes))
    return len(sizes) / (time.monotonic() - began)


async def _measure(client: Client, arrivals: Sequence[tuple[float, int, int]]) -> list[float]:
    began = time.monotonic()

    async def one(at: float, prompt: int, answer: int) -> float:
        await asyncio.sleep(max(at - (time.monotonic() - began), 0.0))
        return (await client.ask(prompt, answer)).first

    return list(await asyncio.gather(*(one(*each) for each in arrivals)))


async def validate(url: str, seconds: float, kv_tokens: int, running: int, tokens: int) -> tuple[Model, bool]:
    """Measure, simulate, compare: the constants, and whether all is near enough."""
    near = True
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        async with session.get(f"{url.rstrip('/')}/v1/models") as response:
            name = (await response.json())["data"][0]["id"]
        client = Client(session, url, name)
        model = await _calibrate(client, kv_tokens, running, tokens)
        most = await _burst(client)
        print(f"{name}: {model}\nat most {most:.1f} requests/s")
        for load in LOADS:
            dice, at = random.Random(int(1000 * load)), 0.0
            arrivals = []
            while at < seconds:
                at += dice.expovariate(load * most)
                arrivals.append((at, *_size(dice)))
            real, model_says = await _measure(client, arrivals), simulated(model, arrivals)
            for share in (0.5, 0.99):
                measured, said = percentile(real, share), percentile(model_says, share)
                off = said / measured - 1
                near = near and abs(off) <= WITHIN
                print(f"{load:4.0%} of that, p{100 * share:g}: measured {measured:.4f} s, simulated {said:.4f} s ({off:+.0%})")
    return replace(model, name=name), near


def main() -> int:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="of a vLLM with nothing else to do")
    parser.add_argument("--seconds", type=float, default=120, help="of each load (default 120)")
    parser.add_argument("--kv-tokens", type=int, default=10**6, help="the engine's KV cache, as its log says (default 1000000)")
    parser.add_argument("--max-running", type=int, default=256, help="its --max-num-seqs (default 256)")
    parser.add_argument("--step-tokens", type=int, default=2048, help="its --max-num-batched-tokens (default 2048)")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write the constants, for fairlead autoscale replay --engine FILE"
    )
    options = parser.parse_args()
    model, near = asyncio.run(validate(options.url, options.seconds, options.kv_tokens, options.max_running, options.step_tokens))
    if options.save:
        options.save.write_text(yaml.safe_dump(asdict(model), sort_keys=False))
    print("within 25 %" if near else "FAILED: off by more than 25 %")
    return 0 if near else 1


if __name__ == "__main__":
    sys.exit(main())
