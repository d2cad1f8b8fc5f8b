"""The parts of a decision on their own: readings, the clock, what is learned of a replica, the history of demand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from fairlead.autoscaler.capacity import Capacity, learn
from fairlead.autoscaler.clock import Clock
from fairlead.autoscaler.demand import History
from fairlead.autoscaler.idle import Line
from fairlead.autoscaler.load import Load, Said, duty, heard, said
from fairlead.autoscaler.observation import Phase, Quality, Reading, Replica, quality
from fairlead.autoscaler.overload import Overload
from tests.unit.autoscaler.cases import NOW, busy


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (None, Quality.MISSING),
        (Reading(0, NOW), Quality.FRESH),
        (Reading(3, NOW - 10), Quality.FRESH),
        (Reading(3, NOW + 5), Quality.FRESH),
        (Reading(3, NOW - 10.1), Quality.STALE),
        (Reading(3, NOW + 5.1), Quality.STALE),
        (Reading(math.nan, NOW), Quality.INVALID),
        (Reading(math.inf, NOW), Quality.INVALID),
        (Reading(-1, NOW), Quality.INVALID),
        (Reading(1, math.nan), Quality.INVALID),
    ],
)
def test_quality_of_a_reading(reading: Reading | None, expected: Quality) -> None:
    assert quality(reading, NOW, 10.0) is expected


def said_of(replica: Replica, now: float) -> Said | Quality:
    return said(replica, now, duty(replica, now))


def readable(replica: Replica, now: float) -> Said:
    whole = replica if replica.kv_cache_percent else replace(replica, kv_cache_percent=Reading(0, now))
    found = said_of(whole, now)
    assert isinstance(found, Said)
    return found


def test_an_engine_is_as_good_as_its_worst_reading() -> None:
    replica = Replica("a", Phase.READY, Reading(1, NOW - 60), Reading(math.nan, NOW), None)
    assert said_of(replica, NOW) is Quality.MISSING
    whole = busy("a", 0.5)
    assert isinstance(said_of(whole, NOW), Said)
    assert said_of(replace(whole, kv_cache_percent=Reading(math.nan, NOW)), NOW) is Quality.INVALID


@pytest.mark.parametrize(
    ("last", "now", "elapsed", "jumped"),
    [(None, NOW, 100, False), (NOW, NOW + 2, 102, False), (NOW, NOW + 60, 110, True), (NOW, NOW - 60, 100, True)],
)
def test_time_goes_forward_by_a_few_looks_at_most(last: float | None, now: float, elapsed: float, *, jumped: bool) -> None:
    clock, tick = Clock(100, last).tick(now)
    assert (clock.elapsed, clock.last, tick.jumped) == (elapsed, now, jumped)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, Reading(500, NOW), id="a first count"),
        pytest.param(Reading(500, NOW - 2), Reading(10, NOW), id="the engine restarted"),
        pytest.param(Reading(100, NOW - 60), Reading(500, NOW), id="too long ago"),
        pytest.param(Reading(100, NOW + 60), Reading(500, NOW), id="the clock was set back"),
        pytest.param(Reading(100, NOW), Reading(100, NOW), id="the same reading again"),
        pytest.param(Reading(100, NOW - 0.2), Reading(100, NOW), id="the same look of the agent, told on a slower way"),
        pytest.param(Reading(0, NOW - 0.001), Reading(1e15, NOW), id="as many as can be, in no time"),
    ],
)
def test_counts_that_cannot_be_compared_leave_the_rate_as_it_was(before: Reading | None, after: Reading) -> None:
    replica = Replica("a", Phase.READY, Reading(5, NOW), Reading(0, NOW), after)
    assert heard(Load(token_rate=70.0, counted=before), readable(replica, NOW), 2.0, 4).token_rate == 70.0


def test_requests_and_rate_begin_together() -> None:
    """A replica that is busy at the first look makes tokens: it does not look slow before that was counted."""
    looks = [Replica("a", Phase.READY, Reading(8, at), Reading(0, at), Reading(80 * at, at)) for at in (0.0, 2.0)]
    first = heard(Load(), readable(looks[0], 0.0), 0.0, 4)
    assert (first.running, first.token_rate, Capacity(speed=50).slowdown(first)) == (8, None, 0.0)
    busier = replace(looks[1], running=Reading(16, 2.0))
    second = heard(first, readable(busier, 2.0), 2.0, 4)
    assert (second.running, second.token_rate) == (16, 80), "one smoothed and the other not would be no speed at all"


def test_what_runs_counts_until_it_is_known_that_nothing_comes_of_it() -> None:
    """By its GPU nothing is done, and whether tokens come is not known yet."""
    idle = Replica("a", Phase.READY, Reading(8, NOW), Reading(0, NOW), Reading(9, NOW), Reading(1, NOW), Reading(0, NOW))
    assert heard(Load(), readable(idle, NOW), 0.0, 4).running == 8
    assert heard(
        Load(running=8, token_rate=0.0, counted=Reading(9, NOW - 2)), readable(idle, NOW), 999.0, 4
    ).running == pytest.approx(0)


def test_a_rate_is_smoothed() -> None:
    replica = Replica("a", Phase.READY, Reading(5, NOW), Reading(0, NOW), Reading(300, NOW))
    after = heard(Load(token_rate=70.0, counted=Reading(100, NOW - 2)), readable(replica, NOW), 15.0, 4)
    assert after.token_rate == pytest.approx(70 + (1 - math.exp(-1)) * 30)


def test_a_queue_counts_from_more_than_may_wait() -> None:
    four, five = busy("a", 0.5, waiting=4.0), busy("a", 0.5, waiting=5.0)
    short = heard(Load(queued_seconds=9.0), readable(four, NOW), 2.0, 4)
    long = heard(Load(queued_seconds=9.0), readable(five, NOW), 2.0, 4)
    assert (short.queued_seconds, short.saturated, long.queued_seconds, long.saturated) == (0.0, False, 11.0, True)


def settled(running: float, rate: float, **more: float) -> Load:
    return Load(running=running, token_rate=rate, heard_seconds=60.0, **more)  # type: ignore[arg-type]


def test_slowdown_is_use_whatever_the_mix() -> None:
    """20 requests that get 30 of 50 tokens per second, or 5: the engine is busy for 40 % of its time."""
    capacity = Capacity(speed=50.0, full_slowdown=0.8)
    assert capacity.used(settled(20, 600)) == pytest.approx(0.5)
    assert capacity.used(settled(5, 150)) == pytest.approx(0.5)


def test_a_full_cache_is_a_full_replica() -> None:
    assert Capacity(speed=50.0).used(settled(5, 250, kv=0.95)) == pytest.approx(1.0)


def test_an_engine_that_takes_few_requests_is_full_without_getting_slower() -> None:
    capacity = Capacity(speed=50.0)
    assert capacity.used(settled(8, 380)) < 0.1
    for _ in range(1000):
        capacity = learn(capacity, [settled(8, 380, waiting=9, queued_seconds=60)], 2.0)
    assert capacity.used(settled(8, 380)) == pytest.approx(1.0)
    assert capacity.used(settled(4, 195)) == pytest.approx(0.5)
    assert learn(capacity, [settled(16, 700)], 600.0).used(settled(8, 380)) < 0.6, "full was not full"


@pytest.mark.parametrize(("running", "at_once", "used"), [(2, 2, 1.0), (1, 2, 0.5), (3, 2, 1.0), (2, None, 0.0), (2, 64, 2 / 64)])
def test_an_engine_that_is_told_how_many_it_takes_is_full_at_once(running: float, at_once: int | None, used: float) -> None:
    """Nothing was learned of it: its requests are as fast as the fastest that were seen."""
    assert Capacity(speed=50.0).used(settled(running, 50.0 * running), at_once) == pytest.approx(used)


def test_speed_is_that_of_requests_that_are_alone() -> None:
    capacity = learn(Capacity(), [settled(40, 800)], 2.0)
    assert capacity.speed == 20.0
    for _ in range(300):
        capacity = learn(capacity, [settled(2, 100)], 2.0)
    assert capacity.speed == pytest.approx(50, rel=0.01)
    for _ in range(1800):
        capacity = learn(capacity, [settled(40, 800)], 2.0)
    assert capacity.speed == pytest.approx(50, rel=0.02), "an hour of load does not make it forget"


def test_a_rate_that_no_engine_has_teaches_nothing() -> None:
    """A count that jumped: learned, it would make all replicas look full for weeks, and the next operator would know it too."""
    known = Capacity(speed=50.0)
    assert learn(known, [settled(5, 5e14)], 2.0) == known
    assert learn(known, [settled(5, 5 * 9_000)], 2.0) != known


def test_a_replica_heard_for_a_moment_teaches_nothing() -> None:
    assert learn(Capacity(speed=50.0), [Load(running=5, token_rate=5, heard_seconds=10)], 2.0) == Capacity(speed=50.0)


def at_load(requests: float, *, alone: float = 60.0, each: float = 0.5, **more: float) -> Load:
    """An engine whose step takes as long as two more requests for each one that is in it."""
    speed = alone / (1 + each * requests / 10)
    return settled(requests, requests * speed, **more)


def seen(line: Line, *loads: Load, looks: int = 1000) -> Line:
    for _ in range(looks):
        line = line.add(loads, 2.0)
    return line


def test_the_idle_engine_is_where_the_line_begins() -> None:
    """Nobody was ever alone: 8 and 24 requests at 43 and 27 tokens per second each."""
    line = seen(Line(), at_load(8), at_load(24))
    assert line.speed == pytest.approx(60.0)
    capacity = learn(Capacity(line=line), [at_load(8), at_load(24)], 2.0)
    assert capacity.speed == pytest.approx((8 * 42.86 + 24 * 27.27) / 32, rel=0.01)
    assert capacity.idle_speed == pytest.approx(1.25 * (capacity.speed or 0)), "no more than that is believed"
    assert learn(Capacity(speed=57.0, line=line), [at_load(8)], 2.0).idle_speed == pytest.approx(60.0, rel=0.01)


def test_no_line_goes_through_one_point_or_few() -> None:
    assert seen(Line(), at_load(20), at_load(22)).speed is None
    assert seen(Line(), at_load(8), at_load(24), looks=200).speed is None


@pytest.mark.parametrize("load", [at_load(24, waiting=3), Load(running=24, token_rate=900, heard_seconds=50), settled(24, 0)])
def test_what_says_nothing_of_the_idle_engine(load: Load) -> None:
    """A queue, a replica that has just begun, one whose tokens are not known."""
    assert Line().add([load], 2.0) == Line()


def test_the_line_is_kept_when_the_load_no_longer_varies() -> None:
    kept = learn(Capacity(speed=50.0, idle_speed=60.0), [at_load(20)], 2.0)
    assert kept.idle_speed == pytest.approx(60.0)
    assert kept.slowdown(at_load(20)) == pytest.approx(0.5)


def queued(*waiting: float, seconds: float = 2.0, allowed: float = 8.0) -> Overload:
    overload = Overload()
    for look, each in enumerate(waiting):
        overload = overload.look(100.0 + seconds * look, seconds, each, allowed)
    return overload


def test_a_queue_stands_from_the_second_look_on_and_is_over_after_a_while() -> None:
    assert not queued(9).stands
    assert queued(9, 9).stands
    assert not queued(9, 8, 9).stands, "not without a break"
    assert not queued(9, 9, 0).stands
    assert queued(9, 9, *[0] * 15).last == 102.0, "what has waited is still worked off"
    assert queued(9, 9, *[0] * 16).last is None


def test_a_queue_shrinks() -> None:
    growing, steady, shrinking = queued(*range(50, 100)), queued(*[90] * 50), queued(*[90] * 50, 70)
    assert (growing.shrinks, steady.shrinks, shrinking.shrinks) == (False, False, True)


def test_what_a_queue_grows_by() -> None:
    evenly = range(9, 109, 2)
    assert queued(*evenly).growth == pytest.approx(1.0), "one more each second"
    assert queued(*evenly, seconds=1.0).growth == pytest.approx(2.0)
    assert queued(9, 11, 13, 15, 17).growth == 0.0, "for too short a time"
    assert queued(*evenly, *[107] * 3).growth == 0.0, "it grows no more"
    assert queued(*range(109, 9, -2)).growth == 0.0
    assert queued(*evenly, 0).growth == 0.0


@pytest.mark.parametrize("burst", [(90, 90), (45, 90), (20, 60, 90)])
def test_what_came_at_once_is_no_growth(burst: tuple[int, ...]) -> None:
    """However many looks it takes to see it whole, as each replica is read at another moment."""
    assert [queued(*burst, *[90] * looks).growth for looks in range(12)] == [0.0] * 12


def test_what_came_while_nobody_looked_is_no_growth() -> None:
    after = queued(*[20] * 5).unwatched()
    for look in range(12):
        after = after.look(300.0 + 2 * look, 2.0, 300.0, 8.0)
        assert after.growth == 0.0
    assert after.stands


def played(values: list[float], keep: float = 900.0) -> History:
    history = History()
    for index, value in enumerate(values):
        history = history.add(10.0 * index, value, keep)
    return history


def test_the_peak_is_that_of_the_window() -> None:
    values = [1.0] * 10 + [5.0] + [1.0] * 80
    assert played(values).peak == 5.0
    assert played(values + [1.0] * 12).peak == 1.0
    assert len(played([1.0] * 500).peaks) <= 92


def test_a_short_quiet_window_takes_nothing_from_slope_and_habit() -> None:
    rising = played([5.0, *(0.1 * index for index in range(30))], keep=30.0)
    assert rising.slope == pytest.approx(0.01)
    assert rising.usual == pytest.approx(1.7)
    assert played([5.0, 4.0, 3.0, 2.0, 1.0, 0.5], keep=30.0).peak == 4.0
    assert played([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.5], keep=30.0).peak == 3.0
    assert len(played([1.0] * 500, keep=30.0).peaks) <= 26


def test_what_is_usual_is_older_than_two_minutes() -> None:
    assert played([1.0] * 5 + [3.0] * 12).usual == 1.0
    assert played([1.0] * 5 + [3.0] * 13).usual == 3.0
    assert played([3.0] * 12).usual is None


def test_a_window_that_begins_anew_has_no_peak_of_before() -> None:
    begun = played([5.0] * 30).begin(300.0)
    assert (begun.peak, begun.watched(310.0)) == (0.0, 10.0)
    later = begun.add(310.0, 1.0, 900.0)
    assert (later.peak, later.usual) == (1.0, 5.0)


def test_the_slope_is_told_from_noise() -> None:
    assert played([0.1 * index for index in range(14)]).slope == pytest.approx(0.01)
    assert played([3 - 0.1 * index for index in range(14)]).slope == 0.0, "a fall is no reason for more"
    assert played([1.0, 1.4] * 7).slope == 0.0
    assert played([0.1 * index for index in range(12)]).slope == 0.0, "not before two minutes"
