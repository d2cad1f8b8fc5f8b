"""Conditions as the Kubernetes API conventions have them. Pure: the time is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fairlead.api.conditions import ConditionType, Reason
from fairlead.reconciler.words import bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MESSAGE_LIMIT = 2000
"""Characters of a condition's message. The API allows 32768; what `kubectl describe` shows should fit a screen."""


class Verdict(NamedTuple):
    """What a condition says."""

    status: bool
    reason: Reason
    message: str


def rendered(
    verdicts: Mapping[ConditionType, Verdict], previous: Iterable[Mapping[str, Any]], generation: int, now: str
) -> list[dict[str, Any]]:
    """The conditions for status, in the order of ConditionType; lastTransitionTime moves only where status changes."""
    before = {each["type"]: each for each in previous}
    conditions = []
    for kind in (each for each in ConditionType if each in verdicts):
        verdict = verdicts[kind]
        status = "True" if verdict.status else "False"
        old = before.get(kind.value)
        conditions.append(
            {
                "type": kind.value,
                "status": status,
                "reason": verdict.reason.value,
                "message": bounded(verdict.message, MESSAGE_LIMIT),
                "lastTransitionTime": old["lastTransitionTime"] if old and old["status"] == status else now,
                "observedGeneration": generation,
            }
        )
    return conditions


def turned(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The conditions whose status or reason is another than before: what is worth an Event and a write at once."""
    before = {each["type"]: (each["status"], each["reason"]) for each in old}
    return [each for each in new if before.get(each["type"]) != (each["status"], each["reason"])]
