"""Each leaf that we own comes back when it is changed by hand; each that we do not own, and each foreign label, stays.

The leaves are walked out of the manifests as the builders render them and of the live objects as the API server has completed
them, so that a field which a builder gains is tested with it.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from fairlead.api.model_deployment import ModelDeployment
from fairlead.controller.settings import Settings
from fairlead.reconciler.kinds import CHILDREN, CONFIG_MAP, DEPLOYMENT, NETWORK_POLICY, SERVICE, SERVICE_ACCOUNT, Kind
from fairlead.resources import build
from tests.control_plane.conftest import SETTINGS
from tests.control_plane.leaves import ABSENT, Path, changed, dotted, leaves, look, others, place
from tests.control_plane.objects import Object, Refused
from tests.control_plane.world import World, soon

pytestmark = [pytest.mark.usefixtures("operator"), pytest.mark.timeout(240)]

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

FOREIGN_ITEMS: dict[str, Object] = {
    "env": {"name": "FOREIGN", "value": "1"},
    "volumes": {"name": "foreign", "emptyDir": {}},
    "volumeMounts": {"name": "tmp", "mountPath": "/foreign"},
    "containers": {"name": "foreign", "image": "registry.example.com/foreign:1"},
    "initContainers": {"name": "foreign-init", "image": "registry.example.com/foreign:1"},
    "imagePullSecrets": {"name": "foreign"},
    "ownerReferences": {},
    "topologySpreadConstraints": {"maxSkew": 2, "topologyKey": "foreign", "whenUnsatisfiable": "ScheduleAnyway"},
}
FOREIGN_MAPS = {"labels", "annotations", "data", "requests", "limits"}


def rendered(mdep: Object, kind: Kind) -> Object:
    context = Settings.model_validate(SETTINGS).context
    return next(each for each in build(ModelDeployment.model_validate(mdep), context) if each["kind"] == kind.name)


def try_values(world: World, kind: Kind, name: str, path: Path, values: list[Any]) -> tuple[Any, list[str]]:
    """Write the first of the values that the API server takes by hand; returns it, or ABSENT and the refusals."""
    refusals = []
    for value in values:
        while True:
            live = world.must_child(kind, name)
            try:
                world.objects.replace(kind, changed(live, path, value))
            except Refused as refused:
                if refused.status == 409:
                    continue  # the controller has written the status meanwhile
                refusals.append(str(refused))
                break
            if value is ABSENT and look(world.must_child(kind, name), path) == look(live, path):
                refusals.append("the API server puts it back by itself")
                break
            return value, refusals
    return None, refusals


NEVER_CHANGED: dict[str, dict[str, str]] = {
    "Deployment": {},
}


@pytest.mark.parametrize("kind", CHILDREN, ids=lambda kind: kind.name)
def test_each_leaf_that_we_own_comes_back(world: World, kind: Kind) -> None:
    world.create("chat", SPEC)
    world.wait_children("chat")
    manifest = rendered(world.mdep("chat"), kind)
    before = world.must_child(kind, "chat")
    unchangeable: dict[str, list[str]] = {}
    count = 0
    for path, _ in leaves(manifest):
        if dotted(path) in ADDRESS:
            continue
        there = place(manifest, path, world.must_child(kind, "chat"))
        assert there is not None, dotted(path)
        first = place(manifest, path, before)
        assert first is not None, dotted(path)
        was = look(before, first)
        value, refusals = try_values(world, kind, "chat", there, others(path, was))
        if value is None:
            unchangeable[dotted(path)] = refusals
            continue
        count += 1

        def back(path: Path = path, was: Any = was) -> bool:
            live = world.child(kind, "chat")
            again = place(manifest, path, live) if live else None
            return live is not None and again is not None and look(live, again) == was

        soon(f"{kind.name} {dotted(path)} is {was!r} again after {value!r}", back, 60 if path[-1] == "uid" else 10)
    print(kind.name, count, "leaves", unchangeable)
    assert 0, (kind.name, count, unchangeable)
