"""Writes the status of ModelDeployments, and tells its turns as Events: no oftener than it must."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fairlead.reconciler import status as statuses
from fairlead.reconciler.client import ApiError
from fairlead.reconciler.conditions import turned
from fairlead.reconciler.events import event, rescaled, worth_telling
from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, Key, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fairlead.reconciler.client import Client
    from fairlead.reconciler.events import News
    from fairlead.reconciler.status import Facts
    from fairlead.reconciler.store import Store

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 10.0
"""Between two writes of one object's counts and messages. A turn of a condition and a new generation go at once."""
REPEAT_SECONDS = 300.0
"""For how long the same news of the same object is not told again: a flapping replica must not fill the event list."""


def wall_clock() -> datetime:
    """The time for timestamps."""
    return datetime.now(UTC)


class StatusWriter:
    """Compares the status that is there with the one that should be."""

    def __init__(
        self, client: Client, store: Store, *, instance: str, clock: Callable[[], float], now: Callable[[], datetime] = wall_clock
    ) -> None:
        """Take the doors, the operator's name for Events, a monotonic clock for pauses and the wall clock for timestamps."""
        self._client = client
        self._store = store
        self._instance = instance
        self._clock = clock
        self._now = now
        self._written: dict[Key, float] = {}
        self._told: dict[tuple[Key, News], float] = {}

    async def write(self, live: Manifest, facts: Facts) -> float | None:
        """Write the status if it must be; returns in how many seconds a change that was put off may go. Raises ApiError."""
        key = Key(facts.namespace, facts.name)
        now = self._now()
        previous = live.get("status") or {}
        desired = statuses.desired(facts, previous, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        if not _differs(previous, desired):
            return None
        turns = turned(previous.get("conditions") or [], desired["conditions"])
        wait = self._written.get(key, float("-inf")) + PAUSE_SECONDS - self._clock()
        if wait > 0 and not turns and previous.get("observedGeneration") == facts.generation:
            return wait
        meta = live["metadata"]
        manifest = {
            "apiVersion": MODEL_DEPLOYMENT.api_version,
            "kind": MODEL_DEPLOYMENT.name,
            "metadata": {"namespace": key.namespace, "name": key.name, "uid": meta["uid"]},
            "status": desired,
        }
        try:
            written = await self._client.apply(manifest, subresource="status")
        except ApiError as error:
            if error.status in (404, 409):  # deleted, or made anew: its own event is on the way
                logger.debug("status not written: %s", error)
                return None
            raise
        self._written[key] = self._clock()
        self._store.put(written)
        scaling = rescaled(previous.get("autoscaling") or {}, desired.get("autoscaling") or {})
        for news in [*scaling, *worth_telling(turns)]:
            await self._tell(key, live, news, now)
        return None

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        self._written.pop(key, None)
        for place in [place for place in self._told if place[0] == key]:
            del self._told[place]

    async def _tell(self, key: Key, live: Mapping[str, Any], news: News, now: datetime) -> None:
        """Record an Event. That it cannot be recorded is no reason to fail: the condition says the same."""
        last = self._told.get((key, news))
        if last is not None and self._clock() - last < REPEAT_SECONDS:
            return
        self._told = {place: at for place, at in self._told.items() if place[0] != key or self._clock() - at < REPEAT_SECONDS}
        self._told[key, news] = self._clock()
        logger.log(logging.WARNING if news.warning else logging.INFO, "%s: %s", news.reason, news.message)
        try:
            await self._client.create(event(live, news, now=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), instance=self._instance))
        except ApiError as error:
            logger.warning("%s", error)


def _differs(previous: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether anything of ours is another; conditions of others may stand among ours."""
    ours = {each["type"]: each for each in desired["conditions"]}
    there = {each["type"]: each for each in previous.get("conditions") or [] if each["type"] in ours}
    return there != ours or any(previous.get(name) != value for name, value in desired.items() if name != "conditions")
