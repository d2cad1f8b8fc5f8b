"""The chart of this checkout on the local cluster: `make demo` and the end-to-end tests install it the same way."""

from pathlib import Path

from tests.cluster.access import Cluster
from tests.cluster.layout import REPOSITORY

NAMESPACE = "fairlead-system"


def install_command(cluster: Cluster, *extra: str) -> list[str]:
    """Helm's install-or-upgrade with the locally built images; `extra` are more of Helm's arguments."""
    return install_with(cluster.helm, cluster.kubeconfig, cluster.state, *extra)


def install_with(helm: Path, kubeconfig: Path, state: Path, *extra: str) -> list[str]:
    """The same for a cluster that need not be there; `state` is its folder."""
    return [
        *(str(helm), f"--kubeconfig={kubeconfig}", "upgrade", "--install", "fairlead"),
        *(str(REPOSITORY / "charts" / "fairlead"), "--namespace", NAMESPACE, "--create-namespace"),
        *("--values", str(state / "values.yaml"), "--wait", "--timeout", "3m", *extra),
    ]
