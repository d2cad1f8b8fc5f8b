"""Build Kubernetes, etcd, containerd, the CNI plugins, Helm and others from the Go modules in go/, once per content.

Each module holds only `tool` directives and the locked versions; verdict is a small program of our own. The programs go to
<cache>/tools/<module>-<key>/bin, where the key covers the module's files, the flags and the Go version: a second clone, or
the same clone tomorrow, builds nothing, and a changed version builds beside the old one.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.progress import run_logged, step

MODULES_AT = Path(__file__).with_name("go")

KUBERNETES_VERSION = "v1.37.2"
_VERSION_PACKAGE = "k8s.io/component-base/version"
#: Without the version flags the node reports "v0.0.0-master+$Format:%H$", which clients cannot parse.
_LDFLAGS = {
    "k8s": (
        f"-s -w -X {_VERSION_PACKAGE}.gitVersion={KUBERNETES_VERSION}"
        f" -X {_VERSION_PACKAGE}.gitMajor=1 -X {_VERSION_PACKAGE}.gitMinor=37"
    )
}
_PLAIN_LDFLAGS = "-s -w"

#: Minutes on two busy cores when nothing is cached, to tell people what they wait for.
MODULES = {
    "k8s": 8.0,
    "etcd": 0.5,
    "cri": 1.0,
    "cni": 0.2,
    "helm": 1.5,
    "netpol": 1.5,
    "actionlint": 0.2,
    "kind": 0.2,
    "kwok": 1.6,
    "verdict": 1.0,
}
#: What the local cluster and the tests need. Of the rest, measurements want one, and machines with Docker another.
USUAL = tuple(module for module in MODULES if module not in {"kind", "kwok"})


@dataclass(frozen=True)
class Tools:
    """The folders with the programs that were asked for, by module."""

    folders: dict[str, Path]

    def path(self, program: str) -> Path:
        """Where a program lies.

        Raises:
            ClusterError: none of the modules that were asked for holds it.
        """
        for folder in self.folders.values():
            if (folder / program).exists():
                return folder / program
        raise ClusterError(f"No module of {', '.join(self.folders)} builds a program called {program}")


def ensure(cache: Path, modules: Sequence[str] = USUAL) -> Tools:
    """The modules' programs, built now where they are not in the cache.

    Raises:
        ClusterError: no Go, a Go that is too old, an unknown module, or a build that failed.
    """
    unknown = sorted(set(modules) - set(MODULES))
    if unknown:
        raise ClusterError(f"There is no module {', '.join(unknown)}: use one of {', '.join(MODULES)}")
    go = _go_version()
    return Tools({module: _ensure_module(cache, module, go) for module in modules})


def program(cache: Path, name: str) -> Path:
    """Where one program lies, its module built now if it is not in the cache.

    Raises:
        ClusterError: no module builds one of that name, or it cannot be built.
    """
    module = next((each for each in MODULES if name in programs(each)), None)
    if module is None:
        raise ClusterError(f"No module builds a program called {name}: see the `tool` lines in tests/cluster/go")
    return ensure(cache, [module]).path(name)


def programs(module: str) -> list[str]:
    """The names of what a module builds: the last part of each tool path that is not a major version."""
    names = []
    for path in re.findall(r"^(?:tool\s+|\t)([^\s()=]+/[^\s()=]+)$", (MODULES_AT / module / "go.mod").read_text(), re.MULTILINE):
        parts = path.split("/")
        names.append(parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1])
    return names


def key(module: str, go: str) -> str:
    """What the folder's name ends with: it changes with everything that changes what is built."""
    digest = hashlib.sha256()
    for file in sorted((MODULES_AT / module).iterdir()):
        digest.update(file.read_bytes())
    digest.update(repr((_LDFLAGS.get(module, _PLAIN_LDFLAGS), go, os.uname().machine)).encode())
    return digest.hexdigest()[:12]


def _ensure_module(cache: Path, module: str, go: str) -> Path:
    home = cache / "tools"
    target = home / f"{module}-{key(module, go)}"
    if target.is_dir():
        return target / "bin"
    _check_go(module, go)
    home.mkdir(parents=True, exist_ok=True)
    # One build at a time on a machine: two would only share its cores, and the second usually finds its work done.
    with (home / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("Waiting for another build of the tools on this machine"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _remove_leftovers(home)
            _build(home, module, target)
    return target / "bin"


def _remove_leftovers(home: Path) -> None:
    """Half builds of a run that was killed; the lock is held, so none of them is in use."""
    for each in home.glob(".building-*"):
        shutil.rmtree(each)


def _build(home: Path, module: str, target: Path) -> None:
    wanted = programs(module)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=home))
    binaries = building / "bin"
    binaries.mkdir()
    env = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(binaries), "GOFLAGS": "-buildvcs=false"}
    command = ["nice", "go", "install", "-trimpath", "-ldflags", _LDFLAGS.get(module, _PLAIN_LDFLAGS), "tool"]

    def detail() -> str:
        return f"({len(list(binaries.iterdir()))} of {len(wanted)} programs)"

    what = f"Building {module} (about {MODULES[module]:g} min when nothing is cached)"
    run_logged(what, command, home / f"{module}.log", cwd=MODULES_AT / module, env=env, detail=detail)
    missing = sorted(set(wanted) - {each.name for each in binaries.iterdir()})
    if missing:
        raise ClusterError(f"Building {module} made no {', '.join(missing)}: compare tests/cluster/go/{module}/go.mod")
    building.chmod(0o755)
    building.rename(target)


def _go_version() -> str:
    try:
        done = subprocess.run(["go", "env", "GOVERSION"], cwd="/", capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise ClusterError(f"Go is not installed: install Go {_newest_asked()} or newer and put it on PATH") from error
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"`go env GOVERSION` failed: {error.stderr.strip()}") from error
    return done.stdout.strip()


def _check_go(module: str, go: str) -> None:
    """Tell of a Go that is too old, unless it is one that fetches a newer Go by itself (GOTOOLCHAIN=auto)."""
    asked = asked_version((MODULES_AT / module / "go.mod").read_text())
    if numbers(go) >= numbers(asked):
        return
    toolchain = subprocess.run(["go", "env", "GOTOOLCHAIN"], cwd="/", capture_output=True, text=True, check=False).stdout.strip()
    if not toolchain.endswith("auto"):
        raise ClusterError(f"{shutil.which('go')} is {go}, and the {module} tools need {asked} or newer: install Go {asked}")


def _newest_asked() -> str:
    return max((asked_version((MODULES_AT / module / "go.mod").read_text()) for module in MODULES), key=numbers)


def asked_version(go_mod: str) -> str:
    """The version in the `go` line of a go.mod."""
    found = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    if found is None:
        raise ClusterError("A go.mod without a `go` line")
    return found[1]


def numbers(version: str) -> tuple[int, ...]:
    """For comparing: go1.26.8 -> (1, 26, 8). A release candidate counts as its release."""
    found = re.match(r"(?:go)?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in found[1].split(".")) if found else ()
