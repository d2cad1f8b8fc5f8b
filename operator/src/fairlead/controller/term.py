"""A term of the leader: its queue, and the reconciler with what that remembers. Each term starts without memories."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fairlead.controller import logs
from fairlead.controller.workqueue import WorkQueue
from fairlead.reconciler.client import ApiError
from fairlead.reconciler.words import UNFORESEEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead.controller.metrics import Metrics
    from fairlead.reconciler.kinds import Key
    from fairlead.reconciler.reconcile import Reconciler

logger = logging.getLogger(__name__)

VISIT_SECONDS = 120.0
"""Longest a visit may take. 100 silent agents cost 25 s, and each call to the API server is bounded by itself."""


class Term:
    """Visits what is put into `queue`, for as long as `queue.run()` goes on."""

    def __init__(self, reconciler: Reconciler, metrics: Metrics, *, workers: int, clock: Callable[[], float]) -> None:
        """Take a reconciler of this term's own, and a monotonic clock."""
        self._reconciler = reconciler
        self._metrics = metrics
        self.queue: WorkQueue[Key] = WorkQueue(self._visit, workers=workers, clock=clock)

    async def _visit(self, key: Key) -> float | None:
        logs.key_in_hand.set(str(key))
        try:
            with self._metrics.seconds.time():
                async with asyncio.timeout(VISIT_SECONDS):
                    again = await self._reconciler.visit(key)
        except (ApiError, TimeoutError):
            self._metrics.visits.labels("retry").inc()
            raise
        except Exception:
            # Not foreseen: the only case in which the log needs to show where.
            self._metrics.visits.labels("error").inc()
            logger.exception(UNFORESEEN)
            raise
        finally:
            logs.key_in_hand.set("")
        self._metrics.visits.labels("ok").inc()
        return again
