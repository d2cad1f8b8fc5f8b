"""The operator's typed door to the Kubernetes API: every call has a deadline, every failure is an ApiError for people."""

from __future__ import annotations

import asyncio
import json
import math
import random
from asyncio import sleep
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.utils import Backoff, on_retry_after_error

from fairlead.reconciler.kinds import Kind, Manifest, kind_of
from fairlead.resources.names import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from kubernetes.aio.dynamic import DynamicClient

    from fairlead.reconciler.diff import Path

T = TypeVar("T")

TIMEOUT_SECONDS = 8.0
"""Longest a single call may take. The API server itself gives a webhook 10 s by default; a call that waits for one that
hangs is better given up and repeated than holding a worker."""
PAGE = 500
"""Objects per page of a list, as kubectl has it."""
ATTEMPTS = Backoff(steps=4, duration=0.25, factor=2.0, jitter=0.5)
"""Tries of one call, within about 2 s: a busy API server (429) or one that restarts behind its load balancer. What takes
longer is the work queue's business, which lets other keys go first."""

_NO_ANSWER = 0
_NOT_FOUND = 404
_CONFLICT = 409
_TOO_MANY = 429
_SERVER_ERROR = 500
_UNREADABLE = "failed to create typed patch object"
"""How the API server's answer to an apply begins that has a field which the kind does not have. It comes with status 500."""


class ApiError(Exception):
    """The API server refused a call, or did not answer it."""

    def __init__(self, doing: str, status: int, reason: str, message: str) -> None:
        """Take what was being done, the HTTP status (0: no answer), and the reason and message of the answer."""
        super().__init__(f"{doing}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def transient(self) -> bool:
        """Whether the same call may well work a little later, without anybody changing anything."""
        if self.message.startswith(_UNREADABLE):
            return False
        return self.status in (_NO_ANSWER, 401, 408, _CONFLICT, _TOO_MANY) or self.status >= _SERVER_ERROR

    @property
    def namespace_ends(self) -> bool:
        """Whether the namespace is being deleted, so that nothing can be made in it any more."""
        return self.reason == "NamespaceTerminating"


@dataclass(frozen=True)
class Listing:
    """All objects of a kind at one moment."""

    items: list[Manifest]
    resource_version: int
    """The moment: every object as it was when the API server's version was this."""


class Client:
    """Reads and writes objects as plain dicts. Writing is server-side apply: only the fields that are sent are taken over."""

    def __init__(
        self,
        dynamic: DynamicClient,
        *,
        wrote: Callable[[str, Kind], None] = lambda _verb, _kind: None,
        may_write: Callable[[], float] = lambda: math.inf,
        seconds: float = TIMEOUT_SECONDS,
        attempts: Backoff = ATTEMPTS,
        pause: Callable[[float], Awaitable[None]] = sleep,
        roll: Callable[[], float] = random.random,
    ) -> None:
        """Take the library's client, and what to call with (verb, kind) for each write that is sent.

        Args:
            dynamic: the library's client.
            wrote: called with (verb, kind) for each write that is sent.
            may_write: for how many seconds from now writes may go on; none is sent when it is not above 0, and one that is
                under way by then is cut.
            seconds: longest that one call may take.
            attempts: tries of one call.
            pause: waits between two tries.
            roll: in [0, 1), for the jitter of the pauses.
        """
        self._dynamic = dynamic
        self._wrote = wrote
        self._may_write = may_write
        self._seconds = seconds
        self._attempts = attempts
        self._pause = pause
        self._roll = roll

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """The object as it is now, or None where there is none. Raises ApiError."""
        try:
            return await self._call(f"reading {kind.name} {namespace}/{name}", "get", kind.path(namespace, name))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    async def list(self, kind: Kind, namespace: str | None) -> Listing:
        """All objects of a kind that concern the operator, in one namespace or (None) in all. Raises ApiError."""
        items: list[Manifest] = []
        following = ""
        while True:
            page = await self._call(
                f"listing {kind.plural}",
                "get",
                kind.path(namespace),
                label_selector=kind.selector or None,
                limit=PAGE,
                _continue=following or None,
            )
            # Items of a list carry neither apiVersion nor kind.
            items += [{**item, "apiVersion": kind.api_version, "kind": kind.name} for item in page["items"]]
            following = page["metadata"].get("continue", "")
            if not following:
                return Listing(items, int(page["metadata"]["resourceVersion"]))

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Apply the fields of the manifest, taking over those that others have set; returns the object as it is then.

        With metadata.uid in the manifest an object of another uid is left alone (409). Raises ApiError.
        """
        kind, meta = kind_of(manifest), manifest["metadata"]
        self._wrote("apply", kind)
        return await self._call(
            f"applying {kind.name} {meta['namespace']}/{meta['name']}",
            "patch",
            kind.path(meta["namespace"], meta["name"], subresource),
            body=manifest,
            content_type="application/apply-patch+yaml",
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
        )

    async def put_right(self, live: Manifest, items: Sequence[tuple[Path, Manifest]]) -> None:
        """Replace items of lists at these places of exactly this state of the object (409 if it has changed). Raises ApiError."""
        kind, meta = kind_of(live), live["metadata"]
        self._wrote("patch", kind)
        operations = [{"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]}]
        operations += [{"op": "replace", "path": "/" + "/".join(path), "value": item} for path, item in items]
        await self._call(
            f"putting right {kind.name} {meta['namespace']}/{meta['name']}",
            "patch",
            kind.path(meta["namespace"], meta["name"]),
            body=operations,
            content_type="application/json-patch+json",
            # Under another name: what is applied as FIELD_MANAGER must be owned by apply alone, or it could never be dropped.
            field_manager=f"{FIELD_MANAGER}-repair",
        )

    async def delete(self, live: Manifest) -> None:
        """Delete exactly this object in exactly this state: one that has changed or been made anew meanwhile stays (409).

        An object that is gone already is no error. Raises ApiError.
        """
        kind, meta = kind_of(live), live["metadata"]
        self._wrote("delete", kind)
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
        }
        try:
            await self._call(
                f"deleting {kind.name} {meta['namespace']}/{meta['name']}",
                "delete",
                kind.path(meta["namespace"], meta["name"]),
                body=body,
            )
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object; 409 where there is one of that name. Raises ApiError."""
        kind, meta = kind_of(manifest), manifest["metadata"]
        self._wrote("create", kind)
        return await self._call(
            f"making {kind.name} {meta['namespace']}/{meta['name']}",
            "post",
            kind.path(meta["namespace"]),
            body=manifest,
            field_manager=FIELD_MANAGER,
        )

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replace an object as a whole; 409 where it has another resourceVersion by now. Raises ApiError."""
        kind, meta = kind_of(manifest), manifest["metadata"]
        self._wrote("update", kind)
        return await self._call(
            f"updating {kind.name} {meta['namespace']}/{meta['name']}",
            "put",
            kind.path(meta["namespace"], meta["name"]),
            body=manifest,
            field_manager=FIELD_MANAGER,
        )

    async def _call(self, doing: str, method: str, path: str, **params: Any) -> Manifest:
        """One call with retries; each of the calls made here may be repeated safely."""

        async def attempt() -> Manifest:
            seconds, query = self._seconds, []
            if method != "get":
                seconds = min(seconds, self._may_write())
                if seconds <= 0:
                    raise ApiError(doing, _NO_ANSWER, "NotLeading", "not sent: another operator may lead by now")
                # The API server gives the write up when this side does; by itself it would try for up to 60 s.
                query = [("timeout", f"{math.ceil(seconds * 1000)}ms")]
            # Not the library's own timeout: aiohttp rounds one of more than 5 s up to the next full second.
            async with asyncio.timeout(seconds):
                response = await self._dynamic.request(method, path, serialize=False, query_params=query, **params)
                answer: Manifest = await response.json()
            return answer

        try:
            return await on_retry_after_error(self._attempts, _worth_repeating, attempt, self._pause, self._roll)
        except ApiException as error:
            raise _told(doing, error) from None
        except ValueError as error:
            raise ApiError(doing, _NO_ANSWER, "NoAnswer", f"what answers there is no API server ({error})") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(
                doing, _NO_ANSWER, "NoAnswer", f"the API server did not answer ({str(error) or type(error).__name__})"
            ) from None


def _worth_repeating(error: Exception) -> bool:
    if isinstance(error, ApiException):
        return error.status in (_TOO_MANY, 503)
    return isinstance(error, aiohttp.ClientConnectionError)


def _told(doing: str, error: ApiException) -> ApiError:
    """The ApiError for a refusal; the API server's answer is a Status object whose message is for people."""
    try:
        answer = json.loads(error.body or "")
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    details = answer.get("details") or {}
    causes = [cause.get("reason") for cause in details.get("causes") or []]
    reason = "NamespaceTerminating" if "NamespaceTerminating" in causes else answer.get("reason") or error.reason or "Unknown"
    return ApiError(doing, error.status or _NO_ANSWER, reason, answer.get("message") or f"HTTP {error.status} {error.reason}")
