"""A whole visit over a fake API: what is read, what is written, when to come again."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlead.api.conditions import Reason
from fairlead.reconciler.children import Children
from fairlead.reconciler.client import ApiError
from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, Key
from fairlead.reconciler.reconcile import Reconciler
from fairlead.reconciler.status_writer import StatusWriter
from fairlead.reconciler.store import Store
from fairlead.resources.context import BuildContext, Images
from fairlead.resources.engine_flags.validate import Problem
from tests.unit.reconciler.fakes import FakeClient, refusal

Object = dict[str, Any]
KEY = Key("ns", "chat")
SIX = ["ServiceAccount", "ConfigMap", "NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment"]
CONTEXT = BuildContext(images=Images(sidecar="envoy", engines={"vllm": {"0.32.0": "vllm"}}), operator_namespace="fairlead-system")


class Silent:
    """Agents that say what the test wants."""

    def __init__(self) -> None:
        self.says: dict[str, Problem] = {}
        self.asked: list[str] = []

    async def ask(self, addresses: Iterable[tuple[str, str]]) -> dict[str, Problem]:
        names = [name for name, _ in addresses]
        self.asked += names
        return {name: self.says.get(name, Problem(Reason.AGENT_UNREACHABLE, "silent")) for name in names}


def mdep(spec: Object | None = None, *, generation: int = 1, uid: str = "u1", version: int = 1, **metadata: Any) -> Object:
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": "ModelDeployment",
        "metadata": {
            "namespace": "ns",
            "name": "chat",
            "uid": uid,
            "generation": generation,
            "resourceVersion": str(version),
            **metadata,
        },
        "spec": {"model": {"uri": "pvc://models/x"}, **(spec or {})},
    }


class World:
    """The reconciler and all that it touches."""

    def __init__(self, *objects: Object) -> None:
        self.client = FakeClient(*objects)
        self.store = Store()
        for each in objects:
            self.store.put(each)
        self.seconds = 0.0
        self.agents = Silent()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.writer = StatusWriter(self.client, self.store, instance="test", clock=lambda: self.seconds, now=lambda: self.now)
        self.children = Children(self.client, self.store)
        self.reconciler = Reconciler(self.store, self.children, self.agents, self.writer, CONTEXT, now=lambda: self.now)  # type: ignore[arg-type]

    async def visit(self) -> float | None:
        self.client.calls.clear()
        return await self.reconciler.visit(KEY)

    def put(self, obj: Object) -> None:
        """Somebody writes an object, and the watch tells of it."""
        self.client._version += 1
        obj["metadata"]["resourceVersion"] = str(self.client._version)
        self.client.objects[self.client.place(obj)] = obj
        self.store.put(obj)

    def status(self) -> Object:
        found: Object = self.client.objects["ModelDeployment", "ns", "chat"]["status"]
        return found

    def condition(self, kind: str) -> Object:
        return next(each for each in self.status()["conditions"] if each["type"] == kind)

    def add_pod(self, name: str, *, ready: bool, started: str = "2025-12-31T00:00:00Z") -> None:
        self.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "namespace": "ns",
                    "name": name,
                    "labels": {"serving.fairlead.dev/model-deployment": "chat", "pod-template-hash": "h"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": "chat-h", "controller": True}],
                },
                "spec": {},
                "status": {
                    "phase": "Running",
                    "podIP": "10.0.0.1",
                    "conditions": [{"type": "Ready", "status": str(ready)}],
                    "containerStatuses": [{"name": "engine", "state": {"running": {"startedAt": started}}}],
                },
            }
        )


async def test_the_first_visit_makes_everything_in_order_and_the_second_nothing() -> None:
    world = World(mdep())
    await world.visit()
    assert world.client.calls == [
        *[("get", kind) for kind in SIX],
        ("get", "ModelDeployment"),
        *[("apply", kind) for kind in SIX],
        ("apply", "ModelDeployment/status"),
    ]
    await world.visit()
    assert world.client.calls == [], "neither a read nor a write"


async def test_what_is_gone_needs_nothing() -> None:
    world = World()
    assert await world.visit() is None
    assert world.client.calls == []


@pytest.mark.parametrize(
    "fresh", [None, mdep(uid="u2"), mdep(deletionTimestamp="2026-01-01T00:00:00Z")], ids=["gone", "another", "ending"]
)
async def test_nothing_is_made_for_one_that_is_going(fresh: Object | None) -> None:
    """The store has not heard of it yet."""
    world = World(mdep())
    world.client.objects = {world.client.place(fresh): fresh} if fresh else {}
    await world.visit()
    assert [call for call in world.client.writes if not call[1].startswith("ModelDeployment")] == []


async def test_one_that_is_being_deleted_only_says_so() -> None:
    world = World(mdep(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert await world.visit() is None
    assert world.client.writes == [("apply", "ModelDeployment/status"), ("create", "Event")]
    assert world.condition("Ready")["reason"] == "Terminating"


async def test_drift_is_one_write() -> None:
    world = World(mdep())
    await world.visit()
    service = world.client.objects["Service", "ns", "chat"]
    world.put({**service, "spec": {**service["spec"], "type": "NodePort"}})
    await world.visit()
    assert world.client.calls == [("apply", "Service")]


async def test_a_webhook_that_insists_is_not_fought_with() -> None:
    world = World(mdep())
    world.client.webhook = {
        "type": "LoadBalancer",
        "strategy": {"type": "Recreate"},
        "unhealthyPodEvictionPolicy": "x",
        "policyTypes": [],
    }
    await world.visit()
    await world.visit()
    assert world.client.calls == []
    world.put(mdep({"replicas": 3}, generation=2))
    await world.visit()
    assert ("apply", "Deployment") in world.client.writes, "a change of what is wanted is written all the same"
    await world.visit()
    assert world.client.calls == []


async def test_a_refusal_is_a_condition_and_is_tried_again() -> None:
    world = World(mdep())
    world.client.refuse["apply", "NetworkPolicy"] = refusal(403, "exceeded quota: tight")
    assert await world.visit() == 30
    assert world.client.writes == [
        *[("apply", kind) for kind in SIX[:3]],
        ("apply", "ModelDeployment/status"),
        ("create", "Event"),
    ]
    assert world.condition("ConfigurationValid")["message"] == "applying: exceeded quota: tight"
    assert world.condition("Stalled")["reason"] == "ApplyFailed"
    del world.client.refuse["apply", "NetworkPolicy"]
    await world.visit()
    assert world.condition("ConfigurationValid")["status"] == "True"


async def test_a_field_that_kubernetes_does_not_have_is_told() -> None:
    """The API server answers an apply that has one with 500."""
    world = World(mdep())
    words = "failed to create typed patch object (ns/chat; apps/v1, Kind=Deployment): .spec.x: field not declared in schema"
    world.client.refuse["apply", "Deployment"] = refusal(500, words)
    assert await world.visit() == 30
    assert (world.condition("Stalled")["reason"], words in world.condition("Stalled")["message"]) == ("ApplyFailed", True)


@pytest.mark.parametrize("status", [0, 409, 429, 500, 503])
async def test_what_passes_is_for_the_queue(status: int) -> None:
    world = World(mdep())
    world.client.refuse["apply", "Service"] = refusal(status)
    with pytest.raises(ApiError):
        await world.visit()
    assert ("apply", "ModelDeployment/status") not in world.client.calls, "nothing is known that would be worth telling"


async def test_a_namespace_that_ends_is_left_alone() -> None:
    world = World(mdep())
    world.client.refuse["apply", "ServiceAccount"] = refusal(403, reason="NamespaceTerminating")
    assert await world.visit() is None
    assert world.client.writes == [("apply", "ServiceAccount")]


async def test_an_invalid_spec_leaves_the_children() -> None:
    world = World(mdep())
    await world.visit()
    world.put(mdep({"engine": {"args": {"nosuchflag": 1}}, "replicas": 5}, generation=2))
    await world.visit()
    assert world.client.writes == [("apply", "ModelDeployment/status"), ("create", "Event")]
    assert (world.status()["observedGeneration"], world.status()["availability"]) == (2, "0/2")


async def test_a_spec_that_the_operator_does_not_know() -> None:
    world = World(mdep({"fieldOfTheFuture": 1}))
    await world.visit()
    told = world.condition("ConfigurationValid")
    assert told["reason"] == "InvalidSpec"
    assert told["message"].startswith("spec.fieldOfTheFuture: ")
    assert [call for call in world.client.writes if call[1] in SIX] == []


async def test_a_child_that_is_no_longer_wanted_is_looked_at_before_it_goes() -> None:
    world = World(mdep())
    await world.visit()
    world.put(mdep({"pod": {"serviceAccountName": "mine"}}, generation=2))
    await world.visit()
    assert world.client.calls[:3] == [("apply", "Deployment"), ("get", "ServiceAccount"), ("delete", "ServiceAccount")]


async def test_a_copy_of_a_child_under_another_name_stays() -> None:
    """The operator may delete no Service: the copy goes with the ModelDeployment, whose it says it is."""
    world = World(mdep())
    await world.visit()
    service = world.client.objects["Service", "ns", "chat"]
    world.put({**service, "metadata": {**service["metadata"], "name": "copy", "uid": "copy"}})
    await world.visit()
    assert world.client.calls == []


async def test_a_child_that_somebody_has_taken_over_stays() -> None:
    world = World(mdep())
    await world.visit()
    account = world.client.objects["ServiceAccount", "ns", "chat"]
    world.put(mdep({"pod": {"serviceAccountName": "mine"}}, generation=2))
    taken = {**account, "metadata": {**account["metadata"], "ownerReferences": []}}
    world.client.objects["ServiceAccount", "ns", "chat"] = taken  # the store has not heard of it
    await world.visit()
    assert ("delete", "ServiceAccount") not in world.client.calls


async def test_a_conflict_is_looked_at_again_soon() -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "ns", "name": "chat", "uid": "x", "resourceVersion": "1"},
    }
    world = World(mdep())
    world.client.objects["Service", "ns", "chat"] = foreign
    assert await world.visit() == 10
    assert world.condition("Ready")["reason"] == "NameConflict"
    await world.visit()
    assert world.client.writes == []


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


async def test_an_event_that_cannot_be_written_stops_nothing() -> None:
    world = World(mdep({"engine": {"args": {"nosuchflag": 1}}}))
    world.client.refuse["create", "Event"] = refusal(403)
    await world.visit()
    assert world.condition("Ready")["reason"] == "UnknownEngineFlag"


@pytest.mark.parametrize("status", [404, 409])
async def test_a_status_of_what_has_just_gone_is_no_failure(status: int) -> None:
    world = World(mdep())
    world.client.refuse["apply", "ModelDeployment/status"] = refusal(status)
    await world.visit()
    assert world.client.events == []


async def test_conditions_of_others_stay_and_cause_no_write() -> None:
    world = World(mdep())
    await world.visit()
    live = world.client.objects["ModelDeployment", "ns", "chat"]
    theirs = {"type": "Theirs", "status": "True", "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    world.put({**live, "status": {**live["status"], "conditions": [theirs, *live["status"]["conditions"]], "later": 1}})
    await world.visit()
    assert world.client.calls == []


async def test_a_port_in_the_way_is_put_right() -> None:
    world = World(mdep())
    await world.visit()
    service = world.client.objects["Service", "ns", "chat"]
    world.put({**service, "spec": {**service["spec"], "ports": [{"name": "http", "port": 81}]}})
    world.client.refuse["apply", "Service"] = refusal(422, "Duplicate value: http")
    with pytest.MonkeyPatch.context() as patch:
        put_right = world.client.put_right

        async def then_it_works(live: Object, items: Any) -> None:
            await put_right(live, items)
            world.client.refuse.clear()

        patch.setattr(world.client, "put_right", then_it_works)
        await world.visit()
    assert world.client.calls == [("apply", "Service"), ("get", "Service"), ("patch", "Service"), ("apply", "Service")]
