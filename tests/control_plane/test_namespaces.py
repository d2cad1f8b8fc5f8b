"""An operator that serves some namespaces only, with the rights that the chart gives it there."""

import json
from pathlib import Path

from fairlead.reconciler.kinds import Kind
from tests.control_plane.conftest import SETTINGS, SYSTEM
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.objects import NAMESPACE

ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")


def test_only_the_namespaces_that_it_is_told(world: World, operator_process: OperatorProcess, tmp_path: Path) -> None:
    other = f"{world.namespace}-not"
    world.objects.create(NAMESPACE, None, {"metadata": {"name": other}})
    narrow = process(world, operator_process, tmp_path)
    narrow.start()
    try:
        elsewhere = World(world.objects, world.audit, other)
        elsewhere.create("chat")
        world.create("chat")
        world.make_ready("chat")
        world.change("chat", {"rollout": {"maxStreamSeconds": 77}})
        world.wait_pods("chat", 3)
        world.settled()
        assert elsewhere.children("chat") == {}
        assert elsewhere.mdep("chat")["status"] == {"observedGeneration": -1}
    finally:
        assert narrow.stop() == 0
        world.objects.delete(NAMESPACE, None, other)
    log = narrow.log.read_text()
    assert "Traceback" not in log
    assert "orbidden" not in log, "it asks for nothing that the namespace's rights do not hold"


def process(world: World, operator_process: OperatorProcess, folder: Path) -> OperatorProcess:
    """An operator whose account has a RoleBinding to the chart's ClusterRole in the world's namespace, and nothing else."""
    accounts = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts"
    world.objects.request("POST", accounts, {"metadata": {"name": world.namespace}})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "fairlead-operator"}
    subject = {"kind": "ServiceAccount", "name": world.namespace, "namespace": SYSTEM}
    binding = {"metadata": {"name": "fairlead-operator-models"}, "roleRef": role, "subjects": [subject]}
    world.objects.create(ROLE_BINDING, world.namespace, binding)
    token = world.objects.request("POST", f"{accounts}/{world.namespace}/token", {"spec": {"expirationSeconds": 3600}})
    kubeconfig = json.loads(operator_process.kubeconfig.read_text())
    kubeconfig["users"] = [{"name": "operator", "user": {"token": token["status"]["token"]}}]
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
    (folder / "operator.json").write_text(json.dumps({**SETTINGS, "namespaces": [world.namespace]}))
    return OperatorProcess(folder / "kubeconfig", folder / "operator.json", folder / "operator.log")
