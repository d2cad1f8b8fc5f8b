"""Where a live object differs from what is wanted: only there is a write needed.

The API server adds defaults and others add fields, so only the leaves that are wanted are compared, in the way in which
server-side apply merges them:

- an object: key by key; a key that only the live object has belongs to somebody else;
- a list with merge keys (containers by name, ports by number and protocol …): item by item, extra items are somebody else's;
- any other list, and the few objects that Kubernetes declares atomic: as a whole, for there whoever writes owns all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.api.quantity import same_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Path = tuple[str, ...]

MERGE_KEYS: Mapping[str, tuple[tuple[str, Any], ...]] = {
    "containers": (("name", None),),
    "env": (("name", None),),
    "imagePullSecrets": (("name", None),),
    "initContainers": (("name", None),),
    "ownerReferences": (("uid", None),),
    "topologySpreadConstraints": (("topologyKey", None), ("whenUnsatisfiable", None)),
    "volumeMounts": (("mountPath", None),),
    "volumes": (("name", None),),
}
"""x-kubernetes-list-map-keys of the lists in the children, by the list's own name, each key with its default. Source: the
OpenAPI document of Kubernetes 1.37. `ports` has other keys in a container and in a Service."""
CONTAINER_PORT_KEYS = (("containerPort", None), ("protocol", "TCP"))
SERVICE_PORT_KEYS = (("port", None), ("protocol", "TCP"))
CONTAINERS = frozenset({"containers", "initContainers"})

ATOMIC_OBJECTS = frozenset(
    {"configMapKeyRef", "labelSelector", "namespaceSelector", "nodeSelector", "podSelector", "secretKeyRef", "selector"}
)
"""x-kubernetes-map-type: atomic in the children's schemas. A key more in a Service's selector leaves it without pods."""
DEFAULTS_WITHIN_ATOMIC: Mapping[str, Any] = {"protocol": "TCP"}
"""What the API server adds inside of what is owned as a whole: the protocol of a NetworkPolicy's ports."""
QUANTITIES = frozenset({"limits", "requests"})
"""Objects whose values are quantities: 1000m and 1 are the same."""
QUANTITY_LEAVES = frozenset({"sizeLimit"})
ZERO_IS_ABSENT: Mapping[str, Any] = {"minReadySeconds": 0, "value": ""}
"""Leaves that the API server drops at their zero value. `value` is that of a container's env."""


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[Path]:
    """The paths of wanted leaves that the live object does not have, or has with another value; empty: no write is needed."""
    return _object(wanted, live, (), atomic=False)


def clashes(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """Where an apply of `wanted` must fail: list items that have the name of a wanted one under another key.

    Ports are told apart by number and protocol, and their names must be different too. Whoever changes a port's number makes,
    for server-side apply, a foreign port out of ours, beside which ours cannot come back. Each such item comes with its
    position in the live object and with what it should be.
    """
    return list(_clashes(wanted, live, ()))


def _clashes(wanted: Any, live: Any, at: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            yield from _clashes(value, live.get(key), (*at, key))
    elif isinstance(wanted, list) and isinstance(live, list) and (keys := _merge_keys(at)):
        there = {_identity(item, keys): index for index, item in enumerate(live)}
        for item in wanted:
            index = there.get(_identity(item, keys))
            if index is not None:
                yield from _clashes(item, live[index], (*at, str(index)))
            elif at[-1] == "ports":
                same_name = [index for index, other in enumerate(live) if other.get("name") == item.get("name")]
                yield from (((*at, str(index)), item) for index in same_name)


def _object(wanted: Mapping[str, Any], live: Mapping[str, Any], at: Path, *, atomic: bool) -> list[Path]:
    found: list[Path] = []
    for key, value in wanted.items():
        found += _value(value, live.get(key), (*at, key), atomic=atomic or key in ATOMIC_OBJECTS)
    if atomic:
        found += [(*at, key) for key, value in live.items() if key not in wanted and value != DEFAULTS_WITHIN_ATOMIC.get(key)]
    return found


def _value(wanted: Any, live: Any, at: Path, *, atomic: bool) -> list[Path]:
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return [at] if wanted or live is not None else []
        return _object(wanted, live, at, atomic=atomic)
    if isinstance(wanted, list):
        return _list(wanted, live if live is not None else [], at, atomic=atomic)
    return [] if _same(wanted, live, at) else [at]


def _list(wanted: Sequence[Any], live: Any, at: Path, *, atomic: bool) -> list[Path]:
    if not isinstance(live, list):
        return [at]
    keys = None if atomic else _merge_keys(at)
    if keys is None:
        if len(wanted) != len(live):
            return [at]
        pairs = zip(wanted, live, strict=True)
        return [path for index, (one, other) in enumerate(pairs) for path in _value(one, other, (*at, str(index)), atomic=True)]
    found: list[Path] = []
    by_key = {_identity(item, keys): item for item in live}
    for item in wanted:
        identity = _identity(item, keys)
        found += _value(item, by_key.get(identity), (*at, "/".join(map(str, identity))), atomic=False)
    return found


def _merge_keys(at: Path) -> tuple[tuple[str, Any], ...] | None:
    if at[-1] == "ports":
        within_container = len(at) > len(("containers", "NAME", "ports")) and at[-3] in CONTAINERS
        return CONTAINER_PORT_KEYS if within_container else SERVICE_PORT_KEYS
    return MERGE_KEYS.get(at[-1])


def _identity(item: Mapping[str, Any], keys: tuple[tuple[str, Any], ...]) -> tuple[Any, ...]:
    return tuple(item.get(key, default) for key, default in keys)


def _same(wanted: Any, live: Any, at: Path) -> bool:
    if len(at) > 1 and (at[-2] in QUANTITIES or at[-1] in QUANTITY_LEAVES) and live is not None:
        return same_quantity(wanted, live)
    if live is None and wanted == ZERO_IS_ABSENT.get(at[-1]):
        return True
    # bool is a subclass of int: True == 1, but the API server tells them apart.
    return type(wanted) is type(live) and bool(wanted == live)
