"""Builds the fake `libnvidia-ml.so.1` with the machine's C compiler."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from tests.cluster.errors import ClusterError

SONAME = "libnvidia-ml.so.1"
_SOURCES = ("fakenvml.c", "state.c")
_COMMAND = (
    "gcc",
    "-std=gnu11",
    "-shared",
    "-fPIC",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fvisibility=hidden",
    f"-Wl,-soname,{SONAME}",
)


_HERE = Path(__file__).parent


def path(cache: Path) -> Path:
    """Where the library lies or will lie: under `cache`, in a folder named after its sources."""
    content = b"\0".join(
        [*((_HERE / name).read_bytes() for name in (*_SOURCES, "state.h")), *(word.encode() for word in _COMMAND)]
    )
    return cache / "nvml" / hashlib.sha256(content).hexdigest()[:12] / SONAME


def build(cache: Path) -> Path:
    """The library, built only if it is not there.

    Raises:
        ClusterError: no compiler, or it failed; the message says what to install or what it printed.
    """
    library = path(cache)
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        made = Path(scratch, SONAME)
        try:
            subprocess.run(
                [*_COMMAND, "-o", made, *(_HERE / name for name in _SOURCES)],
                check=True,
                stderr=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError:
            raise ClusterError("the fake NVML needs a C compiler: apt-get install gcc libc6-dev") from None
        except subprocess.CalledProcessError as failed:
            raise ClusterError(f"gcc could not build the fake NVML:\n{failed.stderr}") from None
        made.chmod(0o755)  # the engine's container runs as another user
        made.replace(library)
    return library
