"""What the watches bring: each event goes into the store, and its ModelDeployment into the queue. Nothing else happens here.

kopf does the watching alone. A handler of `on.event` that returns None makes it write nothing: no finalizer, no annotation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kopf

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, WATCHED, Kind
from fairlead.reconciler.store import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fairlead.controller.metrics import Metrics
    from fairlead.reconciler.kinds import Key, Manifest
    from fairlead.reconciler.store import Store

REQUEST_SECONDS = 30.0
"""kopf's own default for a list is 300 s: so long would a black-holed API server go unnoticed."""
CONNECT_SECONDS = 5.0


def registry(store: Store, enqueue: Callable[[Key], None], metrics: Metrics) -> kopf.OperatorRegistry:
    """The handlers of all watched kinds."""
    handlers = kopf.OperatorRegistry()

    def watch(kind: Kind) -> None:
        async def noticed(event: kopf.RawEvent, **_: Any) -> None:
            # Objects out of a list carry neither apiVersion nor kind.
            obj: dict[str, Any] = {**event["object"], "apiVersion": kind.api_version, "kind": kind.name}
            metrics.event(kind.name)
            # Both owners count: somebody may have changed the label.
            before = store.get(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
            if before is not None and _known(kind, event["type"], before, obj):
                return
            if event["type"] == "DELETED":
                store.discard(obj)
            else:
                store.put(obj)
            for owner in {owner_of(obj), owner_of(before) if before else None} - {None}:
                assert owner is not None  # noqa: S101 - for the type checker: None has just been taken out
                enqueue(owner)

        kopf.on.event(*_selector(kind), id=f"noticed-{kind.plural}", registry=handlers)(noticed)

    for kind in WATCHED:
        watch(kind)
    return handlers


class _NoChanges(kopf.DiffBaseStorage):
    """What an object was like when it was handled last: for handlers of changes, of which there are none here.

    kopf would copy every object twice and compare the copies: half of what an event costs.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Nowhere: an annotation would be a write."""


def settings(namespaces: Sequence[str]) -> kopf.OperatorSettings:
    """Kopf with all that writes switched off, and watches narrowed to labelled children."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.persistence.diffbase_storage = _NoChanges()
    made.networking.request_timeout = REQUEST_SECONDS
    made.networking.connect_timeout = CONNECT_SECONDS
    # Looking for new kinds and namespaces needs rights over the whole cluster.
    made.scanning.disabled = bool(namespaces)
    for kind in WATCHED:
        if kind.selector:
            made.watching.label_selectors[_selector(kind)] = kind.selector
    return made


def _known(kind: Kind, event: str | None, before: Manifest, obj: Manifest) -> bool:
    """Whether this very version has been seen: in a list, after which all is visited, or as the answer to a visit's own write.

    A ModelDeployment never counts as known: one that a visit reads or writes the status of may come back with a spec that
    the visit does not know yet.
    """
    same: bool = before["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]
    return same and event != "DELETED" and kind != MODEL_DEPLOYMENT


def _selector(kind: Kind) -> tuple[Any, ...]:
    return (kind.group, kind.version, kind.plural) if kind.group else (kind.version, kind.plural)
