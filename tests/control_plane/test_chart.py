"""The chart on a real API server: installed without a warning, upgraded, uninstalled; and the rights that it really grants."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.cluster import tools
from tests.cluster.layout import cache_root
from tests.control_plane.conftest import Api
from tests.unit.chart.helm import CHART, VALUES

NAMESPACE = "chart"
RELEASE = "chart"
OPERATOR = "chart-fairlead-operator"
MODEL = """
apiVersion: serving.fairlead.dev/v1alpha1
kind: ModelDeployment
metadata: {name: stays, namespace: chart}
spec: {model: {uri: pvc://models/tiny}}
"""

HelmRun = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def helm(api: Api) -> HelmRun:
    binary = tools.ensure(cache_root(), ["helm"]).path("helm")
    environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig)}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [str(binary), *args, "--namespace", NAMESPACE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def installed(api: Api, helm: HelmRun) -> Iterator[subprocess.CompletedProcess[str]]:
    """What Helm said when it installed the chart into a `restricted` namespace, over the CRD that the lane has put there."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    made = api.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(namespace))
    assert made.returncode == 0, made.stderr
    # kubectl's CRD becomes Helm's; nothing is waited for, since no kubelet starts the operator here.
    over = ("--take-ownership", "--force-conflicts", "--wait=hookOnly")
    yield helm("install", RELEASE, str(CHART), "--values", str(VALUES / "minimal.yaml"), *over)
    assert api.kubectl("delete", "namespace", NAMESPACE, "--wait=false").returncode == 0


def may(api: Api, *question: str) -> bool:
    """Whether the operator's ServiceAccount may do it in some namespace."""
    account = f"system:serviceaccount:{NAMESPACE}:{OPERATOR}"
    return api.kubectl("auth", "can-i", *question, "--as", account, "--namespace", "default").stdout.strip() == "yes"


def test_installs_without_a_warning_where_only_restricted_pods_may_run(installed: subprocess.CompletedProcess[str]) -> None:
    assert "warning" not in installed.stderr.lower()
    assert "STATUS: deployed" in installed.stdout


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("patch", "modeldeployments.serving.fairlead.dev", "--subresource=status"), True),
        (("patch", "modeldeployments.serving.fairlead.dev"), False),
        (("delete", "modeldeployments.serving.fairlead.dev"), False),
        (("patch", "deployments.apps"), True),
        (("delete", "pods"), False),
        (("create", "pods"), False),
        (("create", "pods", "--subresource=exec"), False),
        (("get", "secrets"), False),
        (("create", "serviceaccounts", "--subresource=token"), False),
        (("create", "clusterrolebindings.rbac.authorization.k8s.io"), False),
        (("get", "nodes", "--subresource=proxy"), False),
        (("create", "events.events.k8s.io"), True),
        (("*", "*"), False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "yes" if value else "no",
)
def test_the_operators_rights(api: Api, question: tuple[str, ...], answer: bool) -> None:  # noqa: FBT001
    assert may(api, *question) is answer


@pytest.mark.usefixtures("installed")
def test_upgrade_and_uninstall_leave_the_models(api: Api, helm: HelmRun) -> None:
    made = api.kubectl("apply", "--server-side", "-f", "-", stdin=MODEL)
    assert made.returncode == 0, made.stderr
    uid = ("get", "modeldeployment", "stays", "--namespace", NAMESPACE, "--output=jsonpath={.metadata.uid}")
    before = api.kubectl(*uid).stdout
    assert before

    helm("upgrade", RELEASE, str(CHART), "--values", str(VALUES / "minimal.yaml"), "--set", "logLevel=debug")
    config = api.kubectl("get", "configmap", OPERATOR, "--namespace", NAMESPACE, "--output=json").stdout
    assert json.loads(json.loads(config)["data"]["operator.json"])["logLevel"] == "debug"

    said = helm("uninstall", RELEASE)
    assert "modeldeployments.serving.fairlead.dev" in said.stdout + said.stderr, "Helm tells what it keeps"
    assert api.kubectl("get", "deployment", OPERATOR, "--namespace", NAMESPACE).returncode != 0
    assert not may(api, "get", "modeldeployments.serving.fairlead.dev")
    assert api.kubectl(*uid).stdout == before
