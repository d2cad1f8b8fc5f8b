"""The world of one ModelDeployment for tests of whole visits: a fake API, and agents that say what the test wants."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fairlead.api.conditions import Reason
from fairlead.reconciler.children import Children
from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, Key
from fairlead.reconciler.reconcile import Reconciler
from fairlead.reconciler.status_writer import StatusWriter
from fairlead.reconciler.store import Store
from fairlead.resources.context import BuildContext, Images
from fairlead.resources.engine_flags.validate import Problem
from tests.unit.reconciler.fakes import FakeClient

if TYPE_CHECKING:
    from fairlead.reconciler.scaling import Scaled

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
        self.scales: dict[Key, Scaled] = {}
        self.reconciler = Reconciler(
            self.store,
            self.children,
            self.agents,  # type: ignore[arg-type]
            self.writer,
            CONTEXT,
            scales=self.scales,
            now=lambda: self.now,
        )

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
