"""What a real API server makes of the children: no warning, nothing dropped or rewritten; pods under Pod Security restricted."""

import json
from typing import Any

import pytest
import yaml

from fairlead.api.model_deployment import ModelDeployment
from fairlead.reconciler.diff import differences
from fairlead.resources import build
from tests.control_plane.conftest import Api
from tests.unit.resources.cases import CASES
from tests.waiting import until

NEEDED: list[dict[str, Any]] = [
    {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "serving-first"},
        "value": 100000,
    },
    {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}, "handler": "nvidia"},
]
"""What the ModelDeployments of the table refer to and a cluster's admin makes."""


def apply(api: Api, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    """As the operator does it; a warning of the API server is a failure."""
    done = api.kubectl(
        "apply",
        "--server-side",
        "--field-manager=fairlead",
        "--validate=strict",
        "--output=json",
        "--show-managed-fields",
        "--filename=-",
        stdin=yaml.safe_dump_all(objects),
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    answer = json.loads(done.stdout)
    items: list[dict[str, Any]] = answer["items"] if answer["kind"] == "List" else [answer]
    return items


def restricted_namespace(name: str) -> dict[str, Any]:
    modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": modes}}


@pytest.mark.parametrize("name", CASES)
def test_children(api: Api, name: str) -> None:
    wanted, context = CASES[name]
    namespace = f"children-{name}"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "own-account", "namespace": namespace}}
    apply(api, *NEEDED, restricted_namespace(namespace), account)
    spec = wanted.spec.to_wire()
    metadata = {"name": wanted.metadata.name, "namespace": namespace}
    (live,) = apply(api, {"apiVersion": wanted.api_version, "kind": wanted.kind, "metadata": metadata, "spec": spec})
    mdep = ModelDeployment.model_validate(live)
    manifests = build(mdep, context)

    first = apply(api, *manifests)
    assert [
        (each["kind"], path) for manifest, each in zip(manifests, first, strict=True) for path in differences(manifest, each)
    ] == []
    again = apply(api, *manifests)
    assert [each["metadata"].get("generation") for each in again] == [each["metadata"].get("generation") for each in first]

    if mdep.spec.replicas:
        # The ReplicaSet controller makes the pods; Pod Security would refuse them here.
        assert pod_phases(api, namespace, mdep.spec.replicas) == ["Pending"] * mdep.spec.replicas


def pod_phases(api: Api, namespace: str, count: int) -> list[str]:
    def phases() -> list[str] | None:
        pods = json.loads(api.kubectl("get", "pods", f"--namespace={namespace}", "--output=json").stdout)["items"]
        return [str(pod["status"]["phase"]) for pod in pods] if len(pods) >= count else None

    def events() -> str:
        return api.kubectl("get", "events", f"--namespace={namespace}", "--output=custom-columns=M:.message").stdout

    return until(f"{count} pods", phases, every=0.1, describe=events)
