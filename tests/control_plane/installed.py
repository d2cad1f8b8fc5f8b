"""The operator as the chart has installed it on an API server without nodes: its settings and its rights, as a process here."""

import base64
import json
from pathlib import Path

from tests.cluster.controlplane import ControlPlane
from tests.control_plane.process import OperatorProcess
from tests.objects import Object, Objects

TOKEN_SECONDS = 7200


def kubeconfig_of(plane: ControlPlane, objects: Objects, namespace: str, account: str) -> Object:
    """A kubeconfig with a token of a service account."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    token = objects.request("POST", path, {"spec": {"expirationSeconds": TOKEN_SECONDS}})["status"]["token"]
    authority = base64.b64encode(plane.api.authority.read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "operator",
        "contexts": [{"name": "operator", "context": {"cluster": "plane", "user": "operator"}}],
        "clusters": [{"name": "plane", "cluster": {"server": plane.server, "certificate-authority-data": authority}}],
        "users": [{"name": "operator", "user": {"token": token}}],
    }


def operator_of_chart(
    plane: ControlPlane, objects: Objects, folder: Path, namespace: str, name: str = "fairlead-operator"
) -> OperatorProcess:
    """The operator of an installed chart, not started, on any free port."""
    config = objects.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")["data"]["operator.json"]
    (folder / "operator.json").write_text(json.dumps({**json.loads(config), "listenPort": 0}))
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig_of(plane, objects, namespace, name)))
    return OperatorProcess(folder / "kubeconfig", folder / "operator.json", folder / "operator.log")
