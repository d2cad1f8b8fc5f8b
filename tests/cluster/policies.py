"""NetworkPolicies in force: the agent of kube-network-policies judges each new connection from or to a pod of the node.

It takes packets from a queue of the kernel. The rules that put them there it makes with nftables, and a kernel without
CONFIG_NFT_QUEUE refuses those: everything passes then, and the agent looks healthy. So they are made here, with iptables,
whose NFQUEUE is an older module (CONFIG_NETFILTER_XT_TARGET_NFQUEUE). Where the kernel takes both, a packet is judged twice.

Without the agent nothing takes packets from the queue, and no new connection from or to a pod comes about, but for root's on
the node. What goes from a pod to the node itself is not forwarded, and so not judged.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.cluster import node
from tests.cluster.controlplane import POD_RANGE, ControlPlaneSpec
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.processes import Process

QUEUE = 100
CHAIN = "NETWORK-POLICY"
ACCOUNT = "network-policies"
#: Where a process in a cluster finds its token, and this agent looks for nothing else. In the node, /run is the cluster's own.
TOKEN_FOLDER = "run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  a path
#: A cluster of this kind does not live so long.
TOKEN_SECONDS = 365 * 86400
_NAMESPACE = "kube-system"
_READS = (
    {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
)


@dataclass(frozen=True)
class PolicyAgent:
    """The agent of a clone's cluster."""

    layout: Layout
    control_plane: ControlPlaneSpec

    def command(self) -> list[str]:
        return [
            str(self.control_plane.tools.path("cmd")),
            f"--hostname-override={node.NAME}",
            f"--nfqueue-id={QUEUE}",
            "--metrics-bind-address=127.0.0.1:9080",
            # A way around a fault of kernels before 6.12 in packets of DNS, which no pod here asks.
            "--netfilter-bug-1766-fix=false",
        ]

    def environment(self) -> dict[str, str]:
        """Where the API server is: it takes no kubeconfig."""
        plane = self.control_plane
        return {"KUBERNETES_SERVICE_HOST": plane.address, "KUBERNETES_SERVICE_PORT": str(plane.port)}

    def prepare(self, init: Process) -> None:
        """Rules, account and token. What is there stays, but for the rules.

        Raises:
            ClusterError: iptables or the API server refuses.
        """
        self._make_rules()
        folder = Path(f"/proc/{init.pid}/root", TOKEN_FOLDER)
        if not (folder / "token").exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "ca.crt").write_bytes(self.control_plane.authority.certificate.read_bytes())
            (folder / "token.new").write_text(self._token())
            (folder / "token.new").rename(folder / "token")

    def in_force(self, init: Process) -> bool:
        """Does somebody take packets from the queue?"""
        return queue_is_read(Path(f"/proc/{init.pid}/net/netfilter/nfnetlink_queue").read_text())

    def _make_rules(self) -> None:
        enter = ["nsenter", f"--net={self.layout.netns}"]
        _run([*enter, "iptables-restore", "--wait", "--noflush"], rules())
        jump = ["POSTROUTING", "--jump", CHAIN]
        table = [*enter, "iptables", "--wait", "--table=mangle"]
        if _run([*table, "--check", *jump], check=False):
            _run([*table, "--append", *jump])

    def _token(self) -> str:
        rbac = "rbac.authorization.k8s.io"
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": _NAMESPACE}
        role = {"apiGroup": rbac, "kind": "ClusterRole", "name": ACCOUNT}
        accounts = f"/api/v1/namespaces/{_NAMESPACE}/serviceaccounts"
        metadata = {"metadata": {"name": ACCOUNT}}
        self._create(accounts, metadata)
        self._create(f"/apis/{rbac}/v1/clusterroles", {**metadata, "rules": _READS})
        self._create(f"/apis/{rbac}/v1/clusterrolebindings", {**metadata, "roleRef": role, "subjects": [subject]})
        made = self._create(f"{accounts}/{ACCOUNT}/token", {"spec": {"expirationSeconds": TOKEN_SECONDS}})
        token: str = made["status"]["token"]
        return token

    def _create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What was made; of what is there already, a Status that says so."""
        try:
            status, said = self.control_plane.api.request("POST", path, body)
        except OSError as error:
            raise ClusterError(f"The API server does not answer: {error}") from error
        if status not in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}:
            raise ClusterError(f"POST {path}: {status} {said.decode(errors='replace')}")
        made: dict[str, Any] = json.loads(said)
        return made


def rules() -> str:
    """For iptables-restore: a chain that leaves alone what is under way, and root's own: the kubelet's probes come from there."""
    lines = (
        "-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
        "-m owner --uid-owner 0 -j RETURN",
        f"-s {POD_RANGE} -j NFQUEUE --queue-num {QUEUE}",
        f"-d {POD_RANGE} -j NFQUEUE --queue-num {QUEUE}",
    )
    return "\n".join(("*mangle", f":{CHAIN} - [0:0]", *(f"-A {CHAIN} {line}" for line in lines), "COMMIT", ""))


def queue_is_read(table: str) -> bool:
    """Whether the queue is in the kernel's table of those that a process has opened: its number comes first in a line."""
    return any(line.split()[:1] == [str(QUEUE)] for line in table.splitlines())


def _run(command: Sequence[str], stdin: str = "", *, check: bool = True) -> int:
    # iptables lies where only an administrator's PATH leads.
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"}
    done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.returncode
