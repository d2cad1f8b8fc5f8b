"""What the operator asks the API server for is what the chart lets it do: nothing is refused, and no right is idle."""

import pytest

from tests.audit import Audit
from tests.control_plane.world import World
from tests.tenant import soon
from tests.unit.chart.test_rbac import OPERATOR

pytestmark = pytest.mark.usefixtures("operator")

# Asked for inside of another request, which has no line of its own in the audit log.
WITHIN = {"create": "a patch that makes the object", "update": "OwnerReferencesPermissionEnforcement, where that is on"}


def test_every_right_is_used_and_nothing_is_refused(world: World) -> None:
    world.create("chat", {"replicas": 0})
    world.wait_children("chat")
    world.change("chat", {"pod": {"serviceAccountName": "mine"}, "rollout": {"maxStreamSeconds": 77}})
    soon("the superfluous children are gone", lambda: "ServiceAccount" not in world.children("chat"))
    soon("and the one ConfigMap is left", lambda: len(world.config_maps("chat")) == 1)
    world.settled()
    everything = Audit(world.audit.log, world.audit.user).requests(0)  # of all that this operator has done since the log began
    refused = [each["requestURI"] for each in everything if each["annotations"]["authorization.k8s.io/decision"] == "forbid"]
    assert refused == []
    asked = {(_group(each), _resource(each), each["verb"]) for each in everything if "objectRef" in each}
    granted = {
        (group, resource, verb)
        for (group, resource), verbs in OPERATOR.items()
        for verb in verbs
        if verb not in WITHIN or resource == "events"
    }
    assert granted - asked == set(), "rights that nothing has asked for"
    assert {each for each in asked if each[1] != "leases"} - granted == set(), "requests without a right"


def _group(entry: dict[str, dict[str, str]]) -> str:
    return entry["objectRef"].get("apiGroup", "")


def _resource(entry: dict[str, dict[str, str]]) -> str:
    reference = entry["objectRef"]
    return "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
