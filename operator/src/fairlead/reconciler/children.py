"""Brings the children of a ModelDeployment in line with what is wanted."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fairlead.api.conditions import Reason
from fairlead.reconciler.client import ApiError
from fairlead.reconciler.decide import Write, controller_of, needs, place, plan
from fairlead.reconciler.diff import clashes, differences
from fairlead.reconciler.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    POD,
    REPLICA_SET,
    SERVICE_ACCOUNT,
    Key,
    Kind,
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
        steps = plan(uid, wanted, there)
        if any(not write.paths for write in steps.writes) and not await self._still_wanted(key, uid):
            return []
        problems = list(steps.conflicts)
        try:
            for write in steps.writes:
                await self._apply(key, write)
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
        for of in [of for of in self._futile if of[0] == key]:
            del self._futile[of]

    async def _there(self, key: Key, uid: str, wanted: Sequence[Manifest]) -> dict[tuple[str, str], Manifest]:
        """What is under the names of the children. What is not known as a child is read anew: it may be anybody's."""
        found: dict[tuple[Kind, str], Manifest | None] = {}
        for manifest in wanted:
            kind, name = kind_of(manifest), manifest["metadata"]["name"]
            found[kind, name] = self._store.get(kind, key.namespace, name)
        unknown = [place for place, seen in found.items() if seen is None or (controller_of(seen) or {}).get("uid") != uid]
        # At once: a new ModelDeployment holds a worker for the time of one read, not of six.
        read = await asyncio.gather(*(self._client.get(kind, key.namespace, name) for kind, name in unknown))
        found.update(zip(unknown, read, strict=True))
        return {(kind.name, name): seen for (kind, name), seen in found.items() if seen is not None}

    async def _still_wanted(self, key: Key, uid: str) -> bool:
        """Whether the ModelDeployment is there, before something is made for it: a deletion's news may be under way."""
        live = await self._client.get(MODEL_DEPLOYMENT, key.namespace, key.name)
        if live is not None:
            self._store.put(live)
        return live is not None and live["metadata"]["uid"] == uid and "deletionTimestamp" not in live["metadata"]

    async def _apply(self, key: Key, write: Write) -> None:
        """Write one child, unless just this has been without effect before: a webhook insists on something else."""
        manifest = write.manifest
        of = (key, *place(manifest))
        wanted_hash = manifest["metadata"]["annotations"][APPLIED_HASH_ANNOTATION]
        known_hash, without_effect = self._futile.get(of, ("", frozenset()))
        if write.paths and known_hash == wanted_hash and without_effect.issuperset(write.paths):
            return
        applied = await self._force(manifest)
        self._store.put(applied)
        told = ", ".join(".".join(path) for path in write.paths[:_SHOWN]) or "it was not there"
        logger.info("applied %s %s: %s", manifest["kind"], manifest["metadata"]["name"], told)
        left = differences(manifest, applied)
        if left:
            self._futile[of] = (wanted_hash, frozenset(left))
            logger.warning(
                "%s %s keeps other values than were applied; an admission webhook sets them: %s",
                manifest["kind"],
                manifest["metadata"]["name"],
                ", ".join(".".join(path) for path in left[:_SHOWN]),
            )
        else:
            self._futile.pop(of, None)

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
        """Delete what was made for earlier specs and no pod needs, nor one that a ReplicaSet would make anew.

        That may be ConfigMaps, and the ServiceAccount where the spec names another. The Deployment counts as it is, not as it
        is wanted: it may have been refused. ReplicaSets are not watched; they are read when there is something to delete.
        """
        deployment = self._store.get(DEPLOYMENT, key.namespace, key.name)
        templates = [deployment["spec"]["template"]] if deployment is not None else []
        needed = {place(each) for each in wanted}
        needed.update(*map(needs, [*templates, *self._store.owned(POD, key)]))
        owned = [each for kind in (CONFIG_MAP, SERVICE_ACCOUNT) for each in self._store.owned(kind, key)]
        ours = [each for each in owned if place(each) not in needed and (controller_of(each) or {}).get("uid") == uid]
        if not ours:
            return
        sets = (await self._client.list(REPLICA_SET, key.namespace)).items
        needed.update(*(needs(each["spec"]["template"]) for each in sets if each["spec"].get("replicas")))
        for each in ours:
            if place(each) not in needed:
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
