"""Events of the watches, through kopf's own registry: store and queue, and nothing that makes kopf write."""

import asyncio
from typing import Any

import kopf
import pytest

from fairlead.controller import handlers
from fairlead.controller.metrics import Metrics
from fairlead.reconciler.kinds import CHILDREN, MODEL_DEPLOYMENT, POD, SERVICE, WATCHED, Key
from fairlead.reconciler.store import Store

Object = dict[str, Any]
LABEL = "serving.fairlead.dev/model-deployment"


class World:
    def __init__(self) -> None:
        self.store = Store()
        self.enqueued: list[Key] = []
        self.metrics = Metrics(lambda: 0.0)
        self.registry = handlers.registry(self.store, self.enqueued.append, self.metrics)

    def event(self, plural: str, kind: str | None, obj: Object) -> object:
        """What the handler of a resource returns."""
        handler: Any = next(each for each in self.registry._watching._handlers if each.id == f"noticed-{plural}")
        return asyncio.run(handler.fn(event={"type": kind, "object": obj}))


def obj(name: str, version: int, owner: str | None = None) -> Object:
    labels = {LABEL: owner} if owner else {}
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version), "labels": labels}, "spec": {}}


def test_a_model_deployment_is_its_own_key() -> None:
    world = World()
    assert world.event("modeldeployments", None, obj("chat", 1)) is None, "anything else would be written into its status"
    assert world.enqueued == [Key("ns", "chat")]
    assert world.store.get(MODEL_DEPLOYMENT, "ns", "chat")


def test_a_child_brings_its_owner_when_it_comes_changes_and_goes() -> None:
    world = World()
    for number, kind in enumerate((None, "ADDED", "MODIFIED", "DELETED")):
        world.event("services", kind, obj("x", number, "chat"))
    assert world.enqueued == [Key("ns", "chat")] * 4
    assert world.store.get(SERVICE, "ns", "x") is None


def test_a_child_that_was_seen_in_this_very_version_is_no_news() -> None:
    """It is the answer to a write of the operator's own, or stood in a list, after which everything is visited."""
    world = World()
    world.store.put({**obj("x", 5, "chat"), "apiVersion": "v1", "kind": "Service"})
    world.event("services", "MODIFIED", obj("x", 5, "chat"))
    assert world.enqueued == []
    # An older one has been overwritten by that write, which somebody may have meant otherwise.
    world.event("services", "MODIFIED", obj("x", 4, "chat"))
    world.event("services", "MODIFIED", obj("x", 6, "chat"))
    world.event("services", "DELETED", obj("x", 6, "chat"))
    assert world.enqueued == [Key("ns", "chat")] * 3


def test_a_model_deployment_is_always_news() -> None:
    """The answer to a write of its status may be the first to hold a new spec."""
    world = World()
    world.store.put({**obj("chat", 5), "apiVersion": MODEL_DEPLOYMENT.api_version, "kind": MODEL_DEPLOYMENT.name})
    world.event("modeldeployments", "MODIFIED", obj("chat", 5))
    assert world.enqueued == [Key("ns", "chat")]


def test_a_changed_label_brings_both_owners() -> None:
    world = World()
    world.event("pods", "ADDED", obj("x", 1, "chat"))
    world.enqueued.clear()
    world.event("pods", "MODIFIED", obj("x", 2, "other"))
    assert set(world.enqueued) == {Key("ns", "chat"), Key("ns", "other")}
    world.enqueued.clear()
    # The watch has a selector: one that loses its label is told as deleted, without it.
    world.event("pods", "DELETED", obj("x", 3))
    assert world.enqueued == [Key("ns", "other")]
    assert world.store.get(POD, "ns", "x") is None


def test_there_is_one_quiet_handler_for_each_kind() -> None:
    registry = World().registry
    assert {each.id for each in registry._watching._handlers} == {f"noticed-{kind.plural}" for kind in WATCHED}
    assert not registry._changing._handlers
    assert not registry._spawning._handlers


@pytest.mark.parametrize("namespaces", [[], ["a"]])
def test_kopf_writes_nothing_and_watches_only_what_is_labelled(namespaces: list[str]) -> None:
    made = handlers.settings(namespaces)
    assert made.posting.enabled is False
    assert made.scanning.disabled is bool(namespaces)
    selectors = {
        (each.group, each.version, each.any_name): made.watching.label_selectors[each] for each in made.watching.label_selectors
    }
    assert selectors == {(kind.group, kind.version, kind.plural): LABEL for kind in (*CHILDREN, POD)}
    assert isinstance(made, kopf.OperatorSettings)
    body: Any = {"spec": {"a": 1}}
    assert made.persistence.diffbase_storage.build(body=body) == {}, "no copy of each object"
    assert made.persistence.diffbase_storage.fetch(body=body) is None
