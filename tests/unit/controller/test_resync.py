"""The slow round."""

import asyncio
from typing import Any

import pytest

from fairlead.controller import heap
from fairlead.controller.resync import Resync
from fairlead.reconciler.client import ApiError, Listing
from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, SERVICE, WATCHED, Key, Kind
from fairlead.reconciler.store import Store


class Lister:
    """Lists one ModelDeployment for each namespace; fails as often as told."""

    def __init__(self, failures: list[ApiError] | None = None) -> None:
        self.asked: list[tuple[Kind, str | None]] = []
        self.failures = failures or []

    async def list(self, kind: Kind, namespace: str | None) -> Listing:
        self.asked.append((kind, namespace))
        if self.failures:
            raise self.failures.pop()
        if kind != MODEL_DEPLOYMENT:
            return Listing([], 9)
        meta = {"namespace": namespace or "ns", "name": "chat", "resourceVersion": "1"}
        return Listing([{"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta}], 9)


def make(lister: Lister, *namespaces: str) -> tuple[Resync, Store, list[Key]]:
    store, enqueued = Store(), list[Key]()
    made = Resync(lister, store, enqueued.append, namespaces=namespaces, seconds=300, roll=lambda: 0.5)  # type: ignore[arg-type]
    return made, store, enqueued


async def test_a_round_lists_everything_and_visits_every_model_deployment() -> None:
    lister = Lister()
    resync, store, enqueued = make(lister)
    gone: dict[str, Any] = {"namespace": "ns", "name": "x", "resourceVersion": "3"}
    store.put({"apiVersion": "v1", "kind": "Service", "metadata": gone})
    await resync.round()
    assert lister.asked == [(kind, None) for kind in WATCHED]
    assert enqueued == [Key("ns", "chat")]
    assert store.get(SERVICE, "ns", "x") is None, "its deletion was missed"
    assert resync.synced.is_set()


async def test_what_a_round_has_listed_is_not_looked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    resync, store, _ = make(Lister())
    settled: list[bool] = []
    monkeypatch.setattr(heap, "settle", lambda: settled.append(store.get(MODEL_DEPLOYMENT, "ns", "chat") is not None))
    await resync.round()
    await resync.round()
    assert settled == [True, True]


async def test_only_the_namespaces_that_are_served() -> None:
    resync, _, enqueued = make(Lister(), "a", "b")
    await resync.round()
    assert enqueued == [Key("a", "chat"), Key("b", "chat")]


async def test_what_half_a_round_has_told_is_looked_at() -> None:
    lister = Lister()
    resync, _, enqueued = make(lister)
    await resync.round()
    enqueued.clear()
    resync.synced.clear()
    lister.failures = [ApiError("listing", 500, "x", "no answer")]
    with pytest.raises(ApiError):
        await resync.round()
    assert enqueued == [Key("ns", "chat")]
    assert not resync.synced.is_set(), "it is not complete"


@pytest.mark.parametrize(("status", "words"), [(404, "the CRD is not installed"), (0, "listing: no answer")])
async def test_it_waits_for_an_api_server_that_is_not_ready(
    status: int, words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr("fairlead.controller.resync.asyncio.sleep", pause)
    resync, _, enqueued = make(Lister([ApiError("listing", status, "x", "no answer")]))
    with pytest.raises(asyncio.CancelledError):
        await resync.run()
    assert pauses == [5.0, 300.0]
    assert words in caplog.text
    assert enqueued == [Key("ns", "chat")]
