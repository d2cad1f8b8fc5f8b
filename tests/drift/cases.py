"""What the walks over leaves know beside them: a spec that renders many, and what the API server lets nobody change."""

from fairlead.reconciler.kinds import CONFIG_MAP, DEPLOYMENT, SERVICE, Kind
from tests.objects import Object

SPEC: Object = {
    # No pods: each change of the template would only make ReplicaSets turn over.
    "replicas": 0,
    # As many fields as possible, so that as many leaves as possible are rendered.
    "engine": {
        "maxModelLen": 2048,
        "args": {"enforce-eager": "true"},
        "env": [
            {"name": "PLAIN", "value": "1"},
            {"name": "EMPTY", "value": ""},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
            {"name": "CONFIG", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        ],
    },
    "accelerator": {
        "nodeSelector": {"gpu": "h100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "pod": {
        "labels": {"team": "a"},
        "annotations": {"example.com/owner": "b"},
        "affinity": {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}}
                ]
            }
        },
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
        "imagePullSecrets": [{"name": "pull"}],
        "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"memory": "2Gi"}},
    },
}

ADDRESS = {"apiVersion", "kind", "metadata.name", "metadata.namespace"}
"""Leaves that are the object's address: to change them is to speak of another object."""

UNCHANGEABLE: dict[Kind, dict[str, str]] = {
    CONFIG_MAP: dict.fromkeys(("data.agent.json", "data.envoy.json", "immutable"), "an immutable ConfigMap"),
    DEPLOYMENT: {
        "spec.selector.matchLabels.serving.fairlead.dev/model-deployment": "immutable",
        "spec.strategy.type": "another one goes only without rollingUpdate: test_strategy_changed_as_a_whole",
        "spec.template.metadata.labels.serving.fairlead.dev/model-deployment": "the immutable selector needs it",
        "spec.template.spec.containers.0.resources.limits.nvidia.com/gpu": "must be the same as the request",
        "spec.template.spec.initContainers.0.restartPolicy": "an init container with another one has no startup probe",
        "spec.template.spec.volumes.1.emptyDir": "an empty object: what is put into it is not ours",
        **{f"spec.template.spec.volumes.{index}.name": "volumeMounts refer to it" for index in range(4)},
    },
}
"""Owned leaves of which the API server takes no other value, nor their absence, by any hand."""

FOREIGN_ITEMS: dict[str, Object] = {
    "env": {"name": "FOREIGN", "value": "1"},
    "volumes": {"name": "foreign", "emptyDir": {}},
    "volumeMounts": {"name": "tmp", "mountPath": "/foreign"},
    "containers": {"name": "foreign", "image": "registry.example.com/foreign:1"},
    "initContainers": {"name": "foreign-init", "image": "registry.example.com/foreign:1"},
    "imagePullSecrets": {"name": "foreign"},
    "ownerReferences": {"apiVersion": "v1", "kind": "ServiceAccount", "name": "default"},
    "topologySpreadConstraints": {"maxSkew": 2, "topologyKey": "foreign", "whenUnsatisfiable": "ScheduleAnyway"},
}
"""An item of somebody else's for each list in which items are told apart by keys."""
FOREIGN_ENTRIES: dict[str, str] = {"labels": "1", "annotations": "1", "requests": "1", "limits": "1"}
"""Maps in which each key has its own owner, and a value for a key of somebody else's."""


PROBES = (
    "spec.template.spec.initContainers.0.startupProbe",
    "spec.template.spec.containers.0.startupProbe",
    "spec.template.spec.containers.0.livenessProbe",
)
FIXED: dict[Kind, dict[str, str]] = {
    DEPLOYMENT: {
        "spec.template.spec.restartPolicy": "a Deployment's pods have no other",
        "spec.template.spec.serviceAccount": "the old name of serviceAccountName, which is ours; the API server keeps them equal",
        **{f"{probe}.successThreshold": "always 1 for this probe" for probe in PROBES},
    },
    SERVICE: {
        "spec.clusterIP": "immutable",
        "spec.clusterIPs.0": "immutable",
        "spec.ipFamilies.0": "the API server of the tests has one family",
    },
}
"""Leaves that are not ours of which the API server takes no other value either."""
