"""The operator is killed after each single write of a reconcile: whatever was done by then, the end is the same."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from fairlead.reconciler.kinds import CONFIG_MAP
from fairlead.resources.names import MODEL_DEPLOYMENT_LABEL
from tests.control_plane.end_state import end_state, made_and_deleted, unlike
from tests.control_plane.fault_proxy import FaultProxy
from tests.control_plane.faults import KillAfterWrite
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.objects import Object
from tests.waiting import until

TRIES = 3
"""For one position: how often the status is written depends on how fast the Deployments' controller is."""


def nothing(_: World) -> None:
    """There is nothing before."""


def create(world: World) -> None:
    world.create("chat", {"replicas": 0})


def settle(world: World) -> None:
    create(world)
    wait_done(world)


def change(world: World) -> None:
    """Another spec, and a child that is no longer wanted, as one of an earlier version would be, both at once."""
    mdep = world.change("chat", {"rollout": {"maxStreamSeconds": 77}, "warmup": {"requests": 2}})
    owner = {key: mdep[key] for key in ("apiVersion", "kind")} | {key: mdep["metadata"][key] for key in ("name", "uid")}
    meta: Object = {"labels": {MODEL_DEPLOYMENT_LABEL: "chat"}, "ownerReferences": [{**owner, "controller": True}]}
    world.objects.create(CONFIG_MAP, world.namespace, {"metadata": {"name": "chat-of-old", **meta}})


SCENARIOS = {"create": (nothing, create), "change": (settle, change)}
"""What is there before, and what is done then."""


@dataclass
class Outcome:
    state: Object
    counts: Counter[str]
    writes: list[str]
    seen: int


@dataclass
class Play:
    """One scenario, in a new namespace each time."""

    new_world: Callable[[], World]
    operator: OperatorProcess
    proxy: FaultProxy

    def run(self, name: str, position: int = 0) -> Outcome | None:
        """With the operator killed after that write (0: after none); None where there were not so many."""
        before, action = SCENARIOS[name]
        world = self.new_world()
        before(world)
        mark = world.settled()
        kill = KillAfterWrite(world.namespace, position or 1000, lambda: self.operator.stop(signal.SIGKILL))
        with self.proxy.fault(kill):
            action(world)
            until("it is killed, or done", lambda: kill.hits or done(world), every=0.05)
            if not kill.hits:
                world.settled()
        if position and not kill.hits:
            return None
        if kill.hits:
            self.operator.start()
            wait_done(world)
        world.settled()
        return Outcome(end_state(world), made_and_deleted(world, mark), world.audit.writes(mark), kill.seen)


def done(world: World) -> bool:
    """The status is of the present spec, and no rollout is under way."""
    mdep = world.mdep("chat")
    current = (mdep.get("status") or {}).get("observedGeneration") == mdep["metadata"]["generation"]
    return current and world.condition("chat", "Progressing").get("reason") == "RolloutComplete"


def wait_done(world: World) -> None:
    until("all is as it should be", lambda: done(world), every=0.05, describe=lambda: str(world.mdep("chat")))


@pytest.fixture
def play(new_world: Callable[[], World], another_operator: Callable[..., OperatorProcess], proxy: FaultProxy) -> Iterator[Play]:
    operator = another_operator("operator", {}, proxy)
    operator.start()
    yield Play(new_world, operator, proxy)
    if operator.running:
        assert operator.stop() == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_after_each_write_the_end_is_the_same(play: Play, scenario: str) -> None:
    fair = play.run(scenario)
    assert fair is not None
    assert fair.seen == len(fair.writes), "the proxy counts what the audit log has"
    # A change replaces the ConfigMap of the pods, besides the one that it makes superfluous.
    assert (fair.counts["create configmaps"], fair.counts["delete configmaps"]) == {"create": (1, 0), "change": (1, 2)}[scenario]
    for position in range(1, len(fair.writes) + 1):
        outcome = next(filter(None, (play.run(scenario, position) for _ in range(TRIES))), None)
        assert outcome is not None, f"position {position} of {fair.writes} was not hit"
        where = f"killed after write {position}, {outcome.writes[position - 1]}"
        assert outcome.seen >= position
        assert unlike(fair.state, outcome.state) == "", where
        assert outcome.counts == fair.counts, where
