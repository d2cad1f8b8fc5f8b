"""What the watches have told so far: ModelDeployments, their children and their pods, as they were last seen.

Reconciling reads from here, so that looking costs the API server nothing. The store may be behind; whoever destroys or
makes something looks again first.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, POD, Key, Kind, Manifest, kind_of
from fairlead.resources.names import MODEL_DEPLOYMENT_LABEL, MODEL_VOLUME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fairlead.reconciler.client import Listing

_Place = tuple[Kind, str, str]
_GRAVES = 4096
"""Deletions remembered, so that an answer which was under way cannot bring a deleted object back. Later ones push out earlier
ones; a write that is under way is a few seconds old, and so many objects are not deleted in that time."""


class Store:
    """Objects by kind, namespace and name, each in the newest version seen. One event loop uses it; it never blocks."""

    def __init__(self) -> None:
        self._objects: dict[_Place, Manifest] = {}
        self._by_owner: dict[tuple[Kind, Key], dict[str, Manifest]] = defaultdict(dict)
        self._graves: OrderedDict[_Place, int] = OrderedDict()

    def put(self, obj: Manifest) -> None:
        """Note an object, unless a newer version of it, or its deletion, is known already.

        Versions are compared as numbers: Kubernetes 1.35 and later promise that this is right for objects of one kind.
        """
        place = _place(obj)
        version = _version(obj)
        known = self._objects.get(place)
        if version < self._graves.get(place, 0) or (known and version < _version(known)):
            return
        self._remove(place)
        self._objects[place] = trimmed = _trimmed(obj)
        if owner := owner_of(trimmed):
            self._by_owner[place[0], owner][place[2]] = trimmed

    def discard(self, obj: Manifest) -> None:
        """Note that an object is gone; `obj` is its last version."""
        place, version = _place(obj), _version(obj)
        known = self._objects.get(place)
        if known and version < _version(known):
            return  # another object of that name has been made since
        self._remove(place)
        self._graves[place] = version
        self._graves.move_to_end(place)
        if len(self._graves) > _GRAVES:
            self._graves.popitem(last=False)

    def replace(self, kind: Kind, namespace: str | None, listing: Listing) -> None:
        """Note a full list: what is not in it and not newer than it is gone. A watch that was cut tells no deletions."""
        for obj in listing.items:
            self.put(obj)
        listed = {_place(obj) for obj in listing.items}
        for place, known in list(self._objects.items()):
            within = place[0] == kind and (namespace is None or place[1] == namespace)
            if within and place not in listed and _version(known) <= listing.resource_version:
                self._remove(place)

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """The object as last seen."""
        return self._objects.get((kind, namespace, name))

    def owned(self, kind: Kind, owner: Key) -> list[Manifest]:
        """Objects of a kind that are labelled as belonging to a ModelDeployment, in the order of their names."""
        found = self._by_owner.get((kind, owner), {})
        return [found[name] for name in sorted(found)]

    def model_deployments(self) -> Iterable[Key]:
        """All ModelDeployments."""
        return [Key(namespace, name) for kind, namespace, name in self._objects if kind == MODEL_DEPLOYMENT]

    def _remove(self, place: _Place) -> None:
        known = self._objects.pop(place, None)
        owner = owner_of(known) if known else None
        if owner and (siblings := self._by_owner.get((place[0], owner))):
            siblings.pop(place[2], None)
            if not siblings:
                del self._by_owner[place[0], owner]


def owner_of(obj: Manifest) -> Key | None:
    """The ModelDeployment that an object is labelled as belonging to, or that it is."""
    meta = obj["metadata"]
    if obj.get("kind") == MODEL_DEPLOYMENT.name:
        return Key(meta["namespace"], meta["name"])
    name = (meta.get("labels") or {}).get(MODEL_DEPLOYMENT_LABEL)
    return Key(meta["namespace"], name) if name else None


def _place(obj: Manifest) -> _Place:
    meta = obj["metadata"]
    return kind_of(obj), meta["namespace"], meta["name"]


def _version(obj: Manifest) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _trimmed(obj: Manifest) -> Manifest:
    """Without what nobody asks the store for: managedFields, and most of a pod's spec.

    Both are most of an object's size.
    """
    kept = {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}
    if kind_of(obj) == POD:
        volumes = [each for each in obj["spec"].get("volumes") or [] if "configMap" in each or each["name"] == MODEL_VOLUME]
        known = {name: obj["spec"].get(name) for name in ("serviceAccountName", "priority")}
        kept["spec"] = {**known, "volumes": volumes}
    return kept
