"""The slow round: everything is listed again, and every ModelDeployment visited.

A watch that was cut tells no deletions of that time, and kopf starts it again with a list that does not either. The first
round fills the store before the first visit.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fairlead.controller import heap
from fairlead.reconciler.client import ApiError
from fairlead.reconciler.kinds import WATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fairlead.reconciler.client import Client
    from fairlead.reconciler.kinds import Key
    from fairlead.reconciler.store import Store

logger = logging.getLogger(__name__)

_NOT_FOUND = 404
RETRY_SECONDS = 5.0
"""Pause after a round that failed: the API server is away, or the CRD is not there yet."""
JITTER = 0.1
"""Share of the period by which rounds vary, so that operators of many clusters behind one proxy do not march in step."""


class Resync:
    """Runs the rounds."""

    def __init__(
        self,
        client: Client,
        store: Store,
        enqueue: Callable[[Key], None],
        *,
        namespaces: Sequence[str],
        seconds: float,
        roll: Callable[[], float],
    ) -> None:
        """Take the period in seconds, and `roll` in [0, 1) for its jitter."""
        self._client = client
        self._store = store
        self._enqueue = enqueue
        self._namespaces: Sequence[str | None] = namespaces or [None]
        self._seconds = seconds
        self._roll = roll
        self.synced = asyncio.Event()
        """Set once everything has been listed."""

    async def run(self) -> None:
        """Rounds for ever."""
        while True:
            try:
                await self.round()
            except ApiError as error:
                told = "the CRD is not installed: kubectl apply -f crds/" if error.status == _NOT_FOUND else str(error)
                logger.warning("waiting for the Kubernetes API: %s", told)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(self._seconds * (1 + JITTER * (2 * self._roll() - 1)))

    async def round(self) -> None:
        """List everything once and have every ModelDeployment visited. Raises ApiError."""
        try:
            for kind in WATCHED:
                for namespace in self._namespaces:
                    self._store.replace(kind, namespace, await self._client.list(kind, namespace))
        finally:
            # After half a round too: what a list has told is no news any more when a watch brings it.
            for key in self._store.model_deployments():
                self._enqueue(key)
        heap.settle()
        self.synced.set()
