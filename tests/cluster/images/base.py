"""The base of the local images: this machine's own Debian, small, made by debootstrap."""

import shutil
import subprocess
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.images.cache import key, once
from tests.cluster.progress import run_logged

#: libnuma1, g++ and python3-dev are vLLM's: its CPU extension needs the first, torch.compile on a CPU the others.
_PACKAGES = ("ca-certificates", "curl", "g++", "iproute2", "libnuma1", "python3", "python3-dev", "python3-venv")
#: What a container never reads, a third of the size.
_NEEDLESS = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)
#: A name for the user that the pods run as: torch.compile asks for the user's name and fails where there is none.
_USER = "fairlead:x:65532:65532::/tmp:/usr/sbin/nologin\n"
_GROUP = "fairlead:x:65532:\n"


def suite() -> str:
    """The code name of this machine's Debian.

    Raises:
        ClusterError: the machine is no Debian, or one without a code name (testing, unstable).
    """
    lines = Path("/etc/os-release").read_text().splitlines()
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    if release.get("ID") != "debian" or not release.get("VERSION_CODENAME"):
        raise ClusterError(
            f"The local images are made of the machine's own Debian release, and this is {release.get('PRETTY_NAME')}"
        )
    return release["VERSION_CODENAME"].strip('"')


def root_filesystem(home: Path) -> Path:
    """The folder with the root file system, made the first time.

    Raises:
        ClusterError: debootstrap is missing or failed.
    """
    name = suite()

    def make(scratch: Path) -> None:
        root = scratch / "root"
        # In a mount namespace of its own: what debootstrap mounts is gone with it, however it ends.
        command = [
            "unshare",
            "--mount",
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join(_PACKAGES)}",
            name,
            str(root),
            *_mirror(name),
        ]
        log = home / "base.log"
        run_logged(f"Debian {name} as a base of images (about 2 min)", command, log, detail=lambda: _last_line(log))
        for each in _NEEDLESS:
            shutil.rmtree(root / each)
            (root / each).mkdir()
        for file, line in (("passwd", _USER), ("group", _GROUP)):
            with (root / "etc" / file).open("a") as text:
                text.write(line)

    target = home / f"base-{key(Path(__file__), name)}"
    return once(target, make) / "root"


def _mirror(name: str) -> list[str]:
    """Where this machine's apt finds the release; none if it does not say, and debootstrap takes its own default."""
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
        f"Codename: {name}",
        "Component: main",
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return found[:1]


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1][:70] if lines else ""
