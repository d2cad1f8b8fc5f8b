"""Folders that are made once and kept, named after what went into them."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def key(*inputs: bytes | str | Path) -> str:
    """Twelve hex digits of the inputs; of a file its bytes, of a folder the paths and bytes of the files under it."""
    digest = hashlib.sha256()
    for each in inputs:
        for part in _parts(each):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def _parts(value: bytes | str | Path) -> list[bytes]:
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, str):
        return [value.encode()]
    if value.is_file():
        return [value.read_bytes()]
    files = sorted(path for path in value.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return [part for path in files for part in (str(path.relative_to(value)).encode(), path.read_bytes())]


def once(target: Path, make: Callable[[Path], None]) -> Path:
    """The folder `target`, filled by make(scratch) where it is not there yet.

    Several processes may ask for one target: one makes it, the others wait. What a killed one left behind is removed.
    """
    if target.is_dir():
        os.utime(target)  # tells forget() that it is in use
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            for leftover in target.parent.glob(f".{target.name}.making-*"):
                shutil.rmtree(leftover)
            scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.making-", dir=target.parent))
            try:
                make(scratch)
                scratch.chmod(0o755)
                scratch.rename(target)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
    return target


def forget(home: Path, *, unused_seconds: float) -> list[str]:
    """Remove the folders named NAME-KEY in `home` that nobody has asked for in this time; their names."""
    gone = []
    for folder in sorted(home.iterdir()):
        named_by_content = re.fullmatch(r"[^.].*-[0-9a-f]{12}(\.layer)?", folder.name)
        if named_by_content and folder.is_dir() and time.time() - folder.stat().st_mtime > unused_seconds:
            shutil.rmtree(folder)
            folder.with_name(f".{folder.name}.lock").unlink(missing_ok=True)
            gone.append(folder.name)
    return gone
