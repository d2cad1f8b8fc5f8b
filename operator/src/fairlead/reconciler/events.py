"""Kubernetes Events: a turn of a condition, told once. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from fairlead.api.conditions import ConditionType, Reason
from fairlead.reconciler.kinds import EVENT, MODEL_DEPLOYMENT, Manifest
from fairlead.reconciler.words import bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTROLLER = "serving.fairlead.dev/operator"
NOTE_LIMIT = 1000
"""Characters; the API refuses notes of more than 1024 bytes."""
_GOOD = {
    ConditionType.READY.value: "True",
    ConditionType.CONFIGURATION_VALID.value: "True",
    ConditionType.AUTOSCALED.value: "True",
    ConditionType.STALLED.value: "False",
}
"""The conditions whose turns are told, and the status that is good news. The others move along with them."""
_STEPS = frozenset(
    {
        Reason.POD_STARTING.value,
        Reason.MODEL_DOWNLOADING.value,
        Reason.ENGINE_STARTING.value,
        Reason.WARMUP_RUNNING.value,
        Reason.REPLICAS_UNAVAILABLE.value,
    }
)
"""Steps of any start: the conditions show them, an Event for each would only be noise."""
_ORDINARY = frozenset(
    {
        Reason.ROLLOUT_IN_PROGRESS.value,
        Reason.SCALING.value,
        Reason.TERMINATING.value,
        Reason.DRAINING.value,
        Reason.RECOMMENDED_ONLY.value,
    }
)
"""Not ready, and nothing to warn of."""


class News(NamedTuple):
    """One thing to tell."""

    warning: bool
    reason: str
    message: str


def worth_telling(turned: Iterable[Mapping[str, Any]]) -> list[News]:
    """The news in the conditions that have turned, each reason once."""
    told: dict[str, News] = {}
    for each in turned:
        good = each["status"] == _GOOD.get(each["type"])
        # Only Ready's good turn is news; that the spec is valid again or nothing stalls any more comes along with it.
        if each["type"] not in _GOOD or each["reason"] in _STEPS or (good and each["type"] != ConditionType.READY.value):
            continue
        warning = not good and each["reason"] not in _ORDINARY
        told.setdefault(each["reason"], News(warning, each["reason"], each["message"]))
    return list(told.values())


def rescaled(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[News]:
    """The changes of the number of replicas by which one status.autoscaling is ahead of another, the oldest first."""
    known = before.get("changes") or []
    new = [each for each in after.get("changes") or [] if each not in known]
    return [
        News(
            warning=False,
            reason=each["reason"],
            message=f"{_moved(each)}: {each['before']} -> {each['after']}: {each.get('message', '')}",
        )
        for each in reversed(new)
    ]


def _moved(change: Mapping[str, Any]) -> str:
    return "replicas would be" if change.get("recommended") else "replicas"


def event(owner: Mapping[str, Any], news: News, *, now: str, instance: str) -> Manifest:
    """The Event object for one piece of news; `now` with microseconds, as the API wants it."""
    meta = owner["metadata"]
    digest = hashlib.sha256("\0".join((meta["uid"], news.reason, news.message, now)).encode()).hexdigest()[:16]
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {"namespace": meta["namespace"], "name": f"{meta['name']}.{digest}"},
        "eventTime": now,
        "type": "Warning" if news.warning else "Normal",
        "reason": news.reason,
        "action": "Reconcile",
        "note": _fitting(news.message),
        "regarding": {
            "apiVersion": MODEL_DEPLOYMENT.api_version,
            "kind": MODEL_DEPLOYMENT.name,
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
    }


def _fitting(message: str) -> str:
    """The message in at most NOTE_LIMIT bytes."""
    return bounded(message.encode()[:NOTE_LIMIT].decode(errors="ignore") or "-", NOTE_LIMIT)
