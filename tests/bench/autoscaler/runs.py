"""All runs of a benchmark: which policy with which knob on which traffic and cold start, in a pool of processes."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from fairlead.autoscaler.simulator.ours import Fairlead
from fairlead.autoscaler.simulator.play import judge, late
from fairlead.autoscaler.simulator.play import play as play_one
from tests.bench.autoscaler import clairvoyant
from tests.bench.autoscaler.compiled import Engines
from tests.bench.autoscaler.peers import PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fairlead.autoscaler.config import Config
    from fairlead.autoscaler.simulator.engine import Model
    from fairlead.autoscaler.simulator.play import Change, Moment, Policy, Result
    from fairlead.autoscaler.simulator.trace import Trace

MOST = 16
"""maxReplicas, for everyone."""
OURS, ORACLE, STATIC = "Fairlead", "clairvoyant", "static"
UTILIZATIONS = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7)
"""The clairvoyant's knob: how busy it lets replicas be."""
START = 0.6
START_AHEAD = 300.0
"""Everyone but the clairvoyant begins with the replicas of a clairvoyant with this utilization who looks so far ahead."""


@dataclass(frozen=True)
class Run:
    """One simulation."""

    trace: int
    cold_start: float
    policy: str
    knob: float = 0.0


@dataclass(frozen=True)
class Setting:
    """What is the same for all runs."""

    model: Model
    config: Config
    any_replica: bool = False
    """Requests go to any replica, as by a Service, instead of to the one with the fewest."""


@dataclass(frozen=True)
class Done:
    """A simulation and what came of it."""

    run: Run
    result: Result
    moments: tuple[Moment, ...] = ()
    late: tuple[int, ...] = ()
    """Requests of each minute whose first token was not in time."""
    at_most: float = 0.0
    """Share of the time in which MOST replicas were asked for, or of what MOST all the time would cost, whichever is more."""


def plan(traces: int, cold_starts: Sequence[float], *, quick: bool) -> list[Run]:
    """Everything that a table needs."""
    runs = []
    for trace in range(traces):
        for cold_start in cold_starts:
            knobs: dict[str, tuple[float, ...]] = {OURS: (0.0,), ORACLE: UTILIZATIONS[::2] if quick else UTILIZATIONS}
            knobs |= {name: values[::2] if quick else values for name, (_, values) in PEERS.items()}
            runs += [Run(trace, cold_start, policy, knob) for policy, values in knobs.items() for knob in values]
    return runs


def _policy(run: Run, work: list[float], config: Config) -> tuple[Policy, int]:
    start = clairvoyant.Clairvoyant(work, START, START_AHEAD).start()
    if run.policy == OURS:
        return Fairlead(config), start
    if run.policy == ORACLE:
        oracle = clairvoyant.Clairvoyant(work, run.knob, run.cold_start)
        return oracle, oracle.start()
    make, _ = PEERS[run.policy]
    return make(run.knob), int(run.knob) if run.policy == STATIC else start


def _play(setting: Setting, traces: Sequence[Trace], works: Sequence[list[float]], run: Run) -> Done:
    policy, start = _policy(run, works[run.trace], setting.config)
    traffic = traces[run.trace]
    engines = Engines(setting.model, traffic.arrival, traffic.prompt, traffic.output, any_replica=setting.any_replica)
    start = min(start, MOST)
    played = play_one(engines, traffic, policy, cold_start=run.cold_start, start=start, most=MOST)
    minutes = Counter(int(at / 60) for at in late(traffic, played))
    return Done(
        run,
        judge(traffic, played),
        played.moments,
        tuple(minutes[minute] for minute in range(int(traffic.seconds / 60) + 1)),
        max(share(played.changes, start, traffic.seconds), played.gpu_hours * 3600 / (MOST * traffic.seconds)),
    )


def share(changes: Sequence[Change], start: int, seconds: float) -> float:
    """Of the time in which MOST replicas were asked for."""
    asked = [(0.0, start), *((change.time, change.after) for change in changes), (seconds, 0)]
    return sum(until - since for (since, number), (until, _) in pairwise(asked) if number == MOST) / seconds


_PLAY: list[Callable[[Run], Done]] = []
"""Set before the pool forks, so that no process gets its own copy of the traffic."""


def _in_child(run: Run) -> Done:
    return _PLAY[0](run)


def play(traces: Sequence[Trace], runs: Sequence[Run], setting: Setting) -> Iterator[Done]:
    """The runs, in their order, as they are done."""
    works = [clairvoyant.work(setting.model, trace) for trace in traces]
    _PLAY[:] = [partial(_play, setting, traces, works)]
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        yield from pool.imap(_in_child, runs)
