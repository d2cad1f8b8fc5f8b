"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler: their command lines, and a control plane alone.

A control plane alone (no kubelet, no network namespace, no root) is what the control-plane tests run against:

    with control_plane_alone(folder) as plane:
        subprocess.run([plane.kubectl, f"--kubeconfig={plane.kubeconfig}", "get", "namespaces"])
        plane.audit_log.read_text()     # JSON lines, level Metadata

It listens on free ports of 127.0.0.1, runs real controllers (garbage collection, Deployments, ReplicaSets, …) but no
scheduler, so that pods stay Pending until the test writes their status. (`crowded=True`: one with a scheduler, for who brings
nodes of his own.) Start takes 5 to 10 seconds. It stops at the end of the `with` block, and its processes are killed by the
kernel should the starting process die first.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import Api
from tests.cluster.errors import ClusterError
from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.layout import cache_root
from tests.cluster.pki import Authority, Pair
from tests.cluster.progress import tail, wait_until
from tests.cluster.settings import write_whole
from tests.cluster.tools import Tools, ensure
from tests.ports import free_ports

SERVICE_RANGE = "10.96.0.0/16"
#: The first address of SERVICE_RANGE: the API server's own Service, `kubernetes`.
SERVICE_ADDRESS = "10.96.0.1"
POD_RANGE = "10.244.0.0/16"

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}

#: Seconds that each of three stages of the start may take on a busy machine; all three together usually take under 10.
START_SECONDS = 180.0
STOP_SECONDS = 10.0

#: For a crowd of pods. By default each controller sends 20 requests a second, so that two pods for each of ten Deployments a
#: second would come ever later.
HURRIED = ("--kube-api-qps=1000", "--kube-api-burst=1000")


@dataclass(frozen=True)
class ControlPlaneSpec:
    """Where a control plane keeps its files and where it listens."""

    folder: Path
    tools: Tools
    address: str
    port: int
    etcd_port: int
    etcd_peer_port: int
    #: False on a loopback address, which the API server may not publish as an endpoint.
    publish: bool

    @property
    def authority(self) -> Authority:
        return Authority(self.folder / "pki")

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def api(self) -> Api:
        pki = self.folder / "pki"
        return Api(self.address, self.port, self.authority.certificate, Pair(pki / "admin.crt", pki / "admin.key"))

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def prepare(self) -> None:
        """Write certificates, kubeconfigs and the audit policy.

        Raises:
            ClusterError: openssl is missing or refuses.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / "audit-policy.json", json.dumps(AUDIT_POLICY))
        authority = self.authority
        authority.create()
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        authority.issue("apiserver", user="kube-apiserver", hosts=[*names, "127.0.0.1", SERVICE_ADDRESS, self.address])
        # Its group lets it read logs, exec and forward ports on the kubelet.
        authority.issue("kubelet-client", user="kube-apiserver-kubelet-client", group="system:masters")
        self.kubeconfig("admin", user="kubernetes-admin", group="system:masters")
        self.kubeconfig("controller-manager", user="system:kube-controller-manager")
        self.kubeconfig("scheduler", user="system:kube-scheduler")

    def kubeconfig(self, name: str, *, user: str, group: str = "") -> Path:
        """<folder>/<name>.kubeconfig for a user, with a certificate of its own; made once."""
        path = self.folder / f"{name}.kubeconfig"
        if not path.exists():
            client = self.authority.issue(name, user=user, group=group)
            write_kubeconfig(path, server=self.server, authority=self.authority.certificate, client=client)
        return path

    def etcd(self) -> list[str]:
        """Durability is given up: the data never outlives the machine's uptime, and fsync is most of etcd's latency."""
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self.etcd_peer_port}"
        return [
            str(self.tools.path("server")),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def apiserver(self) -> list[str]:
        pki = self.folder / "pki"
        return [
            str(self.tools.path("kube-apiserver")),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--endpoint-reconciler-type={'lease' if self.publish else 'none'}",
            f"--cert-dir={pki}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={self.authority.certificate}",
            f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kubelet-client.key'}",
            # The node's name is in no DNS: logs and exec reach the kubelet by its address.
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.authority.service_account_public}",
            f"--service-account-signing-key-file={self.authority.service_account_key}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--audit-policy-file={self.folder / 'audit-policy.json'}",
            f"--audit-log-path={self.audit_log}",
            # Megabytes: not rotated under a test that reads it.
            "--audit-log-maxsize=4096",
            "--profiling=false",
        ]

    def controller_manager(self) -> list[str]:
        return [
            str(self.tools.path("kube-controller-manager")),
            f"--kubeconfig={self.folder / 'controller-manager.kubeconfig'}",
            f"--service-account-private-key-file={self.authority.service_account_key}",
            f"--root-ca-file={self.authority.certificate}",
            f"--cluster-signing-cert-file={self.authority.certificate}",
            f"--cluster-signing-key-file={self.folder / 'pki' / 'ca.key'}",
            f"--cluster-cidr={POD_RANGE}",
            "--allocate-node-cidrs=false",
            "--use-service-account-credentials=true",
            # One instance: an election would only delay the start. No listener: nobody reads it.
            "--leader-elect=false",
            "--secure-port=0",
        ]

    def scheduler(self) -> list[str]:
        return [
            str(self.tools.path("kube-scheduler")),
            f"--kubeconfig={self.folder / 'scheduler.kubeconfig'}",
            "--leader-elect=false",
            "--secure-port=0",
        ]


@dataclass(frozen=True)
class ControlPlane:
    """A control plane that runs: what a test needs of it."""

    kubeconfig: Path
    kubectl: Path
    audit_log: Path
    server: str
    api: Api
    #: One log per component, for when something is not as it should be.
    logs: Path
    #: The command line of a scheduler, for `scheduling`.
    scheduler: Sequence[str]


@contextmanager
def control_plane_alone(
    folder: Path, tools: Tools | None = None, *, crowded: bool = False, apiserver: Sequence[str] = ()
) -> Iterator[ControlPlane]:
    """Start etcd, API server and controllers in `folder` (empty or not there yet) and stop them at the end.

    Args:
        folder: for data, certificates and logs; the caller removes it.
        tools: modules k8s and etcd; built or taken from the cache where not given.
        crowded: with a scheduler, and controllers that keep up with ten new Deployments a second.
        apiserver: more arguments of the API server.

    Raises:
        ClusterError: a component died or was not ready in time; the message holds the end of its log.
    """
    tools = tools or ensure(cache_root(), ["k8s", "etcd"])
    port, etcd_port, etcd_peer_port = free_ports(3)
    spec = ControlPlaneSpec(folder, tools, "127.0.0.1", port, etcd_port, etcd_peer_port, publish=False)
    spec.prepare()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in (("etcd", spec.etcd()), ("apiserver", [*spec.apiserver(), *apiserver])):
            processes[name] = _start(name, command, folder / "logs")
        _wait("the API server is ready", spec.api.ready, processes, folder / "logs")
        hurried = HURRIED if crowded else ()
        processes["controller-manager"] = _start("controller-manager", [*spec.controller_manager(), *hurried], folder / "logs")
        if crowded:
            processes["scheduler"] = _start("scheduler", [*spec.scheduler(), *hurried], folder / "logs")
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        _wait("the controllers work", lambda: spec.api.get(account) is not None, processes, folder / "logs")
        yield ControlPlane(
            kubeconfig=folder / "admin.kubeconfig",
            kubectl=tools.path("kubectl"),
            audit_log=spec.audit_log,
            server=spec.server,
            api=spec.api,
            logs=folder / "logs",
            scheduler=spec.scheduler(),
        )
    finally:
        for process in reversed(processes.values()):
            _stop(process)


@contextmanager
def scheduling(plane: ControlPlane) -> Iterator[None]:
    """With a scheduler while the block runs: each pod gets a node then, or is told why not."""
    process = _start("scheduler", plane.scheduler, plane.logs)
    try:
        yield
    finally:
        _stop(process)


def environment() -> dict[str, str]:
    """For the components: no proxy between them, and no kubeconfig that is not theirs."""
    hidden = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "kubeconfig"}
    return {name: value for name, value in os.environ.items() if name.lower() not in hidden}


def _start(name: str, command: Sequence[str], logs: Path) -> subprocess.Popen[bytes]:
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A Ctrl-C is for the tests; they stop the control plane in their own order.
            start_new_session=True,
        )


def _wait(what: str, probe: Callable[[], bool], processes: dict[str, subprocess.Popen[bytes]], logs: Path) -> None:
    def probe_the_living() -> bool:
        for name, process in processes.items():
            if process.poll() is not None:
                raise ClusterError(f"{name} ended with status {process.returncode}:\n{tail(logs / f'{name}.log')}")
        return probe()

    wait_until(f"That {what}", probe_the_living, seconds=START_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
