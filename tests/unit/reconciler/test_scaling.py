"""How many replicas there should be, whoever says so."""

from typing import Any

import pytest

from fairlead.api.conditions import Reason
from fairlead.api.model_deployment import ModelDeployment
from fairlead.reconciler.conditions import Verdict
from fairlead.reconciler.scaling import Scaled, replicas, shown
from tests.unit.resources.cases import model_deployment

FOLLOWED = Verdict(status=True, reason=Reason.DEMAND_FOLLOWED, message="replicas are 3")
STATUS = {"desired": 3, "reason": "Steady", "since": "2026-01-01T00:00:00Z"}


def model(mode: str | None = "Auto", replicas: int = 2) -> ModelDeployment:
    autoscaling = {} if mode is None else {"autoscaling": {"mode": mode, "minReplicas": 2, "maxReplicas": 5}}
    return model_deployment({"replicas": replicas, **autoscaling})


def scaled(replicas: int | None = 3) -> Scaled:
    return Scaled("u1", replicas, STATUS, FOLLOWED)


def child(number: int) -> dict[str, Any]:
    return {"spec": {"replicas": number}}


CASES = {
    "without autoscaling the spec counts": (model(None, 7), None, child(4), {}, 7),
    "external: the spec, which another one writes": (model("External", 0), None, child(4), {}, 0),
    "recommended only": (model("Recommend", 0), scaled(None), child(4), {}, 0),
    "decided": (model(), scaled(4), child(3), {}, 4),
    "decided before maxReplicas was lowered": (model(), scaled(9), child(9), {}, 5),
    "the operator has just started: as many as there are": (model(), None, child(4), {"autoscaling": {"desired": 3}}, 4),
    "and somebody has deleted the Deployment": (model(), None, None, {"autoscaling": {"desired": 4}}, 4),
    "just made": (model(replicas=3), None, None, {}, 3),
    "just made, with more than maxReplicas": (model(replicas=9), None, None, {}, 5),
    "autoscaling was switched on over fewer than minReplicas": (model(), None, child(1), {}, 2),
    "a recommendation of before is no decision": (model(), scaled(None), child(4), {}, 4),
}


@pytest.mark.parametrize(("of", "says", "deployment", "status", "number"), CASES.values(), ids=CASES)
def test_replicas(of: ModelDeployment, says: Scaled | None, deployment: Any, status: Any, number: int) -> None:
    assert replicas(of, says, deployment, status) == number


CONDITION = {"type": "Autoscaled", "status": "False", "reason": "NoCapacity", "message": "no node"}
THERE = {"autoscaling": STATUS, "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}, CONDITION]}


def test_what_is_shown_is_what_the_autoscaler_says() -> None:
    assert shown(model(), scaled(), THERE) == (STATUS, FOLLOWED)


def test_until_it_speaks_what_is_there_stays() -> None:
    assert shown(model(), None, THERE) == (STATUS, Verdict(status=False, reason=Reason.NO_CAPACITY, message="no node"))
    assert shown(None, None, THERE)[0] == STATUS, "also where the spec cannot be read"
    assert shown(model(), None, {}) == (None, None)


def test_one_that_has_nothing_to_tell_yet_leaves_it_too() -> None:
    silent = Scaled("u1", 3, {}, None)
    assert shown(model(), silent, THERE)[0] == STATUS
    assert replicas(model(), silent, child(3), {}) == 3


def test_a_reason_of_a_newer_operator_is_not_repeated() -> None:
    newer = {"conditions": [{**CONDITION, "reason": "FromTheFuture"}]}
    assert shown(model(), None, newer) == (None, None)


@pytest.mark.parametrize("mode", [None, "External"])
def test_it_goes_with_the_autoscaling(mode: str | None) -> None:
    assert shown(model(mode), scaled(), THERE) == (None, None)
