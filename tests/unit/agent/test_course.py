"""The course of a replica in virtual time: wait, start, warm-up, GPU faults, end."""

import asyncio
import re
from collections.abc import Callable

import pytest

from fairlead_agent.reasons import Phase, Problem, Reason
from tests.unit import virtual_time
from tests.unit.agent.simulation import TOTAL, Kept, Replica
from tests.unit.virtual_time import in_virtual_time

NEEDED = -(-TOTAL * 90 // 100)
#: From a fault until /readyz says 503.
FAULT_WITHIN = 15


@in_virtual_time
async def test_one_byte_below_waits_and_exactly_enough_starts() -> None:
    replica = Replica()
    replica.gpu.others = TOTAL - NEEDED + 1
    await replica.until(lambda: replica.status["reason"] == Reason.GPU_MEMORY_INSUFFICIENT, 2)
    await replica.always(lambda: not replica.spawned and replica.health.started and replica.health.live, 3600)
    status = replica.status
    assert not replica.health.ready
    assert status["phase"] == Phase.WAITING_FOR_GPU_MEMORY
    assert {str(NEEDED), str(NEEDED - 1)} <= set(re.findall(r"\d+", status["message"]))
    replica.gpu.others = TOTAL - NEEDED
    assert await replica.until(lambda: bool(replica.spawned), 3) < 2
    assert replica.spawned == [["vllm", "serve", "/models/tiny"]]
    assert not replica.health.started
    assert b"fairlead_agent_gpu_wait_seconds 360" in replica.supervisor.metrics()
    await replica.close()


@pytest.mark.parametrize(
    "problem", [Problem(Reason.GPU_NOT_FOUND, "no GPU"), Problem(Reason.NVML_UNAVAILABLE, "libnvidia-ml.so.1 not found")]
)
def test_no_gpu_is_waited_for_and_is_no_crash(problem: Problem) -> None:
    async def scenario() -> None:
        replica = Replica()
        replica.gpu.missing = problem
        await replica.until(lambda: replica.status["reason"] == problem.reason, 2)
        await replica.always(lambda: not replica.spawned and replica.health.started and replica.health.live, 600)
        replica.gpu.missing = None
        await replica.until_ready()
        await replica.close()

    virtual_time.run(scenario())


@in_virtual_time
async def test_a_hung_nvml_is_waited_for_before_the_start() -> None:
    replica = Replica()
    replica.gpu.hang.set(shut=True)
    await replica.until(lambda: replica.status["reason"] == Reason.NVML_HUNG, 10)
    await replica.always(lambda: not replica.spawned and replica.health.live, 60)
    replica.gpu.hang.set(shut=False)
    await replica.until_ready()
    await replica.close()


@in_virtual_time
async def test_phases_of_a_start() -> None:
    replica = Replica()
    replica.engine.core.set(shut=True)  # so that warm-up can be seen
    seen = []
    for phase in (Phase.WAITING_FOR_GPU_MEMORY, Phase.STARTING_ENGINE, Phase.WARMING_UP):
        await replica.until(lambda phase=phase: replica.health.phase is phase, 60)
        seen.append((replica.health.started, replica.health.ready, replica.health.live))
    assert seen == [(True, False, True), (False, False, True), (False, False, True)]
    assert len(replica.engine.asked) <= 1, "the first warm-up request goes alone"
    await asyncio.sleep(5)
    assert len(replica.engine.asked) == 1
    replica.engine.core.set(shut=False)
    await replica.until_ready()
    assert len(replica.engine.asked) == 8
    assert (replica.status["phase"], replica.status["reason"]) == (Phase.READY, Reason.READY)
    page = replica.supervisor.metrics().decode()
    assert "fairlead_agent_ready 1.0" in page
    assert "fairlead_agent_engine_start_seconds 30" in page
    await replica.close()


@in_virtual_time
async def test_a_sidecar_that_answers_late_is_a_step_of_the_start_and_one_that_does_not_a_fault() -> None:
    replica = Replica()
    replica.sidecar.set(shut=True)
    seen = []

    def unreachable() -> bool:
        seen.append((replica.status["phase"], replica.status["reason"]))
        return bool(seen[-1][1] == Reason.ENGINE_UNREACHABLE)

    await replica.until(lambda: replica.health.started and replica.health.phase is Phase.WARMING_UP, 60)
    assert await replica.until(unreachable, 30) > 15, "three misses of 5 s"
    assert set(seen[:-1]) == {(Phase.WARMING_UP, Reason.WARMUP_RUNNING)}
    replica.sidecar.set(shut=False)
    await replica.until(lambda: replica.health.ready, 8)
    await replica.close()


@in_virtual_time
async def test_the_rest_of_warm_up_is_concurrent() -> None:
    replica = Replica()
    replica.engine.core_queue = 10
    await replica.until(lambda: replica.health.phase is Phase.WARMING_UP, 60)
    assert 19.5 < await replica.until(lambda: replica.health.ready, 60) < 24
    await replica.close()


@in_virtual_time
async def test_warm_up_off_still_needs_one_decode() -> None:
    replica = Replica(warmup__enabled=False)
    replica.engine.empty = True
    await replica.until(lambda: replica.status["reason"] == Reason.WARMUP_FAILED, 60)
    replica.engine.empty = False
    await replica.until_ready()
    assert {body["max_tokens"] for body in replica.engine.asked} == {1}
    await replica.close()


@in_virtual_time
async def test_a_failed_warm_up_is_told_in_the_engine_s_words_and_tried_again() -> None:
    replica = Replica()
    replica.engine.refusal = (400, "This model's maximum context length is 32 tokens")
    await replica.until(lambda: replica.status["reason"] == Reason.WARMUP_FAILED, 60)
    assert replica.status["message"] == "HTTP 400: This model's maximum context length is 32 tokens"
    await replica.always(lambda: not replica.health.ready and replica.health.live, 300)
    attempts = len(replica.engine.asked)
    assert 10 <= attempts <= 20, "with growing pauses of at most 30 s"
    replica.engine.refusal = None
    await replica.until(lambda: replica.health.ready, 40)
    prompts = [body["messages"][0]["content"] for body in replica.engine.asked]
    assert len(set(prompts)) == len(prompts), "no attempt is served from the prefix cache of another"
    assert f"fairlead_agent_warmup_failures_total {attempts}" in replica.supervisor.metrics().decode()
    await replica.close()


@in_virtual_time
async def test_an_answer_without_a_token_is_no_decode() -> None:
    replica = Replica()
    replica.engine.empty = True
    await replica.until(lambda: replica.status["reason"] == Reason.WARMUP_FAILED, 60)
    assert replica.status["message"] == "the engine answered without a generated token"
    await replica.close()


@in_virtual_time
async def test_own_requests_carry_the_engine_s_key() -> None:
    replica = Replica({"VLLM_API_KEY": "k"})
    await replica.until_ready()
    assert replica.headers == {"Authorization": "Bearer k"}
    await replica.close()


@pytest.mark.parametrize("what", ["never up", "never warm"])
def test_the_start_has_a_deadline_counted_from_the_spawn(what: str) -> None:
    async def scenario() -> None:
        replica = Replica(health__startupTimeoutSeconds=120)
        replica.gpu.others = TOTAL
        await replica.always(lambda: replica.health.live, 600)  # waiting for memory does not count
        replica.gpu.others = 0
        if what == "never up":
            replica.engine.up_after = 10**6
        else:
            replica.engine.freeze("core")
        await replica.until(lambda: bool(replica.spawned), 2)
        await replica.always(lambda: replica.health.live, 119)
        await replica.until(lambda: not replica.health.live, 2)
        assert replica.status["reason"] == Reason.STARTUP_DEADLINE_EXCEEDED
        replica.supervisor.stop()
        end = await replica.running
        assert (end.code, end.problem.reason) == (137, Reason.STARTUP_DEADLINE_EXCEEDED)
        assert replica.engine.signals == [9]

    virtual_time.run(scenario())


def worn(replica: Replica) -> None:
    replica.gpu.ecc = 1


def xid(replica: Replica) -> None:
    replica.supervisor.gpus.on_xid("GPU-1", 79)


def hung(replica: Replica) -> None:
    replica.gpu.hang.set(shut=True)


def squeezed(replica: Replica) -> None:
    replica.gpu.others = 4 * 2**30 - 128 * 2**20 + 1


def lost(replica: Replica) -> None:
    replica.gpu.gone = True


def refused(replica: Replica) -> None:
    replica.gpu.missing = Problem(Reason.NVML_UNAVAILABLE, "NVML: GPU is lost")


@pytest.mark.parametrize(
    ("fault", "reason", "comes_back"),
    [
        (worn, Reason.ECC_UNCORRECTED, False),
        (xid, Reason.XID_FATAL, False),
        (hung, Reason.NVML_HUNG, True),
        (squeezed, Reason.GPU_MEMORY_BELOW_FLOOR, True),
        (lost, Reason.ENGINE_ALLOCATION_MISSING, True),
        (refused, Reason.NVML_UNAVAILABLE, True),
    ],
)
def test_a_gpu_fault_takes_it_out_and_kills_nothing(
    fault: Callable[[Replica], None], reason: Reason, *, comes_back: bool
) -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.until_ready()
        await replica.always(lambda: replica.health.ready, 20)
        fault(replica)
        await replica.until(lambda: not replica.health.ready, FAULT_WITHIN)
        assert (replica.status["phase"], replica.status["reason"]) == (Phase.NOT_READY, reason)
        await replica.always(lambda: not replica.health.ready and replica.health.live, 300)
        replica.gpu.hang.set(shut=False)
        replica.gpu.others, replica.gpu.gone, replica.gpu.missing = 0, False, None
        if comes_back:
            await replica.until(lambda: replica.health.ready, FAULT_WITHIN)
        else:
            await replica.always(lambda: not replica.health.ready, 60)
        await replica.close()

    virtual_time.run(scenario())


@pytest.mark.parametrize(("fault", "reason"), [(worn, Reason.ECC_UNCORRECTED), (xid, Reason.XID_FATAL)])
def test_a_fault_that_ends_the_engine_is_remembered_by_the_next_agent(fault: Callable[[Replica], None], reason: Reason) -> None:
    """The kubelet starts the container again on the same GPU, whose counters stand where they stood at the end."""

    async def scenario() -> None:
        pod = Kept()
        replica = Replica(faults=pod)
        await replica.until_ready()
        fault(replica)
        await replica.until(lambda: not replica.health.ready, FAULT_WITHIN)
        ecc = replica.gpu.ecc
        replica.engine.end(1)
        await replica.running
        again = Replica(faults=pod)
        again.gpu.ecc = ecc
        await again.until(lambda: again.status["reason"] == reason, 100)
        await again.always(lambda: not again.health.ready, 60)
        await again.close()

    virtual_time.run(scenario())


@in_virtual_time
async def test_an_engine_that_is_not_on_the_gpu_is_never_ready_not_even_at_first() -> None:
    replica = Replica()
    replica.gpu.gone = True
    ready_at_times = []

    def looked() -> bool:
        ready_at_times.append(replica.health.ready)
        return bool(replica.status["reason"] == Reason.ENGINE_ALLOCATION_MISSING)

    await replica.until(looked, 60)
    assert not any(ready_at_times)
    await replica.always(lambda: not replica.health.ready and replica.health.live, 30)
    assert "fairlead_agent_warmup_seconds" in replica.supervisor.metrics().decode(), "it is warm all the same"
    await replica.close()


@in_virtual_time
async def test_an_xid_of_the_application_is_only_counted() -> None:
    replica = Replica()
    await replica.until_ready()
    for number in (13, 31, 43, 45, 68, 109):
        replica.supervisor.gpus.on_xid("GPU-1", number)
    await replica.always(lambda: replica.health.ready, 20)
    assert 'fairlead_agent_xids_total{uuid="GPU-1",xid="31"} 1.0' in replica.supervisor.metrics().decode()
    await replica.close()


@in_virtual_time
async def test_a_sidecar_that_sent_clients_away_takes_them_again() -> None:
    """The kubelet restarts an engine container that was told to end; the sidecar beside it has not been restarted."""
    replica = Replica()
    replica.health_failed = True
    await replica.until_ready()
    assert not replica.health_failed
    await replica.close()


@in_virtual_time
async def test_a_sidecar_without_admin_delays_no_start() -> None:
    replica = Replica()
    replica.admin_answers = False
    await replica.until_ready()
    await replica.close()


@in_virtual_time
async def test_told_to_end_while_it_waits_for_memory() -> None:
    replica = Replica()
    replica.gpu.others = TOTAL
    await asyncio.sleep(3)
    replica.supervisor.stop()
    end = await asyncio.wait_for(replica.running, 2)
    assert end.code == 0
    assert not replica.spawned


@in_virtual_time
async def test_told_to_end_while_the_engine_starts() -> None:
    replica = Replica()
    replica.engine.ends_on_sigterm_after = None
    await asyncio.sleep(10)
    replica.supervisor.stop()
    end = await asyncio.wait_for(replica.running, 6)
    assert (end.code, replica.engine.signals) == (0, [15, 9])
    assert not replica.health_failed


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (3, "the engine ended with exit code 3: ValueError: why"),
        (137, "the engine ended with signal SIGKILL"),
        (0, "the engine ended with exit code 0"),
    ],
)
@pytest.mark.parametrize("when", ["starting", "warming up", "ready", "draining"])
def test_the_engine_s_end_is_the_container_s_end(code: int, said: str, when: str) -> None:
    async def scenario() -> None:
        replica = Replica()
        if when == "starting":
            await asyncio.sleep(10)
        elif when == "warming up":
            replica.engine.freeze("core")
            await replica.until(lambda: replica.health.phase is Phase.WARMING_UP, 60)
        else:
            await replica.until_ready()
        if when == "draining":
            replica.streams = 1
            replica.supervisor.stop()
            await asyncio.sleep(20)
        replica.engine.end(code)
        end = await asyncio.wait_for(replica.running, 1)
        assert (end.code, end.problem.reason) == (code, Reason.ENGINE_EXITED)
        assert end.problem.message == said
        assert end.last_lines == ("ValueError: why", "the engine's last line")

    virtual_time.run(scenario())


@in_virtual_time
async def test_an_engine_that_cannot_be_run_is_told() -> None:
    end = await Replica({"missing": "yes"}).running
    assert (end.code, end.problem.message) == (127, "cannot run vllm: No such file or directory")


@in_virtual_time
async def test_a_fault_of_the_agent_ends_the_engine_too() -> None:
    replica = Replica()
    await replica.until_ready()
    replica.engine.refusal = (500, None)  # type: ignore[assignment] # what no engine sends
    replica.engine.page = None  # type: ignore[method-assign,assignment]
    with pytest.raises(ExceptionGroup):
        await replica.running
    assert replica.engine.signals == [9]


@in_virtual_time
async def test_status_is_small_at_every_moment() -> None:
    replica = Replica()
    for _ in range(200):
        assert len(replica.supervisor.status()) < 300
        await asyncio.sleep(0.5)
    replica.engine.load = 3
    await asyncio.sleep(10)
    assert replica.status["running"] == 3
    assert replica.status["dutyCyclePercent"] == 40
    replica.engine.page = lambda: "# an engine that counts nothing"  # type: ignore[method-assign]
    await asyncio.sleep(3)
    assert "running" not in replica.status, "it does not say 0"
    replica.engine.metrics_status = 500
    await asyncio.sleep(3)
    assert {"running", "waiting", "tokens", "loadAgeMs"}.isdisjoint(replica.status), "what is not known now is not told"
    assert replica.status["dutyCyclePercent"] == 40, "the GPU is another matter"
    await replica.close()
