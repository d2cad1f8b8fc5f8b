"""A real API server for the whole run, with the CRD of this tree in it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.controlplane import ControlPlane, control_plane_alone

CRD = Path(__file__).parents[2] / "crds" / "modeldeployments.serving.fairlead.dev.yaml"


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
    with control_plane_alone(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def api(plane: ControlPlane) -> Api:
    server = Api(plane)
    applied = server.kubectl("apply", "--server-side", "-f", str(CRD))
    assert applied.returncode == 0, applied.stderr
    established = server.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{CRD.stem}")
    assert established.returncode == 0, established.stderr
    return server
