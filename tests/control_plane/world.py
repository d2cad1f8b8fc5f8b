"""What the tests do with ModelDeployments on an API server without nodes: they play the kubelet."""

import time
from dataclasses import replace

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, POD
from fairlead.resources.names import MODEL_DEPLOYMENT_LABEL
from tests.objects import Object
from tests.ports import free_address
from tests.tenant import Tenant
from tests.waiting import CONVERGED_SECONDS, until

STILL_SECONDS = 1.0
"""Several times what operator and controllers take to answer a write of one another, about 0.1 s on two cores."""


class World(Tenant):
    """One namespace, and the kubelet of its pods."""

    def change(self, name: str, spec: Object) -> Object:
        return self.objects.merge(MODEL_DEPLOYMENT, self.namespace, name, {"spec": spec})

    def condition(self, name: str, kind: str) -> Object:
        conditions = (self.mdep(name).get("status") or {}).get("conditions") or []
        return next((each for each in conditions if each["type"] == kind), {})

    def wait_condition(self, name: str, kind: str, *, status: str, reason: str, seconds: float = CONVERGED_SECONDS) -> Object:
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
        until(f"{count} pods of {name}", lambda: len(self.pods(name)) == count, every=0.1)
        return self.pods(name)

    def pod_status(self, pod: Object, status: Object) -> None:
        self.objects.merge(POD, self.namespace, pod["metadata"]["name"], {"status": status}, "status")

    def run(self, pod: Object, *, ready: bool, address: str = "") -> str:
        """Have a pod run at an address of its own, as a kubelet would report it; returns the address."""
        address = address or free_address()
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

    def settled(self, seconds: float = STILL_SECONDS) -> int:
        """Wait until nobody has written anything here for so long, as each may answer the others; returns the mark."""
        return replace(self.audit, user=None).settled(seconds)

    def writes_within(self, seconds: float, since: int) -> list[str]:
        """The operator's writes from a mark until that many seconds from now."""
        end = time.monotonic() + seconds
        until("the window has passed", lambda: time.monotonic() > end, seconds=seconds + 5, every=0.5)
        return self.audit.writes(since)
