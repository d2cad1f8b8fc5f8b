"""Two operators, one Lease: whatever befalls the one that leads, the other leads within 20 s, and never do both write."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from fairlead.reconciler.kinds import LEASE
from tests.audit import WRITES, Audit
from tests.control_plane.conftest import SYSTEM
from tests.control_plane.fault_proxy import FaultProxy
from tests.control_plane.process import VERSION, OperatorProcess
from tests.control_plane.world import World
from tests.objects import Object
from tests.waiting import until

NAME = "fairlead-operator"
TAKEOVER_SECONDS = 20.0
AWAY_SECONDS = 20.0
GIVEN_BACK_SECONDS = 10.0
"""Less than the 15 s after which a Lease is taken that was not given back."""


@dataclass
class Pair:
    """The operator that leads, behind the proxy, and the one that stands by, with a model whose spec changes all the time."""

    world: World
    leading: OperatorProcess
    standing_by: OperatorProcess
    audit: Audit
    """Of all namespaces."""
    mark: int
    changes: int = 0

    def holder(self) -> str:
        lease = self.world.objects.get(LEASE, SYSTEM, NAME)
        return str(((lease or {}).get("spec") or {}).get("holderIdentity", ""))

    def change(self) -> None:
        """Give whoever leads something to write: three writes and more for each."""
        self.changes += 1
        self.world.change("chat", {"engine": {"maxNumSeqs": 8 + self.changes % 100}})

    def changing_until(self, what: str, probe: Callable[[], object], seconds: float) -> None:
        def look() -> object:
            self.change()
            return probe()

        until(what, look, seconds=seconds, every=0.1, describe=lambda: self.leading.tail() + self.standing_by.tail())

    def writes(self) -> list[tuple[datetime, datetime, str]]:
        """Beginning, end and sender of each write of either, in the order of the beginnings."""
        found = [
            (
                datetime.fromisoformat(each["requestReceivedTimestamp"]),
                datetime.fromisoformat(each["stageTimestamp"]),
                writer(each),
            )
            for each in self.audit.requests(self.mark)
            if each["verb"] in WRITES and each["objectRef"]["resource"] != "leases"
        ]
        return sorted(found)

    def turns(self) -> list[str]:
        """Who wrote, in turns. Fails where one began before the other's last write had ended."""
        turns: list[str] = []
        ended = None
        for began, end, name in self.writes():
            if not turns or turns[-1] != name:
                assert ended is None or began > ended, f"{name} wrote at {began}, {turns[-1]} until {ended}"
                turns.append(name)
            ended = max(ended, end) if ended else end
        return turns


def writer(entry: Object) -> str:
    """The operator's name in its user agent, as in the Lease: `fairlead-operator/VERSION (NAME)`."""
    agent: str = entry["userAgent"]
    program, _, name = agent.rstrip(")").partition(" (")
    assert program == f"fairlead-operator/{VERSION}", agent
    assert name, agent
    return name


@pytest.fixture
def pair(world: World, another_operator: Callable[..., OperatorProcess], proxy: FaultProxy) -> Iterator[Pair]:
    world.objects.delete(LEASE, SYSTEM, NAME)
    leading = another_operator("leading", {"lease": NAME}, proxy)
    standing_by = another_operator("standing-by", {"lease": NAME})
    audit = replace(world.audit, namespace=None)
    mark = audit.mark()
    leading.start()
    until(
        "the first leads", lambda: leading.metric("fairlead_operator_leader") == 1, seconds=10, every=0.1, describe=leading.tail
    )
    standing_by.start()
    world.create("chat", {"replicas": 0})
    world.wait_children("chat")
    until("it stands by", lambda: any("standing by" in line["message"] for line in standing_by.lines()), seconds=10, every=0.1)
    assert standing_by.metric("fairlead_operator_leader") == 0
    assert standing_by.metric("fairlead_queue_depth") == 0
    yield Pair(world, leading, standing_by, audit, mark)
    for each in (leading, standing_by):
        if each.running:
            assert each.stop() == 0


@contextmanager
def stopped(pair: Pair, _: FaultProxy) -> Iterator[None]:
    assert pair.leading.process is not None
    pair.leading.process.send_signal(signal.SIGSTOP)
    yield
    pair.leading.process.send_signal(signal.SIGCONT)


@contextmanager
def killed(pair: Pair, _: FaultProxy) -> Iterator[None]:
    assert pair.leading.stop(signal.SIGKILL) == -signal.SIGKILL
    yield


FAULTS: dict[str, Callable[[Pair, FaultProxy], AbstractContextManager[object]]] = {
    "refused": lambda _, proxy: proxy.refusing(),
    "black-holed": lambda _, proxy: proxy.black_hole(),
    "stopped": stopped,
    "killed": killed,
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", FAULTS)
def test_never_two_writers_and_a_new_leader_within_20_seconds(pair: Pair, proxy: FaultProxy, fault: str) -> None:
    first = pair.holder()
    pair.changing_until("the leader is at work", lambda: len(pair.writes()) > 20, seconds=30)
    since = pair.audit.mark()
    with FAULTS[fault](pair, proxy):
        began = time.monotonic()
        pair.changing_until("another leads", lambda: pair.holder() not in {"", first}, seconds=TAKEOVER_SECONDS)
        second = pair.holder()
        pair.changing_until("and works", lambda: pair.turns()[-1] == second, seconds=5)
        lists = [each["userAgent"] for each in pair.audit.requests(since) if each["verb"] == "list"]
        if pair.leading.running:
            pair.changing_until("20 s are over", lambda: time.monotonic() - began > AWAY_SECONDS, seconds=AWAY_SECONDS)
    if pair.leading.running:
        pair.changing_until("the first stands by", lambda: f"standing by: {second} leads" in pair.leading.tail(), seconds=30)
        assert pair.leading.metric("fairlead_operator_leader") == 0
        assert any("no longer leading" in line["message"] for line in pair.leading.lines())
    mark = len(pair.writes())
    pair.changing_until("the second goes on", lambda: len(pair.writes()) > mark + 10, seconds=30)
    assert pair.turns() == [first, second]
    assert pair.standing_by.metric("fairlead_operator_leader") == 1
    # The one that is away lists nothing: it does not reach the API server.
    assert lists == [], "taking over needs no list: all was read already"


def test_an_operator_that_is_stopped_gives_the_lease_back(pair: Pair) -> None:
    first = pair.holder()
    pair.changing_until("the leader is at work", lambda: len(pair.writes()) > 20, seconds=30)
    assert pair.leading.stop() == 0
    pair.changing_until("the other leads", lambda: pair.holder() not in {"", first}, seconds=GIVEN_BACK_SECONDS)
    pair.changing_until("and works", lambda: pair.turns()[-1] == pair.holder(), seconds=5)
    assert pair.turns() == [first, pair.holder()]


def test_an_operator_that_stands_by_stops_at_once_and_takes_nothing_with_it(pair: Pair) -> None:
    first = pair.holder()
    assert pair.standing_by.stop() == 0
    pair.changing_until("the leader is at work", lambda: len(pair.writes()) > 20, seconds=30)
    assert pair.turns() == [first]


def test_the_rights_of_the_chart_do_for_a_lease_that_somebody_removed(pair: Pair) -> None:
    first = pair.holder()
    pair.world.objects.delete(LEASE, SYSTEM, NAME)
    pair.changing_until("the leader has made it again", lambda: pair.holder() == first, seconds=10)
    assert pair.turns() == [first]
