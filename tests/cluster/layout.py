"""Where things lie: the cache that all clones share, and this clone's own state folder and names."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

#: Longest path of a Unix socket (sun_path of unix(7) holds 108 bytes, the final zero included).
SOCKET_PATH_MAX = 107


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """FAIRLEAD_CACHE, or fairlead/ in the user's cache folder (XDG_CACHE_HOME, ~/.cache)."""
    named = environ.get("FAIRLEAD_CACHE")
    if named:
        return Path(named).absolute()
    xdg = environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache").absolute() / "fairlead"


@dataclass(frozen=True)
class Layout:
    """The paths and names of one clone's cluster. Nothing here touches the disk.

    The six hex digits come from the clone's path: two clones on one machine get different state folders, network
    namespaces, links and cgroups (the subnet is chosen when the cluster comes up: see network.py).
    """

    cache: Path
    clone: Path

    @classmethod
    def of_this_clone(cls) -> "Layout":
        return cls(cache_root(), REPOSITORY)

    @property
    def digits(self) -> str:
        return hashlib.sha256(str(self.clone).encode()).hexdigest()[:6]

    @property
    def name(self) -> str:
        """Of the network namespace, of the host's end of the link (15 characters at most) and of the cgroups."""
        return f"fl-{self.digits}"

    @property
    def state(self) -> Path:
        return self.cache / "clusters" / self.digits

    @property
    def lock(self) -> Path:
        """Held by `up` and `down`; beside the state folder, because `down` removes that one."""
        return self.cache / "clusters" / f"{self.digits}.lock"

    @property
    def netns(self) -> Path:
        return Path("/run/netns") / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.state / "audit.log"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def gpus(self) -> Path:
        """One folder per fake GPU, named by its UUID; the fake NVML in a container reads it, a test rewrites it."""
        return self.state / "gpus"

    @property
    def unhealthy_gpus(self) -> Path:
        """UUIDs, one a line, that the device plugin calls unhealthy; there need not be such a file."""
        return self.state / "unhealthy-gpus"

    @property
    def models(self) -> Path:
        """What static local volumes point at."""
        return self.state / "models"

    @property
    def containerd_socket(self) -> Path:
        return self.state / "containerd" / "containerd.sock"
