"""What is shown of decisions: changes at once, reasons when they have stood, and never more than a write in half a minute."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fairlead.api import conditions
from fairlead.api.status import AutoscalingStatus
from fairlead.autoscaler.capacity import Capacity
from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.policy import Decision, Inputs
from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.report import APART_SECONDS, Report, remembered, shown, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS = Inputs(
    asked=2,
    ready=2,
    starting=1,
    terminating=0,
    unreadable=0,
    broken=0,
    waiting=9,
    growth=0.5,
    running=12.4,
    demand=1.234,
    surge=2.5,
    forecast=1.5,
    peak=1.9,
    duty_cycle_percent=97.6,
    cold_start_seconds=121.7,
    speed=52.25,
)
LEARNED = Memory(cold_start=121.7, capacity=Capacity(speed=52.25, full_slowdown=0.81, full_running=31.6, idle_speed=60.1))
STAMP = "2026-01-01T00:00:00Z"


def decision(replicas: int = 2, reason: Reason = Reason.STEADY, message: str = "fine", *, asked: int | None = None) -> Decision:
    return Decision(replicas, reason, message, replace(INPUTS, asked=replicas if asked is None else asked), LEARNED)


def run(*steps: tuple[float, Decision]) -> list[dict[str, Any]]:
    """What is shown after each of these decisions, without what is shown again."""
    report: Report | None = None
    seen: list[Mapping[str, Any]] = []
    for now, made in steps:
        report = shown(report, made, now, f"at {now:g}")
        if not seen or report.status is not seen[-1]:
            seen.append(report.status)
    return [dict(each) for each in seen]


def test_the_first_decision_as_a_whole() -> None:
    assert shown(None, decision(), 0.0, STAMP).status == {
        "desired": 2,
        "reason": "Steady",
        "message": "fine",
        "since": STAMP,
        "inputs": {
            "asked": 2,
            "ready": 2,
            "starting": 1,
            "terminating": 0,
            "unreadable": 0,
            "broken": 0,
            "waiting": 9,
            "waitingPerMinute": 30,
            "running": 12,
            "demandPercent": 123,
            "surgePercent": 250,
            "forecastPercent": 150,
            "peakPercent": 190,
            "dutyCyclePercent": 98,
            "coldStartSeconds": 122,
        },
        "learned": {
            "coldStartSeconds": 122,
            "tokensPerMinute": 3135,
            "idleTokensPerMinute": 3606,
            "fullSlowdownPercent": 81,
            "fullRunning": 32,
        },
    }


def test_a_change_is_told_at_once_and_remembered() -> None:
    told = run((0, decision(2)), (2, decision(3, Reason.QUEUE_HIGH, "9 wait")), (4, decision(4, Reason.PANIC, "more")))
    assert [each["desired"] for each in told] == [2, 3, 4]
    assert told[-1]["changes"] == [
        {"at": "at 4", "before": 3, "after": 4, "reason": "Panic", "message": "more"},
        {"at": "at 2", "before": 2, "after": 3, "reason": "QueueHigh", "message": "9 wait"},
    ]


AUTO, RECOMMENDED = False, True
CHANGES: dict[str, tuple[list[tuple[int, int, bool]], list[tuple[int, int, bool]]]] = {
    "the first one": ([(1, 3, AUTO)], [(1, 3, AUTO)]),
    "the first one changes nothing": ([(1, 1, AUTO), (1, 1, RECOMMENDED)], []),
    "one after the other": ([(1, 1, AUTO), (1, 2, AUTO), (2, 2, AUTO), (2, 4, AUTO)], [(1, 2, AUTO), (2, 4, AUTO)]),
    "one that an operator which has ended did not tell": ([(2, 2, AUTO), (3, 3, AUTO)], [(2, 3, AUTO)]),
    "recommended, upon one another": (
        [(2, 2, RECOMMENDED), (2, 3, RECOMMENDED), (2, 3, RECOMMENDED), (2, 4, RECOMMENDED)],
        [(2, 3, RECOMMENDED), (3, 4, RECOMMENDED)],
    ),
    "recommended, and then carried out": ([(2, 3, RECOMMENDED), (2, 3, AUTO)], [(2, 3, RECOMMENDED), (2, 3, AUTO)]),
    "recommended, and then not": ([(2, 3, RECOMMENDED), (2, 2, AUTO)], [(2, 3, RECOMMENDED)]),
    "by hand to what would do": ([(2, 3, AUTO), (2, 2, RECOMMENDED)], [(2, 3, AUTO)]),
    "by hand to what would not do": ([(2, 3, AUTO), (1, 2, RECOMMENDED)], [(2, 3, AUTO), (1, 2, RECOMMENDED)]),
}
"""By what happens: at each look how many are asked for, how many it should be, and whether that is only recommended; and what
changes are told."""


@pytest.mark.parametrize(("looks", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_one_of_what_is_asked_for(looks: list[tuple[int, int, bool]], expected: list[tuple[int, int, bool]]) -> None:
    report: Report | None = None
    for number, (asked, replicas, recommended) in enumerate(looks):
        report = shown(report, decision(replicas, asked=asked), 2.0 * number, STAMP, recommended=recommended)
        assert report.status["desired"] == replicas
    assert report is not None
    told = [(each["before"], each["after"], each.get("recommended", False)) for each in report.status.get("changes", ())]
    assert told[::-1] == expected


def test_ten_changes_are_kept() -> None:
    told = run(*((float(number), decision(number)) for number in range(1, 30)))
    assert [each["after"] for each in told[-1]["changes"]] == list(range(29, 19, -1))


def test_a_reason_is_told_once_it_has_stood() -> None:
    other = decision(2, Reason.QUIET_WINDOW)
    told = run((0, decision()), (100, other), (108, other), (110, other))
    assert [(each["reason"], each["since"]) for each in told] == [("Steady", "at 0"), ("QuietWindow", "at 110")]


def test_a_reason_that_passes_is_not_told() -> None:
    other = decision(2, Reason.QUIET_WINDOW)
    assert len(run((0, decision()), (100, other), (106, decision()), (108, other), (116, other))) == 1


def test_other_numbers_are_not_told() -> None:
    assert len(run(*((2.0 * look, decision(message=f"demand {look}")) for look in range(4000)))) == 1


def test_a_load_at_a_bound_makes_two_writes_a_minute_at_most() -> None:
    steps = [(2.0 * look, decision(2, Reason.STEADY if look // 6 % 2 else Reason.QUIET_WINDOW)) for look in range(900)]
    assert len(run(*steps)) <= 1800 / APART_SECONDS + 1


def test_a_reason_right_after_a_change_need_not_wait_for_half_a_minute() -> None:
    told = run(
        (0, decision()), (100, decision(3)), (102, decision(3, Reason.NO_CAPACITY)), (112, decision(3, Reason.NO_CAPACITY))
    )
    assert [each["reason"] for each in told] == ["Steady", "Steady", "NoCapacity"]


def learned(speed: float | None) -> Decision:
    return replace(decision(), memory=Memory(cold_start=120.0, capacity=Capacity(speed=speed)))


def test_a_complaint_is_not_the_first_thing_that_is_told() -> None:
    """At an operator's start a thousand connections are being made."""
    missing = decision(2, Reason.METRICS_MISSING)
    assert run((0, missing), (2, missing), (4, decision())) == [{}, dict(shown(None, decision(), 4, "at 4").status)]
    assert [each.get("reason") for each in run((0, missing), (8, missing), (10, missing))] == [None, "MetricsMissing"]
    assert verdict({}, recommends=False) is None


def test_what_was_learned_is_written_now_and_then_if_it_has_moved() -> None:
    steps = [(2.0 * look, learned(None if look < 100 else 50 + look / 100)) for look in range(3000)]
    told = run(*steps)
    assert [each["learned"].get("tokensPerMinute") for each in told] == [None, 3180, 4080]
    assert {(each["desired"], each["reason"], each["since"]) for each in told} == {(2, "Steady", "at 0")}


def test_after_a_restart_nothing_is_told_anew() -> None:
    before = dict(shown(None, decision(), 0.0, STAMP).status)
    report = Report(before)
    assert shown(report, decision(message="other numbers"), 5.0, "later").status is before
    assert shown(report, decision(3, Reason.QUEUE_HIGH), 5.0, "later").status["changes"][0]["before"] == 2


def test_what_was_learned_comes_back() -> None:
    memory = remembered(shown(None, decision(), 0.0, STAMP).status)
    assert memory.cold_start == 122
    assert memory.capacity == Capacity(speed=52.25, full_slowdown=0.81, full_running=32, idle_speed=60.1)
    assert remembered({}) == Memory(), "and where nothing was, nothing"


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("recommends", [True, False])
def test_each_reason_has_a_condition(reason: Reason, recommends: bool) -> None:  # noqa: FBT001
    status = run((0, decision(2, reason)), (10, decision(2, reason)))[-1]
    told = verdict(status, recommends=recommends)
    assert told is not None
    known = {each.value for each in conditions.Reason}
    assert told.reason in known
    assert "fine" in told.message
    if reason.value in known:
        assert (told.status, told.reason) == (False, reason.value)
    elif recommends:
        assert (told.status, told.reason) == (False, "RecommendedOnly")
    else:
        assert (told.status, told.reason) == (True, "DemandFollowed")


def test_the_status_is_what_the_schema_says() -> None:
    whole = run((0, decision(2)), (2, decision(3, Reason.QUEUE_HIGH, "x" * 5000)))[-1]
    assert AutoscalingStatus.model_validate(whole).to_wire() == whole
    assert len(whole["message"]) <= 1000
