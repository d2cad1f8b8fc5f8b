"""What `make demo` and `make test` print."""

import io
from http.client import HTTPResponse
from typing import Any

import pytest

from tests.cluster import lanes
from tests.cluster.demo import events, keeps_ending, printable, restarts, where_it_stands


class FakeSocket:
    """As much of a socket as an HTTPResponse reads."""

    def __init__(self, text: str) -> None:
        self.text = text

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.text.encode())


def response(body: str) -> HTTPResponse:
    answer = HTTPResponse(FakeSocket(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}"))  # type: ignore[arg-type]
    answer.begin()
    return answer


def test_events_of_a_stream() -> None:
    body = ': a comment\n\ndata: {"choices": [1]}\n\ndata:{"choices": []}\r\n\r\ndata: [DONE]\n\n'
    assert list(events(response(body))) == [{"choices": [1]}, {"choices": []}, None]


def test_a_cut_stream_has_no_end() -> None:
    assert None not in list(events(response('data: {"choices": [1]}\n\n')))


def test_what_could_upset_a_terminal_is_not_printed() -> None:
    assert printable("a\x1b[2J\x00b\nc ü") == "a·[2J·b\nc ü"


def waiting(reason: str) -> dict[str, Any]:
    return {"status": {"containerStatuses": [{"state": {"waiting": {"reason": reason}}}]}}


@pytest.mark.parametrize(
    ("status", "pods", "line"),
    [
        ({}, [], "0/? ready"),
        (
            {
                "availability": "0/2",
                "conditions": [
                    {"type": "Ready", "reason": "PodStarting", "message": "0/2 ready; quickstart-1: PodStarting: soon"}
                ],
            },
            [],
            "0/2 ready; quickstart-1: PodStarting: soon",
        ),
        (
            {"availability": "2/2", "conditions": [{"type": "Ready", "reason": "Ready", "message": "2/2 ready, all of them"}]},
            [],
            "2/2 ready, all of them",
        ),
        (
            {"availability": "1/2", "conditions": [{"type": "Ready", "reason": "WarmupRunning"}]},
            [waiting("ImagePullBackOff"), waiting("ContainerCreating"), waiting("PodInitializing"), {"status": {}}],
            "1/2 ready; WarmupRunning; containers: ContainerCreating, ImagePullBackOff",
        ),
    ],
)
def test_where_it_stands(status: dict[str, Any], pods: list[dict[str, Any]], line: str) -> None:
    assert where_it_stands({"status": status}, pods) == line


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        ({}, {"a": 2, "b": 0}, ""),
        ({}, {"a": 0, "b": 3}, "b"),
        ({"a": 3}, {"a": 5}, ""),
        ({"a": 3}, {"a": 6}, "a"),
        ({"gone": 9}, {}, ""),
    ],
)
def test_an_engine_that_keeps_ending_is_noticed(before: dict[str, int], now: dict[str, int], named: str) -> None:
    assert keeps_ending(now, before) == named


def test_restarts_are_those_of_the_engine() -> None:
    statuses = [{"name": "sidecar", "restartCount": 9}, {"name": "engine", "restartCount": 1}]
    new = {"metadata": {"name": "new"}, "status": {}}
    assert restarts([{"metadata": {"name": "a"}, "status": {"containerStatuses": statuses}}, new]) == {"a": 1}


def test_lanes_are_told_with_their_time_and_those_that_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAIRLEAD_CLUSTER", raising=False)
    ran = [
        lanes.Outcome(lane, seconds, passed)
        for lane, seconds, passed in zip(lanes.LANES[:2], (12.4, 247.9), (True, False), strict=True)
    ]
    lines = lanes.table(ran).splitlines()
    assert lines[0].split() == [lanes.LANES[0].target, "0:12", "passed"]
    assert lines[1].split() == [lanes.LANES[1].target, "4:07", "FAILED"]
    assert {line.split(maxsplit=2)[2] for line in lines[2:-1]} == {"not run"}
    assert lines[-1].split() == ["in", "all", "4:20"]
    assert len(lines) == len(lanes.LANES) + 1


@pytest.mark.parametrize(
    ("failing", "ran", "status"),
    [
        ("", [lane.target for lane in lanes.LANES], 0),
        ("tools", ["debian", "tools"], 1),
        ("check", [lane.target for lane in lanes.LANES], 1),
    ],
)
@pytest.mark.parametrize(("was_up", "ci", "down"), [(False, False, True), (True, False, False), (True, True, True)])
def test_a_failed_lane_stops_what_needs_it_and_the_cluster_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch, failing: str, ran: list[str], status: int, *, was_up: bool, ci: bool, down: bool
) -> None:
    made: list[str] = []

    def make(target: str) -> bool:
        made.append(target)
        return target != failing

    monkeypatch.setattr(lanes, "make", make)
    monkeypatch.setattr(lanes, "cluster_is_up", lambda: was_up)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("FAIRLEAD_CLUSTER", raising=False)
    if ci:
        monkeypatch.setenv("CI", "true")
    assert lanes.main() == status
    assert made == ran + ["cluster-down"] * down
