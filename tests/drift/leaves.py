"""Leaves of manifests: walked, found again in a live object, given other values. Knows nothing of the operator's own diff."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from tests.objects import Object

Path = tuple[str | int, ...]
ABSENT = object()

LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
    "ports": ("port", "containerPort", "protocol"),
}
"""By what the items of a list are told apart; of any other list the position counts."""

OTHER_VALUES: Mapping[str, tuple[Any, ...]] = {
    "type": ("NodePort", "Unconfined"),
    "name": ("shm", "tmp"),
    "internalTrafficPolicy": ("Local",),
    "sessionAffinity": ("ClientIP",),
    "ipFamilyPolicy": ("PreferDualStack",),
    "unhealthyPodEvictionPolicy": ("IfHealthyBudget",),
    "imagePullPolicy": ("Always",),
    "terminationMessagePolicy": ("File",),
    "scheme": ("HTTPS",),
    "whenUnsatisfiable": ("DoNotSchedule",),
    "operator": ("NotIn", "Equal"),
    "effect": ("NoExecute",),
    "protocol": ("UDP",),
    "restartPolicy": ("OnFailure",),
    "dnsPolicy": ("Default",),
    "kind": ("Pod",),
    "port": (1234,),
    "containerPort": (1234,),
    "targetPort": (1234,),
    "cpu": ("7",),
    "memory": ("7Gi",),
}
"""Values that the API server takes where a word of one's own is refused, by the leaf's last name."""


def leaves(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar, and every empty object or list, with its path."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, (*at, key))
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from leaves(each, (*at, index))
    else:
        yield at, value


def foreign(value: Any, owned: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves of a live object that a manifest does not have."""
    if isinstance(value, dict) and isinstance(owned, dict) and value:
        for key, each in value.items():
            yield from foreign(each, owned.get(key, ABSENT), (*at, key))
    elif isinstance(value, list) and isinstance(owned, list) and value:
        keys = LIST_KEYS.get(str(at[-1])) if isinstance(value[0], dict) else None
        for index, each in enumerate(value):
            same = [item for item in owned if keys and all(item.get(key) == each.get(key) for key in keys if key in item)]
            yield from foreign(each, same[0] if same else (ABSENT if keys else each), (*at, index))
    elif owned is ABSENT:
        yield from leaves(value, at)


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


def place(manifest: Object, path: Path, live: Object) -> Path | None:
    """The path in the live object of what has `path` in the manifest; None where its list item is not there."""
    wanted: Any = manifest
    seen: Any = live
    found: list[str | int] = []
    for part in path:
        if isinstance(part, int):
            item = wanted[part]
            keys = [key for key in LIST_KEYS.get(str(found[-1]), ()) if key in item] if isinstance(item, dict) else []
            if keys:
                matching = [index for index, other in enumerate(seen or []) if all(other.get(key) == item[key] for key in keys)]
                if not matching:
                    return None
                part = matching[0]  # noqa: PLW2901 - the same item, elsewhere
            wanted = item
        else:
            wanted = wanted[part]
        found.append(part)
        seen = look(seen, (part,)) if seen is not ABSENT else ABSENT
    return tuple(found)


def look(value: Any, path: Path) -> Any:
    """What is at a path, or ABSENT."""
    for part in path:
        if isinstance(part, int):
            if not isinstance(value, list) or part >= len(value):
                return ABSENT
        elif not isinstance(value, dict) or part not in value:
            return ABSENT
        value = value[part]
    return value


def changed(obj: Object, path: Path, value: Any) -> Object:
    """A copy with another value at a path; ABSENT takes the leaf away."""
    copied = copy.deepcopy(obj)
    parent = look(copied, path[:-1])
    assert parent is not ABSENT, dotted(path)
    if value is ABSENT:
        del parent[path[-1]]
    elif isinstance(parent, list) and path[-1] == len(parent):
        parent.append(value)
    else:
        parent[path[-1]] = value
    return copied


def others(path: Path, value: Any) -> list[Any]:
    """Other values for a leaf, the likeliest to be taken first; taking it away comes last."""
    candidates: list[Any] = list(OTHER_VALUES.get(str(path[-1]), ()))
    if isinstance(value, bool):
        candidates.append(not value)
    elif isinstance(value, int):
        candidates += [value + 1, value - 1]
    elif isinstance(value, str):
        candidates += [f"{value}x", "x", "7"]
    elif value == {}:
        candidates.append({"matchLabels": {"x": "y"}})
    return [each for each in (*candidates, ABSENT) if each is ABSENT or each != value]
