"""kubectl as the tests use it: JSON in, JSON out, an assertion with kubectl's own words when it fails."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import until

Object = dict[str, Any]


@dataclass(frozen=True)
class Kube:
    """A kubectl bound to one cluster."""

    kubectl: Path
    kubeconfig: Path

    def run(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """kubectl with these arguments; with check, a failure is an assertion that shows what kubectl said."""
        done = subprocess.run(
            [str(self.kubectl), f"--kubeconfig={self.kubeconfig}", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr.strip()}"
        return done

    def get(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        """The object, or None where there is none."""
        found = self.run("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found").stdout
        return json.loads(found) if found.strip() else None

    def must_get(self, kind: str, name: str, namespace: str = "default") -> Object:
        found = self.get(kind, name, namespace)
        assert found is not None, f"no {kind} {namespace}/{name}"
        return found

    def list(self, kind: str, namespace: str = "default", selector: str = "") -> list[Object]:
        args = ["get", kind, "-n", namespace, "-o", "json", *(["-l", selector] if selector else [])]
        items: list[Object] = json.loads(self.run(*args).stdout)["items"]
        return items

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.run(
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    def merge(self, kind: str, name: str, patch: Mapping[str, Any], namespace: str = "default", *extra: str) -> None:
        self.run("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch), *extra)

    def delete(self, kind: str, name: str, namespace: str = "default", *extra: str, timeout: float = 120) -> None:
        self.run("delete", kind, name, "-n", namespace, "--ignore-not-found", *extra, timeout=timeout)

    def logs(self, pod: str, container: str, namespace: str = "default", *extra: str) -> str:
        return self.run("logs", pod, "-c", container, "-n", namespace, *extra, check=False).stdout

    @contextmanager
    def port_forward(self, target: str, port: int, namespace: str = "default") -> Iterator[int]:
        """A local port that leads to the target's port, until the block ends."""
        command = [str(self.kubectl), f"--kubeconfig={self.kubeconfig}", "port-forward", "-n", namespace, target, f":{port}"]
        # Leaving the block of Popen closes its pipe.
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()  # "Forwarding from 127.0.0.1:40123 -> 8000"
                assert line.startswith("Forwarding from 127.0.0.1:"), line
                yield int(line.split(" ")[2].rpartition(":")[2])
            finally:
                process.terminate()
                process.wait(timeout=10)


def condition(obj: Object | None, kind: str) -> Object:
    """A condition of an object by its type; empty where it has none."""
    conditions: Sequence[Object] = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def describe(kube: Kube, name: str, namespace: str) -> str:
    """The state at hand in a few lines, for a failure."""
    selector = f"serving.fairlead.dev/model-deployment={name}"
    mdep = kube.get("mdep", name, namespace) or {}
    lines = [json.dumps(mdep.get("status"), indent=1)]
    for pod in kube.list("pods", namespace, selector):
        states = [
            f"{each['name']} ready={each['ready']} restarts={each['restartCount']} {json.dumps(each['state'])[:300]}"
            for each in pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
        ]
        lines.append(f"{pod['metadata']['name']} {pod['status'].get('phase')} {pod['status'].get('podIP')} {states}")
        lines.append(kube.logs(pod["metadata"]["name"], "engine", namespace, "--tail=15"))
    lines.append(kube.run("get", "events", "-n", namespace, "--sort-by=.lastTimestamp", check=False).stdout[-3000:])
    return "\n".join(lines)


def wait_ready(kube: Kube, name: str, namespace: str, *, seconds: float = 300) -> Object:
    """Wait until Ready is True for the generation that is there now, and return the ModelDeployment."""

    def look() -> Object | None:
        mdep = kube.must_get("mdep", name, namespace)
        ready = condition(mdep, "Ready")
        current = mdep["status"].get("observedGeneration") == mdep["metadata"]["generation"]
        return mdep if current and ready.get("status") == "True" else None

    return until(
        f"ModelDeployment {namespace}/{name} is Ready",
        look,
        seconds=seconds,
        every=1,
        describe=lambda: describe(kube, name, namespace),
    )
