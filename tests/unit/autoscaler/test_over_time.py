"""What holds over hours: a constant load, faults of any kind one after the other, a clock that is set."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.autoscaler import policy
from fairlead.autoscaler.config import Config
from fairlead.autoscaler.observation import Reading, Replica
from tests.unit.autoscaler.plant import TICK, Plant, turns

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
CONFIG = Config(min_replicas=1, max_replicas=8, quiet_seconds=300)
"""With a shorter quiet window: what takes it a night takes it an evening."""
LONGEST = CONFIG.quiet_seconds * 4.0**policy.MOST_REGRETS
"""Between two tries of what did not do, in the end."""
TURNS, LATER_TURNS = 16, 8
"""At most, within five hours and within LONGEST after them. A try is two of them, down and up; several numbers are tried."""


@st.composite
def plants(draw: st.DrawFn) -> Plant:
    """Any capacity, any limit of requests, any cold start; a load for up to six full replicas of eight."""
    capacity, most, half = draw(_CAPACITIES), draw(_MOST_RUNNING), draw(_HALVES)
    full = capacity * most / (half + most)
    return Plant(CONFIG, full * draw(_LOADS), capacity, most_running=most, half=half, cold_start=draw(_COLD_STARTS))


_CAPACITIES = st.sampled_from([0.01, 1.0, 300.0])
_MOST_RUNNING = st.sampled_from([2.0, 8.0, 30.0, 256.0, 1024.0])
_HALVES = st.sampled_from([1.0, 5.0, 20.0, 80.0])
_LOADS = st.integers(1, 120).map(lambda each: each / 20)
_COLD_STARTS = st.integers(0, 90).map(lambda each: 10.0 * each)


@settings(max_examples=10)
@given(plants())
def test_no_oscillation_under_a_constant_load(plant: Plant) -> None:
    """It finds out how few will do by trying, a few times, and then seldom: it does not go on trying."""
    assert turns(plant.play(5 * HOUR)) <= TURNS
    assert turns(plant.play(LONGEST)) <= LATER_TURNS
    assert plant.asked == CONFIG.max_replicas or plant.waiting < 100


def test_no_oscillation_where_demand_cannot_be_seen() -> None:
    """Replicas with a request or none: whatever their number, they look idle, and one is too few by a hundredth."""
    plant = Plant(CONFIG, load=1.013, most_running=1024.0, half=1.0, cold_start=300.0)
    assert turns(plant.play(5 * HOUR)) <= TURNS


TOLD = ("running", "waiting", "tokens", "kv_cache_percent")


def _lose(*fields: str) -> Callable[[Replica, float], Replica]:
    return lambda replica, _: replace(replica, **dict.fromkeys(fields))  # type: ignore[arg-type]


def _garble(replica: Replica, now: float) -> Replica:
    return replace(replica, waiting=Reading(math.nan, now))


def _freeze(replica: Replica, now: float) -> Replica:
    old = {field: Reading(getattr(replica, field).value, now - 30) for field in TOLD}
    return replace(replica, **old)  # type: ignore[arg-type]


def _some(replica: Replica, now: float) -> Replica:
    return _garble(replica, now) if replica.name.startswith("replica-0") else replica


UNREAD: dict[str, Callable[[Replica, float], Replica]] = {
    "nothing told": _lose(*TOLD, "duty_cycle_percent"),
    "no tokens": _lose("tokens"),
    "no KV cache": _lose("kv_cache_percent"),
    "no numbers": _garble,
    "frozen": _freeze,
    "one cannot be read": _some,
}
"""With these nothing is taken away."""
LOST: dict[str, Callable[[Plant], None]] = {
    "another operator": Plant.forget,
    "no node has a GPU": lambda plant: setattr(plant, "full", True),
    "one is not ready": lambda plant: setattr(plant, "unready", 1),
    "none is ready": lambda plant: setattr(plant, "unready", 8),
}
"""With these the load is another one, or what was known is gone."""


@settings(max_examples=12)
@given(
    st.floats(0.2, 5.0),
    st.lists(st.tuples(st.sampled_from([*UNREAD, *LOST]), st.integers(1, 60), st.sampled_from([0.0, 60.0, -60.0])), max_size=6),
)
def test_recovers_after_any_sequence_of_faults(load: float, faults: list[tuple[str, int, float]]) -> None:
    """Afterwards there are as many replicas as without; meanwhile never fewer than when nothing more was known."""
    calm, shaken = Plant(CONFIG, load), Plant(CONFIG, load)
    calm.play(1.25 * HOUR)
    shaken.play(0.5 * HOUR)
    for name, looks, jump in faults:
        before = shaken.asked
        shaken.now += jump
        if name in LOST:
            LOST[name](shaken)
        else:
            shaken.blind = UNREAD[name]
        least = min(shaken.play(looks * TICK))
        assert name in LOST or least >= before
        shaken.blind, shaken.full, shaken.unready = calm.blind, False, 0
    shaken.play(1.25 * HOUR)
    assert abs(shaken.asked - calm.asked) <= 1
    assert shaken.waiting < 100


_JUMPS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from([-60.0, 60.0])), min_size=1, max_size=8)


@settings(max_examples=8)
@given(st.floats(0.2, 5.0), _JUMPS)
def test_a_clock_that_jumps_a_minute_does_no_harm(load: float, jumps: list[tuple[int, float]]) -> None:
    """The same numbers as without, at most a look later for each jump: it looks neither like quiet time nor like a rate."""
    plant = Plant(CONFIG, load)
    plant.play(1.5 * HOUR)
    twin = replace(plant, ready_at=list(plant.ready_at))
    jumped, calm, late = [plant.asked], [plant.asked], [0]
    for number, (looks, jump) in enumerate([*jumps, (90, 0.0)], start=1):
        plant.now += jump
        jumped += plant.play(looks * TICK)
        calm += twin.play(looks * TICK)
        late += [number] * looks
    for look, number in enumerate(jumped):
        assert number in calm[max(look - late[look], 0) : look + 1]


@settings(max_examples=8)
@given(st.floats(0.2, 5.0), _JUMPS)
def test_a_clock_that_jumps_while_replicas_start_does_no_harm(load: float, jumps: list[tuple[int, float]]) -> None:
    plant, twin = Plant(CONFIG, load), Plant(CONFIG, load)
    for looks, jump in jumps:
        before = plant.asked
        plant.now += jump
        assert plant.look().replicas >= before, "no number changes by a jump itself but upward"
        plant.play((looks - 1) * TICK)
        twin.play(looks * TICK)
    assert max(plant.play(HOUR)) <= max(twin.play(HOUR)) + 1
    assert abs(plant.asked - twin.asked) <= 1
    assert plant.waiting < 100


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_quiet_time_is_watched_time(jump: float) -> None:
    """A clock that is set by an hour, again and again, brings no step down nearer."""
    plant = Plant(CONFIG, load=0.1, asked=3, ready_at=[0.0, 0.0, 0.0])
    for _ in range(5):
        plant.now += jump
        assert plant.look().replicas == 3
    assert plant.look().replicas == 3


def test_engines_that_take_few_requests_are_not_taken_for_idle() -> None:
    """With two of two requests each they are hardly slower than with one, their cache is empty, and few more may wait."""
    plant = Plant(CONFIG, load=0.15, most_running=2.0, half=30.0, full_kv_percent=1.0, at_once=2)
    plant.play(HOUR)
    assert plant.waiting == 0
    assert set(plant.play(4 * HOUR)) == {4}, "0.15 of 2 / 32 each, at 70 %"
