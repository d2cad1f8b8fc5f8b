"""A ModelDeployment that the generated tests change, with a kubelet that keeps all its pods ready."""

from dataclasses import dataclass
from http.client import BAD_REQUEST

from fairlead.reconciler.kinds import CHILDREN, MODEL_DEPLOYMENT, POD
from tests.audit import WRITES
from tests.control_plane.end_state import end_state
from tests.control_plane.world import World
from tests.objects import Object, Refused
from tests.waiting import until

NAME = "chat"
_REVISION = "deployment.kubernetes.io/revision"
"""Of the Deployments' controller: how often the template has changed."""


@dataclass
class Subject:
    """The one called chat of a namespace of its own."""

    world: World

    @property
    def live(self) -> Object:
        return self.world.mdep(NAME)

    @property
    def spec(self) -> Object:
        spec: Object = self.live["spec"]
        return spec

    @property
    def valid(self) -> bool:
        return bool(self.world.condition(NAME, "ConfigurationValid").get("status") == "True")

    def offer(self, spec: Object, *, dry_run: bool) -> Refused | None:
        """Replace the spec as a whole; returns what the API server says against it, if anything."""
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        path = MODEL_DEPLOYMENT.path(self.world.namespace, NAME)
        change = [{"op": "replace", "path": "/spec", "value": spec}]
        try:
            self.world.objects.request("PATCH", path + query, change, "application/json-patch+json")
        except Refused as refused:
            return refused
        return None

    def settle(self) -> int:
        """Play the kubelet until the operator has told of the present spec and all is done; returns the audit log's mark."""

        def done() -> bool:
            self._kubelet()
            mdep = self.live
            seen = mdep["status"]["observedGeneration"] == mdep["metadata"]["generation"]
            return seen and (not self.valid or self.world.condition(NAME, "Ready")["status"] == "True")

        until("it is ready, or told why it cannot be", done, every=0.05, describe=lambda: str(self.live))
        return self.world.settled()

    def _kubelet(self) -> None:
        for pod in self.world.pods(NAME):
            told = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
            if "deletionTimestamp" in pod["metadata"]:
                self.world.objects.delete(POD, self.world.namespace, pod["metadata"]["name"], gracePeriodSeconds=0)
            elif told.get("Ready") != "True":
                self.world.run(pod, ready=True)

    def state(self) -> Object:
        """Its children as they are wanted, by kind and name: no status, no count of changes."""
        kinds = {kind.name for kind in CHILDREN}
        found = {name: each for name, each in end_state(self.world).items() if name.partition(" ")[0] in kinds}
        return {name: _wanted(each) for name, each in found.items()}

    def told(self) -> Object:
        """Its status without generations and times."""
        status = end_state(self.world)[f"{MODEL_DEPLOYMENT.name} {NAME}"]["status"]
        conditions = [{key: each[key] for key in ("type", "status", "reason", "message")} for each in status["conditions"]]
        return {**status, "observedGeneration": None, "conditions": conditions}

    def writes(self, since: int) -> list[str]:
        """The operator's writes since then that were let through: one that is refused is tried again every 30 s."""
        return [
            f"{each['verb']} {each['requestURI']}"
            for each in self.world.audit.requests(since)
            if each["verb"] in WRITES and each["responseStatus"]["code"] < BAD_REQUEST
        ]


def _wanted(child: Object) -> Object:
    meta = {key: value for key, value in child["metadata"].items() if key != "generation"}
    notes = {key: value for key, value in meta.get("annotations", {}).items() if key != _REVISION}
    return {**{key: value for key, value in child.items() if key != "status"}, "metadata": {**meta, "annotations": notes}}
