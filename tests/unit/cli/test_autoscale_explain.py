"""`fairlead autoscale explain`: what it says of each kind of ModelDeployment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.report import shown, verdict
from fairlead.cli.autoscale_explain import sentences
from tests.unit.autoscaler.test_report import decision

NOW = datetime(2026, 1, 1, 12, 10, tzinfo=UTC)
AUTO = {"mode": "Auto", "minReplicas": 1, "maxReplicas": 4}


def said(autoscaling: dict[str, Any] | None = None, status: dict[str, Any] | None = None, replicas: int = 2) -> str:
    spec = {"replicas": replicas, **({"autoscaling": autoscaling} if autoscaling else {})}
    live = {"metadata": {"namespace": "team", "name": "chat"}, "spec": spec, "status": status or {}}
    return "\n".join(sentences(live, NOW))


def test_a_decision_its_numbers_and_the_changes_before_it() -> None:
    first = shown(None, decision(1), 0.0, "2026-01-01T11:00:00Z")
    report = shown(first, decision(2, Reason.QUEUE_HIGH, "9 requests wait"), 2.0, "2026-01-01T12:03:05Z")
    assert said(AUTO, {"autoscaling": dict(report.status)}).splitlines() == [
        "The operator sets the replicas of team/chat, between 1 and 4.",
        "",
        "2 replicas since 2026-01-01 12:03:05 UTC (6 min ago). QueueHigh: 9 requests wait.",
        f"  QueueHigh means: {Reason.QUEUE_HIGH.meaning}",
        "  It saw 2 replicas that serve, 1 that start and 0 that end;",
        "  12 requests that ran and 9 that waited;",
        "  demand for 1.2 full replicas over the last minute, 2.5 over a quarter of one,",
        "  1.9 at most in the quiet window, and 1.5 by the time that another replica would serve (122 s).",
        "  The GPUs were busy for 98 % of the time.",
        "",
        "Changes, the last one first:",
        "  2026-01-01 12:03:05 UTC (6 min ago): from 1 to 2. QueueHigh: 9 requests wait.",
    ]


def test_what_is_only_recommended_is_told_as_what_would_be() -> None:
    recommend, first = {**AUTO, "mode": "Recommend"}, shown(None, decision(1), 0.0, "2026-01-01T11:00:00Z")
    assert "It would be 1 replica since 2026-01-01 11:00:00 UTC" in said(recommend, {"autoscaling": dict(first.status)})
    assert "It has not recommended another number since." in said(recommend, {"autoscaling": dict(first.status)})
    carried_out = shown(first, decision(3, Reason.DEMAND_HIGH, "more"), 1.0, "2026-01-01T12:00:00Z")
    queue = decision(2, Reason.QUEUE_HIGH, "9 requests wait", asked=3)
    report = shown(carried_out, queue, 2.0, "2026-01-01T12:03:05Z", recommended=True)
    lines = said(recommend, {"autoscaling": dict(report.status)}, replicas=1).splitlines()
    assert lines[0].endswith("it has the 1 of spec.replicas.")
    assert lines[2] == "It would be 2 replicas since 2026-01-01 12:03:05 UTC (6 min ago). QueueHigh: 9 requests wait."
    assert lines[-3:] == [
        "Changes, the last one first:",
        "  2026-01-01 12:03:05 UTC (6 min ago): would have been 2 instead of 3. QueueHigh: 9 requests wait.",
        "  2026-01-01 12:00:00 UTC (10 min ago): from 1 to 3. DemandHigh: more.",
    ]


def test_a_number_that_an_older_operator_does_not_tell_is_no_reason_to_fail() -> None:
    status = dict(shown(None, decision(1), 0.0, "2026-01-01T11:00:00Z").status)
    status["inputs"] = {key: value for key, value in status["inputs"].items() if key != "surgePercent"}
    assert "demand for 1.2 full replicas over the last minute, 0.0 over a quarter of one," in said(AUTO, {"autoscaling": status})


def test_what_keeps_it_from_following_the_demand() -> None:
    short = decision(1, Reason.NO_CAPACITY, "no node takes chat-1")
    report = shown(shown(None, short, 0.0, "before"), short, 10.0, "2026-01-01T12:09:58Z")
    found = verdict(report.status, recommends=False)
    assert found is not None
    condition = {"type": "Autoscaled", "status": "False", "reason": found.reason, "message": found.message}
    text = said(AUTO, {"autoscaling": dict(report.status), "conditions": [condition]})
    assert "The number does not follow the demand: NoCapacity: no node takes chat-1" in text
    assert "1 replica since 2026-01-01 12:09:58 UTC (2 s ago)" in text
    assert "It has not changed the number since." in text


@pytest.mark.parametrize(
    ("autoscaling", "words"),
    [
        (None, "team/chat has no spec.autoscaling: it has the 2 replicas of spec.replicas"),
        ({"mode": "External"}, "another autoscaler (spec.autoscaling.mode is External), which has set spec.replicas to 2."),
        (AUTO, "It has not decided yet"),
        ({**AUTO, "mode": "Recommend"}, "recommends the replicas of team/chat, between 1 and 4; it has the 2 of spec.replicas."),
    ],
    ids=["none", "external", "not yet", "recommended"],
)
def test_where_nothing_was_decided(autoscaling: dict[str, Any] | None, words: str) -> None:
    assert words in said(autoscaling)
