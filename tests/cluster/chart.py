"""The chart of this checkout on the local cluster: `make demo` and the end-to-end tests install it the same way."""

from tests.cluster.access import Cluster
from tests.cluster.layout import REPOSITORY

NAMESPACE = "fairlead-system"


def install_command(cluster: Cluster, *extra: str) -> list[str]:
    """Helm's install-or-upgrade with the locally built images; `extra` are more of Helm's arguments."""
    return [
        *(str(cluster.helm), f"--kubeconfig={cluster.kubeconfig}", "upgrade", "--install", "fairlead"),
        *(str(REPOSITORY / "charts" / "fairlead"), "--namespace", NAMESPACE, "--create-namespace"),
        *("--values", str(cluster.state / "values.yaml"), "--wait", "--timeout", "3m", *extra),
    ]
