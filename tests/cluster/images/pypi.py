"""pip for the images: the machine's own settings (index, certificates, proxies), the packages of a lock file and nothing else."""

import ast
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.images.cache import key, once
from tests.cluster.progress import run_logged

#: Debian's own: the images hold the same one, of the same release.
PYTHON = Path("/usr/bin/python3")
_REACHING = ("index-url", "extra-index-url", "trusted-host", "cert", "proxy", "timeout", "retries")


def pip(home: Path) -> list[str]:
    """The command line of a pip that Debian's Python ships, in an environment made the first time.

    Raises:
        ClusterError: Debian's Python cannot make environments.
    """
    if not PYTHON.exists():
        raise ClusterError(f"The images need Debian's own {PYTHON}: apt-get install python3 python3-venv")

    def make(scratch: Path) -> None:
        run_logged("pip for the images", [str(PYTHON), "-m", "venv", str(scratch / "venv")], home / "pip.log")

    # Called as a module: the scripts in bin/ name the folder they were made in.
    return [str(once(home / f"pip-{key(str(PYTHON.resolve()))}", make) / "venv/bin/python3"), "-m", "pip"]


def install(
    what: str, locks: Sequence[Path], home: Path, log: Path, *, python: Path | None = None, folder: Path | None = None
) -> None:
    """Install exactly what the lock files name, as wheels: into an environment, by its Python, or into a plain folder.

    Raises:
        ClusterError: pip failed; the message ends with what it said.
    """
    command = [
        *pip(home),
        *([f"--python={python}"] if python else []),
        "install",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-compile",
    ]
    command += ["--no-input", "--progress-bar=off", "--no-warn-script-location", "--disable-pip-version-check"]
    command += [f"--target={folder}"] if folder else []
    for lock in locks:
        command += ["-r", str(lock)]
    run_logged(what, command, log, detail=lambda: _latest(log))


def _latest(log: Path) -> str:
    """The last line in which pip tells what it downloads or installs."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    told = [
        line.strip() for line in lines if line.strip().startswith(("Collecting", "Downloading", "Using cached", "Installing"))
    ]
    return told[-1][:70] if told else ""


def settings(home: Path) -> dict[str, str]:
    """What this machine tells pip that says how packages are reached, by pip's names: index, certificates, proxy, patience.

    Raises:
        ClusterError: Debian's Python cannot make environments.
    """
    listed = subprocess.run([*pip(home), "config", "list"], capture_output=True, text=True, check=True).stdout
    return reaching(listed, os.environ)


def reaching(listed: str, environ: Mapping[str, str]) -> dict[str, str]:
    """From the lines of `pip config list`: section.name='value', where the section :env: wins, then install, then global."""
    told: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in told and option in _REACHING:
            told[section][option] = str(ast.literal_eval(value))
    bundles = [environ[name] for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE") if environ.get(name)]
    return {**({"cert": bundles[0]} if bundles else {}), **told["global"], **told["install"], **told[":env:"]}
