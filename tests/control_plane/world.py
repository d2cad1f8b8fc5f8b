"""What the tests do with ModelDeployments on an API server without nodes: they play the kubelet."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fairlead.reconciler.kinds import CHILDREN, CONFIG_MAP, MODEL_DEPLOYMENT, POD, Kind
from fairlead.resources.names import MODEL_DEPLOYMENT_LABEL, config_map_name
from tests.audit import Audit
from tests.control_plane.objects import Object, Objects
from tests.waiting import until

QUIET_SECONDS = 2.0
"""The operator has settled when it has written nothing for so long: its shortest pause between two looks is not longer than
0.2 s when something failed, and a pod that is not ready is looked at every 5 s without a write."""

_addresses = itertools.count(1)


@dataclass(frozen=True)
class World:
    """One namespace."""

    objects: Objects
    audit: Audit
    namespace: str

    def create(self, name: str, spec: Object | None = None, **metadata: Any) -> Object:
        body = {
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            "spec": {"model": {"uri": "pvc://models/tiny"}, **(spec or {})},
        }
        return self.objects.create(MODEL_DEPLOYMENT, self.namespace, body)

    def mdep(self, name: str) -> Object:
        return self.objects.must_get(MODEL_DEPLOYMENT, self.namespace, name)

    def change(self, name: str, spec: Object) -> Object:
        return self.objects.merge(MODEL_DEPLOYMENT, self.namespace, name, {"spec": spec})

    def child(self, kind: Kind, name: str) -> Object | None:
        return self.objects.get(kind, self.namespace, config_map_name(name) if kind == CONFIG_MAP else name)

    def must_child(self, kind: Kind, name: str) -> Object:
        return self.objects.must_get(kind, self.namespace, config_map_name(name) if kind == CONFIG_MAP else name)

    def children(self, name: str) -> dict[str, Object]:
        """The children that are there, by kind."""
        found = {kind.name: self.child(kind, name) for kind in CHILDREN}
        return {kind: child for kind, child in found.items() if child is not None}

    def wait_children(self, name: str) -> dict[str, Object]:
        until(f"all children of {name}", lambda: len(self.children(name)) == len(CHILDREN), seconds=30, every=0.1)
        return self.children(name)

    def condition(self, name: str, kind: str) -> Object:
        conditions = (self.mdep(name).get("status") or {}).get("conditions") or []
        return next((each for each in conditions if each["type"] == kind), {})

    def wait_condition(self, name: str, kind: str, *, status: str, reason: str, seconds: float = 30) -> Object:
        """Wait for a condition of the present generation, and return it."""

        def look() -> Object | None:
            mdep = self.mdep(name)
            found = self.condition(name, kind)
            current = found.get("observedGeneration") == mdep["metadata"]["generation"]
            return found if current and (found["status"], found["reason"]) == (status, reason) else None

        found = until(
            f"{name}: {kind} is {status}, {reason}",
            look,
            seconds=seconds,
            every=0.1,
            describe=lambda: str(self.mdep(name).get("status")),
        )
        assert found is not None
        return found

    def pods(self, name: str) -> list[Object]:
        """Its pods, oldest first."""
        found = [
            each
            for each in self.objects.list(POD, self.namespace)
            if each["metadata"]["labels"].get(MODEL_DEPLOYMENT_LABEL) == name
        ]
        return sorted(found, key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"]))

    def wait_pods(self, name: str, count: int) -> list[Object]:
        until(f"{count} pods of {name}", lambda: len(self.pods(name)) == count, seconds=30, every=0.1)
        return self.pods(name)

    def pod_status(self, pod: Object, status: Object) -> None:
        self.objects.merge(POD, self.namespace, pod["metadata"]["name"], {"status": status}, "status")

    def run(self, pod: Object, *, ready: bool, address: str = "") -> str:
        """Have a pod run at an address of its own, as a kubelet would report it; returns the address."""
        number = next(_addresses)
        address = address or f"127.91.{number // 250}.{number % 250 + 1}"
        states = [
            {
                "name": "engine",
                "ready": ready,
                "restartCount": 0,
                "image": "",
                "imageID": "",
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }
        ]
        told = "True" if ready else "False"
        self.pod_status(
            pod,
            {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "containerStatuses": states,
                "conditions": [
                    {"type": kind, "status": "True" if kind == "PodScheduled" else told}
                    for kind in ("PodScheduled", "ContainersReady", "Ready")
                ],
            },
        )
        return address

    def make_ready(self, name: str, replicas: int = 2) -> None:
        """Have all its pods run and be ready, and wait until the operator says so."""
        for pod in self.wait_pods(name, replicas):
            self.run(pod, ready=True)
        self.wait_condition(name, "Ready", status="True", reason="Ready")

    def settled(self) -> int:
        """Wait until the operator writes nothing any more; returns the mark in the audit log."""
        state = {"mark": self.audit.mark(), "since": time.monotonic()}

        def quiet() -> bool:
            mark = self.audit.mark()
            if self.audit.writes(int(state["mark"])):
                state.update(mark=mark, since=time.monotonic())
            return time.monotonic() - state["since"] > QUIET_SECONDS

        until("the operator has settled", quiet, seconds=60, every=0.2)
        return self.audit.mark()

    def writes_within(self, seconds: float, since: int) -> list[str]:
        """The operator's writes from a mark until that many seconds from now."""
        end = time.monotonic() + seconds
        until("the window has passed", lambda: time.monotonic() > end, seconds=seconds + 5, every=0.5)
        return self.audit.writes(since)


def soon(what: str, probe: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait for something that the operator does at once."""
    return until(what, probe, seconds=seconds, every=0.05)
