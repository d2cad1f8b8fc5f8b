"""When everything is as it was asked for, nothing is written to the API server."""

import pytest

from tests.audit import Audit
from tests.cluster.chart import NAMESPACE
from tests.e2e.conftest import World
from tests.waiting import always, until

WINDOW_SECONDS = 60


@pytest.mark.timeout(300)
def test_zero_writes_for_60_seconds_after_settling(world: World) -> None:
    audit = Audit(world.cluster.audit_log, f"system:serviceaccount:{NAMESPACE}:fairlead-operator")
    start = audit.mark()
    world.create("settled")
    # from 10 s without a write on the window is counted
    mark = audit.settled(10, within=120, every=2)
    always("nothing is written", lambda: not audit.writes(mark), seconds=WINDOW_SECONDS, every=1)
    # its watches are open all the while, so that it may be silent: that the log shows it at all is seen at what it wrote before
    assert audit.writes(start), "no write of the operator at all: the audit log does not show what this test looks for"
    # it is alive: a change is acted on, and seen in the same log
    mark = audit.mark()
    world.kube.merge("mdep", "settled", {"spec": {"rollout": {"maxUnavailable": 1}}}, world.namespace)
    until("the change is written", lambda: audit.writes(mark), seconds=30)
