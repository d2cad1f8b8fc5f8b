"""Each leaf that we own comes back when it is changed by hand; each that we do not own, and each foreign label, stays.

The leaves are walked out of the manifests as the builders render them and of the live objects as the API server has completed
them, so that a field which a builder gains is tested with it.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from fairlead.api.model_deployment import ModelDeployment
from fairlead.controller.settings import Settings
from fairlead.reconciler.kinds import CHILDREN, DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, Kind
from fairlead.resources import build
from tests.control_plane.conftest import SETTINGS
from tests.control_plane.leaves import ABSENT, Path, changed, dotted, foreign, leaves, look, others, place
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

UNCHANGEABLE: dict[Kind, dict[str, str]] = {
    DEPLOYMENT: {
        "spec.selector.matchLabels.serving.fairlead.dev/model-deployment": "immutable",
        "spec.strategy.type": "another one goes only without rollingUpdate: test_strategy_changed_as_a_whole",
        "spec.template.metadata.labels.serving.fairlead.dev/model-deployment": "the immutable selector needs it",
        "spec.template.spec.containers.0.resources.limits.nvidia.com/gpu": "must be the same as the request",
        "spec.template.spec.initContainers.0.restartPolicy": "an init container with another one has no startup probe",
        "spec.template.spec.volumes.1.emptyDir": "an empty object: what is put into it is not ours",
        **{f"spec.template.spec.volumes.{index}.name": "volumeMounts refer to it" for index in range(4)},
    }
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
FOREIGN_ENTRIES: dict[str, str] = {"labels": "1", "annotations": "1", "data": "1", "requests": "1", "limits": "1"}
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


def rendered(mdep: Object, kind: Kind) -> Object:
    context = Settings.model_validate(SETTINGS).context
    return next(each for each in build(ModelDeployment.model_validate(mdep), context) if each["kind"] == kind.name)


def try_values(world: World, kind: Kind, path: Path, values: list[Any]) -> tuple[Any, list[str]]:
    """Write the first of the values that the API server takes by hand; returns it, or ABSENT and the refusals."""
    refusals = []
    for value in values:
        while True:
            live = world.must_child(kind, "chat")
            try:
                written = world.objects.replace(kind, changed(live, path, value))
            except Refused as refused:
                if refused.status == 409:
                    continue  # the controller has written the status meanwhile
                refusals.append(str(refused))
                break
            if look(written, path) == look(live, path):
                refusals.append("the API server puts it back by itself")
                break
            return value, refusals
    return None, refusals


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
        value, refusals = try_values(world, kind, there, others(path, was))
        if value is None:
            unchangeable[dotted(path)] = refusals
            continue
        count += 1

        def back(path: Path = path, was: Any = was) -> bool:
            live = world.child(kind, "chat")
            again = place(manifest, path, live) if live else None
            return live is not None and again is not None and look(live, again) == was

        soon(f"{kind.name} {dotted(path)} is {was!r} again after {value!r}", back, 60 if path[-1] == "uid" else 10)
    assert set(unchangeable) == set(UNCHANGEABLE.get(kind, {})), unchangeable
    assert count > len(FOREIGN_ENTRIES), "the walk has found next to nothing"


def test_strategy_changed_as_a_whole(world: World) -> None:
    world.create("chat", SPEC)
    before = world.wait_children("chat")["Deployment"]["spec"]["strategy"]
    write(world, DEPLOYMENT, ("spec", "strategy"), {"type": "Recreate"})
    soon("the strategy is ours again", lambda: world.must_child(DEPLOYMENT, "chat")["spec"]["strategy"] == before)


@pytest.mark.parametrize("kind", CHILDREN, ids=lambda kind: kind.name)
def test_each_leaf_that_we_do_not_own_stays(world: World, kind: Kind) -> None:
    world.create("chat", SPEC)
    world.wait_children("chat")
    soon("the namespace has its default account", lambda: world.objects.get(SERVICE_ACCOUNT, world.namespace, "default"))
    manifest = rendered(world.mdep("chat"), kind)
    set_by_hand: dict[Path, Any] = {}
    refused: list[str] = []
    # What the API server has filled in.
    untouched = {key: value for key, value in world.must_child(kind, "chat").items() if key not in {"metadata", "status"}}
    for path, was in foreign(untouched, manifest):
        value, _ = try_values(world, kind, path, others(path, was))
        if value is None:
            refused.append(dotted(path))
        else:
            set_by_hand[path] = value
    # What nobody has filled in yet: an entry in each map, an item in each list.
    for path, value in additions(manifest):
        where = place(manifest, path[:-1], world.must_child(kind, "chat"))
        assert where is not None
        index = path[-1] if isinstance(path[-1], str) else len(look(world.must_child(kind, "chat"), where))
        if path[-2] == "ownerReferences":  # of an object that there is: the garbage collector takes off any other
            value = {**value, "uid": world.objects.must_get(SERVICE_ACCOUNT, world.namespace, "default")["metadata"]["uid"]}  # noqa: PLW2901
        write(world, kind, (*where, index), value)
        set_by_hand[*where, index] = value
    assert set(refused) == set(FIXED.get(kind, ())), refused
    assert len(set_by_hand) >= 3
    # Something of ours is changed as well, so that the whole child is applied anew.
    label = ("metadata", "labels", "app.kubernetes.io/instance")
    write(world, kind, label, "drifted")
    soon("our label is back", lambda: look(world.must_child(kind, "chat"), label) == "chat")
    world.settled()
    live = world.must_child(kind, "chat")
    lost = {dotted(path): (value, look(live, path)) for path, value in set_by_hand.items() if not kept(value, look(live, path))}
    assert lost == {}


def additions(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """For each map and keyed list of a manifest: the place of something new in it, and the thing."""
    if isinstance(value, list):
        if at[-1] in FOREIGN_ITEMS:
            item = FOREIGN_ITEMS[str(at[-1])]
            yield (*at, len(value)), item
        for index, each in enumerate(value):
            yield from additions(each, (*at, index))
    elif isinstance(value, dict):
        if at and at[-1] in FOREIGN_ENTRIES:
            yield (*at, "example.com/foreign" if at[-1] != "data" else "foreign"), FOREIGN_ENTRIES[str(at[-1])]
        for key, each in value.items():
            yield from additions(each, (*at, key))


def kept(value: Any, seen: Any) -> bool:
    """Whether what was written is still there; the API server may have added defaults."""
    if isinstance(value, dict) and isinstance(seen, dict):
        return all(kept(each, seen.get(key, ABSENT)) for key, each in value.items())
    return bool(value == seen)


def write(world: World, kind: Kind, path: Path, value: Any) -> None:
    """Change one thing by hand; a list's end is a place, too."""
    written, refusals = try_values(world, kind, path, [value])
    assert written is not None, (dotted(path), refusals)
