"""A real API server for the whole run, with the CRD of this tree in it, and the operator as a process with the chart's rights."""

import itertools
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.audit import Audit
from tests.cluster.controlplane import ControlPlane, control_plane_alone
from tests.cluster.layout import cache_root
from tests.control_plane.fault_proxy import FaultProxy
from tests.control_plane.installed import kubeconfig_of
from tests.control_plane.process import ROOT, OperatorProcess
from tests.control_plane.world import World
from tests.gitops import crds
from tests.objects import NAMESPACE, Object, Objects
from tests.rights import assert_no_other_was_asked_for
from tests.waiting import until

CRD = ROOT / "crds" / "modeldeployments.serving.fairlead.dev.yaml"
SYSTEM = "fairlead-system"
SETTINGS: Object = {
    "images": {"sidecar": "registry.example.com/envoy:1", "engines": {"vllm": {"0.32.0": "registry.example.com/vllm:1"}}},
    "operatorNamespace": SYSTEM,
    "listenPort": 0,
}


_numbers = itertools.count(1)


@dataclass(frozen=True)
class Api:
    """What a test needs of the API server."""

    plane: ControlPlane

    @property
    def kubeconfig(self) -> Path:
        return self.plane.kubeconfig

    def kubectl(self, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl; the caller looks at the return code."""
        return subprocess.run(
            [self.plane.kubectl, f"--kubeconfig={self.kubeconfig}", *args],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """At the end all that operators have asked it for must be granted by the chart (test_rights.py has the other half)."""
    with control_plane_alone(tmp_path_factory.mktemp("control-plane")) as running:
        yield running
        assert_no_other_was_asked_for(running.audit_log)


@pytest.fixture(scope="session")
def api(plane: ControlPlane) -> Api:
    server = Api(plane)
    applied = server.kubectl("apply", "--server-side", "-f", str(CRD))
    assert applied.returncode == 0, applied.stderr
    # `kubectl wait` fails outright on a CRD so new that it has no status yet.
    until("the CRD is served", lambda: server.kubectl("get", "modeldeployments", "--all-namespaces").returncode == 0)
    return server


@pytest.fixture(scope="session")
def kinds_of_others(api: Api) -> None:
    """Those in the examples that are KEDA's, by its own definition; it does not run here."""
    known = json.loads(crds.ensure(cache_root()).read_text())["items"]
    (definition,) = (each for each in known if each["spec"]["names"]["kind"] == "ScaledObject")
    applied = api.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(definition))
    assert applied.returncode == 0, applied.stderr
    until("ScaledObjects are served", lambda: api.kubectl("get", "scaledobjects", "-A").returncode == 0)


@pytest.fixture(scope="session")
def objects(api: Api) -> Iterator[Objects]:
    made = Objects(api.plane.api)
    yield made
    made.close()


@pytest.fixture(scope="session")
def operator_process(api: Api, objects: Objects, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator, not started; at the end its whole log must be free of tracebacks."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "operator.json").write_text(json.dumps(SETTINGS))
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(service_account(api.plane, objects)))
    process = OperatorProcess(kubeconfig, folder / "operator.json", folder / "operator.log")
    yield process
    assert process.tracebacks() == []


@pytest.fixture(scope="module")
def proxy(api: Api) -> Iterator[FaultProxy]:
    """Between an operator and the API server, for one that is started with `behind`."""
    with FaultProxy(api.plane.api) as running:
        yield running


@pytest.fixture(scope="module")
def another_operator(
    operator_process: OperatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., OperatorProcess]]:
    """Makes operators of the file's own, not started: by name, with settings over the usual ones, perhaps behind a proxy."""
    made: list[OperatorProcess] = []

    def make(name: str, settings: Object | None = None, behind: FaultProxy | None = None) -> OperatorProcess:
        folder = tmp_path_factory.mktemp(name)
        (folder / "operator.json").write_text(json.dumps({**SETTINGS, **(settings or {})}))
        kubeconfig = json.loads(operator_process.kubeconfig.read_text())
        if behind is not None:
            kubeconfig["clusters"][0]["cluster"]["server"] = behind.server
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
        made.append(OperatorProcess(folder / "kubeconfig", folder / "operator.json", folder / "operator.log"))
        return made[-1]

    yield make
    for each in made:
        if each.running:
            each.stop(signal.SIGKILL)
        assert each.tracebacks() == []


@pytest.fixture(scope="module")
def operator_of_module(operator_process: OperatorProcess) -> Iterator[OperatorProcess]:
    """Stopped at the end of each test file: other files write objects that it must not act on."""
    yield operator_process
    if operator_process.running:
        assert operator_process.stop() == 0


@pytest.fixture
def operator(operator_of_module: OperatorProcess) -> OperatorProcess:
    """The operator, running."""
    operator_process = operator_of_module
    if not operator_process.running:
        operator_process.start()
    return operator_process


@pytest.fixture
def new_world(api: Api, objects: Objects, request: pytest.FixtureRequest) -> Iterator[Callable[[], World]]:
    """Makes namespaces of the test's own."""
    made: list[str] = []

    def make() -> World:
        # The number, for a namespace that is being deleted keeps its name for some seconds.
        words = "".join(char if char.isalnum() else "-" for char in request.node.name.lower())
        made.append(f"{next(_numbers)}-{words}"[:60].strip("-"))
        objects.create(NAMESPACE, None, {"metadata": {"name": made[-1]}})
        audit = Audit(api.plane.audit_log, f"system:serviceaccount:{SYSTEM}:fairlead-operator", made[-1])
        return World(objects, audit, made[-1])

    yield make
    for name in made:
        objects.delete(NAMESPACE, None, name)


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    """A namespace of the test's own."""
    return new_world()


def service_account(plane: ControlPlane, objects: Objects) -> Object:
    """A kubeconfig with the token of a service account that has exactly the rules of the chart's ClusterRole and Role."""
    objects.create(NAMESPACE, None, {"metadata": {"name": SYSTEM}})
    account = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts"
    objects.request("POST", account, {"metadata": {"name": "fairlead-operator"}})
    chart = (ROOT / "charts/fairlead/templates/clusterrole.yaml").read_text()
    rules = yaml.safe_load(chart[chart.index("rules:") :])
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    objects.request("POST", f"{rbac}/clusterroles", {"metadata": {"name": "fairlead-operator"}, **rules})
    role = (ROOT / "charts/fairlead/templates/role.yaml").read_text()
    own = yaml.safe_load(role[role.index("rules:") :].replace('{{ include "fairlead.operatorName" . }}', "fairlead-operator"))
    objects.request("POST", f"{rbac}/namespaces/{SYSTEM}/roles", {"metadata": {"name": "fairlead-operator"}, **own})
    for kind, path in (("ClusterRole", "clusterrolebindings"), ("Role", f"namespaces/{SYSTEM}/rolebindings")):
        binding = {
            "metadata": {"name": "fairlead-operator"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "fairlead-operator"},
            "subjects": [{"kind": "ServiceAccount", "name": "fairlead-operator", "namespace": SYSTEM}],
        }
        objects.request("POST", f"{rbac}/{path}", binding)
    return kubeconfig_of(plane, objects, SYSTEM, "fairlead-operator")
