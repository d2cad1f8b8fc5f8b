"""The elector: its rules as tables, and its shell in virtual time against a Lease that several processes share."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fairlead.controller.elector import (
    CANCEL_SECONDS,
    LEASE_SECONDS,
    REQUEST_SECONDS,
    RETRY_SECONDS,
    WRITE_SECONDS,
    Sight,
    decide,
    observe,
    released,
    taken,
)
from tests.unit.controller.replicas import Object, Replica, Shared, black_hole, leads, one_after_another, refused, story
from tests.unit.virtual_time import VirtualTimeLoop, run

HELD = {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "1"}
TAKEOVER_SECONDS = RETRY_SECONDS + LEASE_SECONDS
"""The last renewal is seen up to one look late."""


@pytest.mark.parametrize(
    ("before", "spec", "holder", "since"),
    [
        (None, None, "", 50),
        (None, {}, "", 50),
        (None, HELD, "a", 50),
        (Sight("a", HELD, 10), HELD, "a", 10),
        (Sight("a", HELD, 10), {**HELD, "renewTime": "2"}, "a", 50),
        (Sight("a", HELD, 10), {**HELD, "holderIdentity": "b"}, "b", 50),
        (Sight("a", HELD, 10), None, "a", 50),
        (Sight("a", {}, 40), None, "a", 40),
        (Sight("a", HELD, 10), {}, "a", 50),
        (Sight("a", HELD, 10), released(HELD, "2"), "", 50),
        (Sight("", released(HELD, "2"), 10), None, "", 50),
    ],
    ids=[
        "no Lease",
        "an empty one",
        "another's",
        "no news",
        "renewed",
        "passed on",
        "removed under its holder",
        "removed, no news",
        "emptied under its holder",
        "given up",
        "removed after it was given up",
    ],
)
def test_what_is_known_after_a_look(before: Sight | None, spec: Object | None, holder: str, since: float) -> None:
    seen = observe(before, spec, 50)
    assert (seen.holder, seen.since) == (holder, since)


@pytest.mark.parametrize(
    ("seen", "now", "take", "wait", "reason"),
    [
        (Sight("", {}, 50), 50, True, 0, "nobody holds it"),
        (Sight("me", HELD, 50), 50, True, 0, "it still names this one"),
        (Sight("a", HELD, 50), 50, False, RETRY_SECONDS, "a leads"),
        (Sight("a", HELD, 50), 64.5, False, 0.5, "a leads"),
        (Sight("a", HELD, 50), 65, True, 0, "a has not renewed it for 15.0 s"),
        (Sight("a", {**HELD, "leaseDurationSeconds": 30}, 50), 65, False, RETRY_SECONDS, "a leads"),
        (Sight("a", {}, 50), 64, False, 1, "a leads"),
        (Sight("a", {}, 50), 65, True, 0, "a has not renewed it for 15.0 s"),
    ],
)
def test_who_may_take_it(seen: Sight, now: float, take: bool, wait: float, reason: str) -> None:  # noqa: FBT001
    decision = decide(seen, "me", now)
    assert (decision.take, decision.wait, decision.reason) == (take, wait, reason)


def test_what_stands_in_the_lease() -> None:
    ours = {"holderIdentity": "me", "leaseDurationSeconds": 15, "acquireTime": "2", "renewTime": "2"}
    assert taken({}, "me", "2") == {**ours, "leaseTransitions": 1}
    assert taken({**HELD, "leaseTransitions": 4, "strategy": "x"}, "me", "2") == {**ours, "leaseTransitions": 5, "strategy": "x"}
    assert taken({**ours, "leaseTransitions": 5}, "me", "2") == {**ours, "leaseTransitions": 5}, "no other has led in between"
    assert released(HELD, "2") == {"leaseDurationSeconds": 1, "renewTime": "2"}


def test_no_two_lead_by_their_numbers() -> None:
    assert CANCEL_SECONDS + REQUEST_SECONDS <= WRITE_SECONDS < LEASE_SECONDS
    assert TAKEOVER_SECONDS + REQUEST_SECONDS < 20


@story
async def test_the_first_leads_for_as_long_as_it_lives(a: Replica, b: Replica) -> None:
    shared = a.shared
    await asyncio.sleep(600)
    assert one_after_another(shared) == ["a"]
    assert shared.lease is not None
    assert shared.lease["spec"]["leaseTransitions"] == 1
    assert (a.terms, b.terms) == (1, 0)


@story
async def test_one_that_stops_gives_it_back(a: Replica, b: Replica) -> None:
    shared = a.shared
    await a.stop()
    assert shared.holder == ""
    await asyncio.sleep(RETRY_SECONDS + 0.1)
    assert (shared.holder, leads(b)) == ("b", True)
    assert one_after_another(shared) == ["a", "b"]


@story
async def test_one_that_is_cut_gives_it_back_too(a: Replica, b: Replica) -> None:
    shared = a.shared
    await a.kill()
    assert shared.holder == ""
    await asyncio.sleep(RETRY_SECONDS + 0.1)
    assert leads(b)


@pytest.mark.parametrize("fault", [refused, black_hole])
def test_a_leader_that_does_not_reach_the_api_stops_in_time(fault: Callable[[], Awaitable[None]]) -> None:
    @story
    async def told(a: Replica, b: Replica) -> None:
        shared = a.shared
        cut = a.loop.time()
        a.door.fault = fault
        await asyncio.sleep(TAKEOVER_SECONDS + 0.1)
        assert (leads(a), leads(b), shared.holder) == (False, True, "b")
        first, last = (
            next(at for at, name in shared.writers if name == "b"),
            max(at for at, name in shared.writers if name == "a"),
        )
        assert last <= cut + CANCEL_SECONDS + 0.1
        assert first - last >= LEASE_SECONDS - CANCEL_SECONDS - RETRY_SECONDS
        a.door.fault = None
        await asyncio.sleep(60)
        assert one_after_another(shared) == ["a", "b"], "it comes back and stands by"

    told()


@story
async def test_a_short_trouble_is_no_loss(a: Replica, b: Replica) -> None:
    for fault in (refused, black_hole):
        a.door.fault = fault
        await asyncio.sleep(CANCEL_SECONDS - 2 * RETRY_SECONDS)
        a.door.fault = None
        await asyncio.sleep(10)
    assert (a.terms, b.terms) == (1, 0)


@story
async def test_an_answer_that_is_lost_is_no_loss(a: Replica, b: Replica) -> None:
    """The renewal has gone through: the next one is refused for its old version, and looks again."""
    shared = a.shared
    a.door.after = refused
    await asyncio.sleep(RETRY_SECONDS + 0.1)
    a.door.after = None
    await asyncio.sleep(30)
    assert (shared.holder, a.terms, b.terms) == ("a", 1, 0)


@story
async def test_nobody_leads_while_the_api_is_away_and_somebody_does_afterwards(a: Replica, b: Replica) -> None:
    a.door.fault = b.door.fault = refused
    await asyncio.sleep(300)
    assert not leads(a)
    assert not leads(b)
    a.door.fault = b.door.fault = None
    await asyncio.sleep(RETRY_SECONDS + 0.1)
    assert leads(a) != leads(b)


@story
async def test_a_leader_that_was_stopped_writes_nothing_when_it_goes_on(a: Replica, b: Replica) -> None:
    """Its clock has jumped past its time: no worker of it may write, before anything of it could have learnt what happened."""
    shared = a.shared
    assert isinstance(a.loop, VirtualTimeLoop)
    a.loop.stopped_for(20)
    assert not leads(a)
    mark = len(shared.writers)
    await asyncio.sleep(0)
    assert len(shared.writers) == mark
    await asyncio.sleep(60)
    assert leads(a) != leads(b)
    assert a.terms + b.terms == 2


@story
async def test_a_lease_that_is_removed_stays_its_holders(a: Replica, b: Replica) -> None:
    shared = a.shared
    shared.lease = None
    await asyncio.sleep(30)
    assert (shared.holder, a.terms, b.terms) == ("a", 1, 0)
    assert one_after_another(shared) == ["a"]


@story
async def test_a_lease_that_is_emptied_stays_its_holders(a: Replica, b: Replica) -> None:
    shared = a.shared
    assert shared.lease is not None
    del shared.lease["spec"]
    shared.store(shared.lease)
    await asyncio.sleep(30)
    assert (shared.holder, a.terms, b.terms) == ("a", 1, 0)


@story
async def test_a_note_of_others_in_the_lease_is_no_loss(a: Replica, b: Replica) -> None:
    shared = a.shared
    assert shared.lease is not None
    shared.store({**shared.lease, "spec": {**shared.lease["spec"], "strategy": "x"}})
    await asyncio.sleep(30)
    assert shared.lease["spec"]["strategy"] == "x"
    assert (shared.holder, a.terms, b.terms) == ("a", 1, 0)


@story
async def test_a_lease_that_another_has_taken_ends_the_work_at_once(a: Replica, b: Replica) -> None:
    shared = a.shared
    assert shared.lease is not None
    shared.store({**shared.lease, "spec": {**shared.lease["spec"], "holderIdentity": "c"}})
    await asyncio.sleep(RETRY_SECONDS + 0.1)
    assert not leads(a)
    assert not leads(b)
    await asyncio.sleep(TAKEOVER_SECONDS)
    assert leads(a) != leads(b)


@story
async def test_a_worker_that_ends_slowly_is_waited_for(a: Replica, b: Replica) -> None:
    """It may write no more, and this one does not stand for election again before it has ended."""
    await b.kill()
    ended: list[float] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            assert not leads(a)
            await asyncio.sleep(60)
            ended.append(a.loop.time())

    a.stopping = True
    await a.task
    a.task = asyncio.create_task(a.elector.run(slow))
    await asyncio.sleep(RETRY_SECONDS + 0.1)
    assert leads(a)
    a.door.fault = refused
    await asyncio.sleep(CANCEL_SECONDS + 0.1)
    a.door.fault = None
    await asyncio.sleep(30)
    assert (ended, leads(a)) == ([], False)
    await asyncio.sleep(60)
    assert (len(ended), leads(a)) == (1, True)


@story
async def test_work_that_fails_ends_the_elector(a: Replica, b: Replica) -> None:
    shared = a.shared
    await a.stop()

    async def broken() -> None:
        raise ValueError("broken")

    await b.kill()
    a.task = asyncio.create_task(a.elector.run(broken))
    with pytest.raises(ValueError, match="broken"):
        await a.task
    assert shared.holder == ""


def test_two_that_start_at_once() -> None:
    async def both() -> None:
        shared = Shared()
        replicas = [Replica(shared, name) for name in "abc"]
        await asyncio.sleep(60)
        assert sum(map(leads, replicas)) == 1
        assert len(one_after_another(shared)) == 1
        for each in replicas:
            await each.kill()

    run(both())
