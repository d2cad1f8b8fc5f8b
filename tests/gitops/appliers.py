"""How Flux and Argo CD apply objects: their field managers, and the labels and annotations that they put on what they apply."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairlead.reconciler.kinds import Kind
from tests.objects import Objects

Object = dict[str, Any]
Kubectl = Callable[..., Any]
"""Runs kubectl with arguments and `stdin`; what it returns has a returncode, a stdout and a stderr."""

#: What no child of a ModelDeployment may carry: whose it would be taken for, and what would be pruned.
MARKS = ("argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "kubectl.kubernetes.io/last-applied-configuration", '"fleet"')


def _nothing(_: Object) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Applier:
    """A tool in one of its ways."""

    options: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Callable[[Object], Mapping[str, str]] = _nothing

    def marked(self, manifest: Object) -> Object:
        """The manifest as the tool sends it."""
        made = copy.deepcopy(manifest)
        for key, more in (("labels", self.labels), ("annotations", self.annotations(manifest))):
            if more:
                made["metadata"][key] = {**made["metadata"].get(key, {}), **more}
        return made

    def put(self, objects: Objects, kubectl: Kubectl, kind: Kind, manifest: Object) -> None:
        """Apply one object as the tool's own client does: kubectl's server-side apply also keeps the annotation of client-side
        apply up to date where there is one, and so writes what the tools do not.
        """
        if "--server-side" not in self.options:
            self.apply(kubectl, manifest)
            return
        meta = manifest["metadata"]
        manager = self.options[-1].partition("=")[2]
        path = f"{kind.path(meta['namespace'], meta['name'])}?fieldManager={manager}&force=true"
        objects.request("PATCH", path, self.marked(manifest), "application/apply-patch+yaml")

    def apply(self, kubectl: Kubectl, *manifests: Object) -> None:
        """Apply them in one go, as the tool would."""
        objects = {"apiVersion": "v1", "kind": "List", "items": [self.marked(each) for each in manifests]}
        done = kubectl("apply", *self.options, "-f", "-", stdin=json.dumps(objects))
        assert done.returncode == 0, done.stderr


def _tracked(manifest: Object) -> Mapping[str, str]:
    """Argo CD's name for an object of application `fleet`."""
    group, _, _ = manifest["apiVersion"].rpartition("/")
    meta = manifest["metadata"]
    place = f"{meta.get('namespace', '')}/{meta['name']}"
    return {"argocd.argoproj.io/tracking-id": f"fleet:{group}/{manifest['kind']}:{place}"}


FLUX = Applier(
    ("--server-side", "--force-conflicts", "--field-manager=kustomize-controller"),
    {"kustomize.toolkit.fluxcd.io/name": "fleet", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
)
ARGOCD_SERVER_SIDE = Applier(("--server-side", "--force-conflicts", "--field-manager=argocd-controller"), annotations=_tracked)
#: By default Argo CD applies as kubectl does, with the annotation of what it applied last; here it tracks by label besides.
ARGOCD_CLIENT_SIDE = Applier(
    ("--field-manager=argocd-controller",), {"app.kubernetes.io/instance": "fleet"}, annotations=_tracked
)
APPLIERS = {"flux": FLUX, "argocd, server-side": ARGOCD_SERVER_SIDE, "argocd, client-side": ARGOCD_CLIENT_SIDE}
