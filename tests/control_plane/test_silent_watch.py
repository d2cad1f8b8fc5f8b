"""Watches that fall silent while their connections stay open: noticed by that alone, as the API server speaks every minute."""

from collections.abc import Callable

import pytest

from fairlead.reconciler.kinds import DEPLOYMENT, SERVICE
from tests.control_plane.fault_proxy import FaultProxy
from tests.control_plane.faults import SilentWatches
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.waiting import until

NOTICED_SECONDS = 70.0
"""After so long without a word (kopf's inactivity_timeout) a watch is opened anew."""
RESYNC_SECONDS = 3600
"""The slow round is not what helps."""


@pytest.mark.timeout(400)
def test_what_happens_while_all_watches_are_silent_is_seen_when_they_are_opened_anew(
    new_world: Callable[[], World], another_operator: Callable[..., OperatorProcess], proxy: FaultProxy
) -> None:
    operator = another_operator("silent", {"resyncSeconds": RESYNC_SECONDS}, proxy)
    operator.start()
    world = new_world()
    world.create("chat", {"replicas": 0})
    world.wait_condition("chat", "Ready", status="True", reason="ScaledToZero")
    world.settled()
    silent = SilentWatches(before=proxy.calls[-1].number)
    lists = len([call for call in proxy.calls if call.verb == "list"])
    with proxy.fault(silent):
        world.change("chat", {"replicas": 1})
        world.objects.delete(SERVICE, world.namespace, "chat")
        until(
            "both are seen",
            lambda: world.must_child(DEPLOYMENT, "chat")["spec"]["replicas"] == 1 and world.child(SERVICE, "chat"),
            seconds=NOTICED_SECONDS + 60,
            describe=operator.tail,
        )
    assert silent.hits > 0, "nothing was held back"
    assert len([call for call in proxy.calls if call.verb == "list"]) == lists, "the watches go on where they were"
    assert operator.stop() == 0
