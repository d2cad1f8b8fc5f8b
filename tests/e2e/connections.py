"""Who can open a connection to what: pods that try, from where they stand, and the answer for each port."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tests.cluster.access import Cluster
from tests.e2e.kube import Kube, Object
from tests.waiting import until

#: silent: nothing came back, as when a NetworkPolicy drops what was sent. closed: something answered that nobody listens.
Answer = Literal["open", "closed", "silent"]
Target = tuple[str, int]

#: Of the operator's image, which every cluster has.
PYTHON = "/opt/fairlead/bin/python3"
#: The kernel sends its first packet again after 1 s and 3 s.
SECONDS = 5
_TRY = f"""
import concurrent.futures, json, socket, sys
def answer(target):
    try:
        socket.create_connection(target, {SECONDS}).close()
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "closed"
    return "open"
targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(list(pool.map(answer, map(tuple, targets)))))
"""


@dataclass(frozen=True)
class Place:
    """A container from which connections are tried."""

    kube: Kube
    namespace: str
    pod: str
    container: str
    python: str = PYTHON

    def tries(self, targets: Iterable[Target]) -> dict[Target, Answer]:
        """All of them at once."""
        wanted = list(targets)
        where = (self.pod, "-n", self.namespace, "-c", self.container)
        said = self.kube.run("exec", *where, "--", self.python, "-c", _TRY, json.dumps(wanted)).stdout
        return dict(zip(wanted, json.loads(said), strict=True))

    def tries_ports(self, ip: str, ports: Iterable[int]) -> dict[int, Answer]:
        return {port: answer for (_, port), answer in self.tries((ip, port) for port in ports).items()}

    def reads(self, url: str) -> str:
        """The answer to a GET."""
        program = f"import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout={SECONDS}).read().decode())"
        where = (self.pod, "-n", self.namespace, "-c", self.container)
        return self.kube.run("exec", *where, "--", self.python, "-c", program, url).stdout


def visitor(cluster: Cluster, namespace: str, name: str, labels: dict[str, str], port: int) -> Object:
    """A pod that answers HTTP on a port with the list of an empty folder, and otherwise waits to be asked to try things."""
    image = json.loads((cluster.state / "values.yaml").read_text())["images"]["operator"]
    container = {
        "name": "visitor",
        "image": image,
        "command": [PYTHON, "-m", "http.server", str(port), "--directory=/mnt"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def address(kube: Kube, namespace: str, pod: str) -> str:
    """Its IP, once it runs."""

    def look() -> str | None:
        status = kube.must_get("pod", pod, namespace)["status"]
        found: str | None = status.get("podIP") if status.get("phase") == "Running" else None
        return found

    return until(f"pod {namespace}/{pod} runs", look, seconds=60)
