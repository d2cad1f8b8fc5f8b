"""A client over a dict: what the reconciler sends, and what an API server would answer."""

import copy
from typing import Any

from fairlead.reconciler.client import ApiError, Client, Listing
from fairlead.reconciler.kinds import Kind, kind_of

Object = dict[str, Any]


class FakeClient(Client):
    """Notes every call as (verb, kind); refuses where told to."""

    def __init__(self, *objects: Object) -> None:
        self.objects = {self.place(each): each for each in objects}
        self.calls: list[tuple[str, str]] = []
        self.refuse: dict[tuple[str, str], ApiError] = {}
        self.webhook: dict[str, Any] = {}
        """Set in the spec of whatever is applied, as a mutating webhook would."""
        self.immutable = False
        """Whether it keeps objects that say so from being changed, as an API server does."""
        self.events: list[Object] = []
        self._version = 100

    @staticmethod
    def place(obj: Object) -> tuple[str, str, str]:
        return obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] not in ("get", "list")]

    def _note(self, verb: str, kind: str) -> None:
        self.calls.append((verb, kind))
        if (verb, kind) in self.refuse:
            raise self.refuse[verb, kind]

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self._note("get", kind.name)
        return self.objects.get((kind.name, namespace, name))

    async def list(self, kind: Kind, namespace: str | None) -> Listing:
        self._note("list", kind.name)
        found = [each for (name, place, _), each in self.objects.items() if (name, place) == (kind.name, namespace)]
        return Listing(found, self._version)

    async def apply(self, manifest: Object, *, subresource: str = "") -> Object:
        self._note("apply", manifest["kind"] + (f"/{subresource}" if subresource else ""))
        self._version += 1
        if self.immutable and self.objects.get(self.place(manifest), {}).get("immutable"):
            raise refusal(422, "data: Forbidden: field is immutable when `immutable` is set")
        there = self.objects.get(self.place(manifest), {"metadata": {"uid": f"uid-{self._version}", "generation": 1}})
        applied = copy.deepcopy({**there, **manifest})
        applied["metadata"] = {**there["metadata"], **applied["metadata"], "resourceVersion": str(self._version)}
        if self.webhook and "spec" in applied and not subresource:
            applied["spec"] |= self.webhook
        self.objects[self.place(manifest)] = applied
        return applied

    async def put_right(self, live: Object, items: Any) -> None:  # noqa: ARG002
        self._note("patch", live["kind"])

    async def delete(self, live: Object) -> None:
        self._note("delete", kind_of(live).name)
        del self.objects[self.place(live)]

    async def create(self, manifest: Object) -> Object:
        self._note("create", "Event")
        self.events.append(manifest)
        return manifest


def refusal(status: int, message: str = "no", reason: str = "Because") -> ApiError:
    return ApiError("applying", status, reason, message)
