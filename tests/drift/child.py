"""One child of a ModelDeployment, as the builders want it and as it is, and the hand that changes it."""

from dataclasses import dataclass
from typing import Any

from fairlead.api.model_deployment import ModelDeployment
from fairlead.reconciler.kinds import Kind
from fairlead.resources import build
from fairlead.resources.context import BuildContext
from tests.drift.cases import SPEC
from tests.drift.leaves import Path, changed, dotted, look
from tests.objects import Object, Refused
from tests.tenant import Tenant
from tests.waiting import until

OVERTAKEN = frozenset({409, 422})
"""What a patch for one resourceVersion is answered when there is another one: a conflict, or a test in it that has failed."""


@dataclass(frozen=True)
class Child:
    """The child of a kind; it is there."""

    tenant: Tenant
    kind: Kind
    name: str
    """The ModelDeployment's."""
    manifest: Object
    """As rendered for the live ModelDeployment."""

    @property
    def path(self) -> str:
        return self.kind.path(self.tenant.namespace, self.manifest["metadata"]["name"])

    def get(self) -> Object | None:
        return self.tenant.objects.get(self.kind, self.tenant.namespace, self.manifest["metadata"]["name"])

    def must_get(self) -> Object:
        return self.tenant.objects.must_get(self.kind, self.tenant.namespace, self.manifest["metadata"]["name"])

    def writes(self, since: int) -> list[str]:
        """The operator's writes to it since a mark in the audit log, those that were refused among them."""
        written = self.tenant.audit.writes(since)
        return [each for each in written if each.partition(" ")[2].partition("?")[0] == self.path]

    def needless(self, since: int) -> int:
        """Writes that came to nothing since a mark: repairs of a port where a controller was first, each with its apply."""
        repairs = [each for each in self.tenant.audit.requests(since) if "fieldManager=fairlead-repair" in each["requestURI"]]
        ours = [each for each in repairs if each["requestURI"].partition("?")[0] == self.path]
        return 2 * sum(1 for each in ours if each["responseStatus"]["code"] in OVERTAKEN)

    def try_values(self, path: Path, values: list[Any]) -> tuple[Any, list[str]]:
        """Write the first of the values that the API server takes by hand; returns it (or None), and the refusals."""
        refusals = []
        for value in values:
            while True:
                live = self.must_get()
                try:
                    written = self.tenant.objects.replace(self.kind, changed(live, path, value))
                except Refused as refused:
                    if refused.status == 409:
                        continue  # a controller has written the status meanwhile
                    refusals.append(str(refused))
                    break
                if look(written, path) == look(live, path):
                    refusals.append("the API server puts it back by itself")
                    break
                return value, refusals
        return None, refusals

    def write(self, path: Path, value: Any) -> None:
        """Change one thing by hand; a list's end is a place, too."""
        written, refusals = self.try_values(path, [value])
        assert written is not None, (dotted(path), refusals)


def drifting(tenant: Tenant, kind: Kind, name: str, context: BuildContext) -> Child:
    """The child of a new ModelDeployment of many fields and no replica; `context` is that of the operator that runs."""
    mark = tenant.audit.mark()
    mdep = tenant.create(name, SPEC)
    tenant.wait_children(name)
    child = Child(tenant, kind, name, rendered(mdep, kind, context))
    until("its creation is in the audit log", lambda: child.writes(mark), seconds=10, every=0.05)
    return child


def rendered(mdep: Object, kind: Kind, context: BuildContext) -> Object:
    """The child of a kind as the builders make it."""
    return next(each for each in build(ModelDeployment.model_validate(mdep), context) if each["kind"] == kind.name)
