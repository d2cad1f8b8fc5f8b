"""The repositories in examples/gitops, on an API server with the CRDs of Flux and Argo CD, in the steps that those would take.

The controllers of Flux and Argo CD do not run here: what they read in their objects (path, dependsOn, waves, values) is read and
done in their place, with their field managers and marks.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.audit import Audit
from tests.cluster import tools
from tests.cluster.controlplane import control_plane_alone
from tests.cluster.layout import cache_root
from tests.control_plane.conftest import Api
from tests.control_plane.installed import operator_of_chart
from tests.control_plane.process import ROOT
from tests.control_plane.world import World
from tests.gitops import crds
from tests.gitops.appliers import ARGOCD_SERVER_SIDE, FLUX, Applier
from tests.gitops.verdicts import verdict
from tests.objects import Object, Objects
from tests.waiting import until

LAYOUTS = ROOT / "examples" / "gitops"
HEALTH = "resource.customizations.health.serving.fairlead.dev_ModelDeployment"
SYSTEM = "fairlead-system"


@dataclass(frozen=True)
class Fleet:
    """A cluster in which nothing is but the kinds of GitOps tools."""

    api: Api
    objects: Objects
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.api.plane.kubectl.parent}:{os.environ['PATH']}"
        return {**os.environ, "KUBECONFIG": str(self.api.kubeconfig), "PATH": path}

    def helm(self, *args: str) -> str:
        binary = tools.ensure(cache_root(), ["helm"]).path("helm")
        done = subprocess.run([binary, *args], env=self.environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, namespace: str, name: str) -> Object:
        done = self.api.kubectl("get", kind, name, "--namespace", namespace, "--output=json")
        assert done.returncode == 0, done.stderr
        found: Object = json.loads(done.stdout)
        return found

    def becomes_ready(self, namespace: str, name: str) -> Object:
        """Run the operator as it was installed, and its replicas as a kubelet would; returns the object."""
        user = f"system:serviceaccount:{SYSTEM}:fairlead-operator"
        world = World(self.objects, Audit(self.api.plane.audit_log, user, namespace), namespace)
        operator = operator_of_chart(self.api.plane, self.objects, self.folder, SYSTEM)
        operator.start()
        try:
            world.make_ready(name)
            world.settled()
            return world.mdep(name)
        finally:
            assert operator.stop() == 0


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    definitions = crds.ensure(cache_root())
    with control_plane_alone(tmp_path / "plane") as plane:
        api, objects = Api(plane), Objects(plane.api)
        done = api.kubectl("apply", "--server-side", "-f", str(definitions))
        assert done.returncode == 0, done.stderr
        kinds = "kustomizations.kustomize.toolkit.fluxcd.io,helmreleases,gitrepositories,applications.argoproj.io"
        until("the CRDs are served", lambda: api.kubectl("get", kinds, "--all-namespaces").returncode == 0)
        for name in ("flux-system", "argocd"):
            objects.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        yield Fleet(api, objects, tmp_path)
        objects.close()


def manifests(folder: Path) -> list[Object]:
    """What is in a folder, in the order of its files: what Flux and Argo CD take where there is no kustomization.yaml."""
    return [each for file in sorted(folder.rglob("*.yaml")) for each in yaml.safe_load_all(file.read_text())]


def refused(fleet: Fleet, wanted: Sequence[Object]) -> str:
    """What the API server says against it; the namespaces among it are not sent."""
    sent = {"apiVersion": "v1", "kind": "List", "items": [each for each in wanted if each["kind"] != "Namespace"]}
    done = fleet.api.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(sent))
    assert done.returncode != 0
    return done.stderr


def apply(fleet: Fleet, applier: Applier, wanted: Sequence[Object], namespace: str = "") -> None:
    """As the tool does: namespaces first, then the rest; strictly, with no warning."""
    for each in wanted:
        if namespace and each["kind"] != "CustomResourceDefinition":
            each["metadata"].setdefault("namespace", namespace)
    first = [each for each in wanted if each["kind"] in ("Namespace", "CustomResourceDefinition")]
    for part in (first, [each for each in wanted if each not in first]):
        if part:
            applier.apply(fleet.api.kubectl, *part)
    until("the kinds are served", lambda: fleet.api.kubectl("get", "namespaces").returncode == 0, seconds=10)


def assert_no_difference(fleet: Fleet, repository: Path) -> None:
    """`kubectl diff` of each of its files."""
    for file in repository.rglob("*.yaml"):
        done = fleet.api.kubectl("diff", "-f", str(file))
        assert done.returncode == 0, f"{file}: {done.stdout}{done.stderr}"


def value(of: Object, path: str) -> Any:
    for key in path.split("."):
        of = of[key]
    return of


def test_flux(fleet: Fleet) -> None:
    repository = LAYOUTS / "flux"
    steps = manifests(repository / "clusters" / "production")
    apply(fleet, FLUX, steps)
    by_name = {each["metadata"]["name"]: each["spec"] for each in steps}
    assert by_name["models"]["dependsOn"] == [{"name": "fairlead"}]
    models = manifests(repository / by_name["models"]["path"])
    assert "no matches for kind" in refused(fleet, models), "which is why they depend on it"

    # kustomize-controller, then helm-controller.
    infrastructure = manifests(repository / by_name["fairlead"]["path"])
    apply(fleet, FLUX, infrastructure)
    (release,) = (each for each in infrastructure if each["kind"] == "HelmRelease")
    (source,) = (each for each in infrastructure if each["kind"] == "GitRepository")
    chart = release["spec"]["chart"]["spec"]
    assert chart["sourceRef"] == {"kind": source["kind"], "name": source["metadata"]["name"]}
    values = fleet.folder / "values.yaml"
    values.write_text(yaml.safe_dump(release["spec"]["values"]))
    name, namespace = release["metadata"]["name"], release["metadata"]["namespace"]
    # Nothing is waited for: no kubelet starts the operator's pods here.
    where = ("--namespace", namespace, "--wait=hookOnly", "--values", str(values))
    fleet.helm("install", name, str(ROOT / chart["chart"]), *where)

    until("the CRD is served", lambda: fleet.api.kubectl("get", "mdep", "-A").returncode == 0)
    apply(fleet, FLUX, models)
    mdep = models[-1]
    assert verdict(fleet.get("mdep", "models", mdep["metadata"]["name"])).flux.status == "InProgress"
    assert verdict(fleet.becomes_ready("models", mdep["metadata"]["name"])).flux.status == "Current"
    assert_no_difference(fleet, repository)
    # The next interval of each.
    before = fleet.get("mdep", "models", mdep["metadata"]["name"])["metadata"]["resourceVersion"]
    apply(fleet, FLUX, models)
    assert fleet.get("mdep", "models", mdep["metadata"]["name"])["metadata"]["resourceVersion"] == before


def test_argocd(fleet: Fleet) -> None:
    repository = LAYOUTS / "argocd"
    # Argo CD's own, with a setting that was there before.
    settings = {"metadata": {"name": "argocd-cm"}, "data": {"url": "https://argocd.example.com"}}
    fleet.objects.request("POST", "/api/v1/namespaces/argocd/configmaps", settings)
    apply(fleet, ARGOCD_SERVER_SIDE, manifests_of(repository / "root.yaml"))
    root = manifests_of(repository / "root.yaml")[0]
    apps = sorted(manifests(repository / value(root, "spec.source.path")), key=wave)
    assert [(each["metadata"]["name"], wave(each)) for each in apps] == [("fairlead", 0), ("models", 1)]
    apply(fleet, ARGOCD_SERVER_SIDE, apps)
    chart, models = apps
    wanted = manifests(repository / value(models, "spec.source.path"))
    assert "no matches for kind" in refused(fleet, wanted), "which is why they are of a later wave"

    # Argo CD renders a chart with `helm template` and applies what comes out. CreateNamespace=true:
    namespace = value(chart, "spec.destination.namespace")
    fleet.objects.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    values = fleet.folder / "values.yaml"
    values.write_text(yaml.safe_dump(value(chart, "spec.source.helm.valuesObject")))
    where = ("--namespace", namespace, "--values", str(values), "--kube-version", "1.37.2")
    release = value(chart, "spec.source.helm.releaseName")
    rendered = fleet.helm("template", release, str(ROOT / value(chart, "spec.source.path")), *where)
    documents = [each for each in yaml.load_all(rendered, Loader=yaml.CSafeLoader) if each]
    apply(fleet, ARGOCD_SERVER_SIDE, documents)

    # What docs/gitops.md says about the health check, word by word.
    text = (ROOT / "docs" / "gitops.md").read_text()
    from_chart, from_file = re.findall(r"^kubectl -n argocd patch [^`]*(?=^```)", text, re.MULTILINE)
    subprocess.run(["bash", "-euc", from_chart], env=fleet.environment, check=True, timeout=60)
    settings = fleet.get("configmap", "argocd", "argocd-cm")
    assert set(settings["data"]) == {"url", HEALTH}
    assert settings["data"]["url"] == "https://argocd.example.com"
    script = fleet.folder / "health.lua"
    script.write_text(settings["data"][HEALTH])
    shown = manifests_of(repository / "argocd-cm.yaml")[0]
    assert shown["data"][HEALTH] == settings["data"][HEALTH]

    until("the CRD is served", lambda: fleet.api.kubectl("get", "mdep", "-A").returncode == 0)
    apply(fleet, ARGOCD_SERVER_SIDE, wanted)
    name = wanted[-1]["metadata"]["name"]
    assert verdict(fleet.get("mdep", "models", name), script).argocd.status == "Progressing"
    assert verdict(fleet.becomes_ready("models", name), script).argocd.status == "Healthy"
    subprocess.run(["bash", "-euc", from_file], cwd=ROOT, env=fleet.environment, check=True, timeout=60)
    assert_no_difference(fleet, repository)
    # The application's own health, by the second check of argocd-cm.yaml.
    script.write_text(shown["data"]["resource.customizations.health.argoproj.io_Application"])
    assert verdict(apps[0], script).argocd.status == "Progressing"
    assert verdict({**apps[0], "status": {"health": {"status": "Healthy"}}}, script).argocd.status == "Healthy"


def manifests_of(file: Path) -> list[Object]:
    return list(yaml.safe_load_all(file.read_text()))


def wave(application: Object) -> int:
    return int(application["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])


def test_a_wrong_field_would_be_noticed(fleet: Fleet) -> None:
    """The CRDs are real, or the tests above prove nothing about the fields of other tools."""
    (release,) = (each for each in manifests(LAYOUTS / "flux" / "infrastructure") if each["kind"] == "HelmRelease")
    release["metadata"]["namespace"] = "flux-system"
    release["spec"]["driftDetection"]["mode"] = "on"
    release["spec"]["intervall"] = "1m"
    said = refused(fleet, [release])
    assert "intervall" in said
    del release["spec"]["intervall"]
    assert "driftDetection.mode" in refused(fleet, [release])
    (application,) = manifests_of(LAYOUTS / "argocd" / "root.yaml")
    application["spec"]["sourceRepo"] = {}
    assert "sourceRepo" in refused(fleet, [application])
