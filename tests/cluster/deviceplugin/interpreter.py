"""A Python that has grpcio, for the device plugin alone."""

import fcntl
import hashlib
import importlib.util
import os
import re
import sys
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.layout import REPOSITORY
from tests.cluster.progress import run_logged

#: What the plugin imports, and what that needs.
PACKAGES = ("grpcio", "grpcio-tools", "protobuf", "setuptools", "typing-extensions")

#: One package: its first line, and those that the backslashes join to it.
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(?:.*\\\n)*.*\n?", re.MULTILINE)


def find(cache: Path) -> str:
    """FAIRLEAD_PYTHON, this interpreter if it has grpcio, or a small environment made under `cache`.

    Raises:
        ClusterError: FAIRLEAD_PYTHON does not exist, or the environment cannot be made.
    """
    named = os.environ.get("FAIRLEAD_PYTHON")
    if named:
        if not Path(named).is_file():
            raise ClusterError(f"FAIRLEAD_PYTHON names {named}, which is not there")
        return named
    if importlib.util.find_spec("grpc") and importlib.util.find_spec("grpc_tools"):
        return sys.executable
    return str(_environment(cache))


def locked(requirements: str, packages: tuple[str, ...] = PACKAGES) -> str:
    """The lines of a requirements file with hashes that lock these packages."""
    return "".join(entry[0] for entry in _ENTRY.finditer(requirements) if entry[1].lower() in packages)


def _environment(cache: Path) -> Path:
    wanted = locked((REPOSITORY / "tests" / "requirements.txt").read_text())
    key = hashlib.sha256(f"{wanted}{sys.version}".encode()).hexdigest()[:12]
    home = cache / f"deviceplugin-{key}"
    python, complete = home / "bin" / "python", home / ".complete"
    if complete.exists():
        return python
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "deviceplugin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            log = cache / "deviceplugin.log"
            run_logged("A Python environment for the device plugin", [sys.executable, "-m", "venv", "--clear", str(home)], log)
            (home / "requirements.txt").write_text(wanted)
            install = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes"]
            run_logged("Its packages", [*install, "--only-binary=:all:", "-r", str(home / "requirements.txt")], log)
            complete.touch()
    return python
