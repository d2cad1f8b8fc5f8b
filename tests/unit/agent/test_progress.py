"""The state machine of progress: what kills, what takes out of the Service, and what must do neither."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_agent import progress as p
from fairlead_agent.engines.protocol import Sample
from fairlead_agent.reasons import Reason

NOT_READY, STALL, IDLE = 15.0, 60.0, 5.0


def sample(step: float = 0, running: int = 0, waiting: int = 0) -> Sample:
    return Sample(running, waiting, 0, 0, 0, (step,))


BLIND = Sample(0, 0, 0, 0, 0, None)


def verdict(state: p.Progress, now: float) -> p.Verdict:
    return p.verdict(state, now, not_ready_after=NOT_READY, stall_seconds=STALL)


IDLING = p.read(p.Progress(moved_at=0), 0, sample())
RUNNING = p.read(IDLING, 0, sample(running=4, waiting=9))
UNANSWERED = p.asked(IDLING, 0)
CANARY = p.canary_sent(IDLING, 0)
FAILING = p.canary_failed(CANARY, "HTTP 500: EngineCore encountered an issue")


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        pytest.param(RUNNING, Reason.ENGINE_STALLED, "4 requests running, 9 waiting", id="work without a token"),
        pytest.param(UNANSWERED, Reason.ENGINE_UNREACHABLE, "metrics: no answer", id="no metrics"),
        pytest.param(CANARY, Reason.ENGINE_STALLED, "a one-token request does not come back", id="canary out"),
        pytest.param(FAILING, Reason.ENGINE_STALLED, "a one-token request fails: HTTP 500: EngineCore", id="canary fails"),
    ],
)
def test_something_expected_and_nothing_moved(state: p.Progress, reason: Reason, said: str) -> None:
    assert verdict(state, 14.9) == p.Verdict(live=True, ready=True, suspect_seconds=14.9, problem=None)
    suspect = verdict(state, 15)
    assert (suspect.live, suspect.ready) == (True, False)
    assert suspect.problem is not None
    assert suspect.problem.reason is reason
    assert suspect.problem.message.startswith(f"no progress for 15 s: {said}")
    assert verdict(state, 59.9) == p.Verdict(live=True, ready=False, suspect_seconds=59.9, problem=suspect.problem)
    stalled = verdict(state, 60)
    assert (stalled.live, stalled.ready) == (False, False)
    assert stalled.problem is not None
    assert stalled.problem.reason is Reason.ENGINE_STALLED
    assert stalled.problem.message.startswith("no progress for 60 s: ")


@pytest.mark.parametrize("state", [RUNNING, UNANSWERED, CANARY, FAILING])
@pytest.mark.parametrize(
    "proof",
    [
        pytest.param(lambda state: p.read(state, 50, sample(step=1, running=4)), id="a counter moved"),
        pytest.param(lambda state: p.moved(state, 50), id="bytes flowed"),
        pytest.param(lambda state: p.canary_returned(state, 50), id="a canary came back"),
    ],
)
def test_any_proof_starts_the_clock_anew(state: p.Progress, proof: Callable[[p.Progress], p.Progress]) -> None:
    recovered = proof(state)
    assert verdict(recovered, 50).ready
    assert verdict(recovered, 64.9).ready
    assert verdict(recovered, 109.9).live


def test_an_idle_engine_is_never_suspect_by_itself() -> None:
    assert verdict(IDLING, 10**6) == p.Verdict(live=True, ready=True, suspect_seconds=0, problem=None)


def test_an_answer_without_movement_is_no_proof() -> None:
    state = RUNNING
    for now in range(2, 62, 2):
        state = p.read(p.asked(state, now), now, sample(running=4, waiting=9))
    assert not verdict(state, 60).live


def test_work_that_came_after_a_long_idle_time_has_all_of_its_time() -> None:
    state = p.read(IDLING, 1000, sample(running=1))
    assert verdict(state, 1014).ready
    assert not verdict(state, 1015).ready


def test_answers_that_fail_count_from_the_first() -> None:
    state = p.unanswered(p.asked(IDLING, 10), "HTTP 500")
    state = p.unanswered(p.asked(state, 20), "HTTP 503")
    suspect = verdict(state, 25)
    assert suspect.problem is not None
    assert suspect.problem.message == "no progress for 15 s: metrics: HTTP 503"
    assert verdict(p.read(state, 26, sample()), 26).suspect_seconds == 0


def test_a_first_reading_is_no_movement() -> None:
    state = p.read(p.Progress(moved_at=0), 50, sample(step=7, running=1))
    assert state.moved_at == 0
    assert p.read(state, 51, sample(step=8, running=1)).moved_at == 51


@pytest.mark.parametrize(
    ("state", "now", "wanted"),
    [
        pytest.param(IDLING, 4.9, False, id="not idle for long"),
        pytest.param(IDLING, 5, True, id="idle"),
        pytest.param(RUNNING, 5, True, id="work that does not move: asked as well"),
        pytest.param(UNANSWERED, 5, True, id="cannot see: asked as well"),
        pytest.param(CANARY, 500, False, id="one at a time"),
        pytest.param(p.canary_failed(p.canary_sent(IDLING, 100), "x"), 104.9, False, id="failing ones are spaced"),
        pytest.param(p.canary_failed(p.canary_sent(IDLING, 100), "x"), 105, True, id="and go on"),
    ],
)
def test_when_a_canary_is_wanted(state: p.Progress, now: float, wanted: bool) -> None:  # noqa: FBT001
    assert p.wants_canary(state, now, IDLE) is wanted


def test_a_canary_is_needless_once_something_else_moved() -> None:
    assert not p.drops_canary(CANARY)
    moved = p.moved(CANARY, 3)
    assert p.drops_canary(moved)
    assert verdict(p.canary_dropped(moved), 1000).ready


def test_failing_canaries_count_from_the_first_and_end_with_one_that_returns() -> None:
    state = p.canary_failed(p.canary_sent(FAILING, 10), "again")
    assert verdict(state, 15).suspect_seconds == 15
    assert verdict(p.canary_returned(p.canary_sent(state, 20), 21), 1000).ready


@pytest.mark.parametrize(
    ("state", "now", "expected"),
    [
        (IDLING, 100, False),
        (p.read(IDLING, 1, BLIND), 1, True),
        (UNANSWERED, 4.9, False),
        (UNANSWERED, 5, True),
        (p.Progress(moved_at=0), 0, True),
    ],
)
def test_blindness(state: p.Progress, now: float, expected: bool) -> None:  # noqa: FBT001
    assert p.blind(state, now, 5) is expected


@dataclass(frozen=True)
class Event:
    after: float
    kind: str


EVENTS = st.lists(
    st.builds(Event, st.floats(0, 30), st.sampled_from(["ask", "fail", "read", "busy", "sent", "canary failed", "dropped"])),
    max_size=60,
)


def apply(state: p.Progress, kind: str, now: float) -> p.Progress:
    """Everything that is no proof of a step."""
    steps: dict[str, Callable[[], p.Progress]] = {
        "ask": lambda: p.asked(state, now),
        "fail": lambda: p.unanswered(state, "x"),
        "read": lambda: p.read(state, now, sample(running=0)),
        "busy": lambda: p.read(state, now, sample(running=1)),
        "sent": lambda: p.canary_sent(state, now) if state.canary_since is None else state,
        "canary failed": lambda: p.canary_failed(state, "x") if state.canary_since is not None else state,
        "dropped": lambda: p.canary_dropped(state),
    }
    return steps[kind]()


@given(EVENTS, st.floats(0.1, STALL - 0.1))
def test_never_killed_while_anything_moves_within_stall_seconds(events: list[Event], pace: float) -> None:
    state, now, proof = p.Progress(moved_at=0), 0.0, 0.0
    for event in events:
        now += event.after
        while proof + pace <= now:  # proofs come at that pace, whatever else happens
            assert verdict(state, proof + pace).live
            proof += pace
            state = p.moved(state, proof)
        state = apply(state, event.kind, now)
        assert verdict(state, now).live


@given(EVENTS)
def test_without_any_proof_it_is_out_and_dead_in_time_and_not_before(events: list[Event]) -> None:
    """From the moment that a canary is out, nothing but a proof (or taking it back) can put it off."""
    state, now = p.canary_sent(IDLING, 0), 0.0
    for event in events:
        now += event.after
        if event.kind != "dropped":
            state = apply(state, event.kind, now)
        seen = verdict(state, now)
        assert seen.ready is (now < NOT_READY)
        assert seen.live is (now < STALL)


@given(EVENTS, st.floats(0, 100))
def test_not_live_implies_not_ready_and_a_problem(events: list[Event], later: float) -> None:
    state, now = IDLING, 0.0
    for event in events:
        now += event.after
        state = apply(state, event.kind, now)
    seen = verdict(state, now + later)
    assert seen.live or not seen.ready
    assert (seen.problem is None) is seen.ready
