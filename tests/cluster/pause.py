"""The pause program, and the image of it that every pod's sandbox runs (registries are out of reach, and not needed)."""

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError

SOURCE = Path(__file__).with_name("pause.c")
_COMMAND = ("gcc", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror")


def build(cache: Path) -> Path:
    """The static program's path under `cache`; compiled only if it is not there.

    Raises:
        ClusterError: no compiler, or it failed.
    """
    program = cache / "pause" / _key() / "pause"
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        made = Path(scratch, "pause")
        try:
            subprocess.run([*_COMMAND, "-o", str(made), str(SOURCE)], check=True, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            raise ClusterError("gcc is not installed: `make debian` installs it") from None
        except subprocess.CalledProcessError as failed:
            raise ClusterError(f"gcc could not build {SOURCE.name}:\n{failed.stderr}") from None
        made.replace(program)
    return program


def image_name() -> str:
    return f"localhost/fairlead/pause:{_key()}"


def write_image(program: Path, archive: Path) -> None:
    """An image with nothing but the program, as `docker save` would write it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, "pause", program.read_bytes(), mode=0o755)
    content = layer.getvalue()
    config: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [image_name()], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        _add(tar, "layer.tar", content)
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _key() -> str:
    return hashlib.sha256(SOURCE.read_bytes() + " ".join(_COMMAND).encode()).hexdigest()[:12]


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
