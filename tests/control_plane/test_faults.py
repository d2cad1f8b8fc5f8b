"""What an API server and the network before it may do to the operator: it may be late, and the end is the same."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fairlead.reconciler.kinds import CHILDREN, SERVICE, WATCHED
from tests.control_plane.end_state import end_state, made_and_deleted, unlike
from tests.control_plane.fault_proxy import Fault, FaultProxy
from tests.control_plane.faults import LISTS, CutWatch, ErrorEvent, LoseAnswer, LoseEvents, OldList, Refuse, Stall
from tests.control_plane.process import OperatorProcess
from tests.control_plane.test_crash import change, create, done
from tests.control_plane.world import World
from tests.objects import Object
from tests.waiting import until

FAULTS: dict[str, Callable[[], Fault]] = {
    "every third write is answered 409": lambda: Refuse(every=3, status=409, reason="Conflict"),
    "every third write is answered 429": lambda: Refuse(every=3, status=429, reason="TooManyRequests", retry_after=1),
    "every third write is answered 500": lambda: Refuse(every=3, status=500),
    "every sixth write is not answered": lambda: Stall(every=6),
    "every third answer to a write is lost": lambda: LoseAnswer(every=3),
    "every second list is answered 500": lambda: Refuse(verbs=LISTS, every=2, status=500),
    "every second event is lost": lambda: LoseEvents(every=2),
    "watches bring nothing": LoseEvents,
    "watches are cut at every second event": lambda: CutWatch(every=2),
    "watches end with 410 at every second event": lambda: ErrorEvent(every=2),
}
AWAY: dict[str, Callable[[FaultProxy], AbstractContextManager[None]]] = {
    "refused": FaultProxy.refusing,
    "black-holed": FaultProxy.black_hole,
}
AWAY_SECONDS = 20.0
RESYNC_SECONDS = 10
SECONDS = 90.0
"""What the watches do not tell is found by the slow round; a request that hangs is given up after 8 s, a watch after 70 s."""


@dataclass
class Story:
    """A ModelDeployment's life: made, changed, a child left over and one deleted by hand."""

    new_world: Callable[[], World]
    operator: OperatorProcess
    proxy: FaultProxy
    steps: tuple[Callable[[World], None], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.steps = (create, change, delete_service)

    def tell(self) -> tuple[World, int]:
        """Step by step; returns where, and the audit log's mark from before."""
        world = self.new_world()
        mark = world.audit.mark()
        for step in self.steps:
            step(world)
            self.wait(world)
        return world, mark

    def wait(self, world: World) -> None:
        until("all is as it should be", lambda: complete(world), seconds=SECONDS, every=0.2, describe=self.operator.tail)

    def outcome(self, world: World, mark: int) -> tuple[Object, Counter[str]]:
        self.wait(world)
        world.settled()
        return end_state(world), made_and_deleted(world, mark)


def delete_service(world: World) -> None:
    world.objects.delete(SERVICE, world.namespace, "chat")


def complete(world: World) -> bool:
    """The status is of the present spec, every child is there, and none that is not wanted."""
    there = [name for name in end_state(world) if name.partition(" ")[0] in {kind.name for kind in CHILDREN}]
    return done(world) and len(there) == len(CHILDREN) == len(world.children("chat"))


@pytest.fixture(scope="module")
def faulted(another_operator: Callable[..., OperatorProcess], proxy: FaultProxy) -> Iterator[OperatorProcess]:
    operator = another_operator("operator", {"resyncSeconds": RESYNC_SECONDS}, proxy)
    operator.start()
    yield operator
    assert operator.stop() == 0


@pytest.fixture
def story(new_world: Callable[[], World], faulted: OperatorProcess, proxy: FaultProxy) -> Iterator[Story]:
    yield Story(new_world, faulted, proxy)
    assert faulted.running, "it has ended by itself"
    assert faulted.answer("/healthz") == (200, "ok\n")


@pytest.fixture(scope="module")
def told() -> list[tuple[Object, Counter[str]]]:
    """Room for the outcome of the story without a fault, which the first test tells."""
    return []


@pytest.fixture
def fair(story: Story, told: list[tuple[Object, Counter[str]]]) -> tuple[Object, Counter[str]]:
    if not told:
        told.append(story.outcome(*story.tell()))
    return told[0]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_end_is_that_of_a_run_without_faults(story: Story, fair: tuple[Object, Counter[str]], fault: str) -> None:
    with story.proxy.fault(FAULTS[fault]()) as striking:
        world, mark = story.tell()
        until("it strikes", lambda: striking.hits > 1)
    same(fair, story.outcome(world, mark))


def test_old_lists_destroy_nothing(story: Story, fair: tuple[Object, Counter[str]]) -> None:
    old = OldList()
    with story.proxy.fault(old):
        until("all is listed once, without the model", lambda: len(old.kept) >= len(WATCHED))
        world, mark = story.tell()
        until("all is listed again", lambda: old.hits > len(CHILDREN))
        outcome = story.outcome(world, mark)
    same(fair, outcome)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("way", AWAY)
def test_what_was_asked_for_while_the_api_was_out_of_reach_is_done_afterwards(
    story: Story, fair: tuple[Object, Counter[str]], way: str
) -> None:
    world = story.new_world()
    mark = world.audit.mark()
    create(world)
    story.wait(world)
    with AWAY[way](story.proxy):
        change(world)
        delete_service(world)
        silent = world.writes_within(AWAY_SECONDS, world.audit.mark())
        assert silent == []
        assert story.operator.answer("/healthz")[0] == 200, "a restart would not help"
    same(fair, story.outcome(world, mark))


@pytest.mark.timeout(400)
def test_an_error_in_a_watch_that_is_not_410_ends_the_process_and_the_next_goes_on(
    story: Story, fair: tuple[Object, Counter[str]], tmp_path: Path
) -> None:
    """A process of its own: what kopf logs of such an error holds a traceback."""
    assert story.operator.stop() == 0
    mortal = OperatorProcess(story.operator.kubeconfig, story.operator.config, tmp_path / "mortal.log")
    mortal.start()
    world = story.new_world()
    mark = world.audit.mark()
    with story.proxy.fault(ErrorEvent(status=500, reason="InternalError")):
        create(world)
        until("it ends", lambda: not mortal.running, every=0.1)
    assert mortal.process is not None
    assert mortal.process.returncode == 1
    assert any(line["message"].startswith("the watches have ended") for line in mortal.lines())
    story.operator.start()
    for step in (lambda _: None, change, delete_service):
        step(world)
        story.wait(world)
    same(fair, story.outcome(world, mark))


def same(fair: tuple[Object, Counter[str]], outcome: tuple[Object, Counter[str]]) -> None:
    assert unlike(fair[0], outcome[0]) == ""
    assert outcome[1] == fair[1]
