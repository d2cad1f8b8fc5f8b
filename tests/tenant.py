"""One namespace on any API server: ModelDeployments in it, and what the operator makes of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fairlead.reconciler.decide import mounted
from fairlead.reconciler.kinds import CHILDREN, CONFIG_MAP, DEPLOYMENT, MODEL_DEPLOYMENT, Kind
from tests.audit import Audit
from tests.objects import Object, Objects
from tests.waiting import CONVERGED_SECONDS, until

QUIET_SECONDS = 2.0
"""The operator has settled when it has written nothing for so long: its shortest pause between two looks is not longer than
0.2 s when something failed, and a pod that is not ready is looked at every 5 s without a write."""


@dataclass(frozen=True)
class Tenant:
    """The namespace, read and written as a cluster admin, with what the audit log says of the operator there."""

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

    def child(self, kind: Kind, name: str) -> Object | None:
        """The child as it is; of several ConfigMaps the one that the Deployment gives to new pods."""
        if kind != CONFIG_MAP:
            return self.objects.get(kind, self.namespace, name)
        found = self.config_maps(name)
        deployment = self.child(DEPLOYMENT, name)
        given = mounted(deployment["spec"]["template"]) if deployment is not None else set()
        return next((each for each in found if each["metadata"]["name"] in given), next(iter(found), None))

    def must_child(self, kind: Kind, name: str) -> Object:
        found = self.child(kind, name)
        assert found is not None, f"no {kind.name} of {name}"
        return found

    def config_maps(self, name: str) -> list[Object]:
        """All its ConfigMaps, those of earlier specs among them, whatever their labels say by now."""
        found = self.objects.list(CONFIG_MAP, self.namespace)
        return [each for each in found if re.fullmatch(f"{name}-config-[0-9a-f]{{10}}", each["metadata"]["name"])]

    def children(self, name: str) -> dict[str, Object]:
        """The children that are there, by kind."""
        found = {kind.name: self.child(kind, name) for kind in CHILDREN}
        return {kind: child for kind, child in found.items() if child is not None}

    def wait_children(self, name: str) -> dict[str, Object]:
        until(f"all children of {name}", lambda: len(self.children(name)) == len(CHILDREN), seconds=30, every=0.1)
        return self.children(name)

    def settled(self, seconds: float = QUIET_SECONDS) -> int:
        """Wait until the operator has written nothing for so long; returns the mark in the audit log."""
        return self.audit.settled(seconds)


def soon(what: str, probe: Callable[[], Any], seconds: float = CONVERGED_SECONDS) -> Any:
    """Wait for something that the operator does at once, where it has the machine to itself."""
    return until(what, probe, seconds=seconds, every=0.05)
