"""A running cluster with the chart installed, and a namespace with the tiny model for each test file.

Each test file runs alone against a cluster that is up: `make cluster-up images install` and then pytest on the file.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.audit import Audit
from tests.cluster.access import Cluster
from tests.cluster.chart import NAMESPACE, install_command
from tests.cluster.gpus import FakeGPU
from tests.cluster.model_volume import model_volume
from tests.e2e.kube import Kube, Object, wait_ready
from tests.rights import assert_no_other_was_asked_for
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SELECTOR = "serving.fairlead.dev/model-deployment"


@dataclass(frozen=True)
class World:
    """The cluster and what a test does with it."""

    cluster: Cluster
    kube: Kube
    namespace: str = "default"
    made: list[str] = field(default_factory=list)

    @property
    def in_node(self) -> list[str]:
        """What a command starts with to run in the node's network, where Services and pods are reached."""
        return ["nsenter", f"--net={self.cluster.netns_path}"]

    def url(self, name: str) -> str:
        """The Service by its cluster address: a client on the node goes through kube-proxy as a pod would."""
        service = self.kube.must_get("service", name, self.namespace)
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    def pods(self, name: str) -> list[Object]:
        """Pods of a ModelDeployment that are not being deleted, oldest first."""
        found = self.kube.list("pods", self.namespace, f"{SELECTOR}={name}")
        alive = [each for each in found if "deletionTimestamp" not in each["metadata"]]
        return sorted(alive, key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"]))

    def ready_endpoints(self, name: str) -> set[str]:
        """Names of the pods that the Service sends new connections to."""
        slices = self.kube.list("endpointslices", self.namespace, f"kubernetes.io/service-name={name}")
        return {
            endpoint["targetRef"]["name"]
            for each in slices
            for endpoint in each.get("endpoints") or []
            if endpoint["conditions"].get("ready")
        }

    def curl(self, url: str, *args: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """curl in the node's network."""
        command = [*self.in_node, "curl", "--silent", "--show-error", "--max-time", str(timeout), *args, url]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout + 10)

    def agent_status(self, pod: Object) -> Object:
        status: Object = json.loads(self.curl(f"http://{pod['status']['podIP']}:8002/status").stdout)
        return status

    def gpu_of(self, pod: Object) -> FakeGPU:
        """The fake GPU that the kubelet gave to the pod's engine container."""
        ip = pod["metadata"]["name"]
        said = self.kube.run(
            "exec",
            ip,
            "-n",
            self.namespace,
            "-c",
            "engine",
            "--",
            "python3",
            "-c",
            "import os; print(os.environ['NVIDIA_VISIBLE_DEVICES'])",
        )
        return FakeGPU(self.cluster.gpus / said.stdout.strip())

    def create(self, name: str, *, wait: float | None = 300, **spec: Any) -> Object:
        """Apply a ModelDeployment of the tiny model, with these fields over the quickstart's, and wait until it is Ready."""
        self.kube.apply(model_deployment(name, self.namespace, spec))
        self.made.append(name)
        if wait is None:
            return self.kube.must_get("mdep", name, self.namespace)
        return wait_ready(self.kube, name, self.namespace, seconds=wait)

    def remove(self, name: str) -> None:
        """Delete a ModelDeployment and its pods without a drain: the test is over."""
        self.kube.delete("mdep", name, self.namespace)
        self.kube.run(
            "delete",
            "pods",
            "-n",
            self.namespace,
            "-l",
            f"{SELECTOR}={name}",
            "--grace-period=0",
            "--force",
            check=False,
            timeout=120,
        )
        until("its pods are gone", lambda: not self.kube.list("pods", self.namespace, f"{SELECTOR}={name}"), seconds=60)


def model_deployment(name: str, namespace: str, spec: Object) -> Object:
    """The quickstart's spec with fields laid over it, as deep as dicts go."""
    base: Object = {
        "model": {"uri": "pvc://models/tiny", "servedName": "tiny"},
        "engine": {
            "maxModelLen": 2048,
            "maxNumSeqs": 8,
            "args": {"enforce-eager": "true", "kv-cache-memory-bytes": "16M", "distributed-executor-backend": "uni"},
            "env": [
                {"name": "OMP_NUM_THREADS", "value": "1"},
                {"name": "VLLM_CPU_OMP_THREADS_BIND", "value": "nobind"},
                {"name": "VLLM_ENABLE_V1_MULTIPROCESSING", "value": "0"},
            ],
        },
        "pod": {"resources": {"requests": {"cpu": "100m", "memory": "1300Mi"}, "limits": {"memory": "3Gi"}}},
    }
    return {
        "apiVersion": "serving.fairlead.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": laid_over(base, spec),
    }


def laid_over(base: Object, over: Object) -> Object:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = laid_over(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
    return merged


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    assert os.geteuid() == 0, "root is needed: the tests enter the node's network"
    found = Cluster.find()
    assert found is not None, "no cluster is up: run `make cluster-up images` first"
    return found


@pytest.fixture(scope="session")
def kube(cluster: Cluster) -> Kube:
    return Kube(cluster.kubectl, cluster.kubeconfig)


@pytest.fixture(scope="session")
def operator(cluster: Cluster, kube: Kube) -> Iterator[str]:
    """The chart, installed from this checkout with the local images; the namespace it is in. At the end, the audit log must show
    no request of its own without a right."""
    install(cluster)
    kube.run("rollout", "status", "deployment/fairlead-operator", "-n", NAMESPACE, "--timeout=120s", timeout=150)
    mark = Audit(cluster.audit_log, "").mark()
    yield NAMESPACE
    assert_no_other_was_asked_for(cluster.audit_log, mark)


def install(cluster: Cluster, *extra: str) -> None:
    done = subprocess.run(install_command(cluster, *extra), capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr


def leader(kube: Kube) -> str:
    """The name of the operator pod that leads."""
    lease = kube.must_get("lease", "fairlead-operator", NAMESPACE)
    holder: str = lease["spec"]["holderIdentity"]
    return holder.rpartition("_")[0]


@pytest.fixture(scope="module")
def world(cluster: Cluster, kube: Kube, operator: str, request: pytest.FixtureRequest) -> Iterator[World]:  # noqa: ARG001
    """A namespace of its own, `restricted`, with a claim on the tiny model; removed with all that is in it."""
    name = "e2e-" + request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
    )
    kube.apply(*model_claim(cluster, name))
    made = World(cluster, kube, name)
    yield made
    for each in dict.fromkeys(made.made):
        made.remove(each)
    kube.delete("namespace", name)
    kube.delete("persistentvolume", f"models-{name}")


def model_claim(cluster: Cluster, namespace: str) -> tuple[Object, Object]:
    """A static volume on the tiny model's folder, and the claim `models` on it, for one namespace."""
    volume = model_volume(cluster.models, f"models-{namespace}")
    volume["spec"]["claimRef"] = {"namespace": namespace, "name": "models"}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "volumeName": volume["metadata"]["name"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return volume, claim
