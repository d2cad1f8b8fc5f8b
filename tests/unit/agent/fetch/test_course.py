"""The course of a download in virtual time: pauses, hangs, a token put right, a container started again."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from fairlead_agent.fetch.course import LONGEST_PAUSE_SECONDS, STALL_SECONDS, Attempt, Course, Snapshot
from fairlead_agent.reasons import Problem, Reason
from tests.unit.agent.fetch.settings import TOKEN, config
from tests.unit.virtual_time import in_virtual_time

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOTAL = 1000


class Script:
    """An attempt that plays events: a dict is told, a number is slept, ("bytes", n) is what lies on the disk from then on."""

    def __init__(self, world: "World", steps: list[Any]) -> None:
        self._world = world
        self._steps = steps
        self._killed = asyncio.Event()

    async def lines(self) -> AsyncIterator[bytes]:
        for step in self._steps:
            if isinstance(step, dict):
                yield json.dumps(step).encode() + b"\n"
            elif isinstance(step, bytes):
                yield step
            elif isinstance(step, tuple):
                self._world.there = step[1]
            else:
                try:
                    async with asyncio.timeout(step):
                        await self._killed.wait()
                except TimeoutError:
                    continue
                return

    def kill(self) -> None:
        self._killed.set()


FOUND = {"commit": COMMIT, "bytes": TOTAL}
WHOLE = [FOUND, 1, ("bytes", 400), 2, ("bytes", TOTAL), {"whole": True}]


class World:
    """Attempts by script, in turn; the last one again and again."""

    def __init__(self, *attempts: list[Any], token: str = "", note: Snapshot | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.attempts = list(attempts)
        self.started: list[tuple[float, str]] = []
        self.there = 0
        self.secret = token
        self.note = note
        self.notes: list[Snapshot] = []

    async def start(self, commit: str) -> Attempt:
        self.started.append((self.loop.time(), commit))
        steps = self.attempts.pop(0) if len(self.attempts) > 1 else self.attempts[0]
        return Script(self, steps)

    def token(self) -> str:
        return self.secret

    def bytes_there(self) -> int:
        return self.there

    def remember(self, snapshot: Snapshot) -> None:
        self.notes.append(snapshot)

    def remembered(self) -> Snapshot | None:
        return self.note

    @property
    def gaps(self) -> list[float]:
        times = [at for at, _ in self.started]
        return [round(later - earlier) for earlier, later in itertools.pairwise(times)]


async def told(course: Course, running: asyncio.Task[Snapshot], reason: Reason, seconds: float) -> Problem:
    for _ in range(int(seconds * 2)):
        if course.problem.reason is reason:
            return course.problem
        assert not running.done(), running
        await asyncio.sleep(0.5)
    raise AssertionError(f"not within {seconds} s: {course.problem}")


@in_virtual_time
async def test_progress_is_told_in_bytes_and_what_is_there_is_remembered() -> None:
    world = World(WHOLE)
    course = Course(config(), world)
    assert course.problem == Problem(Reason.MODEL_DOWNLOADING, "asking https://hub.example.com for org/tiny at main")
    running = asyncio.create_task(course.run())
    await asyncio.sleep(2.5)
    assert course.problem == Problem(Reason.MODEL_DOWNLOADING, "400 of 1000 bytes (40 %) of org/tiny at 0123456789ab")
    assert await running == Snapshot(COMMIT, TOTAL, whole=True)
    assert world.notes == [Snapshot(COMMIT, TOTAL, whole=False), Snapshot(COMMIT, TOTAL, whole=True)]


@in_virtual_time
async def test_what_is_there_already_is_not_asked_for() -> None:
    world = World(WHOLE, note=Snapshot(COMMIT, TOTAL, whole=True))
    assert await Course(config(token=TOKEN), world).run() == Snapshot(COMMIT, TOTAL, whole=True)
    assert world.started == []


@in_virtual_time
async def test_a_download_that_was_begun_goes_on_with_its_commit() -> None:
    world = World(WHOLE, note=Snapshot(COMMIT, TOTAL, whole=False))
    await Course(config(), world).run()
    assert [commit for _, commit in world.started] == [COMMIT]


@in_virtual_time
async def test_a_cut_download_is_told_and_goes_on_with_the_same_commit() -> None:
    cut = [FOUND, ("bytes", 300), 1, {"failed": "interrupted", "detail": "ReadError"}]
    waits = [FOUND, 30, ("bytes", 500), 2, ("bytes", TOTAL), {"whole": True}]
    world = World(cut, waits)
    course = Course(config(), world)
    running = asyncio.create_task(course.run())
    problem = await told(course, running, Reason.DOWNLOAD_INTERRUPTED, 5)
    assert problem.message == "cut off after 300 of 1000 bytes of org/tiny, and goes on from there (ReadError)"
    await asyncio.sleep(20)
    assert len(world.started) == 2
    assert course.problem.reason is Reason.DOWNLOAD_INTERRUPTED, "nothing has come yet"
    await told(course, running, Reason.MODEL_DOWNLOADING, 20)
    await running
    assert [commit for _, commit in world.started] == ["", COMMIT]


@in_virtual_time
async def test_pauses_grow_to_a_minute_and_start_anew_after_bytes() -> None:
    silent = [{"failed": "unreachable", "detail": "no"}]
    some = [FOUND, ("bytes", 10), {"failed": "interrupted", "detail": "no"}]
    world = World(*[silent] * 7, some, silent)
    course = Course(config(), world)
    running = asyncio.create_task(course.run())
    await told(course, running, Reason.HUB_UNREACHABLE, 2)
    await asyncio.sleep(300)
    assert world.gaps[:8] == [2, 4, 8, 16, 32, 60, 60, 2]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@in_virtual_time
async def test_what_lasts_is_asked_again_each_minute_and_at_once_with_another_token() -> None:
    refused = [{"failed": "token-refused", "detail": "Invalid credentials"}]
    world = World(refused, refused, refused, WHOLE, token="wrong")  # noqa: S106
    course = Course(config(token=TOKEN), world)
    running = asyncio.create_task(course.run())
    await told(course, running, Reason.HUB_TOKEN_REFUSED, 2)
    await asyncio.sleep(130)
    assert world.gaps == [LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    world.secret = "good"  # noqa: S105
    await asyncio.sleep(2)
    assert len(world.started) == 4
    await running


@in_virtual_time
async def test_without_the_token_that_the_spec_names_nobody_is_asked() -> None:
    world = World(WHOLE)
    course = Course(config(token=TOKEN), world)
    running = asyncio.create_task(course.run())
    problem = await told(course, running, Reason.HUB_TOKEN_MISSING, 2)
    assert "Secret hub, key token," in problem.message
    await asyncio.sleep(600)
    assert world.started == []
    world.secret = "good"  # noqa: S105
    await asyncio.sleep(2)
    assert len(world.started) == 1
    await running


@in_virtual_time
async def test_one_that_hangs_is_killed_and_one_that_crawls_is_not() -> None:
    crawls = [FOUND, *(each for at in range(1, 6) for each in (STALL_SECONDS - 5, ("bytes", at))), 10_000]
    world = World(crawls, WHOLE)
    course = Course(config(), world)
    running = asyncio.create_task(course.run())
    await asyncio.sleep(5 * STALL_SECONDS)
    assert len(world.started) == 1
    assert course.problem.reason is Reason.MODEL_DOWNLOADING
    problem = await told(course, running, Reason.DOWNLOAD_INTERRUPTED, STALL_SECONDS + 5)
    assert "(nothing came for 120 s)" in problem.message
    await running


@in_virtual_time
async def test_one_that_hangs_before_it_knows_anything_is_killed_too() -> None:
    world = World([10_000], WHOLE)
    course = Course(config(), world)
    running = asyncio.create_task(course.run())
    problem = await told(course, running, Reason.HUB_UNREACHABLE, STALL_SECONDS + 5)
    assert "(nothing came for 120 s)" in problem.message
    await running


@in_virtual_time
async def test_what_else_a_child_writes_is_passed_over() -> None:
    world = World([b"warning: old library\n", b"[1]\n", b"\xff\n", *WHOLE])
    assert (await Course(config(), world).run()).whole


@in_virtual_time
async def test_a_child_that_is_killed_from_outside_is_no_success() -> None:
    world = World([FOUND, ("bytes", TOTAL), 1], WHOLE)
    course = Course(config(), world)
    running = asyncio.create_task(course.run())
    problem = await told(course, running, Reason.DOWNLOAD_INTERRUPTED, 5)
    assert "the downloading process was ended" in problem.message
    await running
