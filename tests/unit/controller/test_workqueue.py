"""The work queue: order, dedupe, one worker per key, pauses, the end."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.controller.workqueue import Backoff, Schedule, WorkQueue


def test_many_adds_of_a_key_are_one_visit() -> None:
    schedule: Schedule[str] = Schedule()
    for _ in range(3):
        schedule.add("a", 0)
    assert schedule.pop(0) == "a"
    assert schedule.pop(100) is None
    schedule.done("a")
    assert schedule.pop(100) is None


def test_what_has_been_due_longest_comes_first() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("late", 5)
    schedule.add("early", 1)
    schedule.add("later", 5)
    assert [schedule.pop(10) for _ in range(4)] == ["early", "late", "later", None]


def test_nothing_comes_before_its_time() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("a", 5)
    assert (schedule.pop(4.9), schedule.next_due(), schedule.pop(5)) == (None, 5, "a")
    assert schedule.next_due() is None


def test_the_earlier_of_two_times_counts() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("a", 10)
    schedule.add("a", 3)
    schedule.add("a", 7)
    assert schedule.pop(3) == "a"
    schedule.done("a")
    assert schedule.pop(100) is None, "the later times went with the visit"


def test_a_key_in_hand_waits_for_its_next_visit() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("a", 0)
    assert schedule.pop(0) == "a"
    schedule.add("a", 1)
    assert schedule.pop(5) is None, "two workers on one key"
    schedule.done("a")
    assert schedule.pop(5) == "a"


def test_a_key_in_hand_is_not_found_by_a_time_that_was_overtaken() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("a", 10)
    schedule.add("a", 5)
    assert schedule.pop(5) == "a"
    schedule.add("a", 10)
    assert schedule.pop(10) is None, "two workers on one key"
    schedule.done("a")
    assert [schedule.pop(10), schedule.pop(10)] == ["a", None]


def test_what_the_metrics_say() -> None:
    schedule: Schedule[str] = Schedule()
    for key, due in (("a", 0), ("b", 2), ("c", 50)):
        schedule.add(key, due)
    assert (schedule.waiting(10), schedule.oldest_wait(10), schedule.longest_running(10)) == (2, 10, 0)
    schedule.pop(10)
    assert (schedule.waiting(13), schedule.oldest_wait(13), schedule.longest_running(13)) == (1, 11, 3)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.booleans()), max_size=40))
@settings(max_examples=200)
def test_every_key_added_is_visited_after_it_was_added_and_never_twice_at_once(steps: list[tuple[str, int, bool]]) -> None:
    schedule: Schedule[str] = Schedule()
    now = 0
    in_hand: list[str] = []
    unmet: Counter[str] = Counter()
    for key, wait, finish in steps:
        now += 1
        schedule.add(key, now + wait)
        unmet[key] = 1
        if finish and in_hand:
            schedule.done(in_hand.pop())
        popped = schedule.pop(now)
        if popped is not None:
            assert popped not in in_hand
            in_hand.append(popped)
            unmet[popped] = 0
    for key in in_hand:
        schedule.done(key)
    # What was added while in hand, or is not due yet, comes later; nothing is lost.
    late = []
    while (key_or_none := schedule.pop(now + 100)) is not None:
        late.append(key_or_none)
        schedule.done(key_or_none)
    assert set(late) == {key for key, open_ in unmet.items() if open_}
    assert len(late) == len(set(late))


@pytest.mark.parametrize(
    ("failures", "roll", "pause"),
    [(1, 0.0, 0.2), (2, 0.0, 0.4), (5, 0.0, 3.2), (20, 0.0, 60.0), (10_000, 0.0, 60.0), (1, 0.5, 0.15), (20, 0.999, 30.03)],
)
def test_pauses(failures: int, roll: float, pause: float) -> None:
    assert Backoff().pause(failures, roll) == pytest.approx(pause)


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def passes(queue: WorkQueue[str], clock: Clock, seconds: float) -> None:
    """Let time pass, and the workers see it."""
    clock.now += seconds
    queue._wake.set()
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_failed_visit_is_repeated_after_a_growing_pause() -> None:
    clock = Clock()
    visits: list[float] = []

    async def visit(_: str) -> None:
        visits.append(clock.now)
        if len(visits) in (1, 2, 3, 5):
            raise RuntimeError("no")

    queue = WorkQueue(visit, workers=1, clock=clock, roll=lambda: 0.0)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    for _ in range(40):
        await passes(queue, clock, 0.1)
    assert visits == pytest.approx([0.1, 0.3, 0.7, 1.5], abs=0.11)
    assert len(visits) == 4
    queue.add("a")
    for _ in range(5):
        await passes(queue, clock, 0.1)
    assert visits[5] - visits[4] == pytest.approx(0.2, abs=0.11), "a success has made the next failure the first again"
    queue.stop()
    await running


async def test_a_visit_may_ask_to_come_again() -> None:
    clock = Clock()
    visits: list[float] = []

    async def visit(_: str) -> float | None:
        visits.append(clock.now)
        return 5.0 if len(visits) == 1 else None

    queue = WorkQueue(visit, workers=2, clock=clock)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    for _ in range(20):
        await passes(queue, clock, 1)
    assert visits == [1, 6]
    queue.stop()
    await running


async def test_one_slow_key_does_not_hold_up_another_nor_is_it_visited_twice() -> None:
    clock = Clock()
    release = asyncio.Event()
    visits: list[str] = []

    async def visit(key: str) -> None:
        visits.append(key)
        if key == "slow":
            await release.wait()

    queue = WorkQueue(visit, workers=2, clock=clock)
    running = asyncio.create_task(queue.run())
    queue.add("slow")
    await passes(queue, clock, 1)
    queue.add("slow")
    queue.add("quick")
    await passes(queue, clock, 1)
    assert visits == ["slow", "quick"]
    release.set()
    await passes(queue, clock, 1)
    assert visits == ["slow", "quick", "slow"]
    queue.stop()
    await running


async def test_the_end_waits_for_the_visit_in_hand_and_begins_no_other() -> None:
    clock = Clock()
    release = asyncio.Event()
    finished: list[str] = []

    async def visit(key: str) -> None:
        await release.wait()
        finished.append(key)

    queue = WorkQueue(visit, workers=1, clock=clock)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    queue.add("b")
    await passes(queue, clock, 1)
    queue.stop()
    await passes(queue, clock, 1)
    assert not running.done()
    release.set()
    await running
    assert finished == ["a"]
