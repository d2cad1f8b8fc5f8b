"""kind's own configuration of the cluster, and what is put on its node: plain values, from a layout."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from tests.cluster.kind.node import MARK
from tests.cluster.layout import Layout

#: The node of kind v0.33.0 (tests/cluster/go/kind), as its release notes name it. The digest counts: a tag is built anew for
#: other releases of kind. The nearest that there is to Kubernetes 1.37.2 of the cluster without Docker.
NODE_IMAGE = "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"

_LABELS = {"app.kubernetes.io/name": "fake-gpus"}
_KUBELET = "/var/lib/kubelet/device-plugins"


class Mount(TypedDict):
    """A folder of the machine in the node."""

    hostPath: str
    containerPath: str
    readOnly: bool


class Patch(TypedDict):
    """A JSON patch (RFC 6902), as text, of one of kubeadm's objects."""

    group: str
    version: str
    kind: str
    patch: str


class Node(TypedDict):
    role: str
    image: str
    extraMounts: list[Mount]
    kubeadmConfigPatchesJSON6902: list[Patch]


class Config(TypedDict):
    """kind.x-k8s.io/v1alpha4, as far as it is used."""

    apiVersion: str
    kind: str
    name: str
    nodes: list[Node]


@dataclass(frozen=True)
class Place:
    """The paths that differ from those of the cluster without Docker."""

    layout: Layout
    #: The fake libnvidia-ml.so.1, in a folder of its own.
    library: Path

    @property
    def config(self) -> Path:
        return self.layout.state / MARK

    @property
    def audit_policy(self) -> Path:
        return self.layout.state / "audit-policy.json"

    @property
    def device_plugin(self) -> Path:
        return self.layout.state / "device-plugin.json"


def config(place: Place) -> Config:
    """One node that sees the state folder and the fake NVML where the machine has them."""
    state, library = str(place.layout.state), str(place.library.parent)
    return {
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "name": place.layout.name,
        "nodes": [
            {
                "role": "control-plane",
                "image": NODE_IMAGE,
                "extraMounts": [
                    {"hostPath": state, "containerPath": state, "readOnly": False},
                    {"hostPath": library, "containerPath": library, "readOnly": True},
                ],
                "kubeadmConfigPatchesJSON6902": [
                    {
                        "group": "kubeadm.k8s.io",
                        "version": "v1beta4",
                        "kind": "ClusterConfiguration",
                        "patch": json.dumps(_api_server(place)),
                    }
                ],
            }
        ],
    }


def _api_server(place: Place) -> list[dict[str, Any]]:
    """The audit log, which tests read: written into the state folder, never rotated under a test."""
    state = str(place.layout.state)
    arguments = {
        "audit-policy-file": str(place.audit_policy),
        "audit-log-path": str(place.layout.audit_log),
        "audit-log-maxsize": "4096",
    }
    volume = {"name": "fairlead", "hostPath": state, "mountPath": state, "readOnly": False, "pathType": "Directory"}
    return [
        *(
            {"op": "add", "path": "/apiServer/extraArgs/-", "value": {"name": name, "value": value}}
            for name, value in arguments.items()
        ),
        {"op": "add", "path": "/apiServer/extraVolumes", "value": [volume]},
    ]


def device_plugin(place: Place, image: str) -> dict[str, Any]:
    """The device plugin as a DaemonSet: it needs Python, which kind's node does not have."""
    layout = place.layout
    folders = {"kubelet": _KUBELET, "state": str(layout.state)}
    arguments = [f"--gpus={layout.gpus}", f"--library={place.library}", f"--health={layout.unhealthy_gpus}"]
    container = {
        "name": "device-plugin",
        "image": image,
        "args": arguments,
        # Root, to speak to the kubelet through its socket; nothing else of the node is within reach.
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path, "readOnly": name == "state"} for name, path in folders.items()],
    }
    pod = {
        "automountServiceAccountToken": False,
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": name, "hostPath": {"path": path, "type": "Directory"}} for name, path in folders.items()],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "fake-gpus", "namespace": "kube-system", "labels": _LABELS},
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }
