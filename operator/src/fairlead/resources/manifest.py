"""What all children have in common: metadata that ties them to their ModelDeployment, and the hash of what is wanted."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from fairlead.api.base import API_VERSION, KIND
from fairlead.resources import names

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment

Manifest = dict[str, Any]
"""An object as server-side apply takes it: only fields that Fairlead wants to own, no empty lists or maps where the API
server would drop them, defaults written out where a reader would ask."""


def metadata(mdep: ModelDeployment, name: str | None = None) -> dict[str, Any]:
    """Metadata of a child; `name` where it is not that of the ModelDeployment."""
    return {
        "name": name or mdep.metadata.name,
        "namespace": mdep.metadata.namespace,
        "labels": names.labels(mdep.metadata.name, mdep.spec.engine.name),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": mdep.metadata.name,
                "uid": mdep.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def kept(value: Any) -> Any:
    """What the API server keeps of a part of a pod's spec that a user wrote: no empty text, no empty list, no empty matchLabels.

    Other empty objects say something ({} as a selector is every pod) and stay.
    """
    if isinstance(value, dict):
        inner = {key: kept(each) for key, each in value.items() if each is not None}
        return {key: each for key, each in inner.items() if each not in ("", []) and (key, each) != ("matchLabels", {})}
    return [kept(each) for each in value] if isinstance(value, list) else value


def digest(value: Any) -> str:
    """sha256 of JSON data, hexadecimal; the order of keys does not matter."""
    return _hash(_canonical(value))


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with the hash of itself, sharing nothing with what it was built from.

    The hash tells of what can be compared in no other way: a field that is no longer wanted.
    """
    text = _canonical(manifest)
    fresh: Manifest = json.loads(text)
    fresh["metadata"].setdefault("annotations", {})[names.APPLIED_HASH_ANNOTATION] = _hash(text)
    return fresh


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
