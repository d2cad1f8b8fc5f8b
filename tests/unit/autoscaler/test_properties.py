"""What holds for any observation and any memory: one decision."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.autoscaler.capacity import Capacity
from fairlead.autoscaler.clock import Clock
from fairlead.autoscaler.config import IDLE_DUTY_PERCENT, Config
from fairlead.autoscaler.demand import History
from fairlead.autoscaler.load import Load
from fairlead.autoscaler.memory import Memory, Regret
from fairlead.autoscaler.observation import Observation, Phase, Reading, Replica
from fairlead.autoscaler.overload import Overload
from fairlead.autoscaler.policy import decide
from tests.unit.autoscaler import cases

if TYPE_CHECKING:
    from fairlead.autoscaler.policy import Decision

T = TypeVar("T")
NOW = 1_000_000.0
NAMES = tuple(f"replica-{index}" for index in range(6))


# Strategies are made here and not in each draw: making them took a third of the time of these tests.
def _maybe(values: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.one_of(st.none(), values)


def _readings(values: st.SearchStrategy[float], *seconds_ago: float) -> st.SearchStrategy[Reading | None]:
    return _maybe(st.builds(Reading, values, st.sampled_from([NOW - each for each in seconds_ago])))


def _told(values: st.SearchStrategy[float]) -> st.SearchStrategy[Reading | None]:
    return _readings(values, 0, 1, 9, 11, 61, -60)


_ODD = st.sampled_from([math.nan, math.inf, -1.0])
_COUNTS = _told(st.one_of(st.floats(0, 500), _ODD))
_PERCENTS = _told(st.one_of(st.floats(0, 100), _ODD))
_REPLICAS = st.lists(
    st.builds(
        Replica,
        name=st.sampled_from(NAMES),
        phase=st.sampled_from([Phase.READY, Phase.READY, Phase.READY, Phase.STARTING, Phase.TERMINATING]),
        running=_COUNTS,
        waiting=_COUNTS,
        tokens=_told(st.floats(0, 1e6)),
        kv_cache_percent=_PERCENTS,
        duty_cycle_percent=_PERCENTS,
        unschedulable=st.booleans(),
    ),
    unique_by=lambda replica: replica.name,
).map(tuple)
_SECONDS = st.floats(0, 20_000)
_LOADS = st.builds(
    Load,
    running=st.floats(0, 300),
    token_rate=st.floats(0, 10_000),
    waiting=st.floats(0, 500),
    kv=st.floats(0, 1),
    counted=_readings(st.floats(0, 1e6), 2, 60, -60),
    queued_seconds=st.floats(0, 60),
    heard_seconds=st.floats(0, 60),
    told_duty=st.booleans(),
)
_LOOKS = st.lists(st.floats(0, 500), max_size=16).map(lambda waiting: tuple((2.0 * at, each) for at, each in enumerate(waiting)))
_OVERLOADS = st.builds(Overload, st.floats(0, 60), st.floats(0, 500), st.floats(0, 500), _maybe(_SECONDS), _LOOKS)
_DEMANDS = st.lists(st.floats(0, 10), max_size=20)
_MEMORIES = st.builds(
    Memory,
    clock=st.builds(Clock, _SECONDS, st.sampled_from([None, NOW - 2, NOW - 60, NOW + 60])),
    loads=st.dictionaries(st.sampled_from(NAMES), _LOADS),
    starting=st.dictionaries(st.sampled_from(NAMES), _SECONDS),
    cold_start=_maybe(st.floats(0, 900)),
    capacity=st.builds(Capacity, _maybe(st.floats(0.1, 200)), st.floats(0, 1), _maybe(st.floats(1, 300))),
    level=_maybe(st.floats(0, 10)),
    surge=st.floats(0, 20),
    overload=_OVERLOADS,
    raised=_maybe(_SECONDS),
    lowered=_maybe(_SECONDS),
    regrets=st.dictionaries(st.integers(1, 8), st.builds(Regret, st.floats(0, 10), _SECONDS, st.integers(1, 3)), max_size=2),
)


def _remembered(memory: Memory, demands: list[float], since: float | None, slope: float) -> Memory:
    """With a history that ends at the present."""
    first = int(memory.clock.elapsed // 10) - len(demands)
    peaks = tuple((first + index, each) for index, each in enumerate(demands))
    return replace(memory, history=History(peaks, since, max(demands, default=0.0), slope, max(demands[:-12], default=None)))


def _config(least: int, more: int, **values: Any) -> Config:
    return Config(min_replicas=least, max_replicas=max(least, more), **values)


_CONFIGS = st.builds(
    _config,
    least=st.sampled_from([1, 1, 2, 6]),
    more=st.integers(1, 12),
    queue_depth=st.integers(0, 50),
    duty_cycle_percent=_maybe(st.integers(1, 100)),
    load_percent=st.integers(20, 100),
    quiet_seconds=st.sampled_from([60, 300, 900]),
)


@dataclass(frozen=True)
class Situation:
    seen: tuple[Replica, ...]
    memory: Memory
    config: Config
    asked: int

    def decide(self, seen: tuple[Replica, ...] | None = None) -> Decision:
        return decide(Observation(NOW, self.asked, self.seen if seen is None else seen), self.memory, self.config)


_USED = st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.6, 0.95]), min_size=1, max_size=6)
_WAITING = st.sampled_from([0.0, 0.0, 0.0, 1.0, 5.0, 200.0])
_DUTY = st.sampled_from([None, 0.0, 3.0, 60.0, 99.0])
_ONE_STARTS = st.sampled_from([False, False, False, False, True])
_CHANGED = st.sampled_from([None, 0.0, cases.ELAPSED - 10])
GREW = tuple((cases.ELAPSED - 12 + 2 * look, 20.0 + 5 * look) for look in range(7))
_QUEUED = st.sampled_from([Overload(), Overload(2.0, 5.0, 5.0), Overload(10.0, 50.0, 40.0, cases.ELAPSED, GREW)])
_MORE = st.sampled_from([-1, 0, 0, 0, 0, 1])


@st.composite
def plausible(draw: st.DrawFn) -> Situation:
    """Replicas that can all be read and a memory that fits them: what a step down needs, and a step up."""
    used = draw(_USED)
    seen = [
        cases.busy(f"replica-{index}", each, waiting=draw(_WAITING), duty_cycle_percent=draw(_DUTY))
        for index, each in enumerate(used)
    ]
    if draw(_ONE_STARTS):
        seen.append(Replica("replica-8", Phase.STARTING, unschedulable=draw(st.booleans())))
    memory = cases.memory(*used, raised=draw(_CHANGED), lowered=draw(_CHANGED), overload=draw(_QUEUED))
    asked = max(len(seen) + draw(_MORE), 0)
    return Situation(tuple(seen), memory, draw(_CONFIGS), asked)


_WILD = st.builds(
    Situation,
    _REPLICAS,
    st.builds(_remembered, _MEMORIES, _DEMANDS, _maybe(_SECONDS), st.floats(0, 0.1)),
    _CONFIGS,
    st.integers(0, 14),
)
"""Anything at all."""


SITUATIONS = st.one_of(plausible(), plausible(), _WILD)
LOST = ("running", "waiting", "tokens", "kv_cache_percent")
"""A duty cycle that is missed is seen to beside the policy (test_limits, test_loop): the spec says if there should be one."""
_USELESS = st.sampled_from([None, Reading(math.nan, NOW), Reading(1.0, NOW - 11), Reading(1.0, NOW + 60)])


@settings(max_examples=200)
@given(SITUATIONS)
def test_bounds_are_always_kept_and_a_step_down_is_one(situation: Situation) -> None:
    decision = situation.decide()
    config = situation.config
    assert config.min_replicas <= decision.replicas <= config.max_replicas
    assert decision.replicas >= min(situation.asked, config.max_replicas) - 1
    assert decision.message


@settings(max_examples=200)
@given(SITUATIONS, st.integers(0, 5), st.sampled_from(LOST), _USELESS)
def test_missing_data_never_lowers(situation: Situation, which: int, field: str, lost: Reading | None) -> None:
    """Whatever one replica that serves does not tell, or told too long ago, or garbled: it is no reason for fewer."""
    seen = situation.seen
    serving = [index for index, each in enumerate(seen) if each.phase is Phase.READY]
    if not serving:
        return
    index = serving[which % len(serving)]
    changed: dict[str, Reading | None] = {field: lost}
    blind = replace(seen[index], **changed)  # type: ignore[arg-type]
    decision = situation.decide((*seen[:index], blind, *seen[index + 1 :]))
    assert decision.replicas >= min(situation.asked, situation.config.max_replicas)


def _does_nothing(replica: Replica) -> bool:
    duty = replica.duty_cycle_percent
    return duty is not None and duty.value <= IDLE_DUTY_PERCENT


@settings(max_examples=300)
@given(SITUATIONS, st.integers(0, 5), st.sampled_from([1, 5, 300]))
def test_a_longer_queue_never_means_fewer(situation: Situation, which: int, more: int) -> None:
    """Before a GPU that does nothing it is a fault and no demand: with the last replica that seemed healthy it ends that for each
    broken one another is asked for."""
    seen = situation.seen
    queues = [
        index
        for index, each in enumerate(seen)
        if each.waiting is not None and each.waiting.value >= 0 and not _does_nothing(each)
    ]
    if not queues:
        return
    index = queues[which % len(queues)]
    waiting = seen[index].waiting
    assert waiting is not None
    longer = replace(seen[index], waiting=Reading(waiting.value + more, waiting.time))
    assert situation.decide((*seen[:index], longer, *seen[index + 1 :])).replicas >= situation.decide().replicas


@settings(max_examples=100)
@given(SITUATIONS)
def test_a_decision_changes_nothing_that_it_was_given(situation: Situation) -> None:
    """The type checker keeps these values as they are, and not Python itself (autoscaler/value.py)."""
    before = repr(situation)
    first = situation.decide()
    assert repr(situation) == before
    assert repr(situation.decide()) == repr(first)


_COURSE = """
from fairlead.autoscaler.config import Config
from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.observation import Observation, Phase, Reading, Replica
from fairlead.autoscaler.policy import decide

memory = Memory()
for look in range(40):
    now = 1000.0 + 2 * look
    numbers = [(2 + 1.37 * index, 30.1 * (index + 2) * now) for index in range(9)]
    replicas = [
        Replica(f"pod-{running}", Phase.READY, Reading(running, now), Reading(0, now), Reading(tokens, now), Reading(9, now))
        for running, tokens in numbers
    ]
    memory = decide(Observation(now, len(replicas), tuple(replicas)), memory, Config()).memory
print(memory.capacity)
"""


def test_a_decision_is_the_same_in_any_process() -> None:
    """Sums in the order of a set of names differ in their last digit from process to process, and a replay with them."""
    told = {
        subprocess.run(
            [sys.executable, "-c", _COURSE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
    assert "speed=24.1" in told.pop()
