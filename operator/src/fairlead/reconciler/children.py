"""Brings the children of a ModelDeployment in line with what is wanted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fairlead.api.conditions import Reason
from fairlead.reconciler.client import ApiError
from fairlead.reconciler.decide import Write, controller_of, mounted, plan
from fairlead.reconciler.diff import clashes, differences
from fairlead.reconciler.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    POD,
    REPLICA_SET,
    SERVICE_ACCOUNT,
    Key,
    Manifest,
    kind_of,
)
from fairlead.reconciler.words import bounded
from fairlead.resources.engine_flags.validate import Problem
from fairlead.resources.names import APPLIED_HASH_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead.api.access import KeySetRef
    from fairlead.reconciler.client import Client
    from fairlead.reconciler.diff import Path
    from fairlead.reconciler.store import Store

logger = logging.getLogger(__name__)

_INVALID = 422
_SHOWN = 5
"""Paths of a difference that the log names."""


class Children:
    """Reads the children from the store, writes them through the client."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store
        self._futile: dict[tuple[Key, str, str], tuple[str, frozenset[Path]]] = {}

    async def align(self, key: Key, uid: str, wanted: Sequence[Manifest]) -> list[Problem]:
        """Make and mend what is wanted, in its order, and remove what no longer is; returns what stands in the way.

        Raises ApiError where the same may work a little later.
        """
        there = await self._there(key, uid, wanted)
        # The one child that a spec may do without. ConfigMaps of earlier specs are a matter of their own, below.
        steps = plan(uid, wanted, there, self._store.owned(SERVICE_ACCOUNT, key))
        if any(not write.paths for write in steps.writes) and not await self._still_wanted(key, uid):
            return []
        problems = list(steps.conflicts)
        try:
            for write in steps.writes:
                await self._apply(key, write)
            for removal in steps.removals:
                await self._remove(removal, uid)
        except ApiError as error:
            problems = [_refused(error)]
        try:
            await self._remove_superseded(key, uid, wanted)
        except ApiError as error:
            problems = problems or [_refused(error)]
        return problems

    async def lacks(self, namespace: str, ref: KeySetRef) -> Problem | None:
        """What keeps a ConfigMap that pods mount from being mounted. Kubernetes tells of it in events alone."""
        found = await self._client.get(CONFIG_MAP, namespace, ref.name)
        if found is None:
            return Problem(Reason.KEY_SET_NOT_FOUND, f"there is no ConfigMap {ref.name}, which spec.access.jwt.jwks names")
        if ref.key not in {*(found.get("data") or {}), *(found.get("binaryData") or {})}:
            told = f"ConfigMap {ref.name} has no key {ref.key}, which spec.access.jwt.jwks names"
            return Problem(Reason.KEY_SET_NOT_FOUND, told)
        return None

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        for place in [place for place in self._futile if place[0] == key]:
            del self._futile[place]

    async def _there(self, key: Key, uid: str, wanted: Sequence[Manifest]) -> dict[tuple[str, str], Manifest]:
        """What is under the names of the children. What is not known as a child is read anew: it may be anybody's."""
        found = {}
        for manifest in wanted:
            kind, name = kind_of(manifest), manifest["metadata"]["name"]
            seen = self._store.get(kind, key.namespace, name)
            if seen is None or (controller_of(seen) or {}).get("uid") != uid:
                seen = await self._client.get(kind, key.namespace, name)
            if seen is not None:
                found[kind.name, name] = seen
        return found

    async def _still_wanted(self, key: Key, uid: str) -> bool:
        """Whether the ModelDeployment is there, before something is made for it: a deletion's news may be under way."""
        live = await self._client.get(MODEL_DEPLOYMENT, key.namespace, key.name)
        if live is not None:
            self._store.put(live)
        return live is not None and live["metadata"]["uid"] == uid and "deletionTimestamp" not in live["metadata"]

    async def _apply(self, key: Key, write: Write) -> None:
        """Write one child, unless just this has been without effect before: a webhook insists on something else."""
        manifest = write.manifest
        place = (key, manifest["kind"], manifest["metadata"]["name"])
        wanted_hash = manifest["metadata"]["annotations"][APPLIED_HASH_ANNOTATION]
        known_hash, without_effect = self._futile.get(place, ("", frozenset()))
        if write.paths and known_hash == wanted_hash and without_effect.issuperset(write.paths):
            return
        applied = await self._force(manifest)
        self._store.put(applied)
        told = ", ".join(".".join(path) for path in write.paths[:_SHOWN]) or "it was not there"
        logger.info("applied %s %s: %s", manifest["kind"], manifest["metadata"]["name"], told)
        left = differences(manifest, applied)
        if left:
            self._futile[place] = (wanted_hash, frozenset(left))
            logger.warning(
                "%s %s keeps other values than were applied; an admission webhook sets them: %s",
                manifest["kind"],
                manifest["metadata"]["name"],
                ", ".join(".".join(path) for path in left[:_SHOWN]),
            )
        else:
            self._futile.pop(place, None)

    async def _force(self, manifest: Manifest) -> Manifest:
        """Apply; first put right what stands in the way: foreign list items under our names, a ConfigMap that nobody can change.

        Such a one is ours, and was deleted and made anew by hand with other data.
        """
        try:
            return await self._client.apply(manifest)
        except ApiError as error:
            if error.status != _INVALID:
                raise
            meta = manifest["metadata"]
            live = await self._client.get(kind_of(manifest), meta["namespace"], meta["name"])
            if live is not None and live.get("immutable") and live["metadata"]["uid"] == meta.get("uid"):
                await self._client.delete(live)
                return await self._client.apply({**manifest, "metadata": {k: v for k, v in meta.items() if k != "uid"}})
            items = clashes(manifest, live) if live is not None and live["metadata"]["uid"] == meta.get("uid") else []
            if live is None or not items:
                raise
        await self._client.put_right(live, items)
        return await self._client.apply(manifest)

    async def _remove_superseded(self, key: Key, uid: str, wanted: Sequence[Manifest]) -> None:
        """Delete ConfigMaps of earlier specs that no pod mounts and no ReplicaSet would give to a pod that it makes anew.

        The Deployment counts as it is, not as it is wanted: it may have been refused. ReplicaSets are not watched; they are
        read when there is something to delete.
        """
        deployment = self._store.get(DEPLOYMENT, key.namespace, key.name)
        templates = [deployment["spec"]["template"]] if deployment is not None else []
        needed = {each["metadata"]["name"] for each in wanted if kind_of(each) == CONFIG_MAP}
        needed.update(*map(mounted, [*templates, *self._store.owned(POD, key)]))
        others = [each for each in self._store.owned(CONFIG_MAP, key) if each["metadata"]["name"] not in needed]
        ours = [each for each in others if (controller_of(each) or {}).get("uid") == uid]
        if not ours:
            return
        sets = (await self._client.list(REPLICA_SET, key.namespace)).items
        needed.update(*(mounted(each["spec"]["template"]) for each in sets if each["spec"].get("replicas")))
        for each in ours:
            if each["metadata"]["name"] not in needed:
                await self._remove(each, uid)

    async def _remove(self, seen: Manifest, uid: str) -> None:
        """Delete a child that is no longer wanted, if a fresh look still finds it ours."""
        meta = seen["metadata"]
        live = await self._client.get(kind_of(seen), meta["namespace"], meta["name"])
        if live is None or (controller_of(live) or {}).get("uid") != uid or "deletionTimestamp" in live["metadata"]:
            return
        await self._client.delete(live)
        logger.info("deleted %s %s: no longer wanted", live["kind"], meta["name"])


def _refused(error: ApiError) -> Problem:
    """What the API server will refuse again as things are. Raises what may pass."""
    if error.transient or error.namespace_ends:
        raise error
    logger.warning("refused: %s", error)
    return Problem(Reason.APPLY_FAILED, bounded(str(error), 1000))
