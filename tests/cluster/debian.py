"""The Debian packages that the cluster and its images need, looked for by a file each, so that other systems work too."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.progress import run_logged, say


@dataclass(frozen=True)
class Need:
    """A package, and a program on PATH or a file (a pattern that starts with /) that tells that it is there."""

    package: str
    sign: str
    why: str

    def present(self) -> bool:
        if self.sign.startswith("/"):
            return any(Path("/").glob(self.sign[1:]))
        # Those of an administrator's PATH too: `su` without a dash leaves them out.
        return shutil.which(self.sign, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin") is not None


NODE = (
    Need("runc", "runc", "starts containers"),
    Need("nftables", "nft", "kube-proxy's rules"),
    Need("conntrack", "conntrack", "kube-proxy"),
    Need("iptables", "iptables", "what NetworkPolicies judge"),
    Need("iproute2", "ip", "the node's network"),
    Need("openssl", "openssl", "certificates"),
    Need("gcc", "gcc", "the fake NVML and the pause program"),
    Need("libc6-dev", "/usr/include/stdio.h", "the same"),
)
IMAGES = (
    Need("debootstrap", "debootstrap", "the base image"),
    Need("buildah", "buildah", "builds images"),
    Need("binutils", "readelf", "stand-ins for the GPU libraries of torch"),
    Need("python3-venv", "/usr/lib/python3*/ensurepip/__init__.py", "vLLM on the CPU"),
)
TESTS = (
    Need("curl", "curl", "requests from the node"),
    Need("ca-certificates", "/etc/ssl/certs/ca-certificates.crt", "downloads"),
)


def missing(needs: tuple[Need, ...] = (*NODE, *IMAGES, *TESTS)) -> list[Need]:
    return [need for need in needs if not need.present()]


def check_node() -> None:
    """See that a node can start.

    Raises:
        ClusterError: a package is missing; the message names it and the command.
    """
    lacking = missing(NODE)
    if lacking:
        raise ClusterError(f"Missing: {_listed(lacking)}. `make debian` installs them")


def install(cache: Path) -> None:
    """Install what is missing, as root on a system with apt.

    Raises:
        ClusterError: not root, no apt, or apt failed; the message says what is missing.
    """
    lacking = missing()
    if not lacking:
        say("Nothing to install: all Debian packages are there")
        return
    names = [need.package for need in lacking]
    if shutil.which("apt-get") is None:
        raise ClusterError(f"Missing: {_listed(lacking)}. There is no apt here: install them with this system's own tool")
    if os.geteuid() != 0:
        raise ClusterError(f"Missing: {_listed(lacking)}. As root: apt-get install {' '.join(names)}")
    say(f"Installing {_listed(lacking)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = cache / "apt.log"
    run_logged("apt-get update", ["apt-get", "update"], log, env=env)
    run_logged("apt-get install", ["apt-get", "install", "--yes", "--no-install-recommends", *names], log, env=env)
    still = missing()
    if still:
        raise ClusterError(f"Installed, but still missing: {_listed(still)}. What apt said is in {log}")


def _listed(needs: list[Need]) -> str:
    return ", ".join(f"{need.package} ({need.why})" for need in needs)
