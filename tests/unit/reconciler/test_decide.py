"""What to write about the children, and whose they are."""

from typing import Any

from fairlead.api.conditions import Reason
from fairlead.reconciler.decide import is_ours, plan

Object = dict[str, Any]
OURS = {"apiVersion": "serving.fairlead.dev/v1alpha1", "kind": "ModelDeployment", "name": "chat", "uid": "u1", "controller": True}
APPLIED = [{"manager": "fairlead", "operation": "Apply"}]


def child(
    kind: str = "Service", name: str = "chat", *, owner: Object | None = OURS, uid: str = "live-1", **fields: Any
) -> Object:
    owners = [owner] if owner else []
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "uid": uid, "ownerReferences": owners}, **fields}


def at(*objects: Object) -> dict[tuple[str, str], Object]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def wanted(**fields: Any) -> Object:
    made = child(**fields)
    del made["metadata"]["uid"]
    return made


def test_what_is_not_there_is_made() -> None:
    steps = plan("u1", [wanted()], {})
    assert [(write.manifest, write.paths) for write in steps.writes] == [(wanted(), ())]


def test_what_differs_is_written_and_pinned_to_the_object_that_was_seen() -> None:
    steps = plan("u1", [wanted(spec={"a": 1})], at(child(spec={"a": 2})))
    (write,) = steps.writes
    assert write.paths == (("spec", "a"),)
    assert write.manifest["metadata"]["uid"] == "live-1"


def test_what_is_right_is_left_alone() -> None:
    steps = plan("u1", [wanted(spec={"a": 1})], at(child(spec={"a": 1, "b": 2})))
    assert (steps.writes, steps.conflicts) == ((), ())


def test_one_conflict_stops_everything() -> None:
    other = {"kind": "Pipeline", "name": "p", "uid": "u9", "controller": True}
    steps = plan("u1", [wanted(), wanted(kind="ConfigMap")], at(child(owner=other)))
    assert steps.writes == ()
    (problem,) = steps.conflicts
    assert problem.reason is Reason.NAME_CONFLICT
    assert (
        problem.message
        == "Service chat exists already and belongs to Pipeline p; delete it, or name the ModelDeployment differently"
    )


def test_a_conflict_with_what_nobody_owns() -> None:
    (problem,) = plan("u1", [wanted()], at(child(owner=None))).conflicts
    assert (
        problem.message
        == "Service chat exists already and was not made by Fairlead; delete it, or name the ModelDeployment differently"
    )


def test_children_of_a_deleted_namesake_are_waited_for() -> None:
    (problem,) = plan("u2", [wanted(owner={**OURS, "uid": "u2"})], at(child())).conflicts
    assert "is being removed" in problem.message


def test_whose_it_is() -> None:
    assert is_ours(child(), "u1")
    assert not is_ours(child(), "u2")
    orphan = child(owner=None)
    assert not is_ours(orphan, "u1")
    assert is_ours({**orphan, "metadata": {**orphan["metadata"], "managedFields": APPLIED}}, "u1")
    updated = [{"manager": "fairlead", "operation": "Update"}]
    assert not is_ours({**orphan, "metadata": {**orphan["metadata"], "managedFields": updated}}, "u1")
