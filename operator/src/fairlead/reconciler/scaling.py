"""How many replicas a ModelDeployment should have: those of its spec, or those that the autoscaler has decided on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.api.conditions import ConditionType, Reason
from fairlead.reconciler.conditions import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fairlead.api.model_deployment import ModelDeployment


@dataclass(frozen=True, slots=True)
class Scaled:
    """What the autoscaler says of one ModelDeployment."""

    uid: str
    """Of the one that it is about: another one of the same name begins anew."""
    replicas: int | None
    """How many there should be; None: it only recommends, and spec.replicas counts."""
    status: Mapping[str, Any]
    """status.autoscaling, as a whole; empty: there is nothing to be told yet."""
    verdict: Verdict | None
    """Of the condition Autoscaled."""


def replicas(
    model: ModelDeployment, scaled: Scaled | None, deployment: Mapping[str, Any] | None, status: Mapping[str, Any]
) -> int:
    """The number for the Deployment.

    Until the autoscaler has decided for the first time since the operator's start, the number that is there stays: the
    Deployment's own, for it is written before the status; the status' where somebody has deleted the Deployment.
    """
    autoscaling = model.spec.autoscaling
    if autoscaling is None or autoscaling.mode != "Auto":
        return model.spec.replicas
    if scaled is not None and scaled.replicas is not None:
        number = scaled.replicas
    elif deployment is not None:
        number = deployment["spec"]["replicas"]
    else:
        number = (status.get("autoscaling") or {}).get("desired", model.spec.replicas)
    return max(autoscaling.min_replicas, min(number, autoscaling.max_replicas or number))


def shown(
    model: ModelDeployment | None, scaled: Scaled | None, status: Mapping[str, Any]
) -> tuple[Mapping[str, Any] | None, Verdict | None]:
    """status.autoscaling and the condition Autoscaled: those that are there stay until the autoscaler has spoken."""
    if model is not None and (model.spec.autoscaling is None or not model.spec.autoscaling.decides):
        return None, None
    if scaled is not None and scaled.status:
        return scaled.status, scaled.verdict
    conditions = status.get("conditions") or []
    there = next((each for each in conditions if each["type"] == ConditionType.AUTOSCALED), None)
    return status.get("autoscaling"), _read(there) if there is not None else None


def _read(condition: Mapping[str, Any]) -> Verdict | None:
    """The condition as this operator would say it; one of a newer operator may have a reason that this one does not know."""
    try:
        reason = Reason(condition["reason"])
    except ValueError:
        return None
    return Verdict(status=condition["status"] == "True", reason=reason, message=condition.get("message", ""))
