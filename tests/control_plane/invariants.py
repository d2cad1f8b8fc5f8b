"""What holds of a ModelDeployment whenever the operator has settled, whatever came before."""

from fairlead.api.conditions import ConditionType, Reason
from fairlead.reconciler.kinds import CHILDREN
from tests.control_plane.subject import NAME, Subject
from tests.objects import Object

_PARTS = {"type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"}


def holds(subject: Subject, before: list[Object]) -> None:
    """The conventions of its status and of its children; `before`: its conditions before the last step."""
    mdep = subject.live
    generation = mdep["metadata"]["generation"]
    assert mdep["status"]["observedGeneration"] == generation
    _well_formed(mdep["status"]["conditions"], generation, before)
    wrote = {each.get("subresource", "") for each in mdep["metadata"]["managedFields"] if each["manager"] == "fairlead"}
    assert wrote == {"status"}, "the operator writes nothing but the status"
    assert not {"finalizers", "annotations"} & mdep["metadata"].keys()
    for kind in CHILDREN:
        for child in subject.world.objects.list(kind, subject.world.namespace):
            if child["metadata"]["name"].split("-config-")[0] == NAME:
                _owned(child, mdep["metadata"]["uid"])


def _well_formed(conditions: list[Object], generation: int, before: list[Object]) -> None:
    # In their order, each at most once: some are there only where they mean something.
    types = [each["type"] for each in conditions]
    assert types == [each.value for each in ConditionType if each.value in types]
    assert {"Ready", "Stalled"} <= set(types)
    earlier = {each["type"]: each for each in before}
    for each in conditions:
        assert set(each) == _PARTS
        assert each["observedGeneration"] == generation
        assert each["reason"] in set(Reason)
        assert each["message"]
        old = earlier.get(each["type"])
        if old is not None and old["status"] != each["status"]:
            assert old["lastTransitionTime"] <= each["lastTransitionTime"]


def _owned(child: Object, uid: str) -> None:
    meta = child["metadata"]
    assert [owner["uid"] for owner in meta["ownerReferences"] if owner["controller"]] == [uid], child["kind"]
    managers = {each["manager"] for each in meta["managedFields"] if each["operation"] == "Apply"}
    assert managers == {"fairlead"}, child["kind"]
