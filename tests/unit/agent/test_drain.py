"""The drain of a replica in virtual time: what is waited for, for how long, and what is not."""

import asyncio

import pytest

from fairlead_agent.reasons import Phase, Problem, Reason
from tests.unit import virtual_time
from tests.unit.agent.simulation import Replica
from tests.unit.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_drain_waits_for_streams_and_stays_ready_meanwhile() -> None:
    replica = Replica()
    await replica.until_ready()
    replica.engine.load, replica.streams = 1, 1
    replica.supervisor.stop()
    await replica.always(lambda: replica.health.ready and replica.health.phase is Phase.DRAINING, 100)
    assert replica.health_failed
    assert not replica.engine.signals
    replica.engine.load, replica.streams = 0, 0
    replica.supervisor.stop()  # a second SIGTERM changes nothing
    began = replica.loop.time()
    await replica.until(lambda: bool(replica.engine.signals), 3)
    assert not replica.health.ready
    end = await replica.running
    assert replica.loop.time() - began < 4
    assert (end.code, end.problem) == (0, Problem(Reason.DRAINING, "ended as told: nothing is in flight"))
    assert replica.engine.signals == [15]


@in_virtual_time
async def test_an_idle_replica_ends_after_the_delay() -> None:
    replica = Replica()
    await replica.until_ready()
    began = replica.loop.time()
    replica.supervisor.stop()
    await replica.running
    assert 5 + 1 <= replica.loop.time() - began < 5 + 1 + 1 + 0.5


@in_virtual_time
async def test_a_request_on_a_kept_connection_starts_the_quiet_time_anew() -> None:
    replica = Replica()
    await replica.until_ready()
    replica.supervisor.stop()
    await asyncio.sleep(5.6)
    replica.streams = 1
    await asyncio.sleep(1)
    replica.streams = 0
    assert not replica.engine.signals
    await replica.until(lambda: bool(replica.engine.signals), 2)
    await replica.running


@in_virtual_time
async def test_a_stream_that_never_ends_is_given_max_stream_seconds() -> None:
    replica = Replica(drain__maxStreamSeconds=60)
    await replica.until_ready()
    replica.engine.load, replica.streams = 1, 1
    replica.engine.ends_on_sigterm_after = None
    began = replica.loop.time()
    replica.supervisor.stop()
    end = await replica.running
    assert replica.loop.time() - began == pytest.approx(5 + 60 + 45, abs=1)
    assert replica.engine.signals == [15, 9]
    assert (end.code, end.problem.message) == (0, "ended as told: maxStreamSeconds are over")


@pytest.mark.parametrize("where", ["unsent", "unacknowledged"])
def test_the_end_of_an_answer_is_waited_for_while_its_client_reads(where: str) -> None:
    """No request is in flight any more; what is left lies in the sidecar or in the kernel and becomes less now and then."""

    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        setattr(replica, where, 300_000)
        replica.supervisor.stop()
        for left in (250_000, 200_000, 100_000, 1):
            await replica.always(lambda: replica.health.ready and not replica.engine.signals, 58)
            setattr(replica, where, left)
        setattr(replica, where, 0)
        began = replica.loop.time()
        end = await replica.running
        assert replica.loop.time() - began < 4
        assert end.problem.message == "ended as told: nothing is in flight"

    virtual_time.run(scenario())


@in_virtual_time
async def test_clients_that_read_no_more_are_not_waited_for() -> None:
    replica = Replica()
    await replica.until_ready()
    replica.unsent, replica.unacknowledged, replica.streams = 70_000, 60_000, 1
    replica.supervisor.stop()
    await replica.always(lambda: not replica.engine.signals, 60)  # one more streams all the while
    replica.streams = 0
    began = replica.loop.time()
    end = await replica.running
    assert replica.loop.time() - began == pytest.approx(60 + 1, abs=1)
    assert end.problem.message == "ended as told: no request is in flight, and clients do not read the rest of their answers"


@in_virtual_time
async def test_a_replica_that_stalls_while_it_drains_is_killed() -> None:
    replica = Replica()
    await replica.until_ready()
    replica.engine.load, replica.streams = 1, 1
    replica.supervisor.stop()
    await asyncio.sleep(20)
    replica.engine.freeze("all")
    end = await asyncio.wait_for(replica.running, 70)
    assert (end.code, end.problem.reason) == (137, Reason.ENGINE_STALLED)
    assert replica.engine.signals == [9]


@in_virtual_time
async def test_a_sidecar_that_is_gone_holds_nothing_up() -> None:
    replica = Replica()
    await replica.until_ready()
    replica.admin_answers = False
    began = replica.loop.time()
    replica.supervisor.stop()
    end = await replica.running
    assert replica.loop.time() - began < 10
    assert (end.code, end.problem.message) == (0, "ended as told: the sidecar does not answer")


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 4, 5])
def test_own_probes_are_not_waited_for(moment: float) -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        replica.engine.slow_pages = 4  # so that a probe is mostly in flight; the one that is when the end comes ends in the delay
        await asyncio.sleep(20 + moment)
        began = replica.loop.time()
        replica.supervisor.stop()
        end = await replica.running
        assert replica.loop.time() - began < 5 + 1 + 1 + 0.5
        assert end.problem.message == "ended as told: nothing is in flight"

    virtual_time.run(scenario())
