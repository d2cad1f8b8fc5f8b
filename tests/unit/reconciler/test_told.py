"""What a visit makes of replicas' states: conditions, Events, and which agents it asks for them."""

from datetime import UTC, datetime, timedelta

import pytest

from fairlead.api.conditions import Reason
from fairlead.resources.engine_flags.validate import Problem
from tests.unit.reconciler.world import Object, World, mdep


async def test_only_agents_that_may_have_something_to_say_are_asked() -> None:
    world = World(mdep())
    world.add_pod("a", ready=True)
    world.add_pod("b", ready=False)
    world.agents.says["b"] = Problem(Reason.ECC_UNCORRECTED, "2 errors")
    assert await world.visit() == 5
    assert world.agents.asked == ["b"]
    assert world.condition("ReplicasAvailable")["message"] == "0/2 ready; b: ECCUncorrected: 2 errors"


async def test_an_agent_that_has_just_been_started_may_be_silent() -> None:
    world = World(mdep())
    world.add_pod("a", ready=False, started="2025-12-31T23:59:55Z")
    await world.visit()
    assert world.condition("ReplicasAvailable")["reason"] == "PodStarting"
    world.now = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
    await world.visit()
    assert world.condition("ReplicasAvailable")["reason"] == "AgentUnreachable"


async def test_what_somebody_must_mend_after_a_rollout_is_his_turn_when_a_start_would_be_over() -> None:
    world = World(mdep())
    await world.visit()
    deployment = world.client.objects["Deployment", "ns", "chat"]
    conditions = [
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: tight"},
    ]
    world.put({**deployment, "status": {"replicas": 1, "readyReplicas": 1, "observedGeneration": 1, "conditions": conditions}})
    world.now += timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"])
    await world.visit()
    assert (world.condition("Stalled")["status"], world.condition("ReplicasAvailable")["reason"]) == ("False", "QuotaExceeded")
    world.now += timedelta(seconds=1)
    await world.visit()
    assert (world.condition("Stalled")["status"], world.condition("Stalled")["reason"]) == ("True", "QuotaExceeded")


async def test_a_download_and_the_start_after_it_have_their_own_time() -> None:
    world = World(mdep({"model": {"uri": "hf://org/tiny"}}))
    await world.visit()
    deployment = world.client.objects["Deployment", "ns", "chat"]
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    world.put({**deployment, "status": {"replicas": 1, "observedGeneration": 1, "conditions": [late]}})

    def reason(told: Reason, started: str = "", commit: str = "") -> None:
        world.add_pod("a", ready=False, started=started)
        found = world.client.objects["Pod", "ns", "a"]
        words = f'{{"commit": "{commit}"}}'
        fetch = {"terminated": {"exitCode": 0, "message": words}} if commit else {"running": {"startedAt": started}}
        engine = {"running": {"startedAt": started}} if commit else {"waiting": {"reason": "PodInitializing"}}
        status = {
            **found["status"],
            "phase": "Running" if commit else "Pending",
            "initContainerStatuses": [{"name": "fetch", "state": fetch}],
            "containerStatuses": [{"name": "engine", "state": engine}],
        }
        world.put({**found, "status": status})
        world.agents.says["a"] = Problem(told, "words")
        world.seconds += 60

    reason(Reason.MODEL_DOWNLOADING, "2025-12-31T00:00:00Z")
    await world.visit()
    assert world.agents.asked == ["a"]
    assert world.condition("ModelAvailable")["reason"] == "ModelDownloading"
    assert world.condition("Stalled")["status"] == "False", "bytes arrive, however long it takes"
    reason(Reason.ENGINE_STARTING, "2025-12-31T23:50:00Z", "1" * 40)
    await world.visit()
    assert world.condition("ModelAvailable")["status"] == "True"
    assert world.status()["modelRevisions"] == ["1" * 40]
    assert world.condition("Stalled")["status"] == "False", "the engine has just been started"
    reason(Reason.ENGINE_STARTING, "2025-12-31T23:40:00Z", "1" * 40)
    await world.visit()
    assert world.condition("Stalled")["reason"] == "ProgressDeadlineExceeded", "960 s have passed since"


async def test_messages_wait_and_turns_do_not() -> None:
    world = World(mdep())
    await world.visit()
    world.add_pod("a", ready=False)
    world.agents.says["a"] = Problem(Reason.GPU_MEMORY_INSUFFICIENT, "free 1")
    world.seconds = 1
    await world.visit()
    assert ("apply", "ModelDeployment/status") in world.client.calls, "a new reason goes at once"
    world.agents.says["a"] = Problem(Reason.GPU_MEMORY_INSUFFICIENT, "free 2")
    world.seconds = 2
    assert await world.visit() == 5
    assert world.client.writes == []
    world.seconds = 8
    assert await world.visit() == pytest.approx(3), "in time for the write that was put off"
    world.seconds = 11
    await world.visit()
    assert world.client.writes == [("apply", "ModelDeployment/status")]
    assert "free 2" in world.condition("ReplicasAvailable")["message"]


ACCESS: Object = {"jwt": {"issuer": "i", "audiences": ["a"], "jwks": {"url": "https://issuer.example.com/keys"}}}


@pytest.mark.parametrize(("spec", "told"), [({}, True), ({"access": ACCESS}, False)], ids=["open", "with tokens"])
async def test_ready_says_so_where_no_token_is_needed(spec: Object, told: bool) -> None:  # noqa: FBT001
    world = World(mdep(spec))
    await world.visit()
    serving = {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 1}
    deployment = world.client.objects["Deployment", "ns", "chat"]
    world.put({**deployment, "metadata": {**deployment["metadata"], "generation": 1}, "status": serving})
    await world.visit()
    ready = world.condition("Ready")
    assert ready["status"] == "True"
    assert ("open to every pod of the cluster, as spec.access is not set" in ready["message"]) == told


MOUNTED: Object = {
    "access": {
        "jwt": {"issuer": "i", "audiences": ["a"], "jwks": {"configMapKeyRef": {"name": "issuer", "key": "jwks.json"}}},
    }
}


@pytest.mark.parametrize(
    ("there", "reason", "words"),
    [
        (None, "KeySetNotFound", "there is no ConfigMap issuer"),
        ({}, "KeySetNotFound", "ConfigMap issuer has no key jwks.json"),
        ({"data": {"other": ""}}, "KeySetNotFound", "ConfigMap issuer has no key jwks.json"),
        ({"data": {"jwks.json": ""}}, "PodStarting", "container sidecar is being created"),
        ({"binaryData": {"jwks.json": ""}}, "PodStarting", "container sidecar is being created"),
    ],
    ids=["no ConfigMap", "an empty one", "another key", "there", "there in binary"],
)
async def test_keys_that_pods_wait_for_are_named(there: Object | None, reason: str, words: str) -> None:
    world = World(mdep(MOUNTED))
    await world.visit()
    if there is not None:
        meta = {"namespace": "ns", "name": "issuer", "uid": "c", "resourceVersion": "1"}
        world.client.objects["ConfigMap", "ns", "issuer"] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **there}
    world.add_pod("a", ready=False)
    pod = world.client.objects["Pod", "ns", "a"]
    waiting = [{"name": "sidecar", "state": {"waiting": {"reason": "PodInitializing"}}}]
    world.put({**pod, "status": {"phase": "Pending", "initContainerStatuses": waiting}})
    await world.visit()
    told = world.condition("ReplicasAvailable")
    assert told["reason"] == reason
    assert words in told["message"]
    assert world.condition("Stalled")["status"] == "False", "it may be applied a moment later"


async def test_keys_are_not_looked_for_when_no_pod_waits() -> None:
    world = World(mdep(MOUNTED))
    await world.visit()
    world.add_pod("a", ready=True)
    await world.visit()
    assert ("get", "ConfigMap") not in world.client.calls


async def test_news_are_told_once() -> None:
    world = World(mdep())
    world.add_pod("a", ready=False)

    async def turn(reason: Reason, seconds: float) -> list[str]:
        world.client.events.clear()
        world.agents.says["a"] = Problem(reason, "x")
        world.seconds = seconds
        await world.visit()
        return [f"{each['type']} {each['reason']}" for each in world.client.events]

    assert await turn(Reason.WARMUP_RUNNING, 0) == [], "a step of any start"
    assert await turn(Reason.XID_FATAL, 1) == ["Warning XidFatal"]
    assert await turn(Reason.NVML_HUNG, 2) == ["Warning NVMLHung"]
    assert await turn(Reason.XID_FATAL, 3) == [], "the same as a moment ago"
    assert await turn(Reason.NVML_HUNG, 4) == []
    assert await turn(Reason.XID_FATAL, 400) == ["Warning XidFatal"]


async def test_a_crash_loop_is_one_warning() -> None:
    world = World(mdep({"model": {"uri": "hf://org/tiny"}}))
    await world.visit()
    deployment = world.client.objects["Deployment", "ns", "chat"]
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    world.put({**deployment, "status": {"replicas": 1, "observedGeneration": 1}})
    fetched = {"name": "fetch", "state": {"terminated": {"exitCode": 0, "message": f'{{"commit": "{"1" * 40}"}}'}}}
    ended = {"terminated": {"exitCode": 1, "message": "ValueError: why"}}
    loads = {"running": {"startedAt": "2025-12-31T23:59:50Z"}}
    world.client.events.clear()
    reasons, stalled = set(), set()
    for restarts in range(1, 7):
        for state in (ended, {"waiting": {"reason": "CrashLoopBackOff"}}, loads, loads):
            world.add_pod("a", ready=False)
            found = world.client.objects["Pod", "ns", "a"]
            engine = {"name": "engine", "state": state, "lastState": ended, "restartCount": restarts}
            status = {**found["status"], "initContainerStatuses": [fetched], "containerStatuses": [engine]}
            world.put({**found, "status": status})
            world.agents.says["a"] = Problem(Reason.ENGINE_STARTING, "loading")
            world.seconds += 60
            await world.visit()
            reasons.add(world.condition("Ready")["reason"])
            stalled.add(world.condition("Stalled")["reason"])
        if restarts == 5:
            assert (reasons, stalled) == ({"EngineCrashLooping"}, {"NotStalled"})
            assert [f"{each['type']} {each['reason']}" for each in world.client.events] == ["Warning EngineCrashLooping"]
            assert "restarted 5 times: ValueError: why" in world.condition("Ready")["message"]
            world.put({**deployment, "status": {"replicas": 1, "observedGeneration": 1, "conditions": [late]}})
            reasons, stalled = set(), set()
    assert stalled == {"ProgressDeadlineExceeded"}, "also while it loads, as it has done before"
