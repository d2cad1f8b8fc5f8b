"""When everything is as it was asked for, the operator writes nothing, whatever passes by."""

import pytest

from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.tenant import soon

WINDOW_SECONDS = 15.0


@pytest.mark.usefixtures("operator")
def test_no_writes_after_settling(world: World) -> None:
    world.create("ready")
    world.make_ready("ready")
    world.create("starting", {"replicas": 1})
    for pod in world.wait_pods("starting", 1):
        world.run(pod, ready=False)
    world.wait_condition("starting", "Ready", status="False", reason="AgentUnreachable")
    world.create("refused", {"engine": {"args": {"nosuchflag": "1"}}})
    world.wait_condition("refused", "ConfigurationValid", status="False", reason="UnknownEngineFlag")
    since = world.settled()
    assert world.writes_within(WINDOW_SECONDS, since) == []
    assert world.audit.writes(0), "none of the operator's writes is in the audit log: the test is blind"
    # It is awake all the same, and the log would have shown a write.
    world.change("ready", {"rollout": {"maxUnavailable": 1}})
    soon("a change is written", lambda: world.audit.writes(since))


def test_a_restart_writes_nothing(world: World, operator: OperatorProcess) -> None:
    for name in ("one", "two"):
        world.create(name)
        world.make_ready(name)
    since = world.settled()
    assert operator.stop() == 0
    operator.start()
    visits = 'fairlead_reconcile_total{result="ok"}'
    soon("both have been visited", lambda: operator.metric(visits) >= 2)
    world.settled()
    assert world.audit.writes(since) == []
