"""The whole agent but for sockets, in virtual time: every hang is seen in time, and nothing that moves is ever killed."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead_agent.reasons import Phase, Reason
from tests.unit import virtual_time
from tests.unit.agent.simulation import Replica

#: The promise is 30 s until the replica is out of the Service; the kubelet asks every 2 s and the EndpointSlice follows in 1.
NOT_READY_WITHIN = 30 - 2 - 1
#: stallSeconds + 30 until the restart; the kubelet needs 2 failures 5 s apart, and a kill takes a second.
KILL_MARGIN = 30 - 2 * 5 - 1


def load(replica: Replica, streams: int) -> None:
    replica.engine.count()
    replica.engine.load = streams


@pytest.mark.parametrize("what", ["all", "core"])
@pytest.mark.parametrize("streams", [0, 1, 8])
@pytest.mark.parametrize("moment", [0.0, 1.3, 3.7])
@pytest.mark.parametrize("stall", [15, 60])
def test_a_hang_is_out_of_the_service_and_then_dead(what: str, streams: int, moment: float, stall: int) -> None:
    async def scenario() -> None:
        replica = Replica(health__stallSeconds=stall)
        await replica.until_ready()
        load(replica, streams)
        await replica.always(lambda: replica.health.ready and replica.health.live, 60 + moment)
        replica.engine.freeze(what)
        out = await replica.until(lambda: not replica.health.ready, NOT_READY_WITHIN)
        assert replica.health.live or stall == 15, "a hang gets all of stallSeconds"
        dead = out + await replica.until(lambda: not replica.health.live, stall + KILL_MARGIN - out)
        assert dead >= stall - 2.5, "never before stallSeconds of what was last seen, 2 s and a tick ago"
        assert replica.status["reason"] == Reason.ENGINE_STALLED
        replica.supervisor.stop()  # the kubelet's SIGTERM after the liveness probe
        end = await replica.running
        assert (end.code, end.problem.reason) == (137, Reason.ENGINE_STALLED)
        assert not replica.health_failed, "a stalled engine is not drained"

    virtual_time.run(scenario())


@pytest.mark.parametrize("what", ["all", "core"])
@pytest.mark.parametrize("streams", [0, 4])
def test_an_engine_that_comes_back_is_ready_again_and_not_killed(what: str, streams: int) -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        load(replica, streams)
        await replica.always(lambda: replica.health.ready, 30)
        replica.engine.freeze(what)
        await replica.until(lambda: not replica.health.ready, NOT_READY_WITHIN)
        await replica.always(lambda: replica.health.live, 20)
        replica.engine.thaw()
        assert await replica.until(lambda: replica.health.ready, 15) < 10
        await replica.always(lambda: replica.health.ready and replica.health.live, 120)
        await replica.close()

    virtual_time.run(scenario())


def slow_pages(replica: Replica) -> None:
    """/health and /metrics take 20 s each: three probe timeouts do not fit, and the API process is alive."""
    replica.engine.slow_pages = 20


def metrics_broken_and_queue_full(replica: Replica) -> None:
    """/metrics answers 500, and a canary would wait for an hour in the queue: only the bytes show that tokens flow."""
    replica.engine.metrics_status = 500
    replica.engine.core_queue = 3600


def queue_full(replica: Replica) -> None:
    replica.engine.waiting = 500
    replica.engine.core_queue = 3600


def one_slow_stream(replica: Replica) -> None:
    load(replica, 1)
    slow_pages(replica)


@pytest.mark.parametrize("trouble", [slow_pages, metrics_broken_and_queue_full, queue_full, one_slow_stream])
def test_a_busy_engine_stays_ready_and_alive(trouble: Callable[[Replica], None]) -> None:
    async def scenario() -> None:
        replica = Replica(health__stallSeconds=15)
        await replica.until_ready()
        load(replica, 8)
        trouble(replica)
        await replica.always(lambda: replica.health.ready and replica.health.live, 600)
        await replica.close()

    virtual_time.run(scenario())


def test_a_long_prompt_in_chunks_is_progress_although_no_token_comes() -> None:
    async def scenario() -> None:
        replica = Replica(health__stallSeconds=15)
        await replica.until_ready()
        replica.engine.count()
        replica.engine.prefilling = True
        await replica.always(lambda: replica.health.ready and replica.health.live, 600)
        replica.engine.freeze("core")
        await replica.until(lambda: not replica.health.live, 15 + KILL_MARGIN)
        await replica.close()

    virtual_time.run(scenario())


def test_metrics_that_never_come_leave_the_canary_to_decide() -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        replica.engine.metrics_status = 500
        await replica.always(lambda: replica.health.ready and replica.health.live, 300)
        replica.engine.freeze("core")
        await replica.until(lambda: not replica.health.ready, NOT_READY_WITHIN)
        await replica.until(lambda: not replica.health.live, 60 + KILL_MARGIN)
        await replica.close()

    virtual_time.run(scenario())


def test_an_engine_that_answers_canaries_with_errors_is_stalled() -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        replica.engine.refusal = (500, "EngineCore encountered an issue")
        await replica.until(lambda: not replica.health.ready, NOT_READY_WITHIN)
        assert "EngineCore encountered an issue" in replica.status["message"]
        await replica.until(lambda: not replica.health.live, 60 + KILL_MARGIN)
        await replica.close()

    virtual_time.run(scenario())


def test_a_frozen_sidecar_takes_the_replica_out_and_kills_nothing() -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        load(replica, 4)
        replica.sidecar.set(shut=True)
        await replica.until(lambda: not replica.health.ready, NOT_READY_WITHIN)
        assert replica.status["reason"] == Reason.ENGINE_UNREACHABLE
        await replica.always(lambda: replica.health.live, 300)
        replica.sidecar.set(shut=False)
        await replica.until(lambda: replica.health.ready, 10)
        await replica.close()

    virtual_time.run(scenario())


def test_canaries_are_sent_only_to_an_idle_engine_and_are_not_told_as_load() -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        warmup = len(replica.engine.asked)
        await replica.always(lambda: replica.status["running"] == 0 and replica.status["tokens"] == 0, 300)
        idle = len(replica.engine.asked) - warmup
        assert 300 / 7 < idle < 300 / 5, "one after every idleSeconds and a tick"
        assert {body["max_tokens"] for body in replica.engine.asked[warmup:]} == {1}
        load(replica, 2)
        await replica.always(lambda: replica.health.ready, 20)
        before = len(replica.engine.asked)
        await replica.always(lambda: replica.status["running"] == 2, 300)
        assert len(replica.engine.asked) == before
        assert abs(replica.status["tokens"] - 320 * 2 * 20) < 200
        await replica.close()

    virtual_time.run(scenario())


def test_never_two_canaries_at_once() -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        before = len(replica.engine.asked)
        replica.engine.freeze("core")
        await replica.always(lambda: len(replica.engine.asked) - before <= 1, 55)
        assert len(replica.engine.asked) - before == 1
        await replica.close()

    virtual_time.run(scenario())


FREEZES = st.lists(
    st.tuples(st.sampled_from(["all", "core"]), st.floats(0.1, 45), st.floats(8, 40), st.integers(0, 4)), min_size=1, max_size=4
)


@settings(max_examples=25, deadline=None)
@given(FREEZES)
def test_freezes_shorter_than_stall_seconds_never_kill_and_always_recover(freezes: list[tuple[str, float, float, int]]) -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        for what, frozen, thawed, streams in freezes:
            load(replica, streams)
            replica.engine.freeze(what)
            await replica.always(lambda: replica.health.live, frozen)
            replica.engine.thaw()
            await replica.always(lambda: replica.health.live, thawed)
            assert replica.health.ready
            assert replica.health.phase is Phase.READY
        await replica.close()

    virtual_time.run(scenario())


def test_virtual_time_finds_a_deadlock() -> None:
    with pytest.raises(RuntimeError, match="deadlock"):
        virtual_time.run(asyncio.Event().wait())


def test_the_load_that_is_told_has_its_age() -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        load(replica, 2)
        await replica.always(lambda: replica.status["loadAgeMs"] <= 2100 and replica.status["dutyAgeMs"] <= 2100, 30)
        replica.engine.freeze("all")
        await asyncio.sleep(12)
        assert replica.status["running"] == 2, "what was heard last"
        assert 10_000 <= replica.status["loadAgeMs"] <= 14_100
        assert replica.status["dutyAgeMs"] <= 2100, "the GPU answers"
        await replica.close()

    virtual_time.run(scenario())
