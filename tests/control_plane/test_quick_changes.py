"""Five changes of one spec a second, for a minute, while the rollouts of the earlier ones are still under way."""

import sys
import time

import pytest

from fairlead.reconciler.kinds import DEPLOYMENT
from tests.control_plane.subject import NAME, Subject
from tests.control_plane.world import World
from tests.objects import Object
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

SECONDS = 60
PER_SECOND = 5
CHILDREN_WRITES = 3
"""Of one change of the pods' template: a ConfigMap made, the Deployment changed, an earlier ConfigMap deleted."""


def spec_of(number: int) -> Object:
    """Each is another one, and each is seen in the Deployment in two places; every tenth cannot be turned into pods."""
    args: Object = {"nosuchflag": 1} if number % 10 == 9 else {"seed": number}
    return {"replicas": number % 2, "engine": {"args": {"seed": None, "nosuchflag": None, **args}}}


@pytest.mark.timeout(300)
def test_the_last_of_five_changes_a_second_for_a_minute_wins(world: World) -> None:
    world.create(NAME, {"replicas": 0})
    subject = Subject(world)
    mark = subject.settle()
    start, seen = time.monotonic(), 0
    for number in range(SECONDS * PER_SECOND):
        due = start + number / PER_SECOND
        until("the next change is due", lambda due=due: time.monotonic() >= due, seconds=SECONDS, every=0.01)  # type: ignore[misc]
        changed = world.change(NAME, spec_of(number))
        status = changed["status"]
        assert changed["metadata"]["generation"] == number + 2
        assert seen <= status["observedGeneration"] < number + 2, "it never goes back, and never runs ahead"
        assert {each["observedGeneration"] for each in status["conditions"]} == {status["observedGeneration"]}
        seen = status["observedGeneration"]
    took = time.monotonic() - start
    last = world.change(NAME, {**spec_of(7), "replicas": 2})
    subject.settle()
    assert world.mdep(NAME)["status"]["observedGeneration"] == last["metadata"]["generation"] == SECONDS * PER_SECOND + 2
    assert subject.valid
    deployment = world.must_child(DEPLOYMENT, NAME)["spec"]
    assert deployment["replicas"] == 2
    engine = next(each for each in deployment["template"]["spec"]["containers"] if each["name"] == "engine")
    assert "--seed=7" in engine["args"]
    assert len(world.config_maps(NAME)) == 1, "those of the specs between are gone"
    writes = subject.writes(mark)
    children = [each for each in writes if "/status" not in each and "/events" not in each]
    told = len(writes) - len(children)
    sys.stdout.write(
        f"{number + 2} changes in {took:.0f} s: {len(children)} writes of children, {told} of status and events; "
        f"{seen} generations were seen before the last\n"
    )
    assert 0 < len(children) <= CHILDREN_WRITES * (number + 2)
