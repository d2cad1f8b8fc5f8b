"""What the operator asks the API server for is what the chart lets it do: nothing is refused, and no right is idle.

This drives each right once. That no other is asked for in all of a lane is looked at when its API server stops (conftest.py), so
that both together hold for a lane in one process or in several, each with an API server of its own.
"""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audit import Audit
from tests.cluster.controlplane import control_plane_alone
from tests.control_plane.conftest import CRD, Api, service_account
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.objects import Object, Objects
from tests.rights import GRANTED, used
from tests.tenant import soon

pytestmark = pytest.mark.timeout(400)
"""One of them starts an API server of its own."""
IN_NO_LOG = {("serving.fairlead.dev", "modeldeployments/finalizers", "update")}
"""An admission plug-in asks for it, where that is on, within the request that makes a child."""
PLUG_IN = "OwnerReferencesPermissionEnforcement"


def test_every_right_is_used_and_nothing_is_refused(world: World, another_operator: Callable[..., OperatorProcess]) -> None:
    operator = another_operator("one-of-several", {"lease": "fairlead-operator"})  # as the chart has it
    operator.start()
    world.create("chat", {"replicas": 0})
    world.wait_children("chat")
    world.change("chat", {"pod": {"serviceAccountName": "mine"}, "rollout": {"maxStreamSeconds": 77}})
    soon("the superfluous children are gone", lambda: "ServiceAccount" not in world.children("chat"))
    soon("and the one ConfigMap is left", lambda: len(world.config_maps("chat")) == 1)
    world.settled()
    assert operator.stop() == 0
    everything = Audit(world.audit.log, world.audit.user).requests(0)  # of all that this operator has done since the log began
    refused = [each["requestURI"] for each in everything if each["annotations"]["authorization.k8s.io/decision"] == "forbid"]
    assert refused == []
    assert used(everything) | IN_NO_LOG == GRANTED


def test_owner_references_that_block_a_deletion_take_the_right_that_is_in_no_log(tmp_path: Path) -> None:
    with control_plane_alone(tmp_path / "plane", apiserver=[f"--enable-admission-plugins={PLUG_IN}"]) as plane:
        api, objects = Api(plane), Objects(plane.api)
        assert api.kubectl("apply", "--server-side", "-f", str(CRD)).returncode == 0
        account = tmp_path / "kubeconfig"
        account.write_text(json.dumps(service_account(plane, objects)))
        model = {"apiVersion": "serving.fairlead.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "chat"}}
        soon("the kind is served", lambda: applied(api, plane.kubeconfig, {**model, "spec": {"model": {"uri": "pvc://m"}}}) == "")
        uid = json.loads(api.kubectl("get", "mdep", "chat", "--output=json").stdout)["metadata"]["uid"]
        owner = {"apiVersion": model["apiVersion"], "kind": model["kind"], "name": "chat", "uid": uid, "controller": True}

        def child(name: str) -> str:
            references = [{**owner, "blockOwnerDeletion": True}]
            meta = {"name": name, "ownerReferences": references}
            return applied(api, account, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})

        soon("the account may", lambda: child("with") == "")
        role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/fairlead-operator"
        found = objects.request("GET", role)
        found["rules"] = [rule for rule in found["rules"] if rule["resources"] != ["modeldeployments/finalizers"]]
        objects.request("PUT", role, found)
        number = itertools.count()
        soon("without it, no more", lambda: "cannot set blockOwnerDeletion" in child(f"without-{next(number)}"))
        objects.close()


def applied(api: Api, kubeconfig: Path, wanted: Object) -> str:
    """What kubectl says against it."""
    done = api.kubectl(f"--kubeconfig={kubeconfig}", "apply", "--server-side", "-f", "-", stdin=json.dumps(wanted))
    return done.stderr if done.returncode else ""
