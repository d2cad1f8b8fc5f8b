"""What the watches have told."""

from typing import Any

from fairlead.reconciler.client import Listing
from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, POD, SERVICE, Key
from fairlead.reconciler.store import Store

Object = dict[str, Any]
LABEL = "serving.fairlead.dev/model-deployment"
CHAT = Key("ns", "chat")


def service(version: int, name: str = "chat", *, owner: str = "chat", namespace: str = "ns", **fields: Any) -> Object:
    meta = {"namespace": namespace, "name": name, "resourceVersion": str(version), "labels": {LABEL: owner} if owner else {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, **fields}


def version(store: Store, name: str = "chat") -> str | None:
    found = store.get(SERVICE, "ns", name)
    return found["metadata"]["resourceVersion"] if found else None


def test_the_newest_stays() -> None:
    store = Store()
    for each in (5, 10, 9):
        store.put(service(each))
    assert version(store) == "10", "10 is newer than 9, although it sorts before it"


def test_a_late_answer_does_not_bring_back_what_is_gone() -> None:
    store = Store()
    store.put(service(5))
    store.discard(service(7))
    store.put(service(6))
    assert version(store) is None
    store.put(service(8))
    assert version(store) == "8"


def test_the_deletion_of_an_earlier_one_of_the_name() -> None:
    store = Store()
    store.put(service(9))
    store.discard(service(7))
    assert version(store) == "9"


def test_a_list_shows_what_is_gone() -> None:
    store = Store()
    for name, each in (("a", 1), ("b", 2), ("new", 12)):
        store.put(service(each, name))
    store.put(service(3, "elsewhere", namespace="other"))
    store.replace(SERVICE, "ns", Listing([service(2, "b"), service(4, "c")], 10))
    assert [version(store, name) for name in ("a", "b", "c", "new")] == [None, "2", "4", "12"]
    assert store.get(SERVICE, "other", "elsewhere"), "the list was of one namespace"
    store.replace(SERVICE, None, Listing([], 20))
    assert store.owned(SERVICE, CHAT) == []


def test_children_by_owner() -> None:
    store = Store()
    for name in ("b", "a"):
        store.put(service(1, name))
    store.put(service(1, "c", owner="other"))
    store.put(service(1, "d", owner=""))
    assert [each["metadata"]["name"] for each in store.owned(SERVICE, CHAT)] == ["a", "b"]
    store.put(service(2, "a", owner="other"))
    assert [each["metadata"]["name"] for each in store.owned(SERVICE, CHAT)] == ["b"]
    store.discard(service(3, "b"))
    assert store.owned(SERVICE, CHAT) == []


def test_model_deployments() -> None:
    store = Store()
    meta = {"namespace": "ns", "name": "chat", "resourceVersion": "1"}
    store.put({"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": "ModelDeployment", "metadata": meta})
    store.put(service(1, "other"))
    assert list(store.model_deployments()) == [CHAT]


def test_what_nobody_asks_for_is_not_kept() -> None:
    store = Store()
    named, own = {"name": "config", "configMap": {"name": "chat-config-1"}}, {"name": "model", "ephemeral": {}}
    volumes = [{"name": "cache", "persistentVolumeClaim": {"claimName": "compiled"}}, named, own]
    pod = {
        **service(1),
        "kind": "Pod",
        "spec": {"containers": [], "serviceAccountName": "chat", "priority": 7, "volumes": volumes},
        "status": {"phase": "Running"},
    }
    pod["metadata"]["managedFields"] = [{}]
    store.put(pod)
    kept = store.get(POD, "ns", "chat")
    assert kept is not None
    assert kept["spec"] == {"serviceAccountName": "chat", "priority": 7, "volumes": volumes[1:]}
    assert ("managedFields" in kept["metadata"], kept["status"]) == (False, {"phase": "Running"})
    assert "managedFields" in pod["metadata"], "the caller's object is its own"
